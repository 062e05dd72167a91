"""Metrics within one test fold: a value, and the influence of each patient on it.

These are the terms of `outcome.evaluation.crossfit_estimates`. Every influence value includes a
factor for small samples: a plug-in variance from d cases is too small by (d - 1) / d.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcome.evaluation.arrays import FoldScores
from outcome.evaluation.censoring_weights import CensoringWeights
from outcome.statistics.concordance import concordance
from outcome.statistics.crossfit_variance import small_sample_factor
from outcome.statistics.roc import roc_area

__all__ = [
    "FoldMetric",
    "FoldValue",
    "area_at_horizon",
    "area_of_labels",
    "brier_at_horizon",
    "brier_of_labels",
    "harrell_in_fold",
    "pairs_in_fold",
    "uno_in_fold",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FoldValue:
    """A metric of the test patients of one fold.

    Attributes
    ----------
    value : float
        NaN if it cannot be estimated; `note` gives the reason.
    influence : ndarray, shape (m,)
        Derivative of `value` by each patient's weight, times the small-sample factor.
    size : float
        Weight of the fold in the mean over folds; 1 for equal weights.
    size_influence : ndarray, shape (m,), or None
        Derivative of `size` by each patient's weight; None if it is fixed.
    note : str
    """

    value: float
    influence: Floats
    size: float = 1.0
    size_influence: Floats | None = None
    note: str = ""


FoldMetric = Callable[[FoldScores], FoldValue]


def harrell_in_fold(fold: FoldScores) -> FoldValue:
    """Harrell's C within strata; higher is better. The small-sample count is events."""
    return _concordance(fold, np.ones(len(fold.time)))


def uno_in_fold(weights: CensoringWeights) -> FoldMetric:
    """Uno's C within strata: pairs weigh 1 / G(t-)^2 of the earlier event, up to tau.

    Censoring weights are taken as known. The small-sample count is events up to tau.
    """

    def metric(fold: FoldScores) -> FoldValue:
        if weights.tau is None:
            return _unknown(fold, "too few patients under observation to choose tau")
        free = weights.at_event(fold)
        counted = fold.event & (fold.time <= weights.tau) & (free > 0)
        return _concordance(fold, np.where(counted, 1 / np.where(counted, free, 1.0) ** 2, 0.0))

    return metric


def pairs_in_fold(fold: FoldScores) -> FoldValue:
    """Harrell's C with folds weighted by comparable pairs, i.e. pooled over all pairs."""
    found = concordance(fold.time, fold.event, fold.risk, group=fold.stratum, entry=fold.entry)
    if not found.comparable:
        return _unknown(fold, f"no comparable pair in fold {fold.fold}")
    factor = small_sample_factor(int(fold.event.sum()))
    # The weights of both patients of a single pair cancel in the proportion of concordant pairs.
    moved = found.influence if found.n_pairs > 1 else np.zeros(len(fold.patient))
    c = found.agreeing / found.comparable
    return FoldValue(c, factor * moved, found.comparable, factor * found.pairs)


def area_at_horizon(weights: CensoringWeights, horizon: float) -> FoldMetric:
    """Cumulative/dynamic AUC within strata: cases by the horizon against controls beyond.

    Censoring weights are taken as known; those of a landmark endpoint make it its AUROC.
    """

    def metric(fold: FoldScores) -> FoldValue:
        return _area(fold, *weights.status_weights(fold, horizon))

    return metric


def area_of_labels(*, favourable: bool = False) -> FoldMetric:
    """Area under the ROC curve in strata; `favourable`: the positive label is the better one."""

    def metric(fold: FoldScores) -> FoldValue:
        positive, negative = fold.weight * fold.event, fold.weight * ~fold.event
        return _area(fold, *((negative, positive) if favourable else (positive, negative)))

    return metric


def brier_at_horizon(weights: CensoringWeights, horizon: float) -> FoldMetric:
    """Brier score of the survival at a horizon, weighted for censoring; lower is better.

    The weight of a fold is the sum of the censoring weights of its patients, so the mean over folds
    is the pooled mean. Patients without a predicted survival are skipped.
    """

    def metric(fold: FoldScores) -> FoldValue:
        case, control = weights.status_weights(fold, horizon)
        s = fold.survival.get(horizon, np.full(len(fold.patient), np.nan))
        return _mean(fold, case * s**2 + control * (1 - s) ** 2, case + control)

    return metric


def brier_of_labels(fold: FoldScores) -> FoldValue:
    """Mean squared difference of probability and label, pooled over folds; lower is better."""
    return _mean(fold, fold.weight * (fold.probability - fold.event) ** 2, fold.weight)


def _unknown(fold: FoldScores, note: str) -> FoldValue:
    return FoldValue(float("nan"), np.zeros(len(fold.patient)), note=note)


def _concordance(fold: FoldScores, weight: Floats) -> FoldValue:
    found = concordance(
        fold.time, fold.event, fold.risk, weight=weight, group=fold.stratum, entry=fold.entry
    )
    if np.isnan(found.c):
        return _unknown(fold, f"fewer than 2 comparable pairs in fold {fold.fold}")
    factor = small_sample_factor(int((fold.event & (weight > 0)).sum()))
    return FoldValue(found.c, factor * found.influence)


def _area(fold: FoldScores, case: Floats, control: Floats) -> FoldValue:
    """Cases are averaged over cases and controls over controls, with separate counts.

    With weights of 1 the variance is DeLong's.
    """
    found = roc_area(fold.risk, case, control, group=fold.stratum)
    if found.n_pairs < 2:
        return _unknown(fold, f"fewer than 2 comparable pairs in fold {fold.fold}")
    of_cases = small_sample_factor(int((case > 0).sum()))
    of_controls = small_sample_factor(int((control > 0).sum()))
    return FoldValue(found.area, np.where(case > 0, of_cases, of_controls) * found.influence)


def _mean(fold: FoldScores, above: Floats, below: Floats) -> FoldValue:
    """Ratio of two sums over the patients with both terms known."""
    known = ~np.isnan(above) & ~np.isnan(below)
    above, below = np.where(known, above, 0.0), np.where(known, below, 0.0)
    total = float(below.sum())
    if total <= 0:
        return _unknown(fold, f"no patient with a known outcome in fold {fold.fold}")
    value = float(above.sum() / total)
    factor = small_sample_factor(int((below > 0).sum()))
    left_out = int((~known).sum())
    note = f"{left_out} predictions are missing" if left_out else ""
    return FoldValue(value, factor * (above - value * below) / total, total, factor * below, note)
