"""Cross-validation of a study: the grid of fits, over processes or a cluster, and their ensembles.

In: a study and its patients, joined. Out: predictions of test patients, and what was fixed on
development patients. Nothing is chosen by concordance.
"""
