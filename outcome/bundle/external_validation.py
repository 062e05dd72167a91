"""Predictions of a trained model for patients with outcomes, and recalibrated versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.bundle.bundle import Bundle
from outcome.bundle.new_patients import NewPatients
from outcome.bundle.predict import Scored, arm_table
from outcome.cohort import Cohort
from outcome.counting import plural
from outcome.crossval.absolute_risk import absolute_risk
from outcome.endpoint import same_question
from outcome.errors import BundleError
from outcome.evaluation.horizon_columns import horizon_name
from outcome.outcomes import Outcomes
from outcome.risk.recalibration import (
    Calibration,
    LogisticCalibration,
    SurvivalCalibration,
    fit_calibration,
    survival_at_time,
)

__all__ = ["External", "external_predictions", "without_training_patients"]

RECALIBRATION_FOLDS = 5
FEWEST_EVENTS = 16

Array = NDArray[np.float64]


@dataclass(frozen=True)
class External:
    """Predictions with outcomes.

    Parameters
    ----------
    table : DataFrame
        As `predictions.csv`: the original arm and its recalibrated versions.
    recalibration : DataFrame
        `version, slope`, and for logistic models `intercept`, estimated on all patients. The slope
        multiplies the calibrated log hazard or logit; 1 is ideal. For the original model it is 1,
        because nothing is changed.
    notes : list of str
    """

    table: pd.DataFrame
    recalibration: pd.DataFrame
    notes: list[str]


def check_endpoint(bundle: Bundle, new: NewPatients) -> tuple[NewPatients, list[str]]:
    """Convert follow-up to the unit of the bundle.

    Raises
    ------
    BundleError
        The study has a different kind of endpoint.
    """
    ours, theirs = bundle.endpoint, new.study.endpoint
    if not same_question(ours, theirs):
        raise BundleError(
            f"the model predicts {ours.label!r} ({ours.kind}), but the study's endpoint is "
            f"{theirs.label!r} ({theirs.kind}). To do: declare the same kind of endpoint, with "
            "the same `favourable` and `strata`"
        )
    notes = []
    if ours.unit != theirs.unit:
        notes.append(
            f"follow-up was converted from {theirs.unit} to {ours.unit}, the unit of training"
        )
    # Horizons and the weighting of outcomes are those of the model.
    converted = theirs.in_unit_of(ours, new.cohort.patients)
    asked = ours.model_copy(update={"entry": theirs.entry}) if ours.unit else ours
    cohort = replace(new.cohort, patients=converted, endpoint=asked)
    return replace(new, cohort=cohort), notes


def without_training_patients(
    new: NewPatients, met: Sequence[str]
) -> tuple[NewPatients, list[str]]:
    """Exclude the patients that the model was trained on.

    Raises
    ------
    BundleError
        No patient remains.
    """
    if not met:
        return new, []
    kept = [p for p in new.cohort.patients.index if p not in set(met)]
    if not kept:
        raise BundleError(
            f"all {len(met)} patients were in the training cohort, so they cannot be used for "
            "validation. To do: give other patients, or fit without a fold and validate on the "
            "patients of this fold"
        )
    reason = f"{plural(len(met), 'patient')} of the training cohort"
    cohort = new.cohort.keep(kept, "not in the training cohort", reason)
    slides = {p: s for p, s in new.slides.items() if p in set(kept)}
    note = (
        f"{len(met)} of {len(met) + len(kept)} patients were in the training cohort and are "
        "excluded"
    )
    return replace(new, cohort=cohort, slides=slides), [note]


def external_predictions(
    bundle: Bundle, cohort: Cohort, scored: Scored, table: pd.DataFrame, horizons: Sequence[float]
) -> External:
    """Join predictions with outcomes, and recalibrate them on these patients.

    Parameters
    ----------
    bundle : Bundle
    cohort : Cohort
        With outcomes, in the unit of the bundle.
    scored : Scored
    table : DataFrame
        The table returned by `prediction_table`.
    horizons : sequence of float

    Notes
    -----
    `recalibrated in the large` keeps the slope and estimates the baseline hazard (or intercept) on
    these patients; `recalibrated` also estimates the slope, shrunk towards 1 as in training.
    Recalibration is cross-fitted in five parts: each patient's prediction is made without the part
    that contains the patient, because a calibration that is fitted and evaluated on the same
    patients is optimistic.
    """
    patients = scored.patients
    outcomes = cohort.outcomes(patients, patients)
    known = _outcome_columns(cohort, patients, outcomes)
    risk = table["risk"].to_numpy(dtype=float)
    frozen = arm_table(table, bundle.arm.name)
    if bundle.endpoint.has_threshold:
        frozen["threshold"] = bundle.threshold
    frozen = frozen.assign(**survival_at_time(bundle.calibration, risk, outcomes))
    score = np.asarray(bundle.calibration.linear_predictor(risk))
    events = int(outcomes.worse.sum())
    parts, rows, notes = [frozen], [_as_trained(bundle)], []
    for name, fixed in (("recalibrated in the large", True), ("recalibrated", False)):
        if events < FEWEST_EVENTS:
            notes.append(
                f"{events} events are too few for recalibration ({FEWEST_EVENTS} are needed)"
            )
            break
        whole = fit_calibration(score, outcomes, fixed_slope=fixed)
        rows.append(_row(name, whole))
        parts.append(_recalibrated(bundle, frozen, name, score, outcomes, horizons, fixed))
    joined = pd.concat([p.join(known, on="patient_id") for p in parts], ignore_index=True)
    return External(joined, pd.DataFrame(rows), notes)


def _outcome_columns(cohort: Cohort, patients: Sequence[str], outcomes: Outcomes) -> pd.DataFrame:
    known = cohort.outcome_table(patients)
    if outcomes.stratified:
        known = known.assign(strata=outcomes.strata)
    if outcomes.weight is not None:
        known = known.assign(weight=outcomes.weight)
    return known


def _as_trained(bundle: Bundle) -> dict[str, object]:
    return _row("as trained", replace_slope(bundle.calibration))


def replace_slope(calibration: Calibration) -> Calibration:
    """Return the identity calibration of calibrated scores."""
    if isinstance(calibration, LogisticCalibration):
        return LogisticCalibration(0.0, 1.0)
    return SurvivalCalibration(1.0, calibration.baselines, calibration.longest)


def _row(name: str, calibration: Calibration) -> dict[str, object]:
    row: dict[str, object] = {"version": name, "slope": calibration.slope}
    if isinstance(calibration, LogisticCalibration):
        row["intercept"] = calibration.intercept
    return row


def _recalibrated(
    bundle: Bundle,
    frozen: pd.DataFrame,
    name: str,
    score: Array,
    outcomes: Outcomes,
    horizons: Sequence[float],
    fixed: bool,
) -> pd.DataFrame:
    from sklearn.model_selection import StratifiedKFold

    table = frozen.assign(arm=f"{bundle.arm.name}, {name}")
    divide = StratifiedKFold(RECALIBRATION_FOLDS, shuffle=True, random_state=0)
    for rest, rows in divide.split(score[:, None], outcomes.worse):
        calibration = fit_calibration(score[rest], outcomes[rest], fixed_slope=fixed)
        strata = outcomes.strata[rows].tolist()
        columns = absolute_risk(bundle.endpoint, calibration, score[rows], strata, horizons)
        for column, values in columns.items():
            table.loc[table.index[rows], column] = values
        linear = calibration.linear_predictor(score[rows])
        table.loc[table.index[rows], "linear_predictor"] = linear
        for column, values in survival_at_time(calibration, score[rows], outcomes[rows]).items():
            table.loc[table.index[rows], column] = values
    return table


def usable_horizons(horizons: Sequence[float], cohort: Cohort) -> tuple[list[float], list[str]]:
    """Remove horizons beyond the follow-up of the cohort, with a note."""
    longest = cohort.endpoint.longest_follow_up(cohort.patients)
    if longest is None:
        return [], []
    kept = [h for h in horizons if h < longest]
    gone = [horizon_name(h) for h in horizons if h >= longest]
    notes = (
        [f"horizons without a patient followed beyond them are omitted: {', '.join(gone)}"]
        if gone
        else []
    )
    return kept, notes
