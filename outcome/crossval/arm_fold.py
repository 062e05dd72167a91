"""One arm on one outer fold: members joined, calibrated, cut into risk groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.cohort import Cohort, Fold
from outcome.crossval.inner_scores import inner_scores
from outcome.crossval.late_fusion import MemberScores, fuse
from outcome.crossval.outer_fold import HISTORY
from outcome.crossval.selection import specificity_threshold
from outcome.dataset.study_data import StudyData
from outcome.endpoint import Binary, Endpoint, Landmark, TimeToEvent
from outcome.evaluation.horizon_columns import horizon_name
from outcome.risk.cutoffs import cut_offs, cut_p_value, risk_groups
from outcome.risk.recalibration import (
    Calibration,
    LogisticCalibration,
    Outcomes,
    fit_calibration,
    survival_at_time,
)
from outcome.statistics.censoring import landmark_weights
from outcome.study import Arm, Study
from outcome.training.arm_members import members
from outcome.training.fold_data import censoring

__all__ = [
    "ArmFold",
    "Settled",
    "assemble",
    "cohort_outcomes",
    "fold_outcomes",
    "joined_predictions",
    "settle",
]

OUTCOMES = ("time", "event", "label")


@dataclass(frozen=True)
class ArmFold:
    """One arm on one outer fold, finished.

    Parameters
    ----------
    development, test : DataFrame
        Rows of `development.csv` and `predictions.csv`, without the outcomes.
    inner_scores : DataFrame
        Rows of `inner_scores.csv`; see `outcome.crossval.inner_scores`.
    history : DataFrame
        Losses per model, inner fold and epoch; empty for a linear arm.
    models : list of dict
        Per member: `model`, `epochs` or `penalty`, `weight`.
    calibration : Calibration
    cuts : dict of stratum to tuple of float
    cut_p : float
        Of a maximally selected cut, in development, corrected for the search; else NaN.
    inner_folds : int
    few : bool
        Too few development events to calibrate, or to choose anything by.
    """

    arm: str
    repeat: int
    fold: str
    development: pd.DataFrame
    test: pd.DataFrame
    inner_scores: pd.DataFrame
    history: pd.DataFrame
    models: list[dict[str, Any]]
    calibration: Calibration
    cuts: dict[str, tuple[float, ...]]
    cut_p: float
    inner_folds: int
    few: bool


def fold_outcomes(
    study_data: StudyData, patients: Sequence[str], development: Sequence[str]
) -> Outcomes:
    """Outcomes of some patients; censoring weights are those of `development`."""
    return cohort_outcomes(study_data.cohort, patients, development)


def cohort_outcomes(
    cohort: Cohort, patients: Sequence[str], development: Sequence[str]
) -> Outcomes:
    """Do the same of a cohort alone."""
    table, endpoint = cohort.patients, cohort.endpoint
    rows = table.loc[list(patients)]
    n = len(rows)
    strata = rows["strata"].to_numpy(dtype=str) if "strata" in rows else np.full(n, "")
    if isinstance(endpoint, Binary):
        worse = (rows["label"].to_numpy() == 1) != endpoint.favourable
        return Outcomes(worse, None, worse.astype(np.int64), strata, np.ones(n))
    code = rows["event"].to_numpy(dtype=np.int64)
    time = rows["time"].to_numpy(dtype=float)
    if isinstance(endpoint, Landmark):
        curve = censoring(table.loc[list(development)])
        by_then, weight = landmark_weights(time, code, endpoint.horizon, curve)
        return Outcomes(by_then, None, code, strata, weight)
    return Outcomes(code == 1, time, code, strata, np.ones(n))


@dataclass(frozen=True)
class Settled:
    """What an arm's development patients fix before anybody else is looked at.

    Parameters
    ----------
    tune : list of array
        Out-of-fold risks per inner fold.
    test : array
        Risks of the test patients.
    test_by_inner : array, shape (inner models, n)
        The same by each inner model.
    weights : list of float
        Of each member's centred risk.
    calibration : Calibration
    cuts : dict of stratum to tuple of float
    cut_p : float
    threshold : float
        Risk that 90% of the development patients with the better outcome do not exceed.
    """

    tune: list[NDArray[np.float64]]
    test: NDArray[np.float64]
    test_by_inner: NDArray[np.float64]
    weights: list[float]
    calibration: Calibration
    cuts: dict[str, tuple[float, ...]]
    cut_p: float
    threshold: float


def settle(
    study: Study,
    study_data: StudyData,
    fold: Fold,
    arm: Arm,
    scores: Sequence[MemberScores],
    *,
    few: bool,
) -> Settled:
    """Join the members of an arm, calibrate it and cut it; parameters as `assemble`."""
    patients = [p for i in fold.inner for p in i.tune]
    outcomes = fold_outcomes(study_data, patients, fold.development)
    stacked = arm.fusion == "stacked"
    tune, risk, by_inner, weights = fuse(scores, outcomes, learned=stacked, fixed_slope=few)
    joined = np.concatenate(tune)
    return Settled(
        tune,
        risk,
        by_inner,
        weights,
        fit_calibration(joined, outcomes, fixed_slope=few),
        cut_offs(joined, outcomes, study.risk_groups, study.endpoint.strata is not None),
        cut_p_value(joined, outcomes, study.risk_groups),
        specificity_threshold(
            joined,
            outcomes,
            favourable=isinstance(study.endpoint, Binary) and study.endpoint.favourable,
        ),
    )


def assemble(
    study: Study,
    study_data: StudyData,
    fold: Fold,
    arm: Arm,
    scores: Sequence[MemberScores],
    *,
    few: bool,
) -> ArmFold:
    """Join the members of an arm; nothing here sees a test outcome.

    Parameters
    ----------
    scores : sequence of MemberScores
        In the order of `members(arm)`.
    few : bool
        Too few development events to calibrate: slope 1, equal weights.
    """
    found = settle(study, study_data, fold, arm, scores, few=few)
    tune, risk, calibration, cuts = found.tune, found.test, found.calibration, found.cuts
    where = {"arm": arm.name, "repeat": fold.repeat, "fold": fold.name}
    inner = [
        pd.DataFrame({**where, "inner_fold": i.name, "patient_id": i.tune, "risk": r})
        for i, r in zip(fold.inner, tune, strict=True)
    ]
    strata = fold_outcomes(study_data, fold.test, fold.development).strata.tolist()
    test = pd.DataFrame({"arm": arm.name, "patient_id": fold.test})
    test = test.assign(repeat=fold.repeat, fold=fold.name, risk=risk)
    test["risk_group"] = risk_groups(risk, strata, cuts)
    test["linear_predictor"] = calibration.linear_predictor(risk)
    for column, values in _absolute(study, calibration, risk, strata).items():
        test[column] = values
    if isinstance(study.endpoint, Binary):
        test["threshold"] = found.threshold
    history = [s.history for s in scores if len(s.history)]
    empty = pd.DataFrame(columns=HISTORY)
    return ArmFold(
        arm=arm.name,
        repeat=fold.repeat,
        fold=fold.name,
        development=pd.concat(inner, ignore_index=True),
        test=test,
        inner_scores=inner_scores(
            arm.name,
            fold,
            found.test_by_inner,
            lambda risk: _absolute(study, calibration, risk, strata),
        ),
        history=pd.concat(history).assign(arm=arm.name)[HISTORY] if history else empty,
        models=_models(arm, scores, found.weights),
        calibration=calibration,
        cuts=cuts,
        cut_p=found.cut_p,
        inner_folds=len(fold.inner),
        few=few,
    )


def _absolute(
    study: Study, calibration: Calibration, risk: NDArray[np.float64], strata: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Columns of calibrated absolute risk."""
    endpoint = study.endpoint
    if isinstance(endpoint, Binary):
        assert isinstance(calibration, LogisticCalibration)
        worse = calibration.probability(risk)
        return {"probability": 1 - worse if endpoint.favourable else worse}
    if isinstance(calibration, LogisticCalibration):
        horizon = endpoint.horizons[0]
        return {f"survival_{horizon_name(horizon)}": 1 - calibration.probability(risk)}
    return {
        f"survival_{horizon_name(h)}": calibration.survival(risk, strata, h)
        for h in endpoint.horizons
    }


def _models(
    arm: Arm, scores: Sequence[MemberScores], weights: Sequence[float]
) -> list[dict[str, Any]]:
    found = []
    for member, s, weight in zip(members(arm), scores, weights, strict=True):
        chosen = {"penalty": s.penalty} if s.epochs is None else {"epochs": s.epochs}
        about = {"model": member.name, **chosen, "weight": round(weight, 4)}
        found.append(about | ({"searched": s.changes} if s.changes else {}))
    return found


def joined_predictions(
    finished: Sequence[ArmFold], study_data: StudyData, secondary: Sequence[Endpoint] = ()
) -> pd.DataFrame:
    """Join test scores with outcomes; columns in the order of the run folder."""
    patients, endpoint = study_data.cohort.patients, study_data.cohort.endpoint
    outcome = [c for c in OUTCOMES if c in patients]
    further = [f"{e.name}_{c}" for e in secondary for c in OUTCOMES]
    columns = [*outcome, *patients.columns.intersection(["strata", *further], sort=False)]
    scores = pd.concat([f.test for f in finished], ignore_index=True)
    known = patients.loc[scores["patient_id"], columns].reset_index(drop=True)
    joined = pd.concat([scores, known], axis=1)
    joined = joined.astype({c: int for c in ("event", "label") if c in joined})
    if isinstance(endpoint, Landmark):
        parts = [own.weight for _, own in _of_test_patients(finished, study_data)]
        joined["weight"] = np.concatenate(parts)
        outcome.append("weight")
    elif isinstance(endpoint, TimeToEvent):
        for column, values in _at_own_times(finished, study_data).items():
            joined[column] = values
    first = ["arm", "patient_id", "repeat", "fold", *outcome, "risk", "risk_group"]
    return joined[[*first, *(c for c in joined.columns if c not in first)]]


def _of_test_patients(
    finished: Sequence[ArmFold], study_data: StudyData
) -> Iterator[tuple[ArmFold, Outcomes]]:
    """Yield the outcomes of each fold's test patients, now that predictions are made."""
    folds = {fold.key: fold for fold in study_data.folds}
    for f in finished:
        development = folds[f.repeat, f.fold].development
        yield f, fold_outcomes(study_data, f.test["patient_id"].tolist(), development)


def _at_own_times(
    finished: Sequence[ArmFold], study_data: StudyData
) -> dict[str, NDArray[np.float64]]:
    parts = [
        survival_at_time(f.calibration, f.test["risk"].to_numpy(dtype=float), own)
        for f, own in _of_test_patients(finished, study_data)
    ]
    if not all(parts):
        return {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
