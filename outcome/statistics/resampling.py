"""Bootstrap over patients by pair matrices: a resample is a vector of counts.

Let A[i, j] = 1 (tied risks: 1/2) if patient i had the event before j and the higher risk, B[i, j] =
1 if the pair is comparable, and c[i] the number of times that patient i was drawn. The concordance
of the resample is c'Ac / c'Bc. A is computed once for all resamples, in blocks of rows that are
multiplied by all count vectors and discarded; B times c is a cumulative sum over patients in order
of time. Memory is O(n * resamples), at most `_CELLS` numbers at a time, never O(n^2).

No library shares resamples between metrics and arms, which is necessary for paired differences.
Loops over the concordance of lifelines or scikit-survival take 50 to 100 times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcome.statistics._arrays import FloatArray, IntArray, group_codes

__all__ = [
    "average_precision_draws",
    "concordance_draws",
    "draw_counts",
    "percentile_interval",
    "ratio",
    "roc_area_draws",
]

_BLOCK = 2**20  # entries of A in memory at a time: 4 MiB of float32
_CELLS = 2**24  # patients x resamples processed at a time: 64 MiB of float32

Counts = NDArray[np.int16]


def draw_counts(group: Any, n_resamples: int, rng: np.random.Generator) -> Counts:
    """How often each patient is drawn, with replacement, within each group.

    Parameters
    ----------
    group : array_like, shape (n,)
        Resampling keeps the size of each group, usually a fold.
    n_resamples : int
    rng : Generator

    Returns
    -------
    ndarray, shape (n_resamples, n)
    """
    codes, labels = group_codes(group, len(np.asarray(group)))
    counts = np.zeros((n_resamples, len(codes)), dtype=np.int16)
    for code in range(len(labels)):
        members = np.flatnonzero(codes == code)
        size = len(members)
        counts[:, members] = rng.multinomial(size, np.full(size, 1.0 / size), size=n_resamples)
    return counts


def concordance_draws(
    time: FloatArray,
    event: NDArray[np.bool_],
    risk: FloatArray,
    counts: Counts,
    weights: FloatArray,
    group: Any | None = None,
    entry: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Numerators and denominators of the concordance in every resample.

    Parameters
    ----------
    time, event, risk : ndarray, shape (n,)
        Higher risk is worse.
    counts : ndarray, shape (r, n)
        From `draw_counts`.
    weights : ndarray, shape (k, n)
        One row per kind of concordance: the weight of the pairs whose earlier event is this
        patient's (ones for Harrell, 1 / G(t-)^2 for Uno, 0 beyond tau). All are computed in one
        pass.
    group : array_like, shape (n,), optional
        Only pairs within a group are compared.
    entry : ndarray, shape (n,), optional
        Start of observation, see `outcome.statistics.concordance.concordance`.

    Returns
    -------
    tuple of ndarray, each of shape (k, r)
        Agreeing and comparable pairs; their ratio is the concordance.
    """
    codes, labels = group_codes(group, len(time))
    shape = (len(weights), len(counts))
    agreeing, comparable = np.zeros(shape), np.zeros(shape)
    for code in range(len(labels)):
        i = np.flatnonzero(codes == code)
        for part in _parts(len(counts), len(i)):
            begun = None if entry is None else entry[i]
            a, b = _one_group(time[i], event[i], risk[i], counts[part][:, i], weights[:, i], begun)
            agreeing[:, part] += a
            comparable[:, part] += b
    return agreeing, comparable


def _one_group(
    time: FloatArray,
    event: NDArray[np.bool_],
    risk: FloatArray,
    counts: Counts,
    weights: FloatArray,
    entry: FloatArray | None,
) -> tuple[FloatArray, FloatArray]:
    # latest first, and censored before events of the same time, so that the patients who outlived
    # an event are a prefix
    order = np.lexsort((event, -time))
    time, event, risk, weights = time[order], event[order], risk[order], weights[:, order]
    drawn = np.ascontiguousarray(counts[:, order].T, dtype=np.float32)  # (n, r)
    rows = np.flatnonzero(event & (weights > 0).any(0))
    if len(rows) == 0:
        return np.zeros((len(weights), len(counts))), np.zeros((len(weights), len(counts)))
    outlived = _prefix_lengths(time, event)[rows]
    total = np.cumsum(drawn, axis=0, dtype=np.float32)  # exact: counts below 2**24
    begun = None if entry is None else _Entries(entry[order], drawn)
    agreeing = np.zeros((len(weights), len(counts)))
    comparable = np.zeros_like(agreeing)
    step = max(1, _BLOCK // len(time))
    for start in range(0, len(rows), step):
        r, later = rows[start : start + step], outlived[start : start + step]
        width = int(later.max())
        if width == 0:
            continue
        kernel = (risk[r, None] > risk[None, :width]).astype(np.float32)
        kernel += 0.5 * (risk[r, None] == risk[None, :width]).astype(np.float32)
        kernel *= np.arange(width) < later[:, None]
        pairs = np.where(later[:, None] > 0, total[np.maximum(later - 1, 0)], 0.0)
        if begun is not None:
            kernel *= begun.before(time[r], width)
            pairs -= begun.drawn_after(time[r])
        agreeing += weights[:, r] @ (kernel @ drawn[:width] * drawn[r]).astype(np.float64)
        comparable += weights[:, r] @ (pairs * drawn[r]).astype(np.float64)
    return agreeing, comparable


class _Entries:
    """Start of observation of patients, and the number of drawn patients who enter too late."""

    def __init__(self, entry: FloatArray, drawn: NDArray[np.float32]) -> None:
        self._entry = entry
        latest = np.argsort(-entry, kind="stable")
        self._ordered = -entry[latest]
        self._drawn = np.zeros((len(entry) + 1, drawn.shape[1]), dtype=np.float32)
        np.cumsum(drawn[latest], axis=0, out=self._drawn[1:])

    def before(self, when: FloatArray, width: int) -> NDArray[np.bool_]:
        """Whether each of the first `width` patients had entered before each time."""
        return np.asarray(self._entry[None, :width] < when[:, None])

    def drawn_after(self, when: FloatArray) -> NDArray[np.float32]:
        """Count the draws of patients who enter at each time or later, shape (m, r).

        All of them also outlive the time.
        """
        return self._drawn[np.searchsorted(self._ordered, -when, side="right")]


def _prefix_lengths(time: FloatArray, event: NDArray[np.bool_]) -> IntArray:
    """For each row of (latest first, censored first), the number that outlived its event."""
    first_of_time = np.searchsorted(-time, -time, side="left")
    distinct, code = np.unique(-time, return_inverse=True)
    censored = np.bincount(code[~event], minlength=len(distinct))
    return (first_of_time + censored[code]).astype(np.int64)


def roc_area_draws(
    risk: FloatArray,
    case: FloatArray,
    control: FloatArray,
    counts: Counts,
    group: Any | None = None,
) -> FloatArray:
    """Area under the ROC curve in every resample, with weighted cases and controls.

    With patients in order of risk, the controls below a case are a cumulative sum.

    Parameters
    ----------
    risk : ndarray, shape (n,)
        Higher is expected in cases.
    case, control : ndarray, shape (n,)
        Weight as a case and as a control; a patient may be neither.
    counts : ndarray, shape (r, n)
    group : array_like, shape (n,), optional
        Only pairs within a group are compared.

    Returns
    -------
    ndarray, shape (r,)
        NaN for resamples without a pair of a case and a control.
    """
    codes, labels = group_codes(group, len(risk))
    agreeing, pairs = np.zeros(len(counts)), np.zeros(len(counts))
    for code in range(len(labels)):
        i = np.flatnonzero(codes == code)
        for part in _parts(len(counts), 4 * len(i)):
            a, b = _case_control_sums(risk[i], case[i], control[i], counts[part][:, i])
            agreeing[part] += a
            pairs[part] += b
    return ratio(agreeing, pairs)


def _case_control_sums(
    risk: FloatArray, case: FloatArray, control: FloatArray, counts: Counts
) -> tuple[FloatArray, FloatArray]:
    order = np.argsort(risk, kind="stable")
    ordered = risk[order]
    cases = np.flatnonzero(case[order] > 0)
    below = np.searchsorted(ordered, ordered[cases], side="left")
    upto = np.searchsorted(ordered, ordered[cases], side="right")
    drawn = counts[:, order].T.astype(np.float64)
    passed = np.zeros((len(risk) + 1, len(counts)))
    np.cumsum(drawn * control[order, None], axis=0, out=passed[1:])
    weight = drawn[cases] * case[order][cases, None]
    beaten = (passed[below] + passed[upto]) / 2
    return (weight * beaten).sum(0), weight.sum(0) * passed[-1]


def average_precision_draws(
    score: FloatArray, positive: FloatArray, weight: FloatArray, counts: NDArray[Any]
) -> FloatArray:
    """Area under the precision-recall curve in every resample, without interpolation.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Higher is expected in positives; equal scores share one point of the curve.
    positive, weight : ndarray, shape (n,)
        Weight of each patient as a positive (0 for others), and as a patient.
    counts : ndarray, shape (r, n)
        From `draw_counts`; ones for the patients themselves.

    Returns
    -------
    ndarray, shape (r,)
        NaN for resamples of one class: without negatives it is always 1.

    Examples
    --------
    >>> score, positive = np.array([0.9, 0.8, 0.1]), np.array([1.0, 0.0, 1.0])
    >>> average_precision_draws(score, positive, np.ones(3), np.ones((1, 3))).round(3).tolist()
    [0.833]
    """
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # ends of tied scores
    found = np.cumsum(counts[:, order] * positive[order], axis=1)[:, last]
    called = np.cumsum(counts[:, order] * weight[order], axis=1)[:, last]
    gained = np.diff(found, axis=1, prepend=0.0)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    both = counts @ np.where(positive > 0, 0.0, weight) > 0
    return np.where(both, ratio((gained * precision).sum(1), found[:, -1]), np.nan)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient; NaN if the denominator is 0."""
    out = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def percentile_interval(draws: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the draws that are not NaN; NaN if fewer than half remain."""
    values = np.asarray(draws, dtype=np.float64)
    known = values[~np.isnan(values)]
    if len(known) == 0 or 2 * len(known) < len(values):
        return float("nan"), float("nan")
    lower, upper = np.quantile(known, [0.5 - level / 2, 0.5 + level / 2])
    return float(lower), float(upper)


def _parts(n_resamples: int, n: int) -> Iterator[slice]:
    size = max(1, _CELLS // max(n, 1))
    for start in range(0, n_resamples, size):
        yield slice(start, min(start + size, n_resamples))
