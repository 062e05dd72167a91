"""The protocol inside one outer fold: one epoch count, one scale, cut-offs. Pure functions.

Nothing here sees a test outcome, and nothing chooses by concordance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from outcome.models.heads import Head, Target

__all__ = ["choose_epoch", "combine", "cut_offs", "risk_groups"]

MIN_STRATUM_EVENTS = 10
MAX_SLOPE = 3.0
TOLERANCE = {"xatol": 0.01}

Array = NDArray[np.float64]


def choose_epoch(raw: Sequence[NDArray[np.float64]], targets: Sequence[Target], head: Head) -> int:
    """Return the one epoch (from 1) that all inner models of an arm and outer fold use.

    Parameters
    ----------
    raw : sequence of array, shape (epochs, n)
        Per inner fold: outputs for its tune patients after every epoch.
    targets : sequence of Target
        Outcomes of these patients.
    head : Head

    Notes
    -----
    It minimises the loss summed over the inner folds, after the calibration that follows anyway:
    the outputs, centred within each inner fold, times one slope for all folds (not below 0). The
    loss without it mostly says how soon a network becomes overconfident, which calibration
    mends, and stops long before the ranking is learned. Of equal epochs the earliest is taken.
    One shared number is far less prone to noise than a number per inner fold.
    """
    usable = [k for k, t in enumerate(targets) if head.usable(t)]
    level = head.start(*(targets[k] for k in usable))
    centred = [torch.from_numpy(raw[k] - raw[k].mean(axis=1, keepdims=True)) for k in usable]

    def loss(slope: float, epoch: int) -> float:
        parts = [
            head.weight(targets[k]) * float(head.loss(level + slope * r[epoch], targets[k]))
            for k, r in zip(usable, centred, strict=True)
        ]
        return sum(parts)

    n_epochs = min(len(r) for r in raw)
    best = [
        minimize_scalar(loss, bounds=(0, MAX_SLOPE), args=(e,), method="bounded", options=TOLERANCE)
        for e in range(n_epochs)
    ]
    return int(np.argmin([b.fun for b in best])) + 1


def combine(tune: Sequence[Array], test: Sequence[Array]) -> tuple[list[Array], Array]:
    """Put inner models on one scale and average their scores of the test patients.

    Parameters
    ----------
    tune, test : sequence of array
        Per inner model: raw outputs of its tune patients, and of the test patients.

    Returns
    -------
    tune : list of array
        Centred: each less its mean.
    test : array
        Mean over models, each centred by the mean of its own tune patients. Scores are never
        divided by their spread, which would inflate a model that found next to nothing.
    """
    centres = [float(r.mean()) for r in tune]
    centred = [r - c for r, c in zip(tune, centres, strict=True)]
    mean = np.mean([r - c for r, c in zip(test, centres, strict=True)], axis=0)
    return centred, np.asarray(mean, dtype=np.float64)


def cut_offs(
    development: pd.DataFrame, patients: pd.DataFrame, strata: pd.Series | None
) -> dict[str, float]:
    """Return the cut-off of each stratum: the median of out-of-fold development risks.

    Parameters
    ----------
    development : DataFrame
        Columns `patient_id, risk`.
    patients : DataFrame
        Outcomes, indexed by patient.
    strata : Series, optional
        Stratum, indexed by patient.

    Returns
    -------
    dict of stratum to float
        The key `""` is for all together, and for a stratum with fewer than 10 development events.
    """
    cuts = {"": float(development["risk"].median())}
    if strata is None:
        return cuts
    ids = development["patient_id"]
    events = patients.loc[ids, "event"].to_numpy()
    for stratum, rows in development.groupby(strata.loc[ids].to_numpy()):
        if events[rows.index].sum() >= MIN_STRATUM_EVENTS:
            cuts[str(stratum)] = float(rows["risk"].median())
    return cuts


def risk_groups(
    test: pd.DataFrame, cuts: Mapping[str, float], strata: pd.Series | None
) -> list[str]:
    """Name the group of each test patient; a risk equal to the cut-off is `low`."""
    own = [""] * len(test) if strata is None else strata.loc[test["patient_id"]].tolist()
    return [
        "high" if r > cuts.get(s, cuts[""]) else "low"
        for r, s in zip(test["risk"], own, strict=True)
    ]
