"""Decision curves: the net benefit of acting on a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.errors import InputError
from outcome.evaluation.arrays import ArmScores
from outcome.evaluation.calibration import Pooled, pool

__all__ = ["DECISION_COLUMNS", "THRESHOLDS", "decision_curves", "net_benefit"]

DECISION_COLUMNS = ["arm", "horizon", "threshold", "net_benefit", "n"]
THRESHOLDS = tuple(float(t) for t in np.round(np.arange(0.01, 1.0, 0.01), 2))


def decision_curves(
    arms: Sequence[ArmScores],
    horizons: Sequence[float] = (),
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> pd.DataFrame:
    """Net benefit of treating patients at or above a threshold probability [1]_.

    Calibrated probabilities of the first repeat, pooled over folds; for survival, the event
    probability among those above the threshold is a Kaplan-Meier estimate [2]_
    (Aalen-Johansen with competing events).

    Parameters
    ----------
    arms : sequence of ArmScores
        With survival probabilities at the horizons, or probabilities of a binary outcome.
    horizons : sequence of float
        Ignored for a binary outcome.
    thresholds : sequence of float
        Inside (0, 1).

    Returns
    -------
    DataFrame
        `DECISION_COLUMNS`. Net benefit is in true positives per patient, higher is better;
        arm `treat all` treats every patient, and treating none is 0. NaN if no patient above the
        threshold is followed to the horizon, or none has a positive weight.

    Raises
    ------
    InputError
        A threshold is not inside (0, 1).

    References
    ----------
    .. [1] Vickers & Elkin (2006), Medical Decision Making 26:565-574.
    .. [2] Vickers et al. (2008), BMC Medical Informatics and Decision Making 8:53.
    """
    if any(not 0 < t < 1 for t in thresholds):
        raise InputError("decision thresholds must lie between 0 and 1, both excluded")
    rows: list[list[object]] = []
    timed = any(a.timed for a in arms)
    for h in horizons if timed else [float("nan")]:
        usable = [a for a in arms if not timed or h in a.folds[0].survival]
        pools = {a.name: pool(a, a.repeats[0], h) for a in usable}
        pools = {name: p for name, p in pools.items() if len(p.event)}
        for name, p in pools.items():
            rows += [[name, h, t, net_benefit(p, h, t), len(p.event)] for t in thresholds]
        if pools:
            largest = max(pools.values(), key=lambda p: len(p.event))
            everybody = Pooled(
                largest.time, largest.event, largest.ended, np.ones(len(largest.event)),
                largest.weight,
            )  # fmt: skip
            n = len(largest.event)
            rows += [["treat all", h, t, net_benefit(everybody, h, t), n] for t in thresholds]
    return pd.DataFrame(rows, columns=DECISION_COLUMNS)


def net_benefit(pooled: Pooled, horizon: float, threshold: float) -> float:
    """Subtract false positives, weighted by the odds of the threshold; per patient."""
    flagged = pooled.probability >= threshold
    if not flagged.any():
        return 0.0
    part = pooled.take(flagged)
    if np.isnan(horizon):
        if pooled.weight.sum() <= 0:
            return float("nan")
        share = float(part.weight.sum() / pooled.weight.sum())
        risk = float(part.weight @ part.event / part.weight.sum()) if share > 0 else 0.0
    else:
        share, risk = float(flagged.mean()), part.observed(horizon)[0]
    return share * (risk - (1 - risk) * threshold / (1 - threshold))
