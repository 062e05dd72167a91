"""Discrimination: concordance, AUC(t), and areas under binary curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel, blocks, entries
from outcome.evaluation.censoring_weights import CensoringWeights
from outcome.evaluation.delayed_entry import WEIGHTS
from outcome.evaluation.estimate import (
    Estimate,
    combine,
    mean_of_repeats,
    mean_over_folds,
    unknown,
    with_note,
)
from outcome.statistics.concordance import concordance
from outcome.statistics.resampling import (
    average_precision_draws,
    concordance_draws,
    ratio,
    roc_area_draws,
)
from outcome.statistics.roc import roc_area

__all__ = ["average_precision", "concordance_measures", "horizon_auc", "mean_auc", "roc_measure"]

Floats = NDArray[np.float64]


def concordance_measures(
    panel: Panel, arm: ArmScores, weights: CensoringWeights | None
) -> dict[str, Estimate]:
    """Harrell's and Uno's C within folds and strata, in one pass over the pairs.

    Parameters
    ----------
    weights : CensoringWeights or None
        None under delayed entry, for which Uno's C is not defined.

    Returns
    -------
    dict
        `harrell_c`, the mean of the folds' C; `harrell_c_pairs`, the pairs of each fold pooled;
        `uno_c`, the mean of the folds' C, weighted by 1 / G(t-)^2 and truncated at tau. Higher
        is better, 0.5 is chance.
    """
    plain, weighted, sums = [], [], []
    for fold in arm.folds:
        uno = [] if weights is None else [_uno_weights(fold, weights)]
        row_weights = np.vstack([np.ones(len(fold.time)), *uno])
        agree, pairs = concordance_draws(
            fold.time, fold.event, fold.risk, panel.counts[:, fold.patient], row_weights,
            fold.stratum, fold.entry,
        )  # fmt: skip
        draws = ratio(agree, pairs)
        plain.append(_fold_concordance(fold, row_weights[0], draws[0]))
        weighted += [_fold_concordance(fold, w, d) for w, d in zip(uno, draws[1:], strict=True)]
        sums.append((agree[0], pairs[0]))
    if weights is None:
        uno_c = unknown(WEIGHTS)
    elif weights.tau is None:
        uno_c = unknown("too few patients under observation to choose tau")
    else:
        uno_c = mean_over_folds(panel, arm, weighted)
    return {
        "harrell_c": mean_over_folds(panel, arm, plain),
        "harrell_c_pairs": _pooled_pairs(panel, arm, sums),
        "uno_c": uno_c,
    }


def _uno_weights(fold: FoldScores, weights: CensoringWeights) -> Floats:
    free = weights.at_event(fold)
    counted = fold.event & (fold.time <= (weights.tau or 0.0)) & (free > 0)
    return np.where(counted, 1 / np.where(counted, free, 1.0) ** 2, 0.0)


def _fold_concordance(fold: FoldScores, weight: Floats, draws: Floats) -> Estimate:
    found = concordance(
        fold.time, fold.event, fold.risk, weight=weight, group=fold.stratum, entry=fold.entry
    )
    if np.isnan(found.c):
        return unknown(f"fewer than 2 comparable pairs in fold {fold.fold}")
    return Estimate(found.c, found.influence, draws)


def _pooled_pairs(panel: Panel, arm: ArmScores, sums: Sequence[tuple[Floats, Floats]]) -> Estimate:
    """Concordance over all pairs of the same fold and stratum; mean over repeats."""
    repeats = []
    for repeat in arm.repeats:
        folds = [(k, f) for k, f in enumerate(arm.folds) if f.repeat == repeat]
        group = blocks([f for _, f in folds])
        time, event, risk, patient = (
            np.concatenate([getattr(f, name) for _, f in folds])
            for name in ("time", "event", "risk", "patient")
        )
        entry = entries([f for _, f in folds])
        found = concordance(time, event, risk, group=group, entry=entry)
        influence = np.zeros(panel.n)
        influence[patient] = found.influence
        draws = ratio(
            np.sum([sums[k][0] for k, _ in folds], axis=0),
            np.sum([sums[k][1] for k, _ in folds], axis=0),
        )
        if not np.isnan(found.c):
            repeats.append(Estimate(found.c, influence, draws))
    if not repeats:
        return unknown("fewer than 2 comparable pairs")
    return mean_of_repeats(repeats)


def horizon_auc(
    panel: Panel, arm: ArmScores, weights: CensoringWeights, horizon: float
) -> Estimate:
    """Cumulative/dynamic AUC at a horizon within folds: cases by then against controls beyond.

    Only pairs within a stratum are compared. Censoring weights are taken as known.
    """
    if reason := beyond_follow_up(arm, weights, horizon):
        return unknown(reason)
    parts = []
    for fold in arm.folds:
        case, control = weights.status_weights(fold, horizon)
        parts.append(_fold_area(panel, fold, case, control))
    return with_note(mean_over_folds(panel, arm, parts), thin_follow_up(arm, weights, horizon))


def thin_follow_up(arm: ArmScores, weights: CensoringWeights, horizon: float) -> str:
    """Return a remark if few patients carry much weight at a horizon; else empty."""
    least = min(float(weights.at(f, horizon).min()) for f in arm.folds)
    return f"few patients are followed to the horizon (G = {least:.3f})" if least < 0.1 else ""


def beyond_follow_up(arm: ArmScores, weights: CensoringWeights, horizon: float) -> str:
    """Return the reason why a horizon cannot be evaluated; else empty."""
    longest = max(float(f.time.max()) for f in arm.folds)
    if weights.closed and horizon > longest:
        return f"the horizon is beyond the last follow-up ({longest:g})"
    if not weights.closed and horizon >= longest:
        return f"the horizon is not before the last follow-up ({longest:g})"
    if min(float(weights.at(f, horizon).min()) for f in arm.folds) <= 0:
        return "no patient used for the censoring weights is followed to the horizon"
    return ""


def _fold_area(panel: Panel, fold: FoldScores, case: Floats, control: Floats) -> Estimate:
    found = roc_area(fold.risk, case, control, group=fold.stratum)
    if found.n_pairs < 2:
        return unknown(f"fewer than 2 comparable pairs in fold {fold.fold}")
    counts = panel.counts[:, fold.patient]
    draws = roc_area_draws(fold.risk, case, control, counts, fold.stratum)
    return Estimate(found.area, found.influence, draws)


def mean_auc(areas: Sequence[Estimate], survival: Sequence[float]) -> Estimate:
    """Mean of AUC(t) over horizons, weighted by the events since the previous horizon.

    Parameters
    ----------
    areas : sequence of Estimate
        AUC at each horizon.
    survival : sequence of float
        Kaplan-Meier survival at each horizon; the weight is its decrease since the previous horizon
        [1]_.

    References
    ----------
    .. [1] Lambert & Chevret (2016), Statistical Methods in Medical Research 25:2088-2102.
    """
    known = [k for k, area in enumerate(areas) if not np.isnan(area.value)]
    if not known:
        return unknown("AUC(t) is unknown at every horizon")
    fall = -np.diff([1.0, *(survival[k] for k in known)])
    if fall.sum() <= 0:
        return unknown("no event before the last horizon")
    left_out = len(areas) - len(known)
    note = f"{left_out} of {len(areas)} horizons skipped" if left_out else ""
    return combine([areas[k] for k in known], list(fall / fall.sum()), note)


def roc_measure(panel: Panel, arm: ArmScores, *, favourable: bool = False) -> Estimate:
    """Area under the ROC curve within folds and strata, mean of the folds.

    Parameters
    ----------
    favourable : bool
        The positive label is the better outcome, so positives are expected to have a low risk.
    """
    parts = []
    for fold in arm.folds:
        case, control = np.where(fold.event, fold.weight, 0.0), fold.weight * ~fold.event
        first, second = (control, case) if favourable else (case, control)
        parts.append(_fold_area(panel, fold, first, second))
    return mean_over_folds(panel, arm, parts)


def average_precision(panel: Panel, arm: ArmScores, *, favourable: bool = False) -> Estimate:
    """Area under the precision-recall curve within folds, mean of the folds.

    The step-wise sum over distinct risks, without interpolation. Chance is the proportion of
    positives, which differs between folds. Folds with one class are skipped: without positives
    precision is undefined, and without negatives it is always 1.
    """
    parts = []
    for fold in arm.folds:
        score = -fold.risk if favourable else fold.risk
        positive = fold.weight * fold.event
        once = np.ones((1, len(score)))
        value = average_precision_draws(score, positive, fold.weight, once)[0]
        if np.isnan(value):
            parts.append(unknown(f"only one class in fold {fold.fold}"))
            continue
        counts = panel.counts[:, fold.patient].astype(np.float64)
        draws = average_precision_draws(score, positive, fold.weight, counts)
        parts.append(Estimate(float(value), draws=draws))
    return mean_over_folds(panel, arm, parts)
