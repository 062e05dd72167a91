"""Added value of a score over clinical covariates: models with and without the score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.covariates import FirstRepeat, align, design, first_repeat
from outcome.evaluation.estimate import wald
from outcome.evaluation.regression import fit_model
from outcome.statistics.concordance import Concordance, harrell
from outcome.statistics.logrank import chi_square_p

__all__ = ["ADDED_VALUE_COLUMNS", "added_value"]

Floats = NDArray[np.float64]

ADDED_VALUE_COLUMNS = [
    "arm", "chi_square", "df", "p_value", "c_covariates", "c_both", "c_difference", "lower",
    "upper", "brier_difference", "n", "events", "note",
]  # fmt: skip


def added_value(panel: Panel, arms: Sequence[ArmScores], covariates: pd.DataFrame) -> pd.DataFrame:
    """Likelihood-ratio test of each arm's score added to the covariates.

    Cox models are stratified by fold and stratum, logistic models have an intercept for each.
    Patients of the first repeat with complete covariates are used. The change in C is that between
    the two fitted models on the same patients (apparent), within folds. Its normal interval is
    computed from the paired influence values. For out-of-fold scores the p value is exploratory,
    because the folds share training patients.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
    covariates : DataFrame
        Column `patient_id` and the covariates; text is coded as indicators.

    Returns
    -------
    DataFrame
        `ADDED_VALUE_COLUMNS`, one row per arm; `brier_difference` (both minus covariates) for
        binary outcomes only.

    Raises
    ------
    PredictionsError
        The covariates cannot be used.
    """
    matrix, _, _ = design(align(covariates, panel))
    cells = []
    for arm in arms:
        rows, x = _complete(first_repeat(arm), matrix)
        cells.append([arm.name, *_added(rows, x)])
    return pd.DataFrame(cells, columns=ADDED_VALUE_COLUMNS)


def _complete(rows: FirstRepeat, matrix: Floats) -> tuple[FirstRepeat, Floats]:
    x = matrix[rows.patient]
    keep = np.asarray(~np.isnan(x).any(axis=1))
    kept = rows.take(keep)
    varies = [j for j in range(x.shape[1]) if len(np.unique(x[keep, j])) > 1]
    return kept, x[keep][:, varies]


def _added(rows: FirstRepeat, x: Floats) -> list[object]:
    n, events = len(rows.event), int(rows.event.sum())
    without = fit_model(rows, x)
    both = fit_model(rows, np.column_stack([x, rows.scaled]))
    statistic = 2 * (both.loglik - without.loglik)
    if np.isnan(statistic):
        return [*[np.nan] * 9, n, events, "a model did not converge"]
    statistic = max(statistic, 0.0)
    first, second = (_concordance(rows, m.predictor) for m in (without, both))
    shift = second.influence - first.influence
    bounds = wald(second.c - first.c, float(np.sqrt(shift @ shift)))
    brier = np.nan
    if not rows.timed:
        p0, p1 = (1 / (1 + np.exp(-m.predictor)) for m in (without, both))
        brier = float(np.mean((p1 - rows.event) ** 2) - np.mean((p0 - rows.event) ** 2))
    return [
        statistic, 1, chi_square_p(statistic, 1), first.c, second.c, second.c - first.c, *bounds,
        brier, n, events, "C of the fitted models on the same patients",
    ]  # fmt: skip


def _concordance(rows: FirstRepeat, predictor: Floats) -> Concordance:
    return harrell(rows.ranked_time, rows.event, predictor, group=rows.block, entry=rows.entry)
