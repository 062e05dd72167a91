"""Every table beside metrics, comparisons and risk groups that a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from outcome.evaluation.acquisition_baselines import nuisance_baselines
from outcome.evaluation.added_value import added_value, effects
from outcome.evaluation.calibration import calibration_points
from outcome.evaluation.decision_curve import decision_curves
from outcome.evaluation.over_time_and_folds import auc_over_time, fold_scores
from outcome.evaluation.subgroups import subgroups
from outcome.evaluation.survival_curves import (
    best_cuts,
    follow_up,
    incidence_at,
    pairwise_tests,
    restricted_means,
    survival_at,
    survival_curves,
)
from outcome.predictions import Predictions

__all__ = ["FURTHER", "Question", "further_tables"]

FURTHER = (
    "follow_up",
    "survival_curves",
    "survival_at",
    "pairwise",
    "restricted_means",
    "best_cuts",
    "incidence",
    "auc_over_time",
    "fold_scores",
    "calibration",
    "decision_curves",
    "added_value",
    "effects",
    "subgroups",
    "nuisance",
)
"""Names of the tables that `further_tables` may return, in its order."""


@dataclass(frozen=True)
class Question:
    """What is asked of the predictions.

    Parameters
    ----------
    horizons : tuple of float
        Ascending, in the unit of the times.
    landmark : float, optional
        The outcome is the event by this time.
    favourable : bool
        The positive label is the better outcome.
    cross_validated : bool
        Censoring weights of a fold come from the other folds.
    n_resamples, seed : int
        Of the bootstrap.
    """

    horizons: tuple[float, ...] = ()
    landmark: float | None = None
    favourable: bool = False
    cross_validated: bool = True
    n_resamples: int = 1000
    seed: int = 0


def further_tables(
    predictions: Predictions,
    question: Question,
    *,
    covariates: pd.DataFrame | None = None,
    subgrouping: pd.DataFrame | None = None,
    acquisition: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Compute whatever the predictions and the tables beside them allow.

    Parameters
    ----------
    predictions : Predictions
    question : Question
    covariates : DataFrame, optional
        `patient_id` and clinical variables: hazard (odds) ratios and added value.
    subgrouping : DataFrame, optional
        `patient_id` and what subgroups are made by; by default the covariates.
    acquisition : DataFrame, optional
        `patient_id`, site, numbers of slides and patches, missing report: nuisance baselines.

    Returns
    -------
    dict of str to DataFrame
        Those of `FURTHER` that apply and are not empty.

    Raises
    ------
    PredictionsError
        The predictions cannot be evaluated.
    """
    table = predictions.table
    found = _timed(predictions, question) if predictions.kind == "survival" else {}
    found["fold_scores"] = fold_scores(
        predictions,
        favourable=question.favourable,
        landmark=question.landmark,
        cross_validated=question.cross_validated,
    )
    if "probability" in table or any(str(c).startswith("survival_") for c in table):
        found["calibration"] = calibration_points(
            predictions,
            question.horizons,
            landmark=question.landmark,
            cross_validated=question.cross_validated,
        )
        found["decision_curves"] = decision_curves(predictions, question.horizons)
    with_values = covariates is not None and len(covariates.columns) > 1
    if with_values and covariates is not None:
        found["added_value"] = added_value(predictions, covariates)
    found["effects"] = effects(predictions, covariates if with_values else None)
    parts = subgrouping if subgrouping is not None else covariates
    if parts is not None and len(parts.columns) > 1:
        found["subgroups"] = subgroups(
            predictions,
            parts,
            horizon=question.horizons[-1] if question.horizons else None,
            favourable=question.favourable,
            n_resamples=0,
        )
    if acquisition is not None and len(acquisition.columns) > 1:
        found["nuisance"] = nuisance_baselines(
            predictions,
            acquisition,
            favourable=question.favourable,
            landmark=question.landmark,
            n_resamples=question.n_resamples,
            seed=question.seed,
        )
    return {name: found[name] for name in FURTHER if name in found and len(found[name])}


def _timed(predictions: Predictions, question: Question) -> dict[str, pd.DataFrame]:
    table, horizons = predictions.table, question.horizons
    found = {
        "follow_up": follow_up(predictions, horizons),
        "survival_curves": survival_curves(predictions),
        "survival_at": survival_at(predictions, horizons),
        "pairwise": pairwise_tests(predictions),
    }
    if horizons:
        found["restricted_means"] = restricted_means(predictions, horizons[-1])
    one_scale = table["fold"].nunique() == 1 and _one(table, "repeat") and _one(table, "strata")
    if one_scale:
        found["best_cuts"] = best_cuts(predictions, seed=question.seed)
    if (table["event"].astype(float) == 2).any():
        found["incidence"] = incidence_at(predictions, horizons)
    if question.landmark is None:
        found["auc_over_time"] = auc_over_time(
            predictions, horizons, cross_validated=question.cross_validated
        )
    return found


def _one(table: pd.DataFrame, name: str) -> bool:
    return name not in table or table[name].nunique() == 1
