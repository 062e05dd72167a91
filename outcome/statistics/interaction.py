"""Interaction of treatment and score: whether the treatment effect depends on the score.

A score is prognostic if outcomes of patients with the same treatment depend on it. It is predictive
of benefit if the effect of the treatment, compared with the reference, depends on it [1]_.

References
----------
.. [1] Ballman (2015), Journal of Clinical Oncology 33:3968-3971.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from outcome.errors import InputError
from outcome.statistics._arrays import FloatArray, group_codes, numbers
from outcome.statistics.cox import fit_cox
from outcome.statistics.logistic import fit_logistic
from outcome.statistics.logrank import chi_square_p
from outcome.statistics.weighted_cox import fit_weighted_cox

__all__ = ["Interaction", "RatioModel", "fit_ratio_model", "treatment_interaction"]


@dataclass(frozen=True)
class RatioModel:
    """Log hazard ratios of a Cox model, or log odds ratios of a logistic one.

    Attributes
    ----------
    coef : ndarray, shape (p,)
        Without intercepts; NaN if the model did not converge.
    covariance : ndarray, shape (p, p)
    loglik : float
        NaN for weighted patients, and if the model did not converge.
    """

    coef: FloatArray
    covariance: FloatArray
    loglik: float

    @property
    def se(self) -> FloatArray:
        """Standard errors of `coef`."""
        return np.sqrt(np.diag(self.covariance))


def fit_ratio_model(
    event: ArrayLike,
    x: ArrayLike,
    *,
    time: ArrayLike | None = None,
    strata: Any | None = None,
    weight: ArrayLike | None = None,
) -> RatioModel:
    """Fit a Cox model of times, or a logistic model of labels.

    Parameters
    ----------
    event : array_like, shape (n,)
        1 if the event was observed, or for the positive label.
    x : array_like, shape (n,) or (n, p)
    time : array_like, shape (n,), optional
        Follow-up; without it the model is logistic.
    strata : array_like, shape (n,), optional
        Strata with separate baseline hazards; in a logistic model, with separate intercepts.
    weight : array_like, shape (n,), optional
        Weights (not counts); standard errors are then robust (sandwich).

    Returns
    -------
    RatioModel
    """
    table = np.asarray(x, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    n, p = table.shape
    if time is not None:
        cox = (
            fit_cox(time, event, table, strata=strata)
            if weight is None
            else fit_weighted_cox(time, event, table, weight, strata=strata)
        )
        return RatioModel(cox.coef, cox.covariance, cox.loglik if cox.converged else np.nan)
    codes, labels = group_codes(strata, n)
    intercepts = (codes[:, None] == np.arange(1, len(labels))).astype(float)
    fit = fit_logistic(
        event, np.column_stack([table, intercepts]), weight=weight, robust=weight is not None
    )
    mine = slice(1, 1 + p)
    loglik = fit.loglik if weight is None else np.nan
    return RatioModel(fit.coef[mine], fit.covariance[mine, mine], loglik)


@dataclass(frozen=True)
class Interaction:
    """Effects of treatment and score, and of their product.

    Attributes
    ----------
    coef : ndarray, shape (1 + 2 q,)
        Log hazard (or odds) ratios: of the treatment when the q terms of the score are 0, of these
        terms in the reference arm, and of their products with the treatment.
    covariance : ndarray, shape (1 + 2 q, 1 + 2 q)
    chi_square, p : float
        Likelihood-ratio test of all products, q degrees of freedom; NaN for weighted patients.
    wald_chi_square, wald_p : float
        Wald test of the same.
    df : int
        q.
    """

    coef: FloatArray
    covariance: FloatArray
    chi_square: float
    p: float
    wald_chi_square: float
    wald_p: float
    df: int

    @property
    def se(self) -> FloatArray:
        """Standard errors of `coef`."""
        return np.sqrt(np.diag(self.covariance))

    def treatment_effect(self, terms: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Log ratio of the treatment, and its standard error, at values of the score.

        Parameters
        ----------
        terms : array_like, shape (m, q)
            The terms of the score, as in the fit.
        """
        at = np.asarray(terms, dtype=np.float64).reshape(-1, self.df)
        design = np.column_stack([np.ones(len(at)), np.zeros_like(at), at])
        variance = np.einsum("ij,jk,ik->i", design, self.covariance, design)
        return design @ self.coef, np.sqrt(variance)


def treatment_interaction(
    treated: ArrayLike,
    terms: ArrayLike,
    event: ArrayLike,
    *,
    time: ArrayLike | None = None,
    strata: Any | None = None,
    weight: ArrayLike | None = None,
) -> Interaction:
    """Fit treatment, score and their product; test the product.

    Parameters
    ----------
    treated : array_like, shape (n,)
        0 for the reference arm, 1 for the other.
    terms : array_like, shape (n,) or (n, q)
        The score, or several terms such as a spline or indicators of groups.
    event, time, strata, weight
        As for `fit_ratio_model`.

    Returns
    -------
    Interaction
        NaN if a model has no finite maximum.

    Raises
    ------
    InputError
        Lengths differ, or `treated` is neither 0 nor 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> treated, score = rng.integers(0, 2, 400), rng.normal(size=400)
    >>> time = rng.exponential(np.exp(0.8 * treated * score))
    >>> found = treatment_interaction(treated, score, np.ones(400), time=time)
    >>> bool(found.coef[2] < 0), bool(found.p < 0.001)
    (True, True)
    """
    arm = numbers(treated, "treated")
    if not np.isin(arm, (0.0, 1.0)).all():
        raise InputError("treated must be 0 (reference) or 1 (the other treatment)")
    score = np.asarray(terms, dtype=np.float64)
    score = score[:, None] if score.ndim == 1 else score
    if len(score) != len(arm):
        raise InputError(f"terms have {len(score)} rows, treated {len(arm)}")
    q = score.shape[1]
    plain = np.column_stack([arm, score])
    full = np.column_stack([plain, arm[:, None] * score])
    fit = fit_ratio_model(event, full, time=time, strata=strata, weight=weight)
    chi_square = p = wald = wald_p = float("nan")
    if np.isfinite(fit.coef).all():
        products, block = fit.coef[1 + q :], fit.covariance[1 + q :, 1 + q :]
        wald = float(products @ np.linalg.solve(block, products))
        wald_p = chi_square_p(wald, q)
        if weight is None:
            without = fit_ratio_model(event, plain, time=time, strata=strata)
            chi_square = max(2 * (fit.loglik - without.loglik), 0.0)
            p = chi_square_p(chi_square, q) if np.isfinite(chi_square) else p
    return Interaction(fit.coef, fit.covariance, chi_square, p, wald, wald_p, q)
