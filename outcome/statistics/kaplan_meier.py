"""Kaplan-Meier curves: survival, intervals, quantiles, restricted mean.

All numbers are computed here; figures are drawn by lifelines. The curve is that of
`sksurv.nonparametric.kaplan_meier_estimator`, which has no standard errors, no intervals other than
log-log, no quantiles and no restricted means. In lifelines, numbers at risk are counted just after
a time, and the variance of the restricted mean is not that of Klein and Moeschberger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from outcome.statistics._arrays import FloatArray, IntArray, follow_up_from_entry
from outcome.statistics.risk_sets import number_at_risk

__all__ = [
    "IntervalKind",
    "KaplanMeier",
    "kaplan_meier",
    "step_values",
    "time_reaching",
]

IntervalKind = Literal["log-log", "log", "plain"]
_TIE = float(np.sqrt(np.finfo(float).eps))  # survival probabilities closer than this are equal


@dataclass(frozen=True)
class KaplanMeier:
    """A product-limit curve, constant between its distinct times.

    Attributes
    ----------
    time : ndarray, shape (m,)
        Distinct follow-up times, ascending.
    n_risk, n_event, n_censored : ndarray, shape (m,)
        Under observation just before each time, and leaving at it.
    survival : ndarray, shape (m,)
        Probability of being event-free after each time.
    log_variance : ndarray, shape (m,)
        Greenwood's variance of log survival; NaN once the curve is at 0.
    """

    time: FloatArray
    n_risk: IntArray
    n_event: IntArray
    n_censored: IntArray
    survival: FloatArray
    log_variance: FloatArray

    def at(self, when: ArrayLike) -> FloatArray:
        """Survival just after each of `when`; beyond follow-up the last value."""
        return step_values(self.time, self.survival, 1.0, when, "right")

    def before(self, when: ArrayLike) -> FloatArray:
        """Survival just before each of `when`."""
        return step_values(self.time, self.survival, 1.0, when, "left")

    def cumulative_hazard(self, when: ArrayLike) -> FloatArray:
        """Nelson-Aalen estimate just after each of `when` [1]_.

        Unlike that of scikit-survival, it is defined (and 0) if no patient had the event.

        References
        ----------
        .. [1] Aalen (1978), Annals of Statistics 6:701-726.
        """
        return step_values(self.time, np.cumsum(self.n_event / self.n_risk), 0.0, when, "right")

    def reaches(self, when: float) -> bool:
        """Whether the curve is known at `when`: somebody is followed that long, or none is left."""
        return bool(when <= self.time[-1] or self.survival[-1] == 0)

    def standard_error(self, when: ArrayLike) -> FloatArray:
        """Greenwood standard error of `at(when)`."""
        return self.at(when) * np.sqrt(
            step_values(self.time, self.log_variance, 0.0, when, "right")
        )

    def interval(
        self, when: ArrayLike, *, level: float = 0.95, kind: IntervalKind = "log-log"
    ) -> tuple[FloatArray, FloatArray]:
        """Pointwise interval of `at(when)`; (1, 1) before the first event."""
        variance = step_values(self.time, self.log_variance, 0.0, when, "right")
        return _bounds(self.at(when), variance, level, kind)

    def quantile(
        self, share: float = 0.5, *, level: float = 0.95, kind: IntervalKind = "log-log"
    ) -> tuple[float, float, float]:
        """Time by which `share` had the event, with an interval from that of the curve.

        If the curve is constant at exactly 1 - `share`, the middle of the step is returned.

        Returns
        -------
        tuple of float
            Estimate, lower, upper; NaN if the curve does not fall that far.
        """
        lower, upper = _bounds(self.survival, self.log_variance, level, kind)
        return (
            time_reaching(self.time, 1.0 - self.survival, share),
            time_reaching(self.time, 1.0 - lower, share),
            time_reaching(self.time, 1.0 - upper, share),
        )

    def restricted_mean(self, tau: float) -> tuple[float, float]:
        """Mean event-free time up to `tau`, with its standard error (same unit as time).

        The variance sums squared remaining areas times the hazard increments' variance, without
        a small-sample factor [1]_.

        References
        ----------
        .. [1] Klein & Moeschberger (2003), Survival Analysis, 2nd ed., section 4.5.
        """
        inside = self.time < tau
        edges = np.concatenate([[0.0], self.time[inside], [tau]])
        heights = np.concatenate([[1.0], self.survival[inside]])
        areas = heights * np.diff(edges)
        remaining = (areas.sum() - np.cumsum(areas))[:-1]  # area after each time
        risk, events = self.n_risk[inside], self.n_event[inside]
        with np.errstate(divide="ignore", invalid="ignore"):
            hazard_variance = np.where(events > 0, events / (risk * (risk - events)), 0.0)
        usable = np.isfinite(hazard_variance)  # no area after the event of the last patient
        variance = float(np.sum(remaining[usable] ** 2 * hazard_variance[usable]))
        return float(areas.sum()), float(np.sqrt(variance))


def kaplan_meier(time: ArrayLike, event: ArrayLike, entry: ArrayLike | None = None) -> KaplanMeier:
    """Estimate the Kaplan-Meier curve; a patient censored at t is at risk of an event at t.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, any unit.
    event : array_like, shape (n,)
        True or 1 if the event was observed.
    entry : array_like, shape (n,), optional
        Start of observation; patients are at risk only after it [1]_. The curve is then conditional
        on being event-free at the first entry.

    Returns
    -------
    KaplanMeier

    Raises
    ------
    InputError
        See `outcome.statistics._arrays.follow_up_from_entry`.

    References
    ----------
    .. [1] Tsai, Jewell & Wang (1987), Biometrika 74:883-886.
    """
    times, events, entries = follow_up_from_entry(time, event, entry)
    distinct, code = np.unique(times, return_inverse=True)
    n_event = np.bincount(code[events], minlength=len(distinct))
    n_all = np.bincount(code, minlength=len(distinct))
    n_risk = number_at_risk(times, distinct, entries)
    with np.errstate(divide="ignore", invalid="ignore"):
        increments = np.where(n_event > 0, n_event / (n_risk * (n_risk - n_event)), 0.0)
    survival = np.asarray(np.cumprod(1.0 - n_event / n_risk), dtype=np.float64)
    log_variance = np.where(survival > 0, np.cumsum(increments), np.nan)
    return KaplanMeier(distinct, n_risk, n_event, n_all - n_event, survival, log_variance)


def time_reaching(time: FloatArray, had: FloatArray, share: float) -> float:
    """Time at which a rising step curve reaches a share; the middle of a step exactly at it.

    Parameters
    ----------
    time, had : ndarray, shape (m,)
        Times of the steps and the values from each step on; NaN if unknown.
    share : float

    Returns
    -------
    float
        NaN if the curve does not rise that far.
    """
    known = ~np.isnan(had)
    reached = np.flatnonzero(had[known] >= share - _TIE)
    if len(reached) == 0:
        return float("nan")
    passed = np.flatnonzero(had[known] > share + _TIE)
    # a step exactly at the share lasts until the next event, or the end
    end = time[known][passed[0]] if len(passed) else time[-1]
    return float((time[known][reached[0]] + end) / 2)


def step_values(
    time: FloatArray,
    values: FloatArray,
    first: float,
    when: ArrayLike,
    side: Literal["left", "right"],
) -> FloatArray:
    """Value of a right-continuous step function at (right) or just before (left) `when`."""
    padded = np.concatenate([[first], values])
    return np.asarray(padded[np.searchsorted(time, np.asarray(when, dtype=float), side=side)])


def _bounds(
    survival: FloatArray, log_variance: FloatArray, level: float, kind: IntervalKind
) -> tuple[FloatArray, FloatArray]:
    z = float(ndtri(0.5 + level / 2))
    error = np.sqrt(log_variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "plain":
            lower, upper = survival * (1 - z * error), survival * (1 + z * error)
        elif kind == "log":
            lower, upper = survival * np.exp(-z * error), survival * np.exp(z * error)
        else:
            spread = np.exp(z * error / np.log(survival))  # log of survival is negative
            lower, upper = survival ** (1 / spread), survival**spread
    certain = survival >= 1.0
    return (
        np.where(certain, 1.0, np.clip(lower, 0, 1)),
        np.where(certain, 1.0, np.clip(upper, 0, 1)),
    )
