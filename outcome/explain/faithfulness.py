"""Faithfulness: effect of deleting the highlighted patches, compared with other patches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.bundle.ensemble import Ensemble
from outcome.bundle.patient_vectors import PatientVectors
from outcome.explain.contributions import risk_scale

__all__ = ["SHARES", "deletion_rows"]

SHARES = (0.01, 0.05, 0.1, 0.2)
RANDOM = 20


def deletion_rows(
    ensemble: Ensemble,
    patient: PatientVectors,
    value: NDArray[np.float64],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Change of the log hazard after deletion of patches.

    Parameters
    ----------
    ensemble : Ensemble
    patient : PatientVectors
    value : array, shape (n,)
        Contribution of each patch.
    rng : Generator
        Seed of the random deletions.

    Returns
    -------
    list of dict
        Per share of deleted patches: `deleted` (share), `patches`, `top` (change after deleting the
        patches that raise the risk most; negative if the map is faithful), `bottom` (the patches
        that lower it most), `random` (mean change of 20 random deletions), `random_lowest`,
        `random_highest`.
    """
    n, rows = len(value), []
    scale = risk_scale(ensemble)
    before = ensemble.risk(patient)
    order = np.argsort(value, kind="stable")

    def change(gone: NDArray[np.int64]) -> float:
        kept = np.ones(n, dtype=bool)
        kept[gone] = False
        return scale * (ensemble.risk(patient.keep(kept)) - before)

    for share in SHARES:
        k = min(max(1, round(share * n)), n - 1)
        if k < 1:
            continue
        drawn = [change(rng.choice(n, k, replace=False)) for _ in range(RANDOM)]
        rows.append(
            {
                "deleted": share,
                "patches": k,
                "top": change(order[-k:]),
                "bottom": change(order[:k]),
                "random": float(np.mean(drawn)),
                "random_lowest": min(drawn),
                "random_highest": max(drawn),
            }
        )
    return rows
