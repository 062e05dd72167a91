"""Cox regression of weighted patients, with robust standard errors.

scikit-survival has no weights. lifelines gives the same coefficients and, without ties, the same
robust standard errors. It does not give their covariance, which is needed for the treatment effect
at a value of the score, and its robust errors ignore Efron's method for ties.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from outcome.errors import InputError
from outcome.statistics._arrays import BoolArray, FloatArray, IntArray, follow_up, group_codes
from outcome.statistics._arrays import numbers as finite_numbers
from outcome.statistics.cox import CoxFit, event_terms

__all__ = ["fit_weighted_cox"]

_MAX_STEP = 25
_INFINITE = 12.0  # a log hazard ratio per SD beyond this means that the likelihood has no maximum


def fit_weighted_cox(
    time: ArrayLike, event: ArrayLike, x: ArrayLike, weight: ArrayLike, *, strata: Any | None = None
) -> CoxFit:
    """Fit a Cox model to weighted patients; the covariance is the sandwich estimate [1]_ [2]_.

    Ties are handled by Efron's method, events at the same time with their mean weight.

    Parameters
    ----------
    time, event : array_like, shape (n,)
    x : array_like, shape (n,) or (n, p)
        Covariates, finite numbers.
    weight : array_like, shape (n,)
        Positive, such as inverse probabilities of treatment. They are treated as known. Multiplying
        all of them by a constant does not change the result.
    strata : array_like, shape (n,), optional
        Each stratum has its own baseline hazard.

    Returns
    -------
    CoxFit
        Log likelihoods are NaN: weighted patients have no likelihood-ratio test.

    Raises
    ------
    InputError
        Lengths differ, a value is not finite, or a weight is not positive.

    References
    ----------
    .. [1] Lin & Wei (1989), Journal of the American Statistical Association 84:1074-1078.
    .. [2] Binder (1992), Biometrika 79:139-147.

    Examples
    --------
    >>> fit = fit_weighted_cox(
    ...     [1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 0, 1], [0, 1, 0, 1, 0, 1], [1, 2, 1, 1, 2, 1]
    ... )
    >>> bool(fit.converged), fit.coef.shape
    (True, (1,))
    """
    times, events = follow_up(time, event)
    table = np.asarray(x, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    n, p = table.shape
    w = finite_numbers(weight, "weight", len(times))
    if n != len(times) or not np.isfinite(table).all() or (w <= 0).any():
        raise InputError(
            f"covariates have shape {table.shape}, n = {len(times)}: give a finite value and a"
            " positive weight for each patient"
        )
    codes, _ = group_codes(strata, n)
    unknown = np.full((p, p), np.nan)
    failed = CoxFit(np.full(p, np.nan), unknown, np.nan, np.nan, n, int(events.sum()), False)
    scale = table.std(0) if n else np.zeros(p)
    if not events.any() or (scale == 0).any():
        return failed
    scaled, w = (table - table.mean(0)) / scale, w / w.mean()
    beta = np.zeros(p)
    for _ in range(_MAX_STEP):
        sums = _WeightedEvents(times, events, scaled, beta, w, codes)
        if np.linalg.matrix_rank(sums.information) < p:
            return failed
        step = np.linalg.solve(sums.information, sums.gradient)
        # a bounded step avoids regions with a flat likelihood
        step = step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        beta = beta + step
        if np.abs(beta).max() > _INFINITE:
            return failed
        if np.abs(step).max() < 1e-10:
            break
    else:
        return failed
    sums = _WeightedEvents(times, events, scaled, beta, w, codes)
    inverse = np.linalg.inv(sums.information)
    influence = (sums.residuals() * w[:, None]) @ inverse
    covariance = influence.T @ influence / np.outer(scale, scale)
    return CoxFit(beta / scale, covariance, np.nan, np.nan, n, int(events.sum()), True)


class _WeightedEvents:
    """Risk-set sums at each event, ordered by stratum, time and place among tied events."""

    def __init__(
        self, time: FloatArray, event: BoolArray, x: FloatArray, beta: FloatArray, w: FloatArray,
        strata: IntArray,
    ) -> None:  # fmt: skip
        self.time, self.event, self.x, self.strata = time, event, x, strata
        self.hazard = np.exp(x @ beta)
        terms = event_terms(time, event, x, x @ beta + np.log(w), strata)
        # among tied events, each reduces the risk set more than the previous one
        order = np.lexsort((-terms.log_risk, time[terms.row], strata[terms.row]))
        row, self.log_risk, self.mean = (
            part[order] for part in (terms.row, terms.log_risk, terms.mean)
        )
        _, tie, size = np.unique(
            np.column_stack([strata[row], time[row]]), axis=0, return_inverse=True,
            return_counts=True,
        )  # fmt: skip
        tie = np.ravel(tie)
        self.mean_weight = (np.bincount(tie, weights=w[row]) / size)[tie]
        first = np.concatenate([[0], np.cumsum(size)[:-1]])
        self.removed = (np.arange(len(row)) - first[tie]) / size[tie]
        self.row = row
        self.gradient = w[row] @ x[row] - self.mean_weight @ self.mean
        self.information = np.einsum("e,eij->ij", self.mean_weight, terms.variance[order])

    def residuals(self) -> FloatArray:
        """Score residual of each patient, shape (n, p), not weighted."""
        increments = self.mean_weight / np.exp(self.log_risk)
        found = np.zeros_like(self.x)
        for stratum in np.unique(self.strata):
            rows = np.flatnonzero(self.strata == stratum)
            mine = np.flatnonzero(self.strata[self.row] == stratum)
            if not len(mine):
                continue
            when, dead = self.time[self.row[mine]], self.event[rows]
            until = self.time[rows][:, None] >= when
            tied = dead[:, None] & (self.time[rows][:, None] == when)
            # a tied patient is only partly at risk
            at_risk = np.where(tied, 1 - self.removed[mine], until) * increments[mine]
            exposure = self.x[rows] * at_risk.sum(1)[:, None] - at_risk @ self.mean[mine]
            # tied events are each compared with the mean of their risk sets
            same = tied / np.maximum(tied.sum(1), 1)[:, None]
            seen = np.where(dead[:, None], self.x[rows] - same @ self.mean[mine], 0.0)
            found[rows] = seen - exposure * self.hazard[rows][:, None]
        return found
