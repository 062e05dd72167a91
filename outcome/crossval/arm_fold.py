"""One arm on one outer fold: combination of members, calibration, risk groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.cohort import Fold
from outcome.crossval.absolute_risk import absolute_risk
from outcome.crossval.inner_scores import inner_scores
from outcome.crossval.late_fusion import MemberScores, fuse
from outcome.crossval.outer_fold import HISTORY
from outcome.dataset.study_data import StudyData
from outcome.models.heads import head_of
from outcome.risk.cutoffs import cut_offs, cut_p_value, risk_groups, specificity_threshold
from outcome.risk.recalibration import Calibration, SurvivalCalibration, fit_calibration
from outcome.risk.survival_bounds import fit_survival_bound
from outcome.study import Arm, Study
from outcome.training.arm_members import members

__all__ = ["ArmFold", "DevelopmentFit", "fit_on_development", "predict_arm_fold"]


@dataclass(frozen=True)
class ArmFold:
    """Results of one arm on one outer fold.

    Parameters
    ----------
    development, test : DataFrame
        Rows of `development.csv` and `predictions.csv`, without the outcomes.
    inner_scores : DataFrame
        Rows of `inner_scores.csv`; see `outcome.crossval.inner_scores`.
    history : DataFrame
        Losses and ranking of tune patients per model, inner fold and epoch; empty for a linear
        arm.
    models : list of dict
        Per member: `model`, `epochs` or `penalty` (`penalties` for several inputs), `weight`.
    calibration : Calibration
    cuts : dict of stratum to tuple of float
    cut_p : float
        p value of a maximally selected cut-off in development patients, corrected for the
        selection; else NaN.
    inner_folds : int
    few : bool
        Whether there are too few development events for calibration and choices.
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


@dataclass(frozen=True)
class DevelopmentFit:
    """All choices for an arm that are made on development patients.

    Parameters
    ----------
    tune : list of array
        Out-of-fold risks per inner fold.
    test : array
        Risks of the test patients.
    test_by_inner : array, shape (inner models, n)
        Risks of the test patients by each inner model.
    weights : list of float
        Weight of the centred risk of each member.
    calibration : Calibration
    cuts : dict of stratum to tuple of float
    cut_p : float
    threshold : float
        Risk at which 90% of the development patients without the positive label are called
        negative; patients are called positive above it, or below it if the positive label is the
        better outcome.
    """

    tune: list[NDArray[np.float64]]
    test: NDArray[np.float64]
    test_by_inner: NDArray[np.float64]
    weights: list[float]
    calibration: Calibration
    cuts: dict[str, tuple[float, ...]]
    cut_p: float
    threshold: float


def fit_on_development(
    study: Study,
    study_data: StudyData,
    fold: Fold,
    arm: Arm,
    scores: Sequence[MemberScores],
    *,
    few: bool,
) -> DevelopmentFit:
    """Combine, calibrate and set cut-offs of an arm; parameters as `predict_arm_fold`."""
    patients = [p for i in fold.inner for p in i.tune]
    outcomes = study_data.cohort.outcomes(patients, fold.development)
    tune, risk, by_inner, weights = fuse(
        scores,
        outcomes,
        head_of(study.endpoint),
        learned=arm.fusion in ("stacked", "ensemble"),
        fixed_slope=few,
    )
    joined = np.concatenate(tune)
    return DevelopmentFit(
        tune,
        risk,
        by_inner,
        weights,
        fit_calibration(joined, outcomes, fixed_slope=few),
        cut_offs(joined, outcomes, study.risk_groups, study.endpoint.strata is not None),
        cut_p_value(joined, outcomes, study.risk_groups),
        specificity_threshold(joined, outcomes),
    )


def predict_arm_fold(
    study: Study,
    study_data: StudyData,
    fold: Fold,
    arm: Arm,
    scores: Sequence[MemberScores],
    *,
    few: bool,
) -> ArmFold:
    """Combine the members of an arm, without using test outcomes.

    Parameters
    ----------
    scores : sequence of MemberScores
        In the order of `members(arm)`.
    few : bool
        Whether there are too few development events for calibration; then slope 1 and equal
        weights.
    """
    found = fit_on_development(study, study_data, fold, arm, scores, few=few)
    tune, risk, calibration, cuts = found.tune, found.test, found.calibration, found.cuts
    where = {"arm": arm.name, "repeat": fold.repeat, "fold": fold.name}
    inner = [
        pd.DataFrame({**where, "inner_fold": i.name, "patient_id": i.tune, "risk": r})
        for i, r in zip(fold.inner, tune, strict=True)
    ]
    strata = study_data.cohort.strata(fold.test)
    test = pd.DataFrame({"arm": arm.name, "patient_id": fold.test})
    test = test.assign(repeat=fold.repeat, fold=fold.name, risk=risk)
    test["risk_group"] = risk_groups(risk, strata, cuts)
    test["linear_predictor"] = calibration.linear_predictor(risk)
    endpoint = study.endpoint
    if isinstance(calibration, SurvivalCalibration) and not few:
        patients = [p for i in fold.inner for p in i.tune]
        outcomes = study_data.cohort.outcomes(patients, fold.development)
        if (bound := fit_survival_bound(tune, outcomes)) is not None:
            test["survival_bound"] = bound.of(calibration, risk, strata)
    columns = absolute_risk(endpoint, calibration, risk, strata, endpoint.horizons)
    for column, values in columns.items():
        test[column] = values
    if endpoint.has_threshold:
        test["threshold"] = found.threshold
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
            lambda risk: absolute_risk(endpoint, calibration, risk, strata, endpoint.horizons),
        ),
        history=_history(arm, scores),
        models=_models(arm, scores, found.weights),
        calibration=calibration,
        cuts=cuts,
        cut_p=found.cut_p,
        inner_folds=len(fold.inner),
        few=few,
    )


def _history(arm: Arm, scores: Sequence[MemberScores]) -> pd.DataFrame:
    """Combine the learning curves of the members; linear models have no rows."""
    found = [s.history for s in scores if len(s.history)]
    if not found:
        return pd.DataFrame(columns=HISTORY)
    joined = pd.concat(found).assign(arm=arm.name)
    return joined[[*HISTORY, *(c for c in joined if c not in HISTORY)]]


def _models(
    arm: Arm, scores: Sequence[MemberScores], weights: Sequence[float]
) -> list[dict[str, Any]]:
    found = []
    for member, s, weight in zip(members(arm), scores, weights, strict=True):
        chosen: dict[str, Any] = {"epochs": s.epochs}
        if s.epochs is None:
            several = len(s.penalties) > 1
            chosen = {"penalties": dict(s.penalties)} if several else {"penalty": s.penalty}
        about = {"model": member.name, **chosen, "weight": round(weight, 4)}
        found.append(about | ({"searched": s.changes} if s.changes else {}))
    return found
