"""Bounds for a concordance whose estimate is 0 or 1, where every variance estimate is 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from outcome.errors import InputError
from outcome.statistics._arrays import (
    BoolArray,
    FloatArray,
    follow_up_from_entry,
    group_codes,
)

__all__ = ["disjoint_pairs", "lowest_mean"]


def disjoint_pairs(
    time: ArrayLike,
    event: ArrayLike,
    *,
    tau: float | None = None,
    group: Any | None = None,
    entry: ArrayLike | None = None,
) -> int:
    """Largest number of comparable pairs with every patient in at most one of them.

    These pairs are independent of each other, unlike all comparable pairs.

    Parameters
    ----------
    time, event : array_like, shape (n,)
        Follow-up, and whether it ended with the event.
    tau : float, optional
        Only events at or before `tau` count.
    group : array_like, shape (n,), optional
        Only pairs within a group are comparable.
    entry : array_like, shape (n,), optional
        Start of observation. The number found may then be too small, which makes limits wider.

    Examples
    --------
    >>> disjoint_pairs([1, 2, 3, 4, 5], [1, 1, 1, 0, 0])
    2
    """
    times, events, entries = follow_up_from_entry(time, event, entry)
    counted = events if tau is None else events & (times <= tau)
    codes, labels = group_codes(group, len(times))
    rows = (codes == code for code in range(len(labels)))
    if entries is not None:
        return sum(_paired(times[r], events[r], counted[r], entries[r]) for r in rows)
    return sum(_matched(times[r], events[r], counted[r]) for r in rows)


def _matched(time: FloatArray, event: BoolArray, counted: BoolArray) -> int:
    """Pair the earliest events with the patients followed longest, as many as possible."""
    order = np.lexsort((~event, time))  # patients censored at the time of an event outlive it
    time, event, counted = time[order], event[order], counted[order]
    events = np.flatnonzero(counted)
    for pairs in range(min(len(events), len(time) // 2), 0, -1):
        first = events[:pairs]
        last = np.setdiff1d(np.arange(len(time)), first)[-pairs:]
        if np.all((time[first] < time[last]) | ((time[first] == time[last]) & ~event[last])):
            return pairs
    return 0


def _paired(time: FloatArray, event: BoolArray, counted: BoolArray, entry: FloatArray) -> int:
    """Pair each event, the earliest first, with the longest-followed patient under observation."""
    free, pairs = np.full(len(time), True), 0
    for row in np.flatnonzero(counted)[np.argsort(time[counted], kind="stable")]:
        later = (time > time[row]) | ((time == time[row]) & ~event)
        partners = np.flatnonzero(free & later & (entry < time[row]))
        if free[row] and len(partners):
            free[[row, partners[np.argmax(time[partners])]]] = False
            pairs += 1
    return pairs


def lowest_mean(pairs: Sequence[float], level: float = 0.95) -> float:
    """Lower bound of the mean over folds of a concordance that was 1 in every fold.

    If all comparable pairs are concordant, so are the disjoint ones. These are independent. With
    concordance c_k and v_k disjoint pairs in fold k, the probability of this result is at most the
    product of c_k^v_k. The bound is the lowest mean of c_k for which this product is (1 - level) /
    2; with one fold, ((1 - level) / 2)^(1 / v), the limit of Clopper & Pearson [1]_. By symmetry,
    one minus the bound is the upper limit of a concordance of 0.

    Parameters
    ----------
    pairs : sequence of float
        Number of disjoint pairs in each fold. Use half of them under cross-validation, to allow for
        the variation from training: the variance of fixed models may be half of the true one.

    Raises
    ------
    InputError
        A fold has no pair.

    References
    ----------
    .. [1] Clopper & Pearson (1934), Biometrika 26:404-413.

    Examples
    --------
    >>> round(lowest_mean([10]), 3), round(lowest_mean([2]), 3)
    (0.692, 0.158)
    """
    counts = np.asarray(pairs, dtype=np.float64)
    if not len(counts) or (counts <= 0).any():
        raise InputError("every fold needs a comparable pair; remove folds without one")
    wanted = float(np.log((1 - level) / 2))

    def excess(scale: float) -> float:
        # For a given mean, the product is largest where c_k is proportional to v_k, up to 1.
        return float(counts @ np.log(np.minimum(1.0, scale * counts))) - wanted

    below = float(np.exp(wanted / counts.sum())) / counts.max() / 2
    scale = float(brentq(excess, below, 1 / counts.min()))
    return float(np.minimum(1.0, scale * counts).mean())
