"""The metrics of each kind of outcome, measured on one arm at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.brier import binary_brier, brier_at, integrated_brier
from outcome.evaluation.calibration import (
    binary_calibration,
    landmark_calibration,
    survival_calibration,
)
from outcome.evaluation.censoring_weights import CensoringWeights
from outcome.evaluation.discrimination import (
    average_precision,
    concordance_measures,
    horizon_auc,
    mean_auc,
    roc_measure,
)
from outcome.evaluation.estimate import Estimate
from outcome.evaluation.horizon_columns import horizon_name
from outcome.evaluation.thresholds import (
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from outcome.statistics.kaplan_meier import kaplan_meier

__all__ = ["MetricSet", "binary_metrics", "landmark_metrics", "survival_metrics"]


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
        """Whether a difference between arms says which is better: not so for calibration."""
        return not metric.startswith(("calibration_", "ici_", "dcal_"))


def survival_metrics(
    panel: Panel, weights: CensoringWeights, horizons: Sequence[float]
) -> MetricSet:
    """Metrics of a time to event."""

    def measure(arm: ArmScores) -> dict[str, Estimate]:
        found = concordance_measures(panel, arm, weights)
        areas = [horizon_auc(panel, arm, weights, h) for h in horizons]
        found.update({f"auc_{horizon_name(h)}": a for h, a in zip(horizons, areas, strict=True)})
        if horizons:
            found["mean_auc"] = mean_auc(areas, _survival_at(arm, horizons))
        predicted = [h for h in horizons if h in arm.folds[0].survival]
        briers = [brier_at(panel, arm, weights, h) for h in predicted]
        found.update(
            {f"brier_{horizon_name(h)}": b for h, b in zip(predicted, briers, strict=True)}
        )
        if len(predicted) > 1:
            found["ibs"] = integrated_brier(briers, predicted)
        found.update(survival_calibration(arm, horizons))
        return found

    return MetricSet("harrell_c", measure)


def landmark_metrics(panel: Panel, weights: CensoringWeights, horizon: float) -> MetricSet:
    """Metrics of the event by a horizon, yes or no, weighted for those censored before.

    `auroc` is the cumulative/dynamic AUC at the horizon; `brier` and calibration are those of
    the column `survival_<horizon>`.
    """

    def measure(arm: ArmScores) -> dict[str, Estimate]:
        found = {"auroc": horizon_auc(panel, arm, weights, horizon)}
        if horizon in arm.folds[0].survival:
            found["brier"] = brier_at(panel, arm, weights, horizon)
        found.update(landmark_calibration(arm, weights, horizon))
        return found

    return MetricSet("auroc", measure)


def binary_metrics(panel: Panel, *, favourable: bool = False) -> MetricSet:
    """Metrics of a yes/no outcome."""

    def measure(arm: ArmScores) -> dict[str, Estimate]:
        found = {
            "auroc": roc_measure(panel, arm, favourable=favourable),
            "auprc": average_precision(panel, arm, favourable=favourable),
            "sensitivity_at_90_specificity": sensitivity_at_specificity(
                panel, arm, favourable=favourable
            ),
            "specificity_at_90_sensitivity": specificity_at_sensitivity(
                panel, arm, favourable=favourable
            ),
        }
        if not all(np.isnan(f.probability).all() for f in arm.folds):
            found["brier"] = binary_brier(panel, arm)
            found.update(binary_calibration(arm))
        return found

    return MetricSet("auroc", measure)


def _survival_at(arm: ArmScores, horizons: Sequence[float]) -> list[float]:
    """Kaplan-Meier survival of the first repeat's patients at the horizons."""
    folds = arm.first_folds
    time = np.concatenate([f.time for f in folds])
    event = np.concatenate([f.event for f in folds])
    return [float(s) for s in kaplan_meier(time, event).at(list(horizons))]
