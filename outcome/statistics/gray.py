"""Gray's test: do groups differ in cumulative incidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from outcome.statistics._arrays import FloatArray, group_codes
from outcome.statistics.aalen_johansen import event_codes
from outcome.statistics.logrank import chi_square_p

__all__ = ["GrayTest", "gray_test"]


@dataclass(frozen=True)
class GrayTest:
    """Result of Gray's test.

    Attributes
    ----------
    chi_square : float
        NaN if no event of the cause happened while two groups were at risk.
    df : int
    p : float
    """

    chi_square: float
    df: int
    p: float


def gray_test(time: ArrayLike, code: ArrayLike, group: Any, *, cause: int = 1) -> GrayTest:
    """Compare cumulative incidence of one cause between groups [1]_.

    The score compares each group's events with those expected from the hazard of the
    subdistribution; a patient lost to a competing event stays, in part, at risk. Unweighted
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
    counting processes. An increment moves the score at once (`now`) and, through the pooled
    incidence, at all later times; what it does later is linear in the final `later`, so three
    sums suffice: without it, linear in it, and quadratic.
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
