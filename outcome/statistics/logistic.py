"""Logistic regression with a few covariates, for calibration and added value.

scikit-learn's unpenalised `LogisticRegression` gives the same coefficients, but has no offset, no
covariance of the coefficients (plain or robust), and no detection of separated classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from outcome.errors import InputError
from outcome.statistics._arrays import FloatArray, numbers

__all__ = ["LogisticFit", "fit_logistic"]

_INFINITE = 30.0  # fitted logits beyond this mean that the classes are separated


@dataclass(frozen=True)
class LogisticFit:
    """A fitted logistic model.

    Attributes
    ----------
    coef : ndarray, shape (1 + p,)
        Intercept first; positive raises the probability.
    covariance : ndarray, shape (1 + p, 1 + p)
    loglik : float
    converged : bool
        False if the classes are separated or covariates collinear; `coef` is then NaN.
    """

    coef: FloatArray
    covariance: FloatArray
    loglik: float
    converged: bool

    @property
    def se(self) -> FloatArray:
        """Standard errors of `coef`."""
        return np.sqrt(np.diag(self.covariance))


def fit_logistic(
    label: ArrayLike,
    x: ArrayLike | None = None,
    *,
    offset: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    robust: bool = False,
) -> LogisticFit:
    """Fit by Newton's method.

    Parameters
    ----------
    label : array_like, shape (n,)
        True or 1 for the positive class.
    x : array_like, shape (n,) or (n, p), optional
        Covariates, without the intercept.
    offset : array_like, shape (n,), optional
        Fixed logits added to the linear predictor.
    weight : array_like, shape (n,), optional
        Weight of each patient's likelihood.
    robust : bool
        Use the sandwich covariance, which is valid for weights that are not counts, such as known
        inverse probabilities.

    Returns
    -------
    LogisticFit

    Raises
    ------
    InputError
        Lengths differ or a value is not usable.
    """
    y = numbers(label, "label")
    n = len(y)
    fixed = np.zeros(n) if offset is None else numbers(offset, "offset", n)
    w = np.ones(n) if weight is None else numbers(weight, "weight", n)
    covariates = np.empty((n, 0)) if x is None else np.asarray(x, dtype=np.float64)
    covariates = covariates[:, None] if covariates.ndim == 1 else covariates
    if len(covariates) != n:
        raise InputError(f"covariates have {len(covariates)} rows, label {n}")
    if not np.isfinite(covariates).all():
        raise InputError("covariates have missing values")
    design = np.column_stack([np.ones(n), covariates])
    beta, k = np.zeros(design.shape[1]), design.shape[1]
    for _ in range(60):
        p = expit(fixed + design @ beta)
        information = (design * (w * p * (1 - p))[:, None]).T @ design
        if n == 0 or np.linalg.matrix_rank(information) < k:
            break
        step = np.linalg.solve(information, design.T @ (w * (y - p)))
        # a bounded step avoids the flat tails
        beta = beta + step * min(1.0, 4.0 / max(float(np.abs(design @ step).max()), 1e-300))
        if np.abs(design @ beta).max() > _INFINITE:
            break
        if np.abs(step).max() < 1e-10 * max(1.0, float(np.abs(beta).max())):
            loglik = float(w @ np.where(y == 1, np.log(p), np.log1p(-p)))
            covariance = np.linalg.inv(information)
            if robust:
                score = design * (w * (y - p))[:, None]
                covariance = covariance @ (score.T @ score) @ covariance
            return LogisticFit(beta, covariance, loglik, True)
    return LogisticFit(np.full(k, np.nan), np.full((k, k), np.nan), float("nan"), False)
