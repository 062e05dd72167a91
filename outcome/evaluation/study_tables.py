"""All tables of a study except metrics, comparisons and risk groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from outcome.evaluation.acquisition_baselines import nuisance_baselines
from outcome.evaluation.added_value import added_value
from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.auc_over_time import auc_over_time
from outcome.evaluation.calibration import calibration_points
from outcome.evaluation.decision_curve import decision_curves
from outcome.evaluation.effects import effects
from outcome.evaluation.fold_scores import fold_scores, fold_spread, risk_range
from outcome.evaluation.individual_uncertainty import (
    inner_model_spread,
    set_aside,
    survival_bounds,
)
from outcome.evaluation.metric_set import InnerByArm
from outcome.evaluation.outcome_kinds import EvaluatedOutcome
from outcome.evaluation.roc_curves import roc_curves, score_distribution
from outcome.evaluation.subdistribution import subdistribution_ratios
from outcome.evaluation.subgroups import subgroups
from outcome.evaluation.survival_curves import (
    best_cuts,
    follow_up,
    incidence_at,
    incidence_curves,
    pairwise_tests,
    restricted_means,
    survival_at,
    survival_curves,
)
from outcome.evaluation.table_one import characteristics_tables
from outcome.evaluation.treatment_effects import TREATMENT_TABLES, treatment_tables
from outcome.predictions import Predictions
from outcome.tables.treatment import TreatmentAssignment

__all__ = ["STUDY_TABLES", "study_tables"]

STUDY_TABLES = (
    "characteristics",
    "characteristics_by_fold",
    "characteristics_by_site",
    "follow_up",
    "survival_curves",
    "survival_at",
    "pairwise",
    "restricted_means",
    "best_cuts",
    "incidence",
    "incidence_curves",
    "auc_over_time",
    "fold_scores",
    "fold_spread",
    "risk_range",
    "roc_curves",
    "score_distribution",
    "calibration",
    "decision_curves",
    "added_value",
    "effects",
    "subdistribution",
    "subgroups",
    "nuisance",
    *TREATMENT_TABLES,
    "inner_model_spread",
    "set_aside",
    "survival_bounds",
)
"""Names of the tables that `study_tables` may return, in its order."""


def study_tables(
    predictions: Predictions,
    panel: Panel,
    arms: Sequence[ArmScores],
    outcome: EvaluatedOutcome,
    *,
    covariates: pd.DataFrame,
    acquisition: pd.DataFrame,
    made_of_covariates: Collection[str] = (),
    cross_validated: bool = True,
    seed: int = 0,
    inner: InnerByArm | None = None,
    treatment: TreatmentAssignment | None = None,
) -> dict[str, pd.DataFrame]:
    """Compute all tables that are possible with the predictions and tables of patients.

    Parameters
    ----------
    predictions : Predictions
    panel, arms
        The same predictions as arrays, see `outcome.evaluation.arrays.read_arms`.
    outcome : EvaluatedOutcome
    covariates : DataFrame
        `patient_id` and clinical variables: Table 1, hazard (odds) ratios, added value, and
        subgroups, also by site and stratum.
    acquisition : DataFrame
        `patient_id`, site, numbers of slides and patches, missing report.
    made_of_covariates : collection of str
        Arms whose score is a function of the covariates alone. The score is neither added to them
        nor adjusted for them.
    cross_validated : bool
        Censoring weights of a fold come from the other folds.
    seed : int
        Seed of the permutations for a maximally selected cut-off.
    inner : mapping, optional
        Scores by inner models, by arm: for AUC over time and subgroups.
    treatment : TreatmentAssignment, optional
        Treatment of each patient, for the dependence of the treatment effect on the score.

    Returns
    -------
    dict of str to DataFrame
        The applicable tables of `STUDY_TABLES` that are not empty. Not available under delayed
        entry: AUC over time, decision curves, best cuts, treatment effects, subdistribution
        hazards, patients set aside and survival bounds.

    Raises
    ------
    PredictionsError
        The tables of patients cannot be used.
    """
    plain = panel.without_resamples()
    once = predictions.table.drop_duplicates("patient_id")
    once = once.assign(patient_id=once["patient_id"].astype(str)).set_index("patient_id")
    found = characteristics_tables(
        covariates, acquisition, status=outcome.status(once), order=outcome.status_words,
        fold=_first_folds(predictions),
    )  # fmt: skip
    if outcome.times:
        found |= _of_times(arms, outcome, seed=seed)
    if outcome.ranks_times and not outcome.late:
        found["auc_over_time"] = auc_over_time(
            plain, arms, outcome.horizons, cross_validated=cross_validated, inner=inner
        )
    if not outcome.ranks_times:
        found["roc_curves"] = roc_curves(arms, outcome)
        found["score_distribution"] = score_distribution(arms, outcome)
    found["fold_scores"] = fold_scores(plain, arms, outcome, cross_validated=cross_validated)
    found["fold_spread"] = fold_spread(found["fold_scores"])
    found["risk_range"] = risk_range(arms)
    found["calibration"] = calibration_points(
        arms, outcome.horizons, landmark=outcome.landmark, cross_validated=cross_validated
    )
    if not outcome.late:
        found["decision_curves"] = decision_curves(arms, outcome.horizons)
    has_covariates = len(covariates.columns) > 1
    if has_covariates:
        others = [arm for arm in arms if arm.name not in made_of_covariates]
        found["added_value"] = added_value(plain, others, covariates)
    known = covariates if has_covariates else None
    found["effects"] = effects(plain, arms, known, made_of_covariates=made_of_covariates)
    if outcome.competing and not outcome.late:
        found["subdistribution"] = subdistribution_ratios(
            plain, arms, found["effects"], known, made_of_covariates=made_of_covariates
        )
    parts = _subgroup_variables(once, covariates, acquisition, outcome)
    if len(parts.columns) > 1:
        found["subgroups"] = subgroups(
            plain, arms, parts, horizon=outcome.horizons[-1] if outcome.horizons else None,
            favourable=outcome.favourable, inner=inner,
        )  # fmt: skip
    if len(acquisition.columns) > 1:
        found["nuisance"] = nuisance_baselines(panel, arms[0], outcome, acquisition)
    if treatment is not None and not outcome.late:
        found |= treatment_tables(panel, arms, outcome, treatment, covariates)
    spread = (plain, arms, inner or {}, outcome.horizons)
    found["inner_model_spread"] = inner_model_spread(*spread)
    found["set_aside"] = set_aside(*spread, favourable=outcome.favourable)
    found["survival_bounds"] = survival_bounds(predictions)
    undefined = {"set_aside", "survival_bounds"} if outcome.late else set()
    names = [n for n in STUDY_TABLES if n in found and n not in undefined]
    return {name: found[name] for name in names if len(found[name])}


def _of_times(
    arms: Sequence[ArmScores], outcome: EvaluatedOutcome, *, seed: int
) -> dict[str, pd.DataFrame]:
    horizons = outcome.horizons
    found = {
        "follow_up": follow_up(arms, horizons),
        "survival_curves": survival_curves(arms),
        "survival_at": survival_at(arms, horizons),
        "pairwise": pairwise_tests(arms),
    }
    if horizons:
        found["restricted_means"] = restricted_means(arms, horizons[-1])
    if _one_scale(arms) and not outcome.late:
        found["best_cuts"] = best_cuts(arms, seed=seed)
    if outcome.competing:
        found["incidence"] = incidence_at(arms, horizons)
        found["incidence_curves"] = incidence_curves(arms)
    return found


def _one_scale(arms: Sequence[ArmScores]) -> bool:
    """Whether all risks of an arm are from one model and stratum."""
    folds = {f.fold for arm in arms for f in arm.folds}
    repeats = {f.repeat for arm in arms for f in arm.folds}
    strata = {int(s) for arm in arms for f in arm.folds for s in f.stratum}
    return len(folds) == len(repeats) == len(strata) == 1


def _first_folds(predictions: Predictions) -> pd.Series:
    """Test fold of each patient, from the first arm and repeat."""
    rows = predictions.arm(predictions.arms[0])
    rows = rows[rows["repeat"] == rows["repeat"].iloc[0]]
    return pd.Series(rows["fold"].astype(str).to_numpy(), index=rows["patient_id"].astype(str))


def _subgroup_variables(
    once: pd.DataFrame,
    covariates: pd.DataFrame,
    acquisition: pd.DataFrame,
    outcome: EvaluatedOutcome,
) -> pd.DataFrame:
    """Return the variables that define subgroups: covariates, site and stratum."""
    parts = covariates
    if "site" in acquisition and "site" not in parts:
        site = acquisition.set_index("patient_id")["site"]
        parts = parts.assign(site=parts["patient_id"].map(site))
    name = outcome.strata or "stratum"
    if "strata" in once and name not in parts:
        parts = parts.assign(**{name: parts["patient_id"].map(once["strata"].astype(str))})
    return parts
