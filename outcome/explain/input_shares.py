"""Contributions of image, report and clinical data to the risk of a patient."""

from __future__ import annotations

from itertools import combinations
from math import factorial

from outcome.bundle.ensemble import Ensemble
from outcome.bundle.patient_vectors import PatientVectors
from outcome.explain.contributions import risk_scale

__all__ = ["modality_values"]


def modality_values(ensemble: Ensemble, patient: PatientVectors) -> dict[str, float]:
    """Shapley values of the inputs, exact: every combination of inputs is scored [1]_.

    Parameters
    ----------
    ensemble : Ensemble
    patient : PatientVectors

    Returns
    -------
    dict of input to float
        In log hazard (or logit of the worse outcome); positive values raise the risk. They add up
        to the difference between the patient and a patient without any input. A removed input is
        replaced in the same way as a missing one (networks: a learned vector; linear models: the
        mean). An input that the patient does not have gets the value 0.

    References
    ----------
    .. [1] Shapley (1953), A value for n-person games.
    """
    inputs = ensemble.bundle.inputs
    scale, n = risk_scale(ensemble), len(inputs)
    worth = {
        frozenset(some): scale * ensemble.risk(patient.only(frozenset(some)))
        for size in range(n + 1)
        for some in combinations(inputs, size)
    }
    values = {}
    for name in inputs:
        others = [i for i in inputs if i != name]
        total = 0.0
        for size in range(n):
            share = factorial(size) * factorial(n - size - 1) / factorial(n)
            for some in map(frozenset, combinations(others, size)):
                total += share * (worth[some | {name}] - worth[some])
        values[name] = total
    return values
