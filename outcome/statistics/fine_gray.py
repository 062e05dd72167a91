"""Regression on the subdistribution hazard of competing risks: Fine and Gray.

lifelines can fit a Cox model to the weighted rows of R's `finegray`, but with Efron's instead of
Breslow's ties, and its clustered standard errors of weighted rows with entry differ from R's (0.158
instead of 0.093 on `pbc`). Like R's `crr`, this module includes the estimation of the censoring
weights in the standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from outcome.errors import InputError
from outcome.statistics._arrays import FloatArray, IntArray, group_codes
from outcome.statistics.aalen_johansen import event_codes
from outcome.statistics.censoring import censoring_curve
from outcome.statistics.cox import CoxFit

__all__ = ["SubdistributionFit", "fit_fine_gray"]

_INFINITE = 12.0  # a log ratio per SD beyond this means that the likelihood has no maximum


@dataclass(frozen=True)
class SubdistributionFit(CoxFit):
    """A fitted proportional subdistribution hazards model; attributes as of `CoxFit`.

    `coef` are log subdistribution hazard ratios (positive means a higher cumulative incidence),
    `covariance` is the robust (sandwich) one, which includes the estimation of the censoring
    weights, and the likelihoods are weighted.

    Attributes
    ----------
    n_competing : int
        Competing events.
    """

    n_competing: int


def fit_fine_gray(
    time: ArrayLike, code: ArrayLike, x: ArrayLike, *, cause: int = 1, strata: Any | None = None
) -> SubdistributionFit:
    """Fit the model of Fine and Gray [1]_, with Breslow's ties.

    A patient with a competing event remains at risk, weighted by the probability of not being
    censored later given no earlier censoring. The ratio therefore describes the effect of
    covariates on the cumulative incidence, not on the rate among patients free of any event.

    Parameters
    ----------
    time : array_like, shape (n,)
    code : array_like, shape (n,)
        0 censored, else the kind of event.
    x : array_like, shape (n,) or (n, p)
        Covariates, finite numbers; any scale.
    cause : int
        The kind of event whose incidence is modelled.
    strata : array_like, shape (n,), optional
        Each stratum has its own baseline and its own censoring distribution [2]_.

    Returns
    -------
    SubdistributionFit

    Raises
    ------
    InputError
        Lengths differ or a value is not usable.

    References
    ----------
    .. [1] Fine & Gray (1999), Journal of the American Statistical Association 94:496-509.
    .. [2] Zhou, Latouche, Rocha & Fine (2011), Biometrics 67:661-670.

    Examples
    --------
    >>> fit = fit_fine_gray([1, 2, 3, 4, 5, 6], [1, 2, 0, 1, 1, 0], [2.0, 0.5, 1.0, 0.2, 1.5, 0.1])
    >>> bool(fit.coef[0] > 0), fit.n_events, fit.n_competing
    (True, 3, 1)
    """
    times, codes = event_codes(time, code)
    table = np.asarray(x, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.shape[0] != len(times) or not np.isfinite(table).all():
        raise InputError(f"covariates have shape {table.shape} or missing values, n = {len(times)}")
    groups, labels = group_codes(strata, len(times))
    own, other = codes == cause, (codes > 0) & (codes != cause)
    n, p = table.shape
    n_events, n_competing = int(own.sum()), int(other.sum())
    failed = partial(_failed, p, n, n_events, n_competing)
    scale = table.std(0) if n else np.zeros(p)
    if not own.any() or (scale == 0).any():
        return failed()
    scaled = (table - table.mean(0)) / scale
    status = np.where(own, 1, np.where(other, 2, 0))
    parts = [
        _Stratum(times[rows], status[rows], scaled[rows])
        for k in range(len(labels))
        if own[rows := groups == k].any()
    ]
    beta, done = _maximised(parts, p)
    null = sum(part.likelihood(np.zeros(p))[0] for part in parts)
    loglik, _, information = _total(parts, beta)
    if not done or np.linalg.matrix_rank(information) < p:
        return failed(null, loglik)
    bread = np.linalg.inv(information)
    influences = np.concatenate([part.influence(beta) for part in parts])
    meat = influences.T @ influences
    covariance = bread @ meat @ bread / np.outer(scale, scale)
    return SubdistributionFit(
        beta / scale, covariance, null, loglik, n, n_events, True, n_competing=n_competing
    )


def _failed(
    p: int, n: int, n_events: int, n_competing: int, null: float = np.nan, loglik: float = np.nan
) -> SubdistributionFit:
    coef, unknown = np.full(p, np.nan), np.full((p, p), np.nan)
    return SubdistributionFit(
        coef, unknown, null, loglik, n, n_events, False, n_competing=n_competing
    )


def _total(parts: list[_Stratum], beta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    loglik, gradient, information = zip(*(part.likelihood(beta) for part in parts), strict=True)
    return float(sum(loglik)), np.sum(gradient, axis=0), np.sum(information, axis=0)


def _maximised(parts: list[_Stratum], p: int) -> tuple[FloatArray, bool]:
    """Coefficients, and whether they maximise the likelihood."""
    # Imported here, because the optimiser is not needed for curves.
    from scipy.optimize import minimize

    found = minimize(
        lambda beta: -_total(parts, beta)[0],
        np.zeros(p),
        jac=lambda beta: -_total(parts, beta)[1],
        hess=lambda beta: _total(parts, beta)[2],
        method="trust-exact",
        options={"gtol": 1e-9, "maxiter": 50},
    )
    beta = np.asarray(found.x, dtype=np.float64)
    # Rounding may stop the iteration just before the tolerance is reached.
    _, gradient, information = _total(parts, beta)
    step = np.linalg.lstsq(information, gradient, rcond=None)[0]
    return beta, bool(np.abs(step).max() < 1e-6 and np.abs(beta).max() <= _INFINITE)


class _Stratum:
    """Risk sets of one stratum, as sums over patients in the order of time.

    At time t a patient who is still followed has weight 1. A patient with a competing event at s <
    t has the weight G(t-) / G(s-), so their sum is G(t-) times a running sum.
    """

    def __init__(self, time: FloatArray, status: IntArray, x: FloatArray) -> None:
        order = np.argsort(time, kind="stable")
        self.time, self.status, self.x = time[order], status[order], x[order]
        self.censoring = censoring_curve(self.time, self.status > 0)
        self.events = np.unique(self.time[self.status == 1])
        self.tied = np.bincount(np.searchsorted(self.events, self.time[self.status == 1]))
        self.first = np.searchsorted(self.time, self.events, side="left")
        self.free = self.censoring.before(self.events)
        self.kept = np.where(self.status == 2, 1 / self.censoring.before(self.time), 0.0)

    def likelihood(self, beta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Weighted log partial likelihood, its gradient and the information."""
        log_hazard = self.x @ beta
        hazard = np.exp(log_hazard - log_hazard.max())  # prevents overflow of exp
        moments = [
            self._at_risk(hazard),
            self._at_risk(hazard[:, None] * self.x),
            self._at_risk(hazard[:, None, None] * self.x[:, :, None] * self.x[:, None, :]),
        ]
        mean = moments[1] / moments[0][:, None]
        variance = moments[2] / moments[0][:, None, None] - mean[:, :, None] * mean[:, None, :]
        own = self.status == 1
        log_risk = np.log(moments[0]) + log_hazard.max()
        loglik = float(log_hazard[own].sum() - self.tied @ log_risk)
        gradient = self.x[own].sum(0) - self.tied @ mean
        return loglik, gradient, np.einsum("e,eij->ij", self.tied.astype(float), variance)

    def influence(self, beta: FloatArray) -> FloatArray:
        """Return contributions of patients to the score, shape (n, p): eta + psi of Fine and Gray.

        Events precede censoring at the same time: patients with an event at t are not at risk of
        being censored at t.
        """
        log_hazard = self.x @ beta
        hazard = np.exp(log_hazard - log_hazard.max())
        total = self._at_risk(hazard)
        mean = self._at_risk(hazard[:, None] * self.x) / total[:, None]
        step = self.tied / total  # of the cumulative baseline, up to the factor that `hazard` lacks
        until = np.searchsorted(self.events, self.time, side="right")
        full, reduced = _Sums(step, mean), _Sums(step * self.free, mean)
        # A patient with a competing event remains at risk after it, with a decreasing weight.
        later = hazard * self.kept
        eta = -hazard[:, None] * (self.x * full.until(until)[0] - full.until(until)[1])
        eta -= later[:, None] * (self.x * reduced.after(until)[0] - reduced.after(until)[1])
        own = self.status == 1
        eta[own] += self.x[own] - mean[until[own] - 1]
        return np.asarray(eta + self._of_censoring(later, reduced), dtype=np.float64)

    def _of_censoring(self, later: FloatArray, reduced: _Sums) -> FloatArray:
        """Influence through the estimated censoring distribution."""
        censored = self.status == 0
        when, count = np.unique(self.time[censored], return_counts=True)
        if not len(when):
            return np.zeros_like(self.x)
        gone = np.searchsorted(self.time, when, side="right")
        sums = [np.concatenate([[0.0 * v[0]], v.cumsum(0)])[gone] for v in
                (later, later[:, None] * self.x)]  # fmt: skip
        zeroth, first = reduced.after(np.searchsorted(self.events, when, side="right"))
        q = sums[1] * zeroth - sums[0][:, None] * first
        n_risk = len(self.time) - gone + count
        jump = q / n_risk[:, None]
        drift = np.concatenate(
            [np.zeros((1, q.shape[1])), np.cumsum(jump * (count / n_risk)[:, None], 0)]
        )
        # Patients with an event at a time are no longer at risk of censoring at that time.
        passed = np.where(
            censored,
            np.searchsorted(when, self.time, side="right"),
            np.searchsorted(when, self.time, side="left"),
        )
        psi = -drift[passed]
        psi[censored] += jump[np.searchsorted(when, self.time[censored])]
        return np.asarray(psi)

    def _at_risk(self, moment: FloatArray) -> FloatArray:
        """Weighted sums over the patients at risk at each event time."""
        wide = (-1, *[1] * (moment.ndim - 1))
        followed = moment[::-1].cumsum(0)[::-1][self.first]
        kept = np.concatenate([[0.0 * moment[0]], (moment * self.kept.reshape(wide)).cumsum(0)])
        return np.asarray(followed + self.free.reshape(wide) * kept[self.first])


class _Sums:
    """Running sums of steps of the baseline, alone and times the mean of the covariates."""

    def __init__(self, step: FloatArray, mean: FloatArray) -> None:
        self.zeroth = np.concatenate([[0.0], step.cumsum()])[:, None]
        self.first = np.concatenate(
            [np.zeros((1, mean.shape[1])), (step[:, None] * mean).cumsum(0)]
        )

    def until(self, k: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the sums of the first k steps."""
        return self.zeroth[k], self.first[k]

    def after(self, k: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the sums of all steps except the first k."""
        return self.zeroth[-1] - self.zeroth[k], self.first[-1] - self.first[k]
