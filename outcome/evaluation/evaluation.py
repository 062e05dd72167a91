"""Every number of a study from its table of predictions, over one set of resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcome.errors import PredictionsError, Problems
from outcome.evaluation.arrays import Arm, read_arms
from outcome.evaluation.censoring_weights import censoring_weights, fixed_horizon_weights
from outcome.evaluation.comparison import compare_arms
from outcome.evaluation.estimate import Measure
from outcome.evaluation.metric_sets import binary_battery, landmark_battery, survival_battery
from outcome.evaluation.notes import (
    arm_notices,
    cross_validation_notices,
    describe_landmark,
    describe_weights,
)
from outcome.evaluation.risk_groups import risk_group_table
from outcome.predictions import Predictions

__all__ = ["Evaluation", "evaluate"]

METRIC_COLUMNS = [
    "arm", "metric", "estimate", "lower", "upper", "n", "events", "se", "repeat_sd", "note",
]  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    metrics : DataFrame
        arm, metric, estimate, lower, upper, n, events, se, repeat_sd (spread over repeats; NaN
        with one), note.
    comparisons : DataFrame
        arm, baseline, metric, difference, lower, upper, p_value, p_adjusted, se,
        n_patients_common, note; empty without a baseline or contrasts.
    risk_groups : DataFrame
        One row per arm and group; see `outcome.evaluation.risk_groups.risk_group_table`.
    notes : tuple of str
        How it was computed, and how to read it.
    warnings : tuple of str
        What a reader has to know, in plain words.
    """

    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    risk_groups: pd.DataFrame
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def evaluate(
    predictions: Predictions,
    *,
    baseline: str | None = None,
    unit: str = "days",
    horizons: Sequence[float] = (),
    n_resamples: int = 1000,
    seed: int = 0,
    cross_validated: bool = True,
    favourable: bool = False,
    contrasts: Sequence[tuple[str, str]] = (),
    landmark: float | None = None,
) -> Evaluation:
    """Measure every arm, compare each with the baseline, and describe the risk groups.

    Discrimination is computed within repeat, fold and stratum, averaged over folds, then over
    repeats. Intervals are percentile bootstraps over patients within folds, the same resamples
    for every arm and metric; they and the p values hold given the fitted models. Calibrated
    columns (`survival_<h>`, `probability`) are pooled over folds, where the table has them.

    Parameters
    ----------
    predictions : Predictions
        A `label` makes the outcome binary; else time and event.
    baseline : str, optional
        The arm to compare with.
    unit : {"days", "months", "years"}
        Unit of the times; follow-up longer than a life is refused.
    horizons : sequence of float
        Ascending, in `unit`: where AUC(t), Brier and calibration are computed.
    n_resamples : int
        0 leaves the bootstrap intervals empty.
    seed : int
        The same seed gives the same resamples, in whatever order the rows are.
    cross_validated : bool
        Censoring weights of a fold come from the other folds; else from the table itself.
    favourable : bool
        Binary outcomes: the positive label is the good outcome, so that low risk predicts it.
    contrasts : sequence of (str, str)
        Further comparisons: an arm and what it is compared with. Holm's correction is over
        these and the comparisons with the baseline.
    landmark : float, optional
        The outcome is the event by this time, yes or no: AUROC and Brier with patients weighted
        by the inverse probability of censoring (at most 10), instead of concordance.

    Returns
    -------
    Evaluation

    Raises
    ------
    PredictionsError
        The table, horizons, unit or baseline cannot be used; every problem at once.
    """
    _check_request(predictions, baseline, contrasts, horizons, n_resamples)
    panel, arms = read_arms(predictions, n_resamples=n_resamples, seed=seed, unit=unit)
    binary = "label" in predictions.table
    notes = []
    if binary:
        battery = binary_battery(panel, favourable=favourable)
    else:
        if landmark is None:
            weights = censoring_weights(arms, horizons, cross_validated=cross_validated)
            battery = survival_battery(panel, weights, horizons)
            notes.append(describe_weights(weights, unit))
        else:
            weights = fixed_horizon_weights(arms, landmark, cross_validated=cross_validated)
            battery = landmark_battery(panel, weights, landmark)
            notes.append(describe_landmark(arms[0], weights, landmark, unit))
    if cross_validated:
        notes += cross_validation_notices(arms, binary=binary)
    measured = {arm.name: battery.measure(arm) for arm in arms}
    pairs = [(arm.name, baseline) for arm in arms if baseline not in (None, arm.name)]
    return Evaluation(
        _metric_table(arms, measured, landmark),
        compare_arms(arms, [*pairs, *contrasts], battery, measured),
        risk_group_table(arms, binary=binary),
        tuple(notes),
        tuple(arm_notices(arms, panel, measured)),
    )


def _check_request(
    predictions: Predictions,
    baseline: str | None,
    contrasts: Sequence[tuple[str, str]],
    horizons: Sequence[float],
    n_resamples: int,
) -> None:
    problems = Problems("evaluation")
    if baseline is not None and baseline not in predictions.arms:
        problems.add(f"baseline {baseline!r} is not an arm", remedy=f"one of {predictions.arms}")
    if wrong := [c for c in contrasts if len({*c} & {*predictions.arms}) != 2]:
        problems.add("contrasts are not two arms", wrong, f"two of {predictions.arms}")
    values = np.asarray(horizons, dtype=float)
    if not np.isfinite(values).all() or (values <= 0).any():
        problems.add("horizons must be positive numbers", list(horizons))
    elif (np.diff(values) <= 0).any():
        problems.add("horizons are not ascending, each once", list(horizons), "sort them")
    if n_resamples < 0:
        problems.add(f"n_resamples is {n_resamples}", remedy="give 0 or more")
    problems.raise_if_any(PredictionsError)


def _metric_table(
    arms: Sequence[Arm], measured: Mapping[str, Mapping[str, Measure]], landmark: float | None
) -> pd.DataFrame:
    rows = []
    for arm in arms:
        n, events = len(arm.patients), arm.n_events
        if landmark is not None:
            by_then = [f.patient[f.event & (f.time <= landmark)] for f in arm.folds]
            events = len(np.unique(np.concatenate(by_then)))
        for metric, m in measured[arm.name].items():
            cells = [arm.name, metric, m.value, *m.interval(), n, events, m.se, m.repeat_sd, m.note]
            rows.append(dict(zip(METRIC_COLUMNS, cells, strict=True)))
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)
