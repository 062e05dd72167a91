"""A trained model for use: fitted on all patients, saved, and applied to new patients.

In: a study, or the folder of an earlier fit. Out: a `Bundle`, predictions for new patients, and the
distance of these patients from the training data.
"""
