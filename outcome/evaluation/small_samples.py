"""Small samples: intervals at the edge, verdicts, and the times of AUC(t)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, FoldScores
from outcome.evaluation.crossfit_estimates import CrossfitEstimate
from outcome.statistics.concordance import harrell
from outcome.statistics.edge_intervals import disjoint_pairs, lowest_mean

__all__ = [
    "FEWEST_EVENTS",
    "UNMOVED",
    "EdgeInterval",
    "at_edge",
    "auc_times",
    "disjoint_pairs_of",
    "edge_interval",
    "rarer_class",
    "untested_below",
    "verdict_withheld",
]

FEWEST_EVENTS = 10
"""Minimum number of events for a verdict and for AUC(t)."""
FEWEST_PAIRS = 10
"""Minimum mean number of comparable pairs per fold for a verdict."""
FEWEST_TESTED = 25
"""Number of events in the smallest cohorts in which intervals were validated by simulation."""
UNMOVED = "no interval: the estimate does not depend on any single patient"
_POINTS = 20
_ZERO = 1e-12

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class EdgeInterval:
    """An interval for a variance of 0; NaN if no interval can be given.

    Attributes
    ----------
    lower, upper : float
    note : str
        Source of the interval, or the reason why there is none.
    """

    lower: float
    upper: float
    note: str


def at_edge(estimate: CrossfitEstimate) -> bool:
    """Whether the estimate does not depend on any single patient, so its variance is 0."""
    return estimate.found is not None and estimate.found.se < _ZERO


def edge_interval(
    estimate: CrossfitEstimate,
    pairs: Sequence[int],
    *,
    cross_validated: bool,
    level: float = 0.95,
) -> EdgeInterval:
    """Interval of a concordance or AUROC at 0 or 1, or of arms that rank all pairs equally.

    Parameters
    ----------
    estimate : CrossfitEstimate
        An estimate for which `at_edge` is true.
    pairs : sequence of int
        Number of disjoint comparable pairs in each fold that has any, see `disjoint_pairs_of`; for
        several repeats, those of the first.
    cross_validated : bool
        If true, half of the pairs count, because the variance of fixed models is doubled.
    level : float

    Returns
    -------
    EdgeInterval
        For a difference of 0: if two arms rank a proportion q of pairs differently, the probability
        that they rank all v disjoint pairs equally is at most (1 - q)^v, and their concordances
        differ by at most q. NaN for any other estimate.
    """
    counts = [v / 2 if cross_validated else float(v) for v in pairs if v > 0]
    nothing = float("nan")
    if not counts:
        return EdgeInterval(nothing, nothing, "no interval: there is no comparable pair")
    bound, value = lowest_mean(counts, level), estimate.value
    total = sum(v for v in pairs if v > 0)
    if estimate.difference and abs(value) < _ZERO:
        note = f"both arms rank all pairs identically; exact limits from {total} disjoint pairs"
        return EdgeInterval(bound - 1, 1 - bound, note)
    if not estimate.difference and abs(value - 1) < _ZERO:
        note = f"no discordant pair; exact limits from {total} disjoint pairs"
        return EdgeInterval(bound, 1.0, note)
    if not estimate.difference and abs(value) < _ZERO:
        note = f"no concordant pair; exact limits from {total} disjoint pairs"
        return EdgeInterval(0.0, 1 - bound, note)
    return EdgeInterval(nothing, nothing, UNMOVED)


def disjoint_pairs_of(
    arm: ArmScores, *, tau: float | None = None, landmark: float | None = None
) -> list[int]:
    """Count the disjoint comparable pairs in each fold of the first repeat.

    Parameters
    ----------
    tau : float, optional
        Only events by this time count, as for Uno's C.
    landmark : float, optional
        The outcome is the event by this time, yes or no. For this outcome and for labels, the count
        is the smaller of the numbers of cases and controls, by stratum.
    """
    found = []
    for f in (f for f in arm.folds if f.repeat == arm.repeats[0]):
        classes = _classes(f, landmark)
        if classes is None:
            pairs = disjoint_pairs(f.time, f.event, tau=tau, group=f.stratum, entry=f.entry)
            found.append(pairs)
        else:
            found.append(sum(min(sizes) for sizes in _sizes(f, *classes)))
    return found


def verdict_withheld(arm: ArmScores, *, landmark: float | None = None) -> str:
    """Return the reason why an arm is too small for a verdict; else empty.

    A verdict needs ten events (for a yes/no outcome: patients of the rarer class) and, on average
    over the folds, ten comparable pairs.

    Returns
    -------
    str
        Empty if a verdict can be given.
    """
    events = rarer_class(arm, landmark=landmark)
    if events < FEWEST_EVENTS:
        return f"{events} events: a verdict needs {FEWEST_EVENTS}"
    pairs = float(np.mean([_comparable(f, landmark) for f in arm.folds]))
    if pairs < FEWEST_PAIRS:
        return f"{pairs:.0f} comparable pairs per fold: a verdict needs {FEWEST_PAIRS}"
    return ""


def untested_below(arm: ArmScores, *, landmark: float | None = None) -> str:
    """Return a remark if intervals were not validated with so few events; else empty."""
    events = rarer_class(arm, landmark=landmark)
    if events >= FEWEST_TESTED:
        return ""
    return (
        f"{events} events: intervals were validated only in simulated cohorts with at least "
        f"{FEWEST_TESTED} events"
    )


def rarer_class(arm: ArmScores, *, landmark: float | None = None) -> int:
    """Count the patients with the event; for a yes/no outcome, those of the rarer class."""
    cases, controls = set(), set()
    for f in arm.folds:
        classes = _classes(f, landmark)
        if classes is None:
            return arm.n_events
        cases |= set(f.patient[classes[0]].tolist())
        controls |= set(f.patient[classes[1]].tolist())
    return min(len(cases), len(controls))


def _classes(fold: FoldScores, landmark: float | None) -> tuple[Bools, Bools] | None:
    """Known cases and controls of a yes/no outcome; None for a time to event."""
    if np.isnan(fold.time).any():
        return fold.event, ~fold.event
    if landmark is None:
        return None
    case = fold.event & (fold.time <= landmark)
    return case, ~case & ((fold.time >= landmark) | (fold.ended & ~fold.event))


def _sizes(fold: FoldScores, case: Bools, control: Bools) -> list[tuple[int, int]]:
    """Cases and controls of each stratum."""
    strata = (fold.stratum == s for s in np.unique(fold.stratum))
    return [(int((case & s).sum()), int((control & s).sum())) for s in strata]


def _comparable(fold: FoldScores, landmark: float | None) -> int:
    classes = _classes(fold, landmark)
    if classes is None:
        found = harrell(fold.time, fold.event, fold.risk, group=fold.stratum, entry=fold.entry)
        return found.n_pairs
    return sum(m * n for m, n in _sizes(fold, *classes))


def auc_times(
    event_times: Floats,
    last: float | None,
    *,
    fewest: int = FEWEST_EVENTS,
    points: int = _POINTS,
) -> list[float]:
    """Return the times of the AUC(t) curve: from the tenth event on, evenly spaced.

    With fewer cases, the coverage of the bands is far below their level.

    Parameters
    ----------
    event_times : ndarray
        Times of all events.
    last : float or None
        Last time at which the censoring weights are reliable; None if there is none.
    fewest, points : int

    Returns
    -------
    list of float
        From the time of the `fewest`-th event, or of 10% of the events if that is later, to the
        time of 95% of the events, or `last` if that is earlier. Empty if this range is empty.

    Examples
    --------
    >>> auc_times(np.arange(1.0, 41.0), 30.0, points=3)
    [10.0, 20.0, 30.0]
    """
    times = np.sort(np.asarray(event_times, dtype=np.float64))
    if last is None or len(times) < fewest:
        return []
    first = max(float(times[fewest - 1]), float(np.quantile(times, 0.1)))
    end = min(last, float(np.quantile(times, 0.95)))
    return np.linspace(first, end, points).tolist() if end > first else []
