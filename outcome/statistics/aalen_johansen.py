"""Competing risks: cumulative incidence after Aalen and Johansen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from outcome.errors import InputError
from outcome.statistics._arrays import FloatArray, IntArray, numbers

__all__ = ["CumulativeIncidence", "cumulative_incidence", "event_codes"]


@dataclass(frozen=True)
class CumulativeIncidence:
    """Probability of having had one kind of event by a time, others competing.

    Attributes
    ----------
    time : ndarray, shape (m,)
        Distinct follow-up times, ascending.
    n_risk, n_cause, n_event : ndarray, shape (m,)
        At risk just before, and leaving with this or with any kind of event.
    survival_before, incidence : ndarray, shape (m,)
        Free of any event just before each time; had this event just after it.
    """

    time: FloatArray
    n_risk: FloatArray
    n_cause: FloatArray
    n_event: FloatArray
    survival_before: FloatArray
    incidence: FloatArray

    def at(self, when: ArrayLike) -> FloatArray:
        """Incidence by each of `when`."""
        padded = np.concatenate([[0.0], self.incidence])
        index = np.searchsorted(self.time, np.asarray(when, dtype=float), side="right")
        return np.asarray(padded[index], dtype=np.float64)

    def reaches(self, when: float) -> bool:
        """Whether incidence is known at `when`: somebody is followed so far, or nobody is left."""
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

    def _error(self, t: float) -> float:
        """Patients who leave together, with the same kind of event, share one influence."""
        until = self.time <= t
        n_risk, n_event, n_cause = self.n_risk, self.n_event, self.n_cause
        still_to_come = np.where(until, float(self.at(t)) - self.incidence, 0.0)
        survivors = n_risk - n_event
        # an own event adds; any event takes away from what was still to come
        gain = np.where(until, self.survival_before / n_risk, 0.0)
        loss = np.where(survivors > 0, still_to_come / np.maximum(survivors, 1), 0.0)
        exposure = np.cumsum(gain * n_cause / n_risk - loss * n_event / n_risk)
        n_leaving = n_risk - np.append(n_risk[1:], 0.0)
        squares = (
            n_cause * (gain - loss - exposure) ** 2
            + (n_event - n_cause) * (loss + exposure) ** 2
            + (n_leaving - n_event) * exposure**2
        )
        return float(np.sqrt(squares.sum()))


def event_codes(time: ArrayLike, code: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Check times and event codes (0 censored, 1, 2, ... kinds of event).

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
    return times, raw.astype(np.int64)


def cumulative_incidence(
    time: ArrayLike, code: ArrayLike, *, cause: int = 1
) -> CumulativeIncidence:
    """Aalen-Johansen estimate; 1 - Kaplan-Meier would count patients who can have no event.

    Parameters
    ----------
    time : array_like, shape (n,)
    code : array_like, shape (n,)
        0 censored, else the kind of event.
    cause : int
        The kind whose incidence is wanted.

    Returns
    -------
    CumulativeIncidence

    Raises
    ------
    InputError
        See `event_codes`.

    References
    ----------
    .. [1] Aalen & Johansen (1978), Scandinavian Journal of Statistics 5:141-150.
    """
    times, codes = event_codes(time, code)
    distinct, when = np.unique(times, return_inverse=True)
    k = len(distinct)
    leaving = np.bincount(when, minlength=k)
    n_risk = leaving[::-1].cumsum()[::-1].astype(np.float64)
    n_cause = np.bincount(when[codes == cause], minlength=k).astype(np.float64)
    n_event = np.bincount(when[codes > 0], minlength=k).astype(np.float64)
    before = np.concatenate([[1.0], np.cumprod(1 - n_event / n_risk)])[:k]
    incidence = np.cumsum(before * n_cause / n_risk)
    return CumulativeIncidence(distinct, n_risk, n_cause, n_event, before, incidence)
