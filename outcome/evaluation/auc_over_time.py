"""Discrimination over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.censoring_weights import censoring_weights
from outcome.evaluation.discrimination import horizon_auc
from outcome.evaluation.estimate import wald
from outcome.statistics.censoring import choose_tau

__all__ = ["AUC_COLUMNS", "auc_over_time"]

AUC_COLUMNS = ["arm", "time", "auc", "lower", "upper", "events"]
_POINTS = 20


def auc_over_time(
    panel: Panel,
    arms: Sequence[ArmScores],
    horizons: Sequence[float] = (),
    *,
    cross_validated: bool = True,
) -> pd.DataFrame:
    """Cumulative/dynamic AUC on a grid of times, and at the horizons.

    The grid runs from the time by which a tenth of the events has happened to that of 95% of
    them, or the last event time at which the censoring weights are dependable (G(t-) of at least
    0.1) if that is earlier, so that both ends have cases and controls.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
        Times to an event.
    horizons : sequence of float
        Further times.
    cross_validated : bool
        As for `outcome.evaluation.evaluation.evaluate`.

    Returns
    -------
    DataFrame
        `AUC_COLUMNS`; higher is better, 0.5 is chance. Pointwise 95% intervals from the
        influence of each patient, censoring weights taken as known; `events` counts cases of the
        first repeat by then. Times at which it cannot be estimated are left out.
    """
    weights = censoring_weights(arms, horizons, cross_validated=cross_validated)
    had = np.array(list(_event_times(arms).values()))
    if not len(had):
        return pd.DataFrame(columns=AUC_COLUMNS)
    first, late = (float(np.quantile(had, q)) for q in (0.1, 0.95))
    last = choose_tau(had[had <= late], list(weights.curves.values()))
    found = last is not None and last > first
    grid = np.linspace(first, last or first, _POINTS).tolist() if found else []
    rows = []
    for arm in arms:
        for t in np.unique([*grid, *horizons]):
            measure = horizon_auc(panel, arm, weights, float(t))
            if not np.isnan(measure.value):
                low, high = (float(np.clip(b, 0, 1)) for b in wald(measure.value, measure.se))
                rows.append([arm.name, float(t), measure.value, low, high, _cases(arm, t)])
    return pd.DataFrame(rows, columns=AUC_COLUMNS)


def _event_times(arms: Sequence[ArmScores]) -> dict[int, float]:
    """Time of the event of each patient who had it."""
    found: dict[int, float] = {}
    for fold in (f for arm in arms for f in arm.folds):
        seen = zip(fold.patient[fold.event].tolist(), fold.time[fold.event].tolist(), strict=True)
        found.update(seen)
    return found


def _cases(arm: ArmScores, time: float) -> int:
    return sum(int((f.event & (f.time <= time)).sum()) for f in arm.first_folds)
