"""Does a score tell more than the clinical covariates do: models with it and without."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from outcome.evaluation.arrays import read_arms
from outcome.evaluation.covariates import FirstRepeat, align, design, first_repeat
from outcome.evaluation.estimate import wald
from outcome.predictions import Predictions
from outcome.statistics.concordance import Concordance, harrell
from outcome.statistics.cox import fit_cox, proportional_hazards_test
from outcome.statistics.logistic import fit_logistic
from outcome.statistics.logrank import chi_square_p

__all__ = ["ADDED_VALUE_COLUMNS", "EFFECT_COLUMNS", "added_value", "effects"]

Floats = NDArray[np.float64]

ADDED_VALUE_COLUMNS = [
    "arm", "chi_square", "df", "p_value", "c_covariates", "c_both", "c_difference", "lower",
    "upper", "brier_difference", "n", "events", "note",
]  # fmt: skip
EFFECT_COLUMNS = [
    "arm", "model", "term", "ratio", "lower", "upper", "p_value", "ph_p", "n", "events", "note",
]  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A Cox or logistic model, blocks as strata or intercepts.

    Attributes
    ----------
    coef, se : ndarray, shape (p,)
        Of the covariates; NaN where the model did not converge.
    loglik : float
    predictor : ndarray, shape (n,)
        Linear predictor (logit with the block's intercept).
    ph_p : ndarray, shape (p,)
        Test of proportional hazards; NaN for logistic models.
    """

    coef: Floats
    se: Floats
    loglik: float
    predictor: Floats
    ph_p: Floats


def fit_model(rows: FirstRepeat, x: Floats, *, binary: bool) -> Model:
    """Fit covariates `x`, shape (n, p), to the outcome."""
    p = x.shape[1]
    if binary:
        blocks = (rows.block[:, None] == np.unique(rows.block)[1:]).astype(float)
        design_matrix = np.column_stack([blocks, x])
        fit = fit_logistic(rows.event, design_matrix)
        coef, se = fit.coef[-p:] if p else fit.coef[:0], fit.se[-p:] if p else fit.se[:0]
        logits = fit.coef[0] + design_matrix @ fit.coef[1:]
        return Model(coef, se, fit.loglik, logits, np.full(p, np.nan))
    if p == 0:
        null = fit_cox(rows.time, rows.event, np.arange(len(rows.time)), strata=rows.block)
        zero = np.zeros(len(rows.time))
        return Model(np.empty(0), np.empty(0), null.loglik_null, zero, np.empty(0))
    cox = fit_cox(rows.time, rows.event, x, strata=rows.block)
    ph = np.full(p, np.nan)
    if cox.converged:
        # Events at a single time, or a covariate that strata hold constant, leave nothing to test.
        with suppress(np.linalg.LinAlgError):
            ph = proportional_hazards_test(rows.time, rows.event, x, cox, strata=rows.block).p
    loglik = cox.loglik if cox.converged else float("nan")
    return Model(cox.coef, cox.se, loglik, x @ cox.coef, ph)


def added_value(predictions: Predictions, covariates: pd.DataFrame) -> pd.DataFrame:
    """Likelihood-ratio test of each arm's score added to the covariates.

    Cox models are stratified by fold and stratum, logistic models have an intercept for each.
    Patients of the first repeat with complete covariates. The change in C is between the two
    fitted models on the patients they were fitted to (apparent), within folds; the interval is
    a normal one from the paired influence values. For out-of-fold scores the p value is
    exploratory, since the folds share training patients.

    Parameters
    ----------
    predictions : Predictions
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
        One of the tables cannot be used.
    """
    panel, arms = read_arms(predictions)
    binary = "label" in predictions.table
    matrix, _, _ = design(align(covariates, panel))
    cells = []
    for arm in arms:
        rows, x = _complete(first_repeat(arm), matrix)
        cells.append([arm.name, *_added(rows, x, binary=binary)])
    return pd.DataFrame(cells, columns=ADDED_VALUE_COLUMNS)


def _complete(rows: FirstRepeat, matrix: Floats) -> tuple[FirstRepeat, Floats]:
    x = matrix[rows.patient]
    keep = np.asarray(~np.isnan(x).any(axis=1))
    kept = rows.take(keep)
    varies = [j for j in range(x.shape[1]) if len(np.unique(x[keep, j])) > 1]
    return kept, x[keep][:, varies]


def _added(rows: FirstRepeat, x: Floats, *, binary: bool) -> list[object]:
    n, events = len(rows.event), int(rows.event.sum())
    without = fit_model(rows, x, binary=binary)
    both = fit_model(rows, np.column_stack([x, rows.scaled]), binary=binary)
    statistic = 2 * (both.loglik - without.loglik)
    if np.isnan(statistic):
        return [*[np.nan] * 9, n, events, "a model did not converge"]
    statistic = max(statistic, 0.0)
    first, second = (_concordance(rows, m.predictor, binary=binary) for m in (without, both))
    shift = second.influence - first.influence
    bounds = wald(second.c - first.c, float(np.sqrt(shift @ shift)))
    brier = np.nan
    if binary:
        p0, p1 = (1 / (1 + np.exp(-m.predictor)) for m in (without, both))
        brier = float(np.mean((p1 - rows.event) ** 2) - np.mean((p0 - rows.event) ** 2))
    return [
        statistic, 1, chi_square_p(statistic, 1), first.c, second.c, second.c - first.c, *bounds,
        brier, n, events, "C of the fitted models on the same patients",
    ]  # fmt: skip


def _concordance(rows: FirstRepeat, predictor: Floats, *, binary: bool) -> Concordance:
    # a label is a follow-up in which all positives come first
    time = np.where(rows.event, 0.0, 1.0) if binary else rows.time
    return harrell(time, rows.event, predictor, group=rows.block)


def effects(predictions: Predictions, covariates: pd.DataFrame | None = None) -> pd.DataFrame:
    """Hazard or odds ratios of the score and of the covariates, alone and together.

    Parameters
    ----------
    predictions : Predictions
        The score is each arm's risk, per standard deviation within folds.
    covariates : DataFrame, optional
        As for `added_value`.

    Returns
    -------
    DataFrame
        `EFFECT_COLUMNS`: `model` is `univariable` (the indicators of a variable together) or
        `multivariable`; `ratio` is a hazard
        ratio, for binary outcomes an odds ratio; `ph_p` tests proportional hazards.

    Raises
    ------
    PredictionsError
        One of the tables cannot be used.
    """
    panel, arms = read_arms(predictions)
    binary = "label" in predictions.table
    matrix, names, variables = np.empty((panel.n, 0)), list[str](), list[str]()
    if covariates is not None:
        matrix, names, variables = design(align(covariates, panel))
    cells = []
    for arm in arms:
        rows = first_repeat(arm)
        risk = np.full(panel.n, np.nan)
        risk[rows.patient] = rows.scaled
        table = np.column_stack([risk, matrix])
        # no covariate is called by the empty text, so the risk is a variable of its own
        found = _effects(rows, table, ["risk", *names], ["", *variables], binary)
        cells += [[arm.name, *c] for c in found]
    return pd.DataFrame(cells, columns=EFFECT_COLUMNS)


def _effects(
    rows: FirstRepeat, table: Floats, terms: Sequence[str], variables: Sequence[str], binary: bool
) -> list[list[object]]:
    cells: list[list[object]] = []
    for variable in dict.fromkeys(variables):
        # each indicator alone would be against all other patients, not against the first level
        mine = [j for j, v in enumerate(variables) if v == variable]
        names = [terms[j] for j in mine]
        cells += _model_rows(rows, table[:, mine], names, "univariable", binary)
    if len(terms) > 1:
        cells += _model_rows(rows, table, terms, "multivariable", binary)
    return cells


def _coefficients(
    rows: FirstRepeat, x: Floats, *, binary: bool, together: bool
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Coefficients, standard errors, tests of proportional hazards; which have no finite value.

    The indicator of a level without event (or without anything else) has no finite coefficient.
    Its patients then tell nothing about the other levels: the fit without them is the limit of
    the joint one.
    """
    endless = np.zeros(x.shape[1], dtype=bool)
    if not together and x.shape[1] > 1:
        had = rows.event.astype(float) @ x
        endless = (had == 0) | (binary & (had == x.sum(axis=0)))
    if endless.all():
        endless[:] = False
    others = np.asarray(~x[:, endless].any(axis=1))
    fit = fit_model(rows.take(others), x[others][:, ~endless], binary=binary)
    found = np.full((3, x.shape[1]), np.nan)
    found[:, ~endless] = fit.coef, fit.se, fit.ph_p
    return found[0], found[1], found[2], endless


def _model_rows(
    rows: FirstRepeat, table: Floats, terms: Sequence[str], name: str, binary: bool
) -> list[list[object]]:
    x = table[rows.patient]
    keep = np.asarray(~np.isnan(x).any(axis=1))
    kept = rows.take(keep)
    together = name == "multivariable"
    coef, errors, ph, endless = _coefficients(kept, x[keep], binary=binary, together=together)
    cells: list[list[object]] = []
    for j, term in enumerate(terms):
        b, se = float(coef[j]), float(errors[j])
        low, high = wald(b, se)
        p = float(2 * ndtr(-abs(b / se))) if se > 0 else np.nan
        note = "the model did not converge" if np.isnan(b) else ""
        if endless[j]:
            note = "no finite ratio: all or none at this level have the event"
        cells.append(
            [name, term, float(np.exp(b)), float(np.exp(low)), float(np.exp(high)), p,
             float(ph[j]), len(kept.event), int(kept.event.sum()), note]
        )  # fmt: skip
    return cells
