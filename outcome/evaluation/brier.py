"""Brier scores, and weighted means over patients.

scikit-survival's Brier scores weight an event at t by G(t), but R's riskRegression by G(t-). They
differ from the reference values of R by up to 4e-5. They also have no influence values or
resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel
from outcome.evaluation.censoring_weights import CensoringWeights
from outcome.evaluation.discrimination import beyond_follow_up, thin_follow_up
from outcome.evaluation.estimate import Estimate, combine, mean_of_repeats, unknown, with_note
from outcome.statistics.resampling import ratio

__all__ = [
    "binary_brier",
    "brier_at",
    "integrated_brier",
    "pooled_mean",
]

Floats = NDArray[np.float64]


def pooled_mean(
    panel: Panel, arm: ArmScores, terms: Callable[[FoldScores], tuple[Floats, Floats]]
) -> Estimate:
    """Weighted mean over the patients of all folds of a repeat, then over repeats.

    Parameters
    ----------
    terms : callable
        Fold -> numerator and denominator of each patient, shape (m,); patients whose terms are NaN
        are skipped and counted in the note.
    """
    repeats, left_out = [], 0
    for repeat in arm.repeats:
        above, below = np.zeros(panel.n), np.zeros(panel.n)
        for fold in arm.folds:
            if fold.repeat == repeat:
                a, b = terms(fold)
                known = ~np.isnan(a) & ~np.isnan(b)
                left_out += int((~known).sum())
                above[fold.patient[known]], below[fold.patient[known]] = a[known], b[known]
        total = below.sum()
        if total > 0:
            value = float(above.sum() / total)
            counts = panel.counts.astype(np.float64)
            draws = ratio(counts @ above, counts @ below)
            repeats.append(Estimate(value, (above - value * below) / total, draws))
    note = f"{left_out} predictions are missing" if left_out else ""
    if not repeats:
        return unknown(note or "no patient with a known outcome")
    return mean_of_repeats(repeats, note)


def brier_at(panel: Panel, arm: ArmScores, weights: CensoringWeights, horizon: float) -> Estimate:
    """Brier score of the predicted survival at a horizon, weighted for censoring [1]_.

    Pooled over folds, because calibrated probabilities share a scale. Lower is better; a constant
    0.5 gives 0.25. Censoring weights are taken as known, and the score is divided by their sum. The
    sum is the number of patients if the weights come from the same patients; otherwise, dividing by
    it removes most of the noise of the weights.

    References
    ----------
    .. [1] Graf et al. (1999), Statistics in Medicine 18:2529-2545.
    """
    if reason := beyond_follow_up(arm, weights, horizon):
        return unknown(reason)

    def terms(fold: FoldScores) -> tuple[Floats, Floats]:
        case, control = weights.status_weights(fold, horizon)
        s = fold.survival.get(horizon, np.full(len(fold.patient), np.nan))
        return case * s**2 + control * (1 - s) ** 2, case + control

    return with_note(pooled_mean(panel, arm, terms), thin_follow_up(arm, weights, horizon))


def integrated_brier(scores: Sequence[Estimate], horizons: Sequence[float]) -> Estimate:
    """Brier score, integrated over the horizons by the trapezoidal rule [1]_.

    The integral is divided by the range of the horizons. The time before the first horizon does not
    count, so that the value depends on the horizons.
    Horizons at which the score is unknown are skipped; two are needed.

    References
    ----------
    .. [1] Graf et al. (1999), Statistics in Medicine 18:2529-2545.
    """
    known = [k for k, m in enumerate(scores) if not np.isnan(m.value)]
    if len(known) < 2:
        return unknown("needs the Brier score at two horizons")
    times = np.array([horizons[k] for k in known])
    width = np.diff(times) / (times[-1] - times[0])
    shares = (np.append(width, 0.0) + np.append(0.0, width)) / 2
    left_out = len(scores) - len(known)
    note = f"{left_out} of {len(scores)} horizons skipped" if left_out else ""
    return combine([scores[k] for k in known], list(shares), note)


def binary_brier(panel: Panel, arm: ArmScores) -> Estimate:
    """Mean squared difference of probability and label, pooled over folds; lower is better."""
    return pooled_mean(panel, arm, lambda f: (f.weight * (f.probability - f.event) ** 2, f.weight))
