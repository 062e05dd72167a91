"""How much each patch raises or lowers a patient's risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.bundle.ensemble import Ensemble, LinearModel, PlainNetwork
from outcome.bundle.patient_vectors import InnerModel, PatientVectors

__all__ = ["Contributions", "patch_contributions", "risk_scale"]

STEPS = 32

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Contributions:
    """Patches of all slides of one patient.

    Parameters
    ----------
    value : array, shape (n,)
        Signed contribution to the calibrated log hazard (or logit of the worse outcome), relative
        to a patch equal to the mean of the training patients. Positive values raise the risk.
    attention : array, shape (n,)
        Mean weight over the inner models; sums to 1. NaN if the aggregator has no weights.
    exact : bool
        Whether the values add up exactly to the image's part of the log hazard. Otherwise they are
        integrated gradients, whose sum has a discretisation error.
    """

    value: Array
    attention: Array
    exact: bool


def risk_scale(ensemble: Ensemble) -> float:
    """Return the factor of a risk: the calibration slope, or 1 if it is 0."""
    slope = ensemble.bundle.calibration.slope
    return slope if slope > 0 else 1.0


def patch_contributions(ensemble: Ensemble, patient: PatientVectors) -> Contributions:
    """Divide the image's part of a patient's log hazard among the patches.

    Notes
    -----
    If pooling is a weighted mean and the output is linear, the image's part of the log hazard is a
    sum over patches: attention times the linear predictor of the patch, minus that of the training
    mean. This is exact for the attention weights of this patient. (Deleting a patch changes the
    weights of the others, which `faithfulness` measures.) With gated fusion it holds for the gates
    of this patient. For other aggregators, integrated gradients along the patches are used. Values
    are averaged over the inner models and combined over the members in the same way as their risks.
    """
    image = patient.raw["image"]
    assert image is not None
    value, weights, exact = np.zeros(len(image)), [], True
    for m, models in ensemble.members:
        if "image" not in m.member.inputs:
            continue
        found = [_of_model(model, patient) for model in models]
        value += m.weight * ensemble.sign * np.mean([v for v, _ in found], axis=0)
        weights += [w for _, w in found if w is not None]
        exact = exact and all(w is not None for _, w in found)
    attention = np.mean(weights, axis=0) if weights else np.full(len(image), np.nan)
    return Contributions(risk_scale(ensemble) * value, attention, exact)


def _of_model(model: InnerModel, patient: PatientVectors) -> tuple[Array, Array | None]:
    """Return contributions to the raw output, and attention weights if there are any."""
    if isinstance(model, LinearModel):
        image: Any = patient.raw["image"]
        reference, weight = model.slope("image")
        n = len(image)
        return (image.astype(np.float64) - reference) @ weight / n, np.full(n, 1.0 / n)
    if isinstance(model, PlainNetwork):
        bag: Any = patient.seen["image"]
        x = bag.astype(np.float64)
        attention = model.attention("image", x)
        heads = attention.shape[1]
        parts = (a.reshape(heads, -1) for a in (
            model.arrays["mean_image"], model.arrays["gain_image"], model.readout("image")
        ))  # fmt: skip
        total = np.zeros(len(x))
        for weight, mean, gain, readout in zip(attention.T, *parts, strict=True):
            total += weight * ((x - mean) @ (gain * readout))
        gate = model.gates(model.vectors(patient))["image"]
        return gate * total, attention.mean(axis=1)
    network: Any = model  # the remaining kind of model, whose module imports torch
    return network.contributions(patient, STEPS), None
