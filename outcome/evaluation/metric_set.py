"""The metrics of each kind of outcome, computed for one arm at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.brier import binary_brier, brier_at, integrated_brier
from outcome.evaluation.calibration import (
    binary_calibration,
    landmark_calibration,
    survival_calibration,
)
from outcome.evaluation.censoring_weights import CensoringWeights
from outcome.evaluation.crossfit_estimates import FoldKey, InnerScores, crossfit_estimate
from outcome.evaluation.delayed_entry import WEIGHTS
from outcome.evaluation.discrimination import (
    average_precision,
    concordance_measures,
    horizon_auc,
    mean_auc,
    roc_measure,
)
from outcome.evaluation.estimate import Estimate, unknown
from outcome.evaluation.fold_metrics import (
    FoldMetric,
    area_at_horizon,
    area_of_labels,
    brier_at_horizon,
    brier_of_labels,
    harrell_in_fold,
    pairs_in_fold,
    uno_in_fold,
)
from outcome.evaluation.horizon_columns import horizon_name
from outcome.evaluation.small_samples import disjoint_pairs_of
from outcome.evaluation.thresholds import (
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from outcome.statistics.kaplan_meier import kaplan_meier

__all__ = [
    "InnerByArm",
    "MetricSet",
    "binary_metrics",
    "landmark_metrics",
    "survival_metrics",
    "with_training",
]

InnerByArm = Mapping[str, Mapping[FoldKey, InnerScores]]
"""Scores by inner models, by arm; arms without them are absent."""


@dataclass(frozen=True)
class MetricSet:
    """The metrics of a kind of outcome.

    Attributes
    ----------
    primary : str
        The metric whose p values are corrected over arms.
    measure : callable
        ArmScores -> metrics by name, in the order in which they are reported.
    """

    primary: str
    measure: Callable[[ArmScores], dict[str, Estimate]]

    @staticmethod
    def is_compared(metric: str) -> bool:
        """Whether a difference between arms shows which is better; not for calibration."""
        return not metric.startswith(("calibration_", "ici_", "dcal_"))


def with_training(
    panel: Panel,
    arm: ArmScores,
    estimate: Estimate,
    metric: FoldMetric,
    inner: InnerByArm | None,
    pairs: Callable[[], list[int]] | None = None,
) -> Estimate:
    """Add the variance from test sampling and training to a metric, unless it is unknown.

    Parameters
    ----------
    estimate : Estimate
        The metric with its resamples.
    metric : callable
        The same metric in one fold.
    inner : mapping, optional
        Arms without inner scores have twice the variance of fixed models.
    pairs : callable, optional
        See `Estimate`.
    """
    if np.isnan(estimate.value):
        return estimate
    found = crossfit_estimate(panel, arm, metric, (inner or {}).get(arm.name))
    return replace(estimate, crossfit=found, pairs=pairs)


def survival_metrics(
    panel: Panel,
    weights: CensoringWeights | None,
    horizons: Sequence[float],
    inner: InnerByArm | None = None,
) -> MetricSet:
    """Metrics of a time to event.

    Parameters
    ----------
    weights : CensoringWeights or None
        None under delayed entry: the metrics that need them are unknown, with the reason.
    """

    def measure(arm: ArmScores) -> dict[str, Estimate]:
        found = concordance_measures(panel, arm, weights)
        pairs = partial(disjoint_pairs_of, arm)
        for name, metric, disjoint in (
            ("harrell_c", harrell_in_fold, pairs),
            ("harrell_c_pairs", pairs_in_fold, None),
        ):
            found[name] = with_training(panel, arm, found[name], metric, inner, disjoint)
        if weights is None:
            return found | _unweighted(arm, horizons) | survival_calibration(arm, horizons)
        uno, disjoint = uno_in_fold(weights), partial(pairs, tau=weights.tau)
        found["uno_c"] = with_training(panel, arm, found["uno_c"], uno, inner, disjoint)
        areas = [_area(panel, arm, weights, h, inner) for h in horizons]
        found.update({f"auc_{horizon_name(h)}": a for h, a in zip(horizons, areas, strict=True)})
        if horizons:
            found["mean_auc"] = mean_auc(areas, _survival_at(arm, horizons))
        predicted = [h for h in horizons if h in arm.folds[0].survival]
        briers = [_brier(panel, arm, weights, h, inner) for h in predicted]
        found.update(
            {f"brier_{horizon_name(h)}": b for h, b in zip(predicted, briers, strict=True)}
        )
        if len(predicted) > 1:
            found["ibs"] = integrated_brier(briers, predicted)
        found.update(survival_calibration(arm, horizons))
        return found

    return MetricSet("harrell_c", measure)


def _unweighted(arm: ArmScores, horizons: Sequence[float]) -> dict[str, Estimate]:
    """Return the metrics that need censoring weights, as unknown."""
    names = [f"auc_{horizon_name(h)}" for h in horizons] + ["mean_auc"] * bool(horizons)
    predicted = [h for h in horizons if h in arm.folds[0].survival]
    names += [f"brier_{horizon_name(h)}" for h in predicted] + ["ibs"] * (len(predicted) > 1)
    return {name: unknown(WEIGHTS) for name in names}


def landmark_metrics(
    panel: Panel, weights: CensoringWeights, horizon: float, inner: InnerByArm | None = None
) -> MetricSet:
    """Metrics of the event by a horizon, yes or no, weighted for earlier censoring.

    `auroc` is the cumulative/dynamic AUC at the horizon; `brier` and calibration are those of
    the column `survival_<horizon>`.
    """

    def measure(arm: ArmScores) -> dict[str, Estimate]:
        found = {"auroc": _area(panel, arm, weights, horizon, inner)}
        if horizon in arm.folds[0].survival:
            found["brier"] = _brier(panel, arm, weights, horizon, inner)
        found.update(landmark_calibration(arm, weights, horizon))
        return found

    return MetricSet("auroc", measure)


def binary_metrics(
    panel: Panel, *, favourable: bool = False, inner: InnerByArm | None = None
) -> MetricSet:
    """Metrics of a yes/no outcome."""

    def measure(arm: ArmScores) -> dict[str, Estimate]:
        auroc = roc_measure(panel, arm, favourable=favourable)
        area, pairs = area_of_labels(favourable=favourable), partial(disjoint_pairs_of, arm)
        found = {
            "auroc": with_training(panel, arm, auroc, area, inner, pairs),
            "auprc": average_precision(panel, arm, favourable=favourable),
            "sensitivity_at_90_specificity": sensitivity_at_specificity(
                panel, arm, favourable=favourable
            ),
            "specificity_at_90_sensitivity": specificity_at_sensitivity(
                panel, arm, favourable=favourable
            ),
        }
        if not all(np.isnan(f.probability).all() for f in arm.folds):
            brier = binary_brier(panel, arm)
            found["brier"] = with_training(panel, arm, brier, brier_of_labels, inner)
            found.update(binary_calibration(arm))
        return found

    return MetricSet("auroc", measure)


def _area(
    panel: Panel,
    arm: ArmScores,
    weights: CensoringWeights,
    horizon: float,
    inner: InnerByArm | None,
) -> Estimate:
    area = horizon_auc(panel, arm, weights, horizon)
    pairs = partial(disjoint_pairs_of, arm, landmark=horizon)
    return with_training(panel, arm, area, area_at_horizon(weights, horizon), inner, pairs)


def _brier(
    panel: Panel,
    arm: ArmScores,
    weights: CensoringWeights,
    horizon: float,
    inner: InnerByArm | None,
) -> Estimate:
    score = brier_at(panel, arm, weights, horizon)
    return with_training(panel, arm, score, brier_at_horizon(weights, horizon), inner)


def _survival_at(arm: ArmScores, horizons: Sequence[float]) -> list[float]:
    """Kaplan-Meier survival of the first repeat's patients at the horizons."""
    folds = arm.first_folds
    time = np.concatenate([f.time for f in folds])
    event = np.concatenate([f.event for f in folds])
    return [float(s) for s in kaplan_meier(time, event).at(list(horizons))]
