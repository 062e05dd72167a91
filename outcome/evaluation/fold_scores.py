"""The primary metric fold by fold, its spread, and the range of the risks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.outcome_kinds import EvaluatedOutcome

__all__ = ["FOLD_COLUMNS", "SPREAD_COLUMNS", "fold_scores", "fold_spread", "risk_range"]

FOLD_COLUMNS = ["arm", "repeat", "fold", "metric", "estimate", "n", "events"]
SPREAD_COLUMNS = ["arm", "metric", "folds", "estimable", "mean", "lowest", "highest", "sd"]
RANGE_COLUMNS = ["arm", "repeat", "fold", "lowest", "highest"]


def fold_scores(
    panel: Panel,
    arms: Sequence[ArmScores],
    outcome: EvaluatedOutcome,
    *,
    cross_validated: bool = True,
) -> pd.DataFrame:
    """Return the primary metric in every test fold.

    Returns
    -------
    DataFrame
        `FOLD_COLUMNS`; NaN if a fold has too few pairs. The spread over folds is not a standard
        error: folds are small, and their models share training patients.
    """
    metrics, _ = outcome.discrimination(panel, arms, cross_validated=cross_validated)
    rows: list[list[object]] = []
    for arm in arms:
        for fold in arm.without_probabilities().folds:
            part = ArmScores(arm.name, (fold,))
            value = metrics.measure(part)[metrics.primary].value
            sizes = [len(fold.patient), int(outcome.cases(fold).sum())]
            rows.append([arm.name, fold.repeat, fold.fold, metrics.primary, value, *sizes])
    return pd.DataFrame(rows, columns=FOLD_COLUMNS)


def fold_spread(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise `fold_scores` by arm.

    Returns
    -------
    DataFrame
        `SPREAD_COLUMNS`: `folds` counts test folds over all repeats, `estimable` those with a
        value; `sd` is NaN with fewer than two.
    """
    rows: list[list[object]] = []
    for (arm, metric), part in scores.groupby(["arm", "metric"], sort=False):
        values = part["estimate"].astype(float)
        known = values.dropna()
        sd = float(known.std()) if len(known) > 1 else np.nan
        summary = [float(known.mean()), float(known.min()), float(known.max()), sd]
        rows.append([arm, metric, len(values), len(known), *summary])
    return pd.DataFrame(rows, columns=SPREAD_COLUMNS)


def risk_range(arms: Sequence[ArmScores]) -> pd.DataFrame:
    """Lowest and highest risk in every test fold; equal if a model learned nothing.

    Returns
    -------
    DataFrame
        `arm, repeat, fold, lowest, highest`.
    """
    rows = [
        [arm.name, f.repeat, f.fold, float(f.risk.min()), float(f.risk.max())]
        for arm in arms
        for f in arm.folds
    ]
    return pd.DataFrame(rows, columns=RANGE_COLUMNS)
