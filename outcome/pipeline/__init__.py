"""What a user asks for as a whole: run, evaluate, fit, predict, validate.

In: a study, a bundle or tables of predictions. Out: a folder of results, and the same in memory.
"""
