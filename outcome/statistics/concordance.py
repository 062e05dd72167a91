"""Concordance of a risk with follow-up, with strata, weights and influence values.

lifelines and scikit-survival have Harrell's C without strata, weights and influence values, which
are needed for standard errors and paired comparisons. scikit-survival weights Uno's C by G(t)
instead of G(t-), and treats scores that differ by less than 1e-8 as tied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from outcome.statistics._arrays import (
    BoolArray,
    FloatArray,
    follow_up_from_entry,
    group_codes,
    numbers,
)

__all__ = ["Concordance", "concordance", "harrell"]

_BLOCK = 2**20  # entries of the pair matrix in memory at a time: 8 MiB of float64


@dataclass(frozen=True)
class Concordance:
    """A concordance, its counts, and the influence of each patient.

    Attributes
    ----------
    c : float
        Proportion of comparable pairs in which the patient with the earlier event has the higher
        risk; ties of risk count one half: 1 is perfect, 0.5 is chance. NaN with fewer than two
        comparable pairs.
    influence : ndarray, shape (n,)
        Infinitesimal-jackknife values: the derivative of `c` by each patient's weight, with
        censoring weights taken as known. Their squares sum to the variance of `c`, and their
        products with those of another score on the same patients to the covariance.
    pairs : ndarray, shape (n,)
        Weighted number of comparable pairs of each patient.
    concordant, discordant, tied_risk, tied_time, tied_both : float
        Weighted pair counts; pairs with tied event times are not comparable.
    n_pairs : int
        Comparable pairs, unweighted.
    n, n_events : int
        Patients and events (up to tau).
    """

    c: float
    influence: FloatArray
    pairs: FloatArray
    concordant: float
    discordant: float
    tied_risk: float
    tied_time: float
    tied_both: float
    n_pairs: int
    n: int
    n_events: int

    @property
    def variance(self) -> float:
        """Infinitesimal-jackknife variance of `c`."""
        return float(self.influence @ self.influence)

    @property
    def se(self) -> float:
        """Standard error of `c`."""
        return float(np.sqrt(self.variance))

    @property
    def comparable(self) -> float:
        """Weighted number of comparable pairs, the denominator of `c`."""
        return self.concordant + self.discordant + self.tied_risk

    @property
    def agreeing(self) -> float:
        """Concordant pairs and half of those with tied risk, the numerator of `c`."""
        return self.concordant + self.tied_risk / 2


def concordance(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    tau: float | None = None,
    group: Any | None = None,
    entry: ArrayLike | None = None,
) -> Concordance:
    """Concordance over comparable pairs, each weighted by its earlier event.

    Patients i and j are comparable if i had the event before j's follow-up ended; a patient
    censored at the time of the event outlived it. With delayed entry, j must also have been under
    observation at that time; a patient who entered later could not have had the earlier event.
    Scores are tied only if exactly equal. The pair matrix is processed in blocks, so memory grows
    with n, not with its square.

    Parameters
    ----------
    time : array_like, shape (n,)
        Follow-up, any unit.
    event : array_like, shape (n,)
        True or 1 if the event was observed.
    risk : array_like, shape (n,)
        Higher is worse.
    weight : array_like, shape (n,), optional
        Weight of the pairs whose earlier event is this patient's: 1 for Harrell's C [1]_, and 1 /
        G(t-)^2 for Uno's [3]_, which does not depend on the censoring distribution.
    tau : float, optional
        Only events at or before `tau` count.
    group : array_like, shape (n,), optional
        Only pairs within a group are compared: folds, strata or both.
    entry : array_like, shape (n,), optional
        Start of observation. A pair counts only if the patient with the longer time had entered
        before the earlier event.

    Returns
    -------
    Concordance

    Raises
    ------
    InputError
        Lengths differ, or a value is not finite, a time negative, an event neither 0 nor 1, or an
        entry not before the end of follow-up.

    References
    ----------
    .. [1] Harrell, Lee & Mark (1996), Statistics in Medicine 15:361-387.
    .. [2] Therneau & Atkinson (2024), Concordance; vignette of the R package survival.
    .. [3] Uno et al. (2011), Statistics in Medicine 30:1105-1117.
    """
    times, events, entries = follow_up_from_entry(time, event, entry)
    n = len(times)
    risks = numbers(risk, "risk", n)
    weights = np.ones(n) if weight is None else numbers(weight, "weight", n)
    earlier = events if tau is None else events & (times <= tau)
    codes, labels = group_codes(group, n)
    sums = _PairSums(n)
    for code in range(len(labels)):
        members = np.flatnonzero(codes == code)
        sums.add(
            members, times[members], events[members], earlier[members], risks[members],
            weights[members], None if entries is None else entries[members],
        )  # fmt: skip
    return sums.result(int(earlier.sum()))


def harrell(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    tau: float | None = None,
    group: Any | None = None,
    entry: ArrayLike | None = None,
) -> Concordance:
    """Harrell's C: every comparable pair counts once. See `concordance`."""
    return concordance(time, event, risk, tau=tau, group=group, entry=entry)


class _PairSums:
    """Running sums over comparable pairs, and each patient's part in them."""

    def __init__(self, n: int) -> None:
        self.agreeing = np.zeros(n)  # derivative of the numerator by each patient's weight
        self.comparable = np.zeros(n)
        self.concordant = self.tied_risk = self.total = self.tied_time = self.tied_both = 0.0
        self.n_pairs = 0

    def add(
        self,
        members: np.ndarray[Any, np.dtype[np.int64]],
        time: FloatArray,
        event: BoolArray,
        earlier: BoolArray,
        risk: FloatArray,
        weight: FloatArray,
        entry: FloatArray | None,
    ) -> None:
        rows = np.flatnonzero(earlier)
        step = max(1, _BLOCK // max(len(members), 1))
        for start in range(0, len(rows), step):
            r = rows[start : start + step]
            w = weight[r]
            same_time = time[r, None] == time[None, :]
            later = (time[r, None] < time[None, :]) | (same_time & ~event)
            if entry is not None:
                later &= entry[None, :] < time[r, None]
            tied = risk[r, None] == risk[None, :]
            agree = np.where(tied, 0.5, risk[r, None] > risk[None, :]) * later
            row_agree, row_pairs = agree.sum(1), later.sum(1)
            row_tied = (later & tied).sum(1)
            self.agreeing[members] += w @ agree
            self.agreeing[members[r]] += w * row_agree
            self.comparable[members] += w @ later
            self.comparable[members[r]] += w * row_pairs
            self.total += float(w @ row_pairs)
            self.tied_risk += float(w @ row_tied)
            self.concordant += float(w @ (row_agree - row_tied / 2))
            self.n_pairs += int(row_pairs[w > 0].sum())
            both = same_time & event
            # every tied pair is counted twice, and every patient once with itself
            self.tied_both += float(w @ ((both & tied).sum(1) - 1)) / 2
            self.tied_time += float(w @ (both & ~tied).sum(1)) / 2

    def result(self, n_events: int) -> Concordance:
        n = len(self.agreeing)
        if self.n_pairs < 2:
            c, influence = float("nan"), np.full(n, np.nan)
        else:
            c = (self.concordant + self.tied_risk / 2) / self.total
            influence = (self.agreeing - c * self.comparable) / self.total
        return Concordance(
            c=c,
            influence=influence,
            pairs=self.comparable,
            concordant=self.concordant,
            discordant=self.total - self.concordant - self.tied_risk,
            tied_risk=self.tied_risk,
            tied_time=self.tied_time,
            tied_both=self.tied_both,
            n_pairs=self.n_pairs,
            n=n,
            n_events=n_events,
        )
