"""A study joined by patient: bags, report vectors, covariates and outcomes.

In: a study file and what it names. Out: one checked object that training and the checks start from.
"""
