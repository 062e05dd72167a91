"""All results of a study, from its table of predictions and one set of resamples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from outcome.endpoint import Endpoint
from outcome.errors import PredictionsError, Problems
from outcome.evaluation.arrays import ArmScores, Panel, read_arms
from outcome.evaluation.comparison import compare_arms
from outcome.evaluation.covariates import MOST_LEVELS, patient_values, without_many_levels
from outcome.evaluation.crossfit_estimates import InnerModelTables, inner_scores_by_arm
from outcome.evaluation.delayed_entry import TREATMENT
from outcome.evaluation.estimate import Estimate
from outcome.evaluation.evaluation_repr import evaluation_html, evaluation_text
from outcome.evaluation.impossible_predictions import impossible_predictions
from outcome.evaluation.in_sample import pooled_notices
from outcome.evaluation.metric_set import InnerByArm
from outcome.evaluation.notes import (
    arm_notices,
    interval_notices,
    reversed_notices,
    small_sample_notices,
)
from outcome.evaluation.outcome_kinds import EvaluatedOutcome, described_outcome, table_outcome
from outcome.evaluation.risk_groups import risk_group_table
from outcome.evaluation.small_samples import untested_below, verdict_withheld
from outcome.evaluation.study_tables import STUDY_TABLES, study_tables
from outcome.evaluation.treatment_effects import treatment_notes
from outcome.predictions import Predictions
from outcome.tables.treatment import TreatmentAssignment

__all__ = [
    "METRIC_COLUMNS",
    "STUDY_TABLES",
    "Evaluation",
    "PatientTables",
    "evaluate",
    "evaluate_endpoint",
    "evaluate_study",
    "further_tables",
    "on_secondary",
]

METRIC_COLUMNS = [
    "arm", "metric", "estimate", "lower", "upper", "n", "events", "se", "df", "variance",
    "lower_fixed", "upper_fixed", "se_fixed", "repeat_sd", "no_verdict", "untested", "note",
]  # fmt: skip
OUTCOMES = ("entry", "time", "event", "label", "weight")
UNIT = "days"


@dataclass(frozen=True)
class Evaluation:
    """All tables of a study.

    Each table is an attribute; in a notebook the main ones are shown.

    Attributes
    ----------
    metrics : DataFrame
        `METRIC_COLUMNS`. `lower` and `upper` are the t interval with standard error `se` and `df`
        degrees of freedom; `variance` names the source of the variance: `inner models`, `twice the
        fixed-model variance`, or `fixed models`. `lower_fixed` and `upper_fixed` treat the fitted
        models as fixed and come from resamples; `se_fixed` comes from the influence values of the
        patients. `repeat_sd` is the spread over repeats; NaN with one repeat. `no_verdict` gives
        the reason if the arm has too few events for a conclusion; `untested` states that intervals
        were not validated with so few events. Both are the same in all rows of an arm.
    comparisons : DataFrame
        `outcome.evaluation.comparison.COMPARISON_COLUMNS`; empty without a baseline or contrasts.
    risk_groups : DataFrame
        One row per arm and group; see `outcome.evaluation.risk_groups.risk_group_table`.
    notes : tuple of str
        How the results were computed and how to interpret them.
    warnings : tuple of str
        Warnings about the results.
    further : mapping of str to DataFrame
        The applicable tables of `outcome.evaluation.study_tables.STUDY_TABLES`, which are also
        attributes (`calibration`, `auc_over_time` ...); empty for `evaluate`.
    unit : str
        Unit of the times: days, months or years; empty without times.
    """

    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    risk_groups: pd.DataFrame
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    further: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    unit: str = ""

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables, by the name of their CSV file in a run folder."""
        return {
            "metrics": self.metrics,
            "comparisons": self.comparisons,
            "risk_groups": self.risk_groups,
            **self.further,
        }

    def __getattr__(self, name: str) -> pd.DataFrame:
        """Return a further table."""
        if name in STUDY_TABLES:
            if name in self.further:
                return self.further[name]
            there = ", ".join(self.tables)
            raise AttributeError(f"this evaluation has no table {name!r}; its tables are {there}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.further})

    def __repr__(self) -> str:
        return evaluation_text(self.metrics, self.tables)

    def _repr_html_(self) -> str:
        """Show metrics, comparisons, risk groups, warnings and notes in a notebook."""
        return evaluation_html(
            self.metrics, self.comparisons, self.risk_groups, self.warnings, self.notes
        )

    @property
    def manifest_part(self) -> dict[str, list[str]]:
        """Notes, warnings and names of the tables, as in a manifest."""
        return {
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "tables": list(self.tables),
        }


@dataclass(frozen=True)
class PatientTables:
    """Tables of patients that accompany predictions.

    Attributes
    ----------
    covariates : DataFrame
        `patient_id` and clinical variables.
    acquisition : DataFrame
        `patient_id`, site, numbers of slides and patches, missing report.
    numeric : sequence of str, optional
        Numeric covariates; by default the columns with only numbers.
    made_of_covariates : collection of str
        Arms whose score is a function of the covariates alone.
    treatment : TreatmentAssignment, optional
        Treatment of each patient.
    """

    covariates: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"patient_id": []}))
    acquisition: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"patient_id": []}))
    numeric: Sequence[str] | None = None
    made_of_covariates: Collection[str] = ()
    treatment: TreatmentAssignment | None = None

    def of(self, predictions: Predictions) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
        """Covariates and acquisition of the scored patients, and covariates that are not used."""
        ids = predictions.table["patient_id"].astype(str).drop_duplicates().tolist()
        covariates, left_out = without_many_levels(
            patient_values(self.covariates, ids, self.numeric)
        )
        acquisition = patient_values(self.acquisition, ids, ACQUISITION_NUMBERS)
        return covariates, acquisition, left_out


ACQUISITION_NUMBERS = ("slides", "patches", "report missing")


def evaluate(
    predictions: Predictions,
    *,
    baseline: str | None = None,
    unit: str = UNIT,
    horizons: Sequence[float] = (),
    inner: Sequence[InnerModelTables] = (),
    n_resamples: int = 1000,
    seed: int = 0,
    cross_validated: bool = True,
    favourable: bool = False,
    contrasts: Sequence[tuple[str, str]] = (),
    landmark: float | None = None,
) -> Evaluation:
    """Evaluate every arm, compare each with the baseline, and describe the risk groups.

    Discrimination is computed within repeat, fold and stratum, averaged over folds, then over
    repeats. Calibrated columns (`survival_<h>`, `probability`), if present, are pooled over folds.
    Intervals and p values of concordance, AUROC, AUC(t) and Brier scores include the variation from
    training, see `outcome.statistics.crossfit_variance`. Those of a single test set, and of all
    other metrics, treat the models as fixed. Columns `*_fixed` treat the models as fixed for every
    metric: percentile bootstraps over patients within folds, with the same resamples for every arm
    and metric.

    Parameters
    ----------
    predictions : Predictions
        A `label` makes the outcome binary; else time and event.
    baseline : str, optional
        The arm to compare with.
    unit : {"days", "months", "years"}
        Unit of the times. Follow-up longer than a human life is an error.
    horizons : sequence of float
        Times at which AUC(t), Brier score and calibration are computed; ascending, in `unit`.
    inner : sequence of InnerModelTables
        Scores by inner models of one or several runs. Arms of a cross-validation without them
        have twice the variance of fixed models.
    n_resamples : int
        0 leaves the bootstrap intervals empty.
    seed : int
        The same seed gives the same resamples, whatever the order of the rows.
    cross_validated : bool
        Censoring weights of a fold come from the other folds; else from the table itself.
    favourable : bool
        For binary outcomes: the positive label is the better outcome, so low risk predicts it.
    contrasts : sequence of (str, str)
        Further comparisons: pairs of an arm and a reference arm. Holm's correction covers these and
        the comparisons with the baseline.
    landmark : float, optional
        The outcome is the event by this time, yes or no: AUROC and Brier with patients weighted
        by the inverse probability of censoring (at most 10), instead of concordance.

    Returns
    -------
    Evaluation

    Raises
    ------
    PredictionsError
        The table, horizons, unit or baseline are invalid; the message lists all problems.
    """
    _check_request(predictions, baseline, contrasts, horizons, n_resamples)
    compared = horizons if landmark is None else [landmark]
    panel, arms = read_arms(
        predictions, n_resamples=n_resamples, seed=seed, unit=unit, horizons=compared
    )
    outcome = table_outcome(
        predictions, unit=unit, horizons=horizons, landmark=landmark, favourable=favourable
    )
    return _evaluated(
        panel, arms, outcome, baseline, contrasts, cross_validated=cross_validated,
        inner=inner_scores_by_arm(inner, panel),
    )  # fmt: skip


def evaluate_endpoint(
    predictions: Predictions,
    endpoint: Endpoint,
    *,
    baseline: str | None = None,
    inner: Sequence[InnerModelTables] = (),
    n_resamples: int = 1000,
    seed: int = 0,
    cross_validated: bool = True,
) -> Evaluation:
    """Run `evaluate` on the endpoint of a study; parameters as there."""
    outcome = endpoint_outcome(endpoint, predictions)
    _check_request(predictions, baseline, (), outcome.horizons, n_resamples)
    unit = outcome.unit or None
    panel, arms = read_arms(
        predictions, n_resamples=n_resamples, seed=seed, unit=unit, horizons=outcome.horizons
    )
    return _evaluated(
        panel, arms, outcome, baseline, (), cross_validated=cross_validated,
        inner=inner_scores_by_arm(inner, panel),
    )  # fmt: skip


def endpoint_outcome(endpoint: Endpoint, predictions: Predictions) -> EvaluatedOutcome:
    """Return the outcome that an endpoint of a study file declares."""
    names = ("kind", "unit", "horizons", "favourable", "strata")
    spec = {name: getattr(endpoint, name, None) for name in names}
    return described_outcome({**spec, "name": endpoint.label}, predictions)


def evaluate_study(
    predictions: Predictions,
    outcome: EvaluatedOutcome,
    secondary: Sequence[Endpoint] = (),
    *,
    patients: PatientTables | None = None,
    baseline: str | None = None,
    contrasts: Sequence[tuple[str, str]] = (),
    inner: Sequence[InnerModelTables] = (),
    n_resamples: int = 1000,
    seed: int = 0,
    cross_validated: bool = True,
) -> Evaluation:
    """Compute all tables of a study, and evaluate the same risks on its secondary endpoints.

    Parameters
    ----------
    predictions : Predictions
    outcome : EvaluatedOutcome
        See `outcome.evaluation.outcome_kinds.described_outcome`.
    secondary : sequence of Endpoint
        Their outcomes are columns `<name>_time`, `<name>_event` and so on.
    patients : PatientTables, optional
        For Table 1, effects of covariates, subgroups and acquisition baselines.
    baseline, contrasts, inner, n_resamples, seed, cross_validated
        As for `evaluate`.

    Returns
    -------
    Evaluation
        With secondary endpoints, metrics, comparisons and risk groups have a column `endpoint`:
        empty for the primary one. Secondary endpoints are descriptive; a note states this.

    Raises
    ------
    PredictionsError
        The tables, horizons, unit or baseline are invalid; the message lists all problems.
    """
    _check_request(predictions, baseline, contrasts, outcome.horizons, n_resamples)
    unit = outcome.unit or None
    panel, arms = read_arms(
        predictions, n_resamples=n_resamples, seed=seed, unit=unit, horizons=outcome.horizons
    )
    by_arm = inner_scores_by_arm(inner, panel)
    found = _evaluated(
        panel, arms, outcome, baseline, contrasts, cross_validated=cross_validated, inner=by_arm
    )
    patients = patients or PatientTables()
    covariates, acquisition, left_out = patients.of(predictions)
    further = study_tables(
        predictions, panel, arms, outcome, covariates=covariates, acquisition=acquisition,
        made_of_covariates=patients.made_of_covariates, cross_validated=cross_validated, seed=seed,
        inner=by_arm, treatment=patients.treatment,
    )  # fmt: skip
    found = replace(found, further=further)
    if patients.treatment is not None and outcome.late:
        found = replace(found, warnings=(*found.warnings, TREATMENT))
    elif patients.treatment is not None:
        notes, warnings = treatment_notes(panel, patients.treatment, further)
        found = replace(found, notes=(*found.notes, *notes), warnings=(*found.warnings, *warnings))
    for endpoint in secondary:
        found = _with_secondary(
            found, predictions, endpoint, baseline=baseline, n_resamples=n_resamples, seed=seed,
            cross_validated=cross_validated, inner=inner,
        )  # fmt: skip
    return replace(found, warnings=(*found.warnings, *left_out_warnings(left_out)))


def further_tables(
    predictions: Predictions,
    outcome: EvaluatedOutcome,
    patients: PatientTables,
    *,
    inner: Sequence[InnerModelTables] = (),
    n_resamples: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Compute tables missing from an older run folder: all except metrics, comparisons and groups.

    Returns
    -------
    tables : dict of str to DataFrame
        See `outcome.evaluation.study_tables.study_tables`.
    warnings : list of str
    """
    panel, arms = read_arms(
        predictions, n_resamples=n_resamples, seed=seed, horizons=outcome.horizons
    )
    covariates, acquisition, left_out = patients.of(predictions)
    tables = study_tables(
        predictions, panel, arms, outcome, covariates=covariates, acquisition=acquisition,
        made_of_covariates=patients.made_of_covariates, seed=seed,
        inner=inner_scores_by_arm(inner, panel), treatment=patients.treatment,
    )  # fmt: skip
    return tables, left_out_warnings(left_out)


def left_out_warnings(covariates: Sequence[str]) -> list[str]:
    """Return warnings about covariates that are not in any table."""
    return [
        f"covariate {c} has more than {MOST_LEVELS} levels and is not used in tables, ratios or "
        "subgroups"
        for c in covariates
    ]


def _with_secondary(
    found: Evaluation,
    predictions: Predictions,
    endpoint: Endpoint,
    *,
    baseline: str | None,
    n_resamples: int,
    seed: int,
    cross_validated: bool,
    inner: Sequence[InnerModelTables],
) -> Evaluation:
    """Append the results on a secondary endpoint."""
    name, table = endpoint.name, on_secondary(predictions.table, endpoint.name)
    if table.empty or not endpoint.positive_outcome(table).any():
        warning = f"secondary endpoint {name}: no patient has an event; not evaluated"
        return replace(_joined(found, None, name), warnings=(*found.warnings, warning))
    judged = evaluate_endpoint(
        Predictions(table), endpoint, baseline=baseline, n_resamples=n_resamples, seed=seed,
        cross_validated=cross_validated, inner=inner,
    )  # fmt: skip
    n = table["patient_id"].nunique()
    lost = predictions.table["patient_id"].nunique() - n
    note = (
        f"secondary endpoint {name}: the same risks and risk groups are evaluated on {n} "
        f"patients (missing in {lost}). Nothing was trained on this endpoint; results are "
        "descriptive"
    )
    warnings = [f"secondary endpoint {name}: {w}" for w in judged.warnings]
    return replace(
        _joined(found, judged, name),
        notes=(*found.notes, note),
        warnings=(*found.warnings, *warnings),
    )


def _joined(found: Evaluation, other: Evaluation | None, name: str) -> Evaluation:
    """Name the endpoint in each table, and append the rows of another one."""

    def join(mine: pd.DataFrame, theirs: pd.DataFrame | None) -> pd.DataFrame:
        named = mine if "endpoint" in mine else mine.assign(endpoint="")
        if theirs is None:
            return named
        return pd.concat([named, theirs.assign(endpoint=name)], ignore_index=True)

    return replace(
        found,
        metrics=join(found.metrics, other.metrics if other else None),
        comparisons=join(found.comparisons, other.comparisons if other else None),
        risk_groups=join(found.risk_groups, other.risk_groups if other else None),
    )


def on_secondary(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows with another outcome, from the columns `<name>_time` and so on.

    Calibrated columns are not used, because they refer to the primary endpoint.
    """
    columns = {f"{name}_{c}": c for c in OUTCOMES if f"{name}_{c}" in table}
    primary = [
        c
        for c in table.columns
        if c in (*OUTCOMES, "probability", "threshold") or str(c).startswith("survival_")
    ]
    other = table.drop(columns=primary).rename(columns=columns)
    return other.dropna(subset=list(columns.values())).reset_index(drop=True)


def _evaluated(
    panel: Panel,
    arms: Sequence[ArmScores],
    outcome: EvaluatedOutcome,
    baseline: str | None,
    contrasts: Sequence[tuple[str, str]],
    *,
    cross_validated: bool,
    inner: InnerByArm,
) -> Evaluation:
    """Evaluate and compare arms that were read once."""
    metrics, notes = outcome.metric_set(panel, arms, cross_validated=cross_validated, inner=inner)
    measured = {arm.name: metrics.measure(arm) for arm in arms}
    primary = [m[metrics.primary] for m in measured.values()]
    notes += interval_notices(arms, primary)
    pairs = [(arm.name, baseline) for arm in arms if baseline not in (None, arm.name)]
    return Evaluation(
        _metric_table(arms, measured, outcome),
        compare_arms(arms, [*pairs, *contrasts], metrics, measured),
        risk_group_table(arms, inner),
        tuple(notes),
        (
            *impossible_predictions(panel, arms, favourable=outcome.favourable),
            *reversed_notices(arms, metrics.primary, primary),
            *small_sample_notices(arms, landmark=outcome.landmark),
            *arm_notices(arms, panel, measured),
            *pooled_notices(arms, favourable=outcome.favourable),
        ),
        unit=outcome.unit,
    )


def _check_request(
    predictions: Predictions,
    baseline: str | None,
    contrasts: Sequence[tuple[str, str]],
    horizons: Sequence[float],
    n_resamples: int,
) -> None:
    problems = Problems("evaluation")
    if baseline is not None and baseline not in predictions.arms:
        problems.add(f"baseline {baseline!r} is not an arm", remedy=f"one of {predictions.arms}")
    if wrong := [c for c in contrasts if len({*c} & {*predictions.arms}) != 2]:
        problems.add("contrasts must be pairs of arms", wrong, f"two of {predictions.arms}")
    values = np.asarray(horizons, dtype=float)
    if not np.isfinite(values).all() or (values <= 0).any():
        problems.add("horizons must be positive numbers", list(horizons))
    elif (np.diff(values) <= 0).any():
        problems.add("horizons must be ascending, without duplicates", list(horizons), "sort them")
    if n_resamples < 0:
        problems.add(f"n_resamples is {n_resamples}", remedy="give 0 or more")
    problems.raise_if_any(PredictionsError)


def _metric_table(
    arms: Sequence[ArmScores],
    measured: Mapping[str, Mapping[str, Estimate]],
    outcome: EvaluatedOutcome,
) -> pd.DataFrame:
    rows = []
    for arm in arms:
        sizes = {
            "arm": arm.name,
            "n": len(arm.patients),
            "events": len(np.unique(np.concatenate([f.patient[outcome.cases(f)]
                                                    for f in arm.folds]))),
            "no_verdict": verdict_withheld(arm, landmark=outcome.landmark),
            "untested": untested_below(arm, landmark=outcome.landmark),
        }  # fmt: skip
        for metric, m in measured[arm.name].items():
            (lower, upper), (lower_fixed, upper_fixed) = m.interval(), m.fixed_interval()
            cells = {
                "metric": metric, "estimate": m.value, "lower": lower, "upper": upper,
                "se": m.se, "df": m.df, "variance": m.source, "lower_fixed": lower_fixed,
                "upper_fixed": upper_fixed, "se_fixed": m.fixed_se, "repeat_sd": m.repeat_sd,
                "note": m.remarks,
            }  # fmt: skip
            rows.append(sizes | cells)
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)
