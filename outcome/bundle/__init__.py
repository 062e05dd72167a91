"""A trained model in use: fitted on all patients, saved, applied to new ones.

In: a study, or a folder that an earlier fit wrote. Out: a `Bundle`, predictions of new
patients, and how far these patients lie outside the training data.
"""
