"""Competing risks: cumulative incidence after Aalen and Johansen, and Gray's test.

lifelines and scikit-survival have the curve. Neither has the standard error of R's `survival`
(infinitesimal jackknife), on which the intervals are based, or Gray's test. lifelines shifts tied
times at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from outcome.errors import InputError
from outcome.statistics._arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    follow_up_from_entry,
    group_codes,
    numbers,
)
from outcome.statistics.kaplan_meier import time_reaching
from outcome.statistics.logrank import chi_square_p
from outcome.statistics.risk_sets import number_at_risk
from outcome.statistics.ties import tie_times

__all__ = ["CumulativeIncidence", "GrayTest", "cumulative_incidence", "event_codes", "gray_test"]


@dataclass(frozen=True)
class CumulativeIncidence:
    """Cumulative incidence of one kind of event, with competing events.

    Attributes
    ----------
    time : ndarray, shape (m,)
        Distinct follow-up times, ascending.
    n_risk, n_cause, n_event : ndarray, shape (m,)
        At risk just before, and leaving with this or with any kind of event.
    survival_before, incidence : ndarray, shape (m,)
        Free of any event just before each time; had this event just after it.
    n_left : ndarray, shape (m,)
        Patients whose follow-up ends at each time, for any reason.
    late : LateEntry or None
        Delayed entry, if observation of some patients began after the origin.
    """

    time: FloatArray
    n_risk: FloatArray
    n_cause: FloatArray
    n_event: FloatArray
    survival_before: FloatArray
    incidence: FloatArray
    n_left: FloatArray
    late: LateEntry | None = None

    def at(self, when: ArrayLike) -> FloatArray:
        """Incidence by each of `when`."""
        padded = np.concatenate([[0.0], self.incidence])
        index = np.searchsorted(self.time, np.asarray(when, dtype=float), side="right")
        return np.asarray(padded[index], dtype=np.float64)

    def reaches(self, when: float) -> bool:
        """Whether incidence is known at `when`: somebody is followed that long, or none is left."""
        return bool(when <= self.time[-1] or self.n_event[-1] == self.n_risk[-1])

    def standard_error(self, when: ArrayLike) -> FloatArray:
        """Infinitesimal-jackknife standard error of `at(when)` [1]_.

        References
        ----------
        .. [1] Therneau, Crowson & Atkinson (2024), Multi-state models and competing risks;
           vignette of the R package survival.
        """
        return np.array([self._error(float(t)) for t in np.atleast_1d(when)])

    def interval(self, when: ArrayLike, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Pointwise interval on the log(-log) scale; (0, 0) before the first event."""
        value, error = np.atleast_1d(self.at(when)), self.standard_error(when)
        z = float(ndtri(0.5 + level / 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.exp(z * error / (value * np.log(value)))
            lower, upper = value**spread, value ** (1 / spread)
        certain = (value <= 0) | (value >= 1)
        low, high = np.minimum(lower, upper), np.maximum(lower, upper)
        return np.where(certain, value, low), np.where(certain, value, high)

    def quantile(self, share: float = 0.5, *, level: float = 0.95) -> tuple[float, float, float]:
        """Time by which `share` of all patients had this event, with its interval.

        Returns
        -------
        tuple of float
            Estimate, lower, upper; NaN if the curve does not reach this value.
        """
        lower, upper = self.interval(self.time, level)
        return (
            time_reaching(self.time, self.incidence, share),
            time_reaching(self.time, upper, share),
            time_reaching(self.time, lower, share),
        )

    def _error(self, t: float) -> float:
        """Patients with the same time and kind of event have the same influence."""
        until = self.time <= t
        n_risk, n_event, n_cause = self.n_risk, self.n_event, self.n_cause
        still_to_come = np.where(until, float(self.at(t)) - self.incidence, 0.0)
        survivors = n_risk - n_event
        # an event of this kind adds; any event reduces the later increments
        gain = np.where(until, self.survival_before / n_risk, 0.0)
        loss = np.where(survivors > 0, still_to_come / np.maximum(survivors, 1), 0.0)
        exposure = np.cumsum(gain * n_cause / n_risk - loss * n_event / n_risk)
        if self.late is not None:
            return self.late.error(gain, loss, exposure)
        squares = (
            n_cause * (gain - loss - exposure) ** 2
            + (n_event - n_cause) * (loss + exposure) ** 2
            + (self.n_left - n_event) * exposure**2
        )
        return float(np.sqrt(squares.sum()))


@dataclass(frozen=True)
class LateEntry:
    """Start and end of observation of each patient, on the grid of distinct times.

    Attributes
    ----------
    missed, last : ndarray of int, shape (n,)
        Times that had passed at entry; position of the end of follow-up.
    own, other : ndarray of bool, shape (n,)
        Follow-up ended with this event, or with another one.
    """

    missed: IntArray
    last: IntArray
    own: BoolArray
    other: BoolArray

    def error(self, gain: FloatArray, loss: FloatArray, exposure: FloatArray) -> float:
        """Root of the sum of squared influences; a patient is exposed from entry."""
        exposed = exposure[self.last] - np.append(0.0, exposure)[self.missed]
        at_end = np.where(self.own, gain[self.last], 0.0)
        at_end -= np.where(self.own | self.other, loss[self.last], 0.0)
        return float(np.sqrt(((at_end - exposed) ** 2).sum()))


def event_codes(time: ArrayLike, code: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Check times and event codes (0 censored, 1, 2, ... kinds of event); tie times.

    Raises
    ------
    InputError
        Lengths differ, a time is negative, or a code is not a whole number from 0.
    """
    times = numbers(time, "time")
    raw = numbers(code, "event code", len(times))
    if (times < 0).any():
        raise InputError(f"time is negative in {int((times < 0).sum())} rows")
    if ((raw != np.floor(raw)) | (raw < 0)).any():
        raise InputError("event codes must be 0 (censored), 1, 2, ...")
    return tie_times(times), raw.astype(np.int64)


def cumulative_incidence(
    time: ArrayLike, code: ArrayLike, *, cause: int = 1, entry: ArrayLike | None = None
) -> CumulativeIncidence:
    """Aalen-Johansen estimate; 1 - Kaplan-Meier would overestimate with competing events.

    Parameters
    ----------
    time : array_like, shape (n,)
    code : array_like, shape (n,)
        0 censored, else the kind of event.
    cause : int
        The kind of event.
    entry : array_like, shape (n,), optional
        Start of observation; patients are at risk only after it.

    Returns
    -------
    CumulativeIncidence

    Raises
    ------
    InputError
        See `event_codes`; or an entry is not before the end of follow-up.

    References
    ----------
    .. [1] Aalen & Johansen (1978), Scandinavian Journal of Statistics 5:141-150.
    """
    times, codes = event_codes(time, code)
    times, _, entries = follow_up_from_entry(times, codes > 0, entry)
    distinct, when = np.unique(times, return_inverse=True)
    k = len(distinct)
    n_left = np.bincount(when, minlength=k).astype(np.float64)
    n_risk = number_at_risk(times, distinct, entries).astype(np.float64)
    n_cause = np.bincount(when[codes == cause], minlength=k).astype(np.float64)
    n_event = np.bincount(when[codes > 0], minlength=k).astype(np.float64)
    before = np.concatenate([[1.0], np.cumprod(1 - n_event / n_risk)])[:k]
    incidence = np.cumsum(before * n_cause / n_risk)
    late = None
    if entries is not None:
        missed, own = np.searchsorted(distinct, entries, side="right"), codes == cause
        late = LateEntry(missed.astype(np.int64), when, own, (codes > 0) & ~own)
    return CumulativeIncidence(distinct, n_risk, n_cause, n_event, before, incidence, n_left, late)


@dataclass(frozen=True)
class GrayTest:
    """Result of Gray's test.

    Attributes
    ----------
    chi_square : float
        NaN if no event of the cause occurred while two groups were at risk.
    df : int
    p : float
    """

    chi_square: float
    df: int
    p: float


def gray_test(time: ArrayLike, code: ArrayLike, group: Any, *, cause: int = 1) -> GrayTest:
    """Compare cumulative incidence of one cause between groups [1]_.

    The score compares each group's events with those expected from the hazard of the
    subdistribution; a patient with a competing event remains partly at risk. Unweighted
    (rho = 0).

    Parameters
    ----------
    time : array_like, shape (n,)
    code : array_like, shape (n,)
        0 censored, else the kind of event.
    group : array_like, shape (n,)
    cause : int

    Returns
    -------
    GrayTest

    Raises
    ------
    InputError
        Lengths differ or codes are not whole numbers.

    References
    ----------
    .. [1] Gray (1988), Annals of Statistics 16:1141-1154.
    """
    times, codes = event_codes(time, code)
    groups, labels = group_codes(group, len(times))
    sums = _Scores(len(labels))
    distinct, when = np.unique(times, return_inverse=True)
    own, other, leaving = (np.zeros((len(distinct), len(labels))) for _ in range(3))
    np.add.at(own, (when[codes == cause], groups[codes == cause]), 1.0)
    others = (codes > 0) & (codes != cause)
    np.add.at(other, (when[others], groups[others]), 1.0)
    np.add.at(leaving, (when, groups), 1.0)
    at_risk = leaving[::-1].cumsum(0)[::-1]
    for k in np.flatnonzero((own + other).sum(1)):
        sums.add(at_risk[k], own[k], other[k])
    return sums.test()


class _Scores:
    """Score and variance, summed over event times.

    The variance of a group's score is a sum over the independent increments of all groups'
    counting processes. An increment changes the score at its time (`now`) and, through the pooled
    incidence, at all later times. The later effect is linear in the final `later`, so three sums
    suffice: constant, linear and quadratic in it.
    """

    def __init__(self, k: int) -> None:
        self.survival, self.incidence, self.pooled = np.ones(k), np.zeros(k), 0.0
        self.score, self.later = np.zeros(k), np.zeros((k, k))
        self.constant, self.linear, self.quadratic = np.zeros((k, k)), np.zeros((k, k)), np.zeros(k)

    def add(self, at_risk: FloatArray, own: FloatArray, other: FloatArray) -> None:
        on = at_risk > 0
        y = np.where(on, at_risk, 1.0)
        before = self.survival
        scaled = np.where(on & (before > 0), at_risk / np.where(before > 0, before, 1.0), 0.0)
        subdistribution = scaled * (1 - self.incidence)
        events, total = float(own.sum()), float(scaled.sum())
        self.score += own - events * subdistribution / subdistribution.sum()
        now = np.diag(scaled) - np.outer(scaled, scaled) / total
        self.later += now * events / (total * (1 - self.pooled))
        self.survival = np.where(on, before * (y - own - other) / y, before)
        self.incidence = self.incidence + np.where(on, before * own / y, 0.0)
        self.pooled += events / total
        share = np.ones_like(before)  # of the pooled survivors among the group's
        np.divide(1 - self.pooled, self.survival, out=share, where=self.survival > 0)
        if events:
            part = np.where(self.survival > 0, 1 - share, 1.0)
            spread = _without_ties(events, total * before) * before * events / (total * y)
            self._accumulate(now - part * self.later, part, np.where(on, spread, 0.0))
        hit = (other > 0) & (self.survival > 0)
        spread = _without_ties(other, at_risk) * before**2 * other / y**2
        self._accumulate(-share * self.later, share, np.where(hit, spread, 0.0))

    def _accumulate(self, effect: FloatArray, part: FloatArray, spread: FloatArray) -> None:
        self.constant += (effect * spread) @ effect.T
        self.linear += effect * part * spread
        self.quadratic += part**2 * spread

    def test(self) -> GrayTest:
        cross = self.later @ self.linear.T
        variance = self.constant + cross + cross.T + (self.later * self.quadratic) @ self.later.T
        df = len(self.score) - 1
        inner = variance[1:, 1:]  # the scores sum to 0
        if df < 1 or np.linalg.matrix_rank(inner) < df:
            return GrayTest(float("nan"), max(df, 0), float("nan"))
        statistic = float(self.score[1:] @ np.linalg.solve(inner, self.score[1:]))
        return GrayTest(statistic, df, chi_square_p(statistic, df))


def _without_ties(events: FloatArray | float, at_risk: FloatArray) -> FloatArray:
    """Finite-population factor of tied events."""
    tied = np.asarray(events) > 1
    return np.where(tied, 1 - (np.asarray(events) - 1) / np.where(tied, at_risk - 1, 1.0), 1.0)
