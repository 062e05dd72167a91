"""Duration of observation: censoring weights and follow-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outcome.errors import InputError
from outcome.statistics._arrays import BoolArray, FloatArray, follow_up
from outcome.statistics.kaplan_meier import kaplan_meier, step_values

__all__ = ["Censoring", "censoring_curve", "choose_tau", "landmark_weights", "median_follow_up"]


@dataclass(frozen=True)
class Censoring:
    """G(t), the probability of not being censored by t.

    scikit-survival's `CensoringDistributionEstimator` has the same curve, but evaluates it only
    just after a time, refuses data without an event, and raises beyond the last time. Weights also
    need G just before an event (Uno's C, Graf's weights).

    Attributes
    ----------
    time : ndarray, shape (m,)
        Distinct follow-up times, ascending.
    free : ndarray, shape (m,)
        G just after each time.
    """

    time: FloatArray
    free: FloatArray

    def at(self, when: ArrayLike) -> FloatArray:
        """G(t): the weight of patients observed event-free at t is 1 / G(t)."""
        return step_values(self.time, self.free, 1.0, when, "right")

    def before(self, when: ArrayLike) -> FloatArray:
        """G(t-): the weight of an event at t is 1 / G(t-)."""
        return step_values(self.time, self.free, 1.0, when, "left")


def censoring_curve(time: ArrayLike, event: ArrayLike) -> Censoring:
    """Estimate G by scikit-survival's reverse Kaplan-Meier curve.

    Events precede censoring at the same time, so patients with an event at t are not at risk of
    being censored at t. This differs from a Kaplan-Meier curve of 1 - event if events and censoring
    share a time.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, any unit.
    event : array_like, shape (n,)
        True if follow-up ended with an event, including competing events.

    Raises
    ------
    InputError
        There is no patient, or see `outcome.statistics._arrays.follow_up`.

    Examples
    --------
    >>> curve = censoring_curve([1, 2, 2, 3], [1, 1, 0, 1])
    >>> curve.before([1, 2, 3]).tolist(), curve.at(2).item()
    ([1.0, 1.0, 0.5], 0.5)
    """
    # Imported here: it loads scikit-learn, which is not needed for predictions.
    from sksurv.nonparametric import kaplan_meier_estimator

    times, events = follow_up(time, event)
    if len(times) == 0:
        raise InputError("censoring weights need the follow-up of at least one patient")
    return Censoring(*kaplan_meier_estimator(events, times, reverse=True))


def landmark_weights(
    time: ArrayLike, code: ArrayLike, horizon: float, curve: Censoring, *, cap: float = 10.0
) -> tuple[BoolArray, FloatArray]:
    """Event by the horizon, and the inverse probability that it is known [1]_.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, in the unit of the horizon.
    code : array_like, shape (n,)
        0 censored, 1 event, 2 competing event (a known "no").
    horizon : float
    curve : Censoring
        Censoring curve of the training patients.
    cap : float
        Largest weight.

    Returns
    -------
    event : ndarray of bool, shape (n,)
    weight : ndarray, shape (n,)
        1 / G(t-) for an event (of either kind) by the horizon, 1 / G(horizon-) for patients
        observed event-free at it, 0 for patients censored before. A patient censored exactly at the
        horizon, e.g. by administrative censoring, was observed event-free at it.

    References
    ----------
    .. [1] Graf et al. (1999), Statistics in Medicine 18:2529-2545.
    """
    t, c = np.asarray(time, dtype=np.float64), np.asarray(code)
    had = (c > 0) & (t <= horizon)
    with np.errstate(divide="ignore"):
        own, there = 1 / curve.before(t), 1 / curve.before(horizon)
    weight = np.where(had, own, np.where(t >= horizon, there, 0.0))
    return had & (c == 1), np.minimum(weight, cap)


def choose_tau(
    candidates: ArrayLike, curves: list[Censoring], *, least: float = 0.1
) -> float | None:
    """Return the largest candidate time at which every G(t-) is at least `least`.

    Beyond it a few patients would carry most of the weight. None if no candidate qualifies.
    """
    times = np.unique(np.asarray(candidates, dtype=float))
    for curve in curves:
        times = times[curve.before(times) >= least]
    return float(times[-1]) if len(times) else None


def median_follow_up(time: ArrayLike, event: ArrayLike) -> tuple[float, float, float]:
    """Median follow-up by reverse Kaplan-Meier, with its log-log interval [1]_.

    References
    ----------
    .. [1] Schemper & Smith (1996), Controlled Clinical Trials 17:343-346.
    """
    times, events = follow_up(time, event)
    return kaplan_meier(times, ~events).quantile(0.5)
