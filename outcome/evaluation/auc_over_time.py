"""Discrimination over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.censoring_weights import censoring_weights
from outcome.evaluation.crossfit_estimates import crossfit_estimate
from outcome.evaluation.discrimination import beyond_follow_up
from outcome.evaluation.fold_metrics import area_at_horizon
from outcome.evaluation.metric_set import InnerByArm
from outcome.evaluation.small_samples import FEWEST_EVENTS, at_edge, auc_times
from outcome.statistics.censoring import choose_tau

__all__ = ["AUC_COLUMNS", "auc_over_time"]

AUC_COLUMNS = ["arm", "time", "auc", "lower", "upper", "events", "variance"]


def auc_over_time(
    panel: Panel,
    arms: Sequence[ArmScores],
    horizons: Sequence[float] = (),
    *,
    cross_validated: bool = True,
    inner: InnerByArm | None = None,
) -> pd.DataFrame:
    """Cumulative/dynamic AUC on a grid of times, and at the horizons.

    The grid is that of `outcome.evaluation.small_samples.auc_times`: from the tenth event to the
    time of 95% of the events, or the last event time at which the censoring weights are reliable
    (G(t-) of at least 0.1) if that is earlier. Both ends therefore have cases and controls.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
        Times to an event.
    horizons : sequence of float
        Further times; those before the tenth event are skipped.
    cross_validated : bool
        As for `outcome.evaluation.evaluation.evaluate`.
    inner : mapping, optional
        Scores by inner models, by arm.

    Returns
    -------
    DataFrame
        `AUC_COLUMNS`; higher is better, 0.5 is chance. Pointwise 95% intervals with the variance
        of `outcome.statistics.crossfit_variance`, with censoring weights taken as known; NaN if the
        AUC does not depend on any single patient. `events` counts cases of the first repeat by that
        time; `variance` is the source of the variance. Times at which the AUC cannot be estimated
        are skipped.
    """
    weights = censoring_weights(arms, horizons, cross_validated=cross_validated)
    had = np.sort(list(_event_times(arms).values()))
    if len(had) < FEWEST_EVENTS:
        return pd.DataFrame(columns=AUC_COLUMNS)
    late = float(np.quantile(had, 0.95))
    grid = auc_times(had, choose_tau(had[had <= late], list(weights.curves.values())))
    later = [h for h in horizons if h >= had[FEWEST_EVENTS - 1]]
    rows = []
    for arm in arms:
        scores = (inner or {}).get(arm.name)
        for t in np.unique([*grid, *later]).tolist():
            if beyond_follow_up(arm, weights, t):
                continue
            found = crossfit_estimate(panel, arm, area_at_horizon(weights, t), scores)
            if found.found is not None:
                unmoved = at_edge(found)
                low, high = (np.nan, np.nan) if unmoved else found.interval()
                source = "" if unmoved else found.found.source
                rows.append([arm.name, t, found.value, low, high, _cases(arm, t), source])
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
