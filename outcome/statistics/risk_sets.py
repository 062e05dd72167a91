"""Patients at risk at a time, and sums over them, also with delayed entry.

A patient is under observation from just after the entry until the end of follow-up, both counted
from the same origin. Without delayed entry all patients are under observation from the origin, and
the patients at risk are a prefix of the patients ordered by time. With it, each patient is at risk
over an interval of times. The sums then use a segment tree. No number is subtracted from another,
so hazards of any size are safe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcome.statistics._arrays import FloatArray, IntArray

__all__ = ["RiskSets", "number_at_risk"]


def number_at_risk(time: ArrayLike, when: ArrayLike, entry: ArrayLike | None = None) -> IntArray:
    """Count the patients under observation just before each of `when`.

    Parameters
    ----------
    time : array_like, shape (n,)
        End of follow-up.
    when : array_like, shape (m,)
    entry : array_like, shape (n,), optional
        Start of observation. A patient who enters at t is not at risk at t.

    Examples
    --------
    >>> number_at_risk([1, 2, 2, 5], [0, 2, 3]).tolist()
    [4, 3, 1]
    >>> number_at_risk([1, 2, 2, 5], [1, 2, 3], entry=[0, 0, 1, 2]).tolist()
    [2, 2, 1]
    """
    ended = np.sort(np.asarray(time, dtype=float))
    count = len(ended) - np.searchsorted(ended, when, side="left")
    if entry is not None:
        # A patient who enters at `when` or later also leaves later.
        begun = np.sort(np.asarray(entry, dtype=float))
        count = count - (len(begun) - np.searchsorted(begun, when, side="left"))
    return np.asarray(count, dtype=np.int64)


class RiskSets:
    """The patients at risk at each of some times: entry < time of the set <= end of follow-up.

    Parameters
    ----------
    time : ndarray, shape (n,)
        End of follow-up.
    when : ndarray, shape (m,)
        Times of the sets, the latest first; they may repeat.
    entry : ndarray, shape (n,), optional
        Start of observation; by default the origin.

    Examples
    --------
    >>> sets = RiskSets(np.array([2.0, 3.0, 5.0]), np.array([5.0, 2.0]), np.array([0.0, 1.0, 2.0]))
    >>> sets.sums(np.array([1.0, 10.0, 100.0])).tolist()
    [100.0, 11.0]
    """

    def __init__(self, time: FloatArray, when: FloatArray, entry: FloatArray | None = None) -> None:
        self._first = np.searchsorted(-when, -time, side="left")
        self._tree: _Intervals | None = None
        if entry is not None:
            end = np.searchsorted(-when, -entry, side="left")
            self._tree = _Intervals(self._first, end, len(when))
            return
        self._order = np.argsort(-time, kind="stable")
        # A risk set contains all patients whose time is at least as long, including ties.
        self._last = np.searchsorted(-time[self._order], -when, side="right") - 1

    def sums(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sum over the patients at risk, shape (m, ...), of values of shape (n, ...)."""
        if self._tree is not None:
            return self._tree.over_patients(values, np.add, 0.0)
        found: NDArray[Any] = np.cumsum(values[self._order], axis=0)[self._last]
        return found

    def log_sums(self, values: FloatArray) -> FloatArray:
        """Log of the sum of exponentials over the patients at risk, shape (m,)."""
        if self._tree is not None:
            return self._tree.over_patients(values, np.logaddexp, -np.inf)
        found: FloatArray = np.logaddexp.accumulate(values[self._order])[self._last]
        return found

    def log_sums_over_time(self, values: FloatArray) -> FloatArray:
        """Log of the sum of exponentials of `values`, shape (m,), over each patient's sets.

        Returns
        -------
        ndarray, shape (n,)
            -inf for a patient in no set.
        """
        if self._tree is not None:
            return self._tree.over_sets(values, np.logaddexp, -np.inf)
        until = np.append(np.logaddexp.accumulate(values[::-1])[::-1], -np.inf)
        return np.asarray(until[self._first], dtype=np.float64)


class _Intervals:
    """Intervals [first, end) of m places, each cut into nodes of a binary tree.

    Node 1 is the root, nodes 2k and 2k + 1 are below node k, and the places are the lowest row.
    """

    def __init__(self, first: IntArray, end: IntArray, m: int) -> None:
        self.n, self.m = len(first), m
        self.size = 1 << max(m - 1, 0).bit_length()
        low, high = first + self.size, np.maximum(first, end) + self.size
        nodes, owners = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        everybody = np.arange(self.n)
        while (low < high).any():
            odd = (low < high) & (low % 2 == 1)
            nodes.append(low[odd])
            owners.append(everybody[odd])
            low = low + odd
            odd = (low < high) & (high % 2 == 1)
            high = high - odd
            nodes.append(high[odd])
            owners.append(everybody[odd])
            low, high = low // 2, high // 2
        self._nodes, self._owners = np.concatenate(nodes), np.concatenate(owners)

    def over_patients(self, values: NDArray[Any], add: np.ufunc, zero: float) -> NDArray[Any]:
        """Add up, at each place, the values of the intervals that hold it."""
        tree = np.full((2 * self.size, *values.shape[1:]), zero)
        _add_at(tree, self._nodes, values[self._owners], add)
        row = 2
        while row <= self.size:
            above = np.repeat(tree[row // 2 : row], 2, axis=0)
            tree[row : 2 * row] = add(tree[row : 2 * row], above)
            row *= 2
        found: NDArray[Any] = tree[self.size : self.size + self.m]
        return found

    def over_sets(self, values: FloatArray, add: np.ufunc, zero: float) -> FloatArray:
        """Add up, for each interval, the values at its places."""
        tree = np.full(2 * self.size, zero)
        tree[self.size : self.size + self.m] = values
        row = self.size
        while row > 1:
            tree[row // 2 : row] = add(tree[row : 2 * row : 2], tree[row + 1 : 2 * row : 2])
            row //= 2
        found = np.full(self.n, zero)
        _add_at(found, self._owners, tree[self._nodes], add)
        return found


def _add_at(target: NDArray[Any], index: IntArray, values: NDArray[Any], add: np.ufunc) -> None:
    """Add values to the places of an index that may repeat."""
    if not len(index):
        return
    order = np.argsort(index, kind="stable")
    places, starts = np.unique(index[order], return_index=True)
    target[places] = add.reduceat(values[order], starts, axis=0)
