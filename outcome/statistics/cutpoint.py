"""Maximally selected log-rank statistics: the best cut-off of a score, with corrected p values.

Neither lifelines nor scikit-survival has p values corrected for the selection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from outcome.errors import InputError
from outcome.statistics._arrays import BoolArray, FloatArray, follow_up, numbers

__all__ = ["Cutpoint", "maximally_selected_cut"]


@dataclass(frozen=True)
class Cutpoint:
    """The cut-off with the largest difference in survival, and its p values.

    Attributes
    ----------
    cut : float
        Cut-off; scores above it are high.
    statistic : float
        Largest absolute standardised log-rank statistic over all cuts.
    p_asymptotic : float
        Corrected for selection by the limiting Brownian bridge [1]_.
    p_bonferroni : float
        Corrected by the improved Bonferroni inequality [2]_; better with few cut-offs.
    p_permutation : float
        (b + 1) / (B + 1) over permutations of the outcome; NaN without permutations.

    References
    ----------
    .. [1] Lausen & Schumacher (1992), Biometrics 48:73-85.
    .. [2] Lausen, Sauerbrei & Schumacher (1994), Classification and regression trees used for
       the exploration of prognostic factors, in Computational Statistics, Physica.
    """

    cut: float
    statistic: float
    p_asymptotic: float
    p_bonferroni: float
    p_permutation: float


def maximally_selected_cut(
    time: ArrayLike,
    event: ArrayLike,
    score: ArrayLike,
    *,
    smallest_share: float = 0.1,
    n_permutations: int = 0,
    rng: np.random.Generator | None = None,
) -> Cutpoint:
    """Search all cut-offs with at least `smallest_share` of patients on each side.

    Parameters
    ----------
    time, event, score : array_like, shape (n,)
    smallest_share : float
        Between 0 and 0.5.
    n_permutations : int
        At least 199 for a permutation p.
    rng : Generator, optional
        Needed for permutations.

    Returns
    -------
    Cutpoint
        NaN if no cut is admissible or no patient had the event.

    Raises
    ------
    InputError
        Lengths differ, a share outside (0, 0.5), or permutations without a generator.
    """
    times, events = follow_up(time, event)
    n = len(times)
    x = numbers(score, "score", n)
    if not 0 < smallest_share < 0.5:
        raise InputError(f"smallest_share is {smallest_share}, expected between 0 and 0.5")
    if n_permutations and (rng is None or n_permutations < 199):
        raise InputError("a permutation p needs a generator and at least 199 permutations")
    order = np.argsort(x, kind="stable")
    ends = np.flatnonzero(np.diff(x[order]) > 0)  # last row of each score except the highest
    size = ends + 1
    admissible = (size >= np.floor(n * smallest_share)) & (
        size <= np.floor(n * (1 - smallest_share))
    )
    size = size[admissible & (size > 0)]
    if len(size) == 0 or not events.any():
        return Cutpoint(*[float("nan")] * 5)
    scores = _logrank_scores(times, events)[order]
    statistics = _standardised(scores, size)
    best = int(np.argmax(statistics))
    top = float(statistics[best])
    p_permutation = float("nan")
    if n_permutations and rng is not None:
        permuted = [
            _standardised(rng.permutation(scores), size).max() for _ in range(n_permutations)
        ]
        exceeding = int((np.array(permuted) >= top - 1e-12).sum())
        p_permutation = (exceeding + 1) / (n_permutations + 1)
    return Cutpoint(
        float(x[order][size[best] - 1]),
        top,
        _brownian_bridge_p(top, smallest_share),
        _bonferroni_p(top, size, n),
        p_permutation,
    )


def _logrank_scores(time: FloatArray, event: BoolArray) -> FloatArray:
    """Event minus cumulative hazard, which the log-rank statistic sums over a group."""
    order = np.argsort(time, kind="stable")
    n = len(time)
    upto = np.searchsorted(time[order], time, side="right")  # patients with a time up to it
    hazard = np.cumsum(event[order] / (n - upto[order] + 1.0))
    return np.asarray(event - hazard[upto - 1], dtype=np.float64)


def _standardised(
    scores: FloatArray, size: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> FloatArray:
    n = len(scores)
    below = np.cumsum(scores)[size - 1]
    expected = size / n * scores.sum()
    spread = n * (scores**2).sum() - scores.sum() ** 2
    variance = size * (n - size) / (n**2 * (n - 1.0)) * spread
    return np.asarray(np.abs(below - expected) / np.sqrt(variance), dtype=np.float64)


def _brownian_bridge_p(b: float, share: float) -> float:
    if b < 1:
        return 1.0
    density = np.exp(-(b**2) / 2) / np.sqrt(2 * np.pi)
    width = np.log(((1 - share) / share) ** 2)
    return float(np.clip(4 * density / b + density * (b - 1 / b) * width, 0, 1))


def _bonferroni_p(b: float, size: np.ndarray[tuple[int], np.dtype[np.int64]], n: int) -> float:
    first, second = size[:-1], size[1:]
    t = np.sqrt(1 - first * (n - second) / ((n - first) * second))
    joint = np.exp(-(b**2) / 2) / np.pi * (t - (b**2 / 4 - 1) * t**3 / 6)
    return float(np.clip(2 * ndtr(-b) + joint.sum(), 0, 1))
