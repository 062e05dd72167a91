"""Parts of every metric: a value, the influence of each patient, and resamples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel
from outcome.evaluation.crossfit_estimates import (
    CrossfitEstimate,
    crossfit_difference,
    weighted_sum,
)
from outcome.evaluation.small_samples import UNMOVED, EdgeInterval, at_edge, edge_interval
from outcome.statistics.crossfit_variance import CrossfitVariance
from outcome.statistics.resampling import percentile_interval

__all__ = [
    "FIXED",
    "Estimate",
    "PairedDifference",
    "combine",
    "difference",
    "mean_of_repeats",
    "mean_over_folds",
    "unknown",
    "wald",
]

Floats = NDArray[np.float64]

FIXED = "fixed models"
"""Source of a variance that treats the models as fixed."""


@dataclass(frozen=True)
class Estimate:
    """A metric of one arm, or a difference between two.

    The interval and the standard error are those of `crossfit`, if present; else they treat the
    fitted models as fixed.

    Attributes
    ----------
    value : float
        NaN if it cannot be estimated; `note` gives the reason.
    influence : ndarray, shape (n,), or None
        Infinitesimal-jackknife values over the panel; 0 for patients that were not scored. Their
        squares sum to the variance. None if there is no closed form.
    draws : ndarray, shape (r,), or None
        The metric in every resample of patients.
    bounds : tuple of float, optional
        An interval from theory instead of resamples.
    note : str
    by_repeat : tuple of float
        The metric in each repeat, if `value` is their mean.
    crossfit : CrossfitEstimate, optional
        The same metric with a variance from test sampling and training.
    pairs : callable, optional
        Disjoint comparable pairs of each fold, for an interval if the metric does not depend on any
        single patient; None for metrics that are not a mean of concordances over folds.
    """

    value: float
    influence: Floats | None = None
    draws: Floats | None = None
    bounds: tuple[float, float] | None = None
    note: str = ""
    by_repeat: tuple[float, ...] = ()
    crossfit: CrossfitEstimate | None = None
    pairs: Callable[[], list[int]] | None = None

    @property
    def repeat_sd(self) -> float:
        """Standard deviation over repeats; NaN with fewer than two."""
        return float(np.std(self.by_repeat, ddof=1)) if len(self.by_repeat) > 1 else float("nan")

    @property
    def se(self) -> float:
        """Standard error; NaN if the metric does not depend on any single patient."""
        if self.crossfit is None or np.isnan(self.value):
            return self.fixed_se
        return float("nan") if at_edge(self.crossfit) else self.crossfit.se

    @property
    def df(self) -> float:
        """Degrees of freedom of the t interval; NaN for an interval of another kind."""
        if self._found is None or self._edge is not None:
            return float("nan")
        return self._found.df

    @property
    def source(self) -> str:
        """Source of the variance, see `CrossfitVariance`; empty without an interval."""
        if self._found is not None:
            return self._found.source
        return FIXED if self.crossfit is None and not np.isnan(self.interval()).any() else ""

    @property
    def remarks(self) -> str:
        """`note`, and remarks about the interval."""
        edge = self._edge
        unknown_variance = self.crossfit.note if self.crossfit and self._found is None else ""
        parts = [self.note, edge.note if edge else "", unknown_variance]
        return "; ".join(dict.fromkeys(filter(None, parts)))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the t interval of `crossfit`, exact limits at the edge, or `fixed_interval`."""
        if self.crossfit is None or np.isnan(self.value):
            return self.fixed_interval(level)
        if edge := self._edge:
            return edge.lower, edge.upper
        return self.crossfit.interval(level)

    @property
    def fixed_se(self) -> float:
        """Standard error for fixed models: by influence, else by resamples."""
        if np.isnan(self.value):
            return float("nan")
        if self.influence is not None:
            return float(np.sqrt(self.influence @ self.influence))
        if self.draws is None or np.isnan(self.draws).all() or len(self.draws) < 2:
            return float("nan")
        return float(np.nanstd(self.draws, ddof=1))

    def fixed_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Interval for fixed models: percentiles of the resamples, or from theory."""
        if np.isnan(self.value):
            return float("nan"), float("nan")
        if self.bounds is not None:
            return self.bounds
        if self.draws is None:
            return float("nan"), float("nan")
        return percentile_interval(self.draws, level)

    @property
    def _found(self) -> CrossfitVariance | None:
        return None if self.crossfit is None else self.crossfit.found

    @property
    def _edge(self) -> EdgeInterval | None:
        """The interval if the variance is 0, else None."""
        if self.crossfit is None or self._found is None or not at_edge(self.crossfit):
            return None
        if self.pairs is None:
            return EdgeInterval(float("nan"), float("nan"), UNMOVED)
        trained = self._found.source != FIXED
        return edge_interval(self.crossfit, self.pairs(), cross_validated=trained)


@dataclass(frozen=True)
class PairedDifference:
    """A metric of one arm minus that of another, on the same patients and resamples.

    Attributes
    ----------
    change : Estimate
    p : float
        Two-sided p value, by the variance of `change`.
    p_fixed : float
        Two-sided p value of a z test that treats the fitted models as fixed.
    """

    change: Estimate
    p: float
    p_fixed: float


def unknown(note: str) -> Estimate:
    """Return a metric that cannot be estimated, with the reason."""
    return Estimate(float("nan"), note=note)


def with_note(measure: Estimate, note: str) -> Estimate:
    """Add a remark to a known metric."""
    if not note or np.isnan(measure.value):
        return measure
    return replace(measure, note="; ".join(filter(None, [measure.note, note])))


def combine(measures: Sequence[Estimate], weights: Sequence[float], note: str = "") -> Estimate:
    """Weighted sum of metrics; unknown if one of them is."""
    if not measures or any(np.isnan(m.value) for m in measures):
        return unknown(note or "one of its parts cannot be estimated")
    w = np.asarray(weights, dtype=np.float64)
    influences = [m.influence for m in measures if m.influence is not None]
    draws = [m.draws for m in measures if m.draws is not None]
    crossfits = [m.crossfit for m in measures if m.crossfit is not None]
    return Estimate(
        float(w @ [m.value for m in measures]),
        w @ np.array(influences) if len(influences) == len(measures) else None,
        w @ np.array(draws) if len(draws) == len(measures) else None,
        note=note,
        crossfit=weighted_sum(crossfits, list(w)) if len(crossfits) == len(measures) else None,
    )


def mean_of_repeats(measures: Sequence[Estimate], note: str = "") -> Estimate:
    """Unweighted mean of a metric over repeats of the same patients."""
    mean = combine(measures, [1 / len(measures)] * len(measures), note)
    return replace(mean, by_repeat=tuple(m.value for m in measures))


def mean_over_folds(panel: Panel, arm: ArmScores, parts: Sequence[Estimate]) -> Estimate:
    """Unweighted mean over the folds of a repeat, then over repeats.

    Folds in which the metric cannot be estimated are skipped. If a fold has no comparable patients
    in a resample, the mean is over the other folds.

    Parameters
    ----------
    parts : sequence of Estimate
        One for each fold of `arm`, with influence by the fold's patients.
    """
    means = []
    for repeat in arm.repeats:
        inside = [
            (fold, part)
            for fold, part in zip(arm.folds, parts, strict=True)
            if fold.repeat == repeat and not np.isnan(part.value)
        ]
        if inside:
            means.append(_mean_of_repeat(panel, inside))
    if not means:
        notes = {p.note for p in parts if p.note}
        return unknown("; ".join(sorted(notes)) or "no fold has comparable patients")
    skipped = sum(bool(np.isnan(p.value)) for p in parts)
    note = f"{skipped} of {len(parts)} folds skipped" if skipped else ""
    return mean_of_repeats(means, note)


def _mean_of_repeat(panel: Panel, inside: Sequence[tuple[FoldScores, Estimate]]) -> Estimate:
    share = 1 / len(inside)
    influence: Floats | None = np.zeros(panel.n)
    for fold, part in inside:
        if part.influence is None or influence is None:
            influence = None
        else:
            influence[fold.patient] += share * part.influence
    stacked = np.array([part.draws for _, part in inside if part.draws is not None])
    draws = None
    if len(stacked) == len(inside):
        known = ~np.isnan(stacked)
        n_known = known.sum(0)
        total = np.where(known, stacked, 0.0).sum(0)
        draws = np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)
    return Estimate(float(np.mean([part.value for _, part in inside])), influence, draws)


def difference(arm: Estimate, baseline: Estimate) -> PairedDifference:
    """Paired difference of two metrics of the same panel.

    The p value is that of a t test by the variance of `outcome.statistics.crossfit_variance`.
    Metrics without one have a z test that treats the fitted models as fixed, with the influence of
    the difference, else with the standard deviation of its paired resamples. Two arms that never
    differ have p = 1.
    """
    value, nothing = arm.value - baseline.value, float("nan")
    if np.isnan(value):
        reasons = sorted({m.note for m in (arm, baseline) if np.isnan(m.value) and m.note})
        return PairedDifference(unknown("; ".join(reasons)), nothing, nothing)
    draws = influence = crossfit = None
    if arm.draws is not None and baseline.draws is not None:
        draws = arm.draws - baseline.draws
    if arm.influence is not None and baseline.influence is not None:
        influence = arm.influence - baseline.influence
    if arm.crossfit is not None and baseline.crossfit is not None:
        crossfit = crossfit_difference(arm.crossfit, baseline.crossfit)
    change = Estimate(value, influence, draws, crossfit=crossfit, pairs=arm.pairs)
    p_fixed = _two_sided(value, change.fixed_se)
    if crossfit is not None:
        return PairedDifference(change, crossfit.p_value, p_fixed)
    note = "" if influence is not None else "standard error from the resamples"
    lower, upper = change.interval()
    if (lower > 0 or upper < 0) != (p_fixed < 0.05) and not np.isnan(lower + p_fixed):
        note = "; ".join(filter(None, [note, "interval and p disagree at 5%"]))
    return PairedDifference(replace(change, note=note), p_fixed, p_fixed)


def _two_sided(value: float, se: float) -> float:
    if np.isnan(se):
        return float("nan")
    if se < 1e-12:  # rounding: the arms rank all pairs identically
        return 1.0 if abs(value) < 1e-12 else float("nan")
    return float(2 * ndtr(-abs(value) / se))


def wald(value: float, se: float, level: float = 0.95) -> tuple[float, float]:
    """Return the normal interval of an estimate."""
    half = float(ndtri(0.5 + level / 2)) * se
    return value - half, value + half
