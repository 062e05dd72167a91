"""Kaplan-Meier curves of weighted patients, with standard errors that allow for the weights.

lifelines has the weighted curve, but its intervals treat weights as numbers of patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from outcome.statistics._arrays import FloatArray, IntArray, follow_up, numbers
from outcome.statistics.kaplan_meier import step_values

__all__ = ["WeightedKaplanMeier", "weighted_kaplan_meier"]


@dataclass(frozen=True)
class WeightedKaplanMeier:
    """A product-limit curve of weighted patients.

    Attributes
    ----------
    time : ndarray, shape (m,)
        Distinct follow-up times, ascending.
    n_risk, n_event, n_censored : ndarray, shape (m,)
        Patients, not weights: under observation just before each time, and leaving at it.
    survival : ndarray, shape (m,)
        Event-free probability just after each time.
    influence : ndarray, shape (n, m)
        Contribution of each patient to the error of `survival`, with weights treated as known. The
        variance is the sum of squares over patients.
    """

    time: FloatArray
    n_risk: IntArray
    n_event: IntArray
    n_censored: IntArray
    survival: FloatArray
    influence: FloatArray

    def at(self, when: ArrayLike) -> FloatArray:
        """Survival just after each of `when`; beyond follow-up the last value."""
        return step_values(self.time, self.survival, 1.0, when, "right")

    def standard_error(self, when: ArrayLike) -> FloatArray:
        """Return the standard error of `at(when)`."""
        error = np.sqrt((self.influence**2).sum(axis=0))
        return step_values(self.time, error, 0.0, when, "right")

    def interval(self, when: ArrayLike, *, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Pointwise interval on the log(-log) scale; (1, 1) before the first event."""
        value, error = self.at(when), self.standard_error(when)
        z = float(ndtri(0.5 + level / 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.exp(z * error / (value * np.log(value)))  # the logarithm is negative
            lower, upper = value ** (1 / spread), value**spread
        certain = (value >= 1) | (value <= 0)
        return np.where(certain, value, lower), np.where(certain, value, upper)

    def reaches(self, when: float) -> bool:
        """Whether the curve is known at `when`: somebody is followed that long, or none is left."""
        return bool(when <= self.time[-1] or self.survival[-1] == 0)

    def restricted_mean(self, tau: float) -> tuple[float, float]:
        """Mean event-free time up to `tau`, with its standard error (same unit as time)."""
        inside = self.time < tau
        edges = np.concatenate([[0.0], self.time[inside], [tau]])
        widths = np.diff(edges)
        mean = float(np.concatenate([[1.0], self.survival[inside]]) @ widths)
        each = self.influence[:, inside] @ widths[1:]
        return mean, float(np.sqrt(each @ each))


def weighted_kaplan_meier(
    time: ArrayLike, event: ArrayLike, weight: ArrayLike
) -> WeightedKaplanMeier:
    """Estimate the Kaplan-Meier curve of patients with weights [1]_.

    Parameters
    ----------
    time, event : array_like, shape (n,)
    weight : array_like, shape (n,)
        Positive, such as inverse probabilities of treatment.

    Returns
    -------
    WeightedKaplanMeier

    References
    ----------
    .. [1] Xie & Liu (2005), Statistics in Medicine 24:3089-3110.

    Examples
    --------
    >>> curve = weighted_kaplan_meier([1, 2, 3], [1, 0, 1], [1.0, 1.0, 2.0])
    >>> curve.at([0.5, 1, 3]).tolist()
    [1.0, 0.75, 0.0]
    """
    times, events = follow_up(time, event)
    w = numbers(weight, "weight", len(times))
    distinct, code = np.unique(times, return_inverse=True)
    m = len(distinct)
    at_risk = np.bincount(code, weights=w, minlength=m)[::-1].cumsum()[::-1]
    died = np.bincount(code, weights=w * events, minlength=m)
    hazard = died / at_risk
    survival = np.cumprod(1 - hazard)
    observed = code[:, None] == np.arange(m)
    exposed = code[:, None] >= np.arange(m)
    martingale = observed * events[:, None] - exposed * hazard
    with np.errstate(divide="ignore", invalid="ignore"):
        # a curve that has reached 0 stays there, without error
        each = np.where(hazard < 1, martingale * w[:, None] / (at_risk * (1 - hazard)), 0.0)
    n_all = np.bincount(code, minlength=m)
    n_event = np.bincount(code[events], minlength=m)
    return WeightedKaplanMeier(
        distinct, n_all[::-1].cumsum()[::-1], n_event, n_all - n_event, survival,
        -survival * np.cumsum(each, axis=1),
    )  # fmt: skip
