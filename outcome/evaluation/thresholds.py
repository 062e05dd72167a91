"""Sensitivity and specificity at a threshold on the risk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel
from outcome.evaluation.brier import pooled_mean
from outcome.evaluation.estimate import Estimate, unknown

__all__ = ["sensitivity_at_specificity", "specificity_at_sensitivity"]

Floats = NDArray[np.float64]


def sensitivity_at_specificity(
    panel: Panel, arm: ArmScores, specificity: float = 0.9, *, favourable: bool = False
) -> Estimate:
    """Proportion of positive patients classified as positive, at a threshold for a specificity.

    The threshold is the column `threshold` of the predictions: a risk, chosen on development
    patients. Patients above it are classified as positive. If the positive label is the better
    outcome (`favourable`), patients below it are, because a higher risk is worse. Without such a
    column, the threshold is chosen on the negatives of each fold, which is optimistic; the note
    states this. A fold without a threshold, or without patients of both classes, is skipped, as for
    AUROC. The note also gives the specificity that was reached.
    """
    return _at_threshold(panel, arm, specificity, favourable=favourable, of_positives=True)


def specificity_at_sensitivity(
    panel: Panel, arm: ArmScores, sensitivity: float = 0.9, *, favourable: bool = False
) -> Estimate:
    """Proportion of negative patients classified as negative, at a threshold for a sensitivity.

    The threshold comes from the positives of each fold, which is optimistic. Folds without patients
    of both classes are skipped, as for AUROC.
    """
    return _at_threshold(panel, arm, sensitivity, favourable=favourable, of_positives=False)


def _at_threshold(
    panel: Panel, arm: ArmScores, share: float, *, favourable: bool, of_positives: bool
) -> Estimate:
    borrowed = of_positives and not all(np.isnan(f.threshold).all() for f in arm.folds)
    usable = [f for f in arm.folds if _has_threshold(f, borrowed=borrowed)]
    if not usable:
        return unknown("no fold has a threshold" if borrowed else "no fold has both classes")
    skipped, arm = len(arm.folds) - len(usable), ArmScores(arm.name, tuple(usable))

    def called(fold: FoldScores) -> NDArray[np.bool_]:
        score = -fold.risk if favourable else fold.risk
        if borrowed:
            return score > (-fold.threshold if favourable else fold.threshold)
        if of_positives:
            return score > _quantile(score, fold.weight * ~fold.event, share)
        return score >= -_quantile(-score, fold.weight * fold.event, share)

    def hits(fold: FoldScores) -> tuple[Floats, Floats]:
        w = fold.weight * fold.event
        return w * called(fold), w

    def spared(fold: FoldScores) -> tuple[Floats, Floats]:
        w = fold.weight * ~fold.event
        return w * ~called(fold), w

    wanted, other = (hits, spared) if of_positives else (spared, hits)
    found, reached = pooled_mean(panel, arm, wanted), pooled_mean(panel, arm, other)
    if np.isnan(found.value):
        return found
    name = "specificity" if of_positives else "sensitivity"
    source = "development patients" if borrowed else "these patients, and therefore optimistic"
    share_reached = "is unknown" if np.isnan(reached.value) else f"reached {reached.value:.3f}"
    note = f"{name} {share_reached}; threshold from {source}"
    if skipped:
        note += f"; {skipped} of {skipped + len(usable)} folds skipped"
    if not borrowed:  # resamples with a fixed threshold would ignore the variation of the threshold
        found = replace(found, draws=None, influence=None)
        note += ", and without an interval"
    return replace(found, note=note)


def _has_threshold(fold: FoldScores, *, borrowed: bool) -> bool:
    """Whether all patients of a fold can be classified, each with a known threshold."""
    if borrowed:
        return not np.isnan(fold.threshold).any()
    return bool(min(fold.weight[fold.event].sum(), fold.weight[~fold.event].sum()) > 0)


def _quantile(score: Floats, weight: Floats, share: float) -> float:
    """Smallest score with at least `share` of the weight at or below it."""
    order = np.argsort(score, kind="stable")
    total = weight.sum()
    reached = np.cumsum(weight[order]) >= share * total - 1e-9 * total
    return float(score[order][int(np.argmax(reached))])
