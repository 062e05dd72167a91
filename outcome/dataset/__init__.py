"""A study joined by patient: bags, report vectors, covariates and outcomes.

In: a study file and its data. Out: one checked object for training and checks.
"""
