"""Estimators in the conventions of scikit-learn and scikit-survival.

In: a `SlideDataset` (or arrays) and outcomes. Out: a trained model with `predict`. Training follows
the protocol of an arm of a study.
"""

from outcome.estimators.mil_classifier import MILClassifier
from outcome.estimators.mil_cox import MILCox

__all__ = ["MILClassifier", "MILCox"]
