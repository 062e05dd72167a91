"""Cross-validation of a study: the grid of fits, on processes or a cluster, and the ensembles.

In: a study and its joined data. Out: predictions for test patients, and the choices made on
development patients. Concordance is not used to choose anything.
"""
