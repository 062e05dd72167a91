"""Cox and logistic models of the patients of one arm, stratified by fold."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcome.evaluation.covariates import FirstRepeat
from outcome.statistics.cox import fit_cox, proportional_hazards_test
from outcome.statistics.logistic import fit_logistic

__all__ = ["FittedModel", "fit_model"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FittedModel:
    """A Cox or logistic model, blocks as strata or intercepts.

    Attributes
    ----------
    coef, se : ndarray, shape (p,)
        Coefficients and standard errors; NaN if the model did not converge.
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


def fit_model(rows: FirstRepeat, x: Floats) -> FittedModel:
    """Fit covariates `x`, shape (n, p): a Cox model of times, a logistic model of labels."""
    p = x.shape[1]
    if not rows.timed:
        blocks = (rows.block[:, None] == np.unique(rows.block)[1:]).astype(float)
        design_matrix = np.column_stack([blocks, x])
        fit = fit_logistic(rows.event, design_matrix)
        coef, se = fit.coef[-p:] if p else fit.coef[:0], fit.se[-p:] if p else fit.se[:0]
        logits = fit.coef[0] + design_matrix @ fit.coef[1:]
        return FittedModel(coef, se, fit.loglik, logits, np.full(p, np.nan))
    if p == 0:
        null = fit_cox(
            rows.time, rows.event, np.arange(len(rows.time)), strata=rows.block, entry=rows.entry
        )
        zero = np.zeros(len(rows.time))
        return FittedModel(np.empty(0), np.empty(0), null.loglik_null, zero, np.empty(0))
    cox = fit_cox(rows.time, rows.event, x, strata=rows.block, entry=rows.entry)
    ph = np.full(p, np.nan)
    if cox.converged:
        # With events at a single time, or a covariate constant within strata, there is nothing to
        # test.
        with suppress(np.linalg.LinAlgError):
            ph = proportional_hazards_test(
                rows.time, rows.event, x, cox, strata=rows.block, entry=rows.entry
            ).p
    loglik = cox.loglik if cox.converged else float("nan")
    return FittedModel(cox.coef, cox.se, loglik, x @ cox.coef, ph)
