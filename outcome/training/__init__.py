"""One fit: a network or ridge model, trained on some patients and monitored on others.

In: vectors and outcomes of the patients of one inner fold. Out: weights, outputs and learning
curves. Test patients are not used here.
"""
