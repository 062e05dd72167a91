"""Loss of every epoch on the inner folds, and centred scores of the inner models.

Test outcomes are not used here, and concordance is not used to choose anything.
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
    """Loss of every epoch on the inner folds, shape (epochs,); all inner models use the best epoch.

    Parameters
    ----------
    raw : sequence of array, shape (epochs, n)
        Per inner fold: outputs for its tune patients after every epoch.
    targets : sequence of Target
        Outcomes of these patients.
    head : Head

    Notes
    -----
    The loss is summed over the inner folds after calibration: the outputs are centred within each
    inner fold and multiplied by one non-negative slope for all folds. The loss without calibration
    mainly shows when a network becomes overconfident, which calibration corrects, and would stop
    training long before the ranking is learned. One epoch for all folds is much less sensitive to
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
    """Convert the scores of inner models to a common scale.

    Parameters
    ----------
    tune, test : sequence of array
        Per inner model: raw outputs of its tune patients, and of the test patients.

    Returns
    -------
    tune : list of array
        Scores minus their mean, per inner model.
    test : array, shape (models, n)
        Scores centred by the mean of the tune patients of the model. Their mean over models is the
        risk. Scores are never divided by their spread, which would inflate a model that found
        almost no association.
    """
    centres = [float(r.mean()) for r in tune]
    centred = [r - c for r, c in zip(tune, centres, strict=True)]
    by_inner = np.stack([r - c for r, c in zip(test, centres, strict=True)])
    return centred, np.asarray(by_inner, dtype=np.float64)
