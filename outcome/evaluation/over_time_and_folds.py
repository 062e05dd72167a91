"""Discrimination over time, and fold by fold: what one mean does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from outcome.evaluation.arrays import Arm, Panel, read_arms
from outcome.evaluation.censoring_weights import censoring_weights, fixed_horizon_weights
from outcome.evaluation.discrimination import horizon_auc
from outcome.evaluation.estimate import wald
from outcome.evaluation.metric_sets import (
    Battery,
    binary_battery,
    landmark_battery,
    survival_battery,
)
from outcome.predictions import Predictions
from outcome.statistics.censoring import choose_tau

__all__ = ["AUC_COLUMNS", "FOLD_COLUMNS", "auc_over_time", "fold_scores"]

AUC_COLUMNS = ["arm", "time", "auc", "lower", "upper", "events"]
FOLD_COLUMNS = ["arm", "repeat", "fold", "metric", "estimate", "n", "events"]
_POINTS = 20


def auc_over_time(
    predictions: Predictions, horizons: Sequence[float] = (), *, cross_validated: bool = True
) -> pd.DataFrame:
    """Cumulative/dynamic AUC on a grid of times, and at the horizons.

    The grid runs from the time by which a tenth of the events has happened to that of 95% of
    them, or the last event time at which the censoring weights are dependable (G(t-) of at least
    0.1) if that is earlier, so that both ends have cases and controls.

    Parameters
    ----------
    predictions : Predictions
        Time to event.
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

    Raises
    ------
    PredictionsError
        The table cannot be evaluated.
    """
    panel, arms = read_arms(predictions)
    weights = censoring_weights(arms, horizons, cross_validated=cross_validated)
    once = predictions.table.drop_duplicates("patient_id")
    had = once.loc[once["event"].astype(float) == 1, "time"].to_numpy(dtype=float)
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


def _cases(arm: Arm, time: float) -> int:
    folds = [f for f in arm.folds if f.repeat == arm.repeats[0]]
    return sum(int((f.event & (f.time <= time)).sum()) for f in folds)


def fold_scores(
    predictions: Predictions,
    *,
    favourable: bool = False,
    landmark: float | None = None,
    cross_validated: bool = True,
) -> pd.DataFrame:
    """Give the primary metric in every test fold.

    Returns
    -------
    DataFrame
        `FOLD_COLUMNS`; NaN where a fold has too few pairs. The spread over folds is no standard
        error: folds are small, and their models share training patients.

    Raises
    ------
    PredictionsError
        The table cannot be evaluated.
    """
    panel, arms = read_arms(predictions)
    battery = _battery(panel, arms, predictions, favourable, landmark, cross_validated)
    rows: list[list[object]] = []
    for arm in arms:
        for fold in arm.folds:
            alone = replace(fold, survival={}, probability=np.full(len(fold.risk), np.nan))
            part = Arm(arm.name, (alone,))
            value = battery.measure(part)[battery.primary].value
            case = fold.event if landmark is None else fold.event & (fold.time <= landmark)
            sizes = [len(fold.patient), int(case.sum())]
            rows.append([arm.name, fold.repeat, fold.fold, battery.primary, value, *sizes])
    return pd.DataFrame(rows, columns=FOLD_COLUMNS)


def _battery(
    panel: Panel,
    arms: Sequence[Arm],
    predictions: Predictions,
    favourable: bool,
    landmark: float | None,
    cross_validated: bool,
) -> Battery:
    if "label" in predictions.table:
        return binary_battery(panel, favourable=favourable)
    if landmark is None:
        weights = censoring_weights(arms, (), cross_validated=cross_validated)
        return survival_battery(panel, weights, ())
    weights = fixed_horizon_weights(arms, landmark, cross_validated=cross_validated)
    return landmark_battery(panel, weights, landmark)
