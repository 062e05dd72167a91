"""Loss of every epoch on the inner folds, and centred scores of the inner models.

Nothing here sees a test outcome, and nothing chooses by concordance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from outcome.models.heads import Head, Target

__all__ = [
    "combine",
    "epoch_losses",
]

MAX_SLOPE = 3.0
TOLERANCE = {"xatol": 0.01}

Array = NDArray[np.float64]


def epoch_losses(
    raw: Sequence[NDArray[np.float64]], targets: Sequence[Target], head: Head
) -> Array:
    """Judge every epoch by the inner folds, shape (epochs,); all inner models use the best.

    Parameters
    ----------
    raw : sequence of array, shape (epochs, n)
        Per inner fold: outputs for its tune patients after every epoch.
    targets : sequence of Target
        Outcomes of these patients.
    head : Head

    Notes
    -----
    It is the loss summed over the inner folds, after the calibration that follows anyway: the
    outputs, centred within each inner fold, times one slope for all folds (not below 0). The
    loss without it mostly says how soon a network becomes overconfident, which calibration
    mends, and stops long before the ranking is learned. One epoch for all is far less prone to
    noise than one per inner fold.
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
    return np.array([b.fun for b in best])


def combine(tune: Sequence[Array], test: Sequence[Array]) -> tuple[list[Array], Array]:
    """Put the scores of inner models on one scale.

    Parameters
    ----------
    tune, test : sequence of array
        Per inner model: raw outputs of its tune patients, and of the test patients.

    Returns
    -------
    tune : list of array
        Centred: each less its mean.
    test : array, shape (models, n)
        Each centred by the mean of its own tune patients; their mean over models is the risk.
        Scores are never divided by their spread, which would inflate a model that found next to
        nothing.
    """
    centres = [float(r.mean()) for r in tune]
    centred = [r - c for r, c in zip(tune, centres, strict=True)]
    by_inner = np.stack([r - c for r, c in zip(test, centres, strict=True)])
    return centred, np.asarray(by_inner, dtype=np.float64)
