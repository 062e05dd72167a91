"""Predictions of all outer folds with the outcomes of their test patients: `predictions.csv`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.crossval.arm_fold import ArmFold
from outcome.dataset.study_data import StudyData
from outcome.endpoint import Endpoint
from outcome.risk.recalibration import survival_at_time

__all__ = ["joined_predictions"]


def joined_predictions(
    finished: Sequence[ArmFold], study_data: StudyData, secondary: Sequence[Endpoint] = ()
) -> pd.DataFrame:
    """Join the test scores of all arms and folds with outcomes.

    Parameters
    ----------
    finished : sequence of ArmFold
    study_data : StudyData
    secondary : sequence of Endpoint
        Their outcomes are also columns, `<name>_time` and so on.

    Returns
    -------
    DataFrame
        One row per arm, repeat and test patient; columns in the order of the run folder.
    """
    cohort = study_data.cohort
    further = [f"{e.name}_{c}" for e in secondary for c in e.outcome_columns]
    columns = cohort.patients.columns.intersection(["strata", *further], sort=False)
    scores = pd.concat([f.test for f in finished], ignore_index=True)
    patients = scores["patient_id"].tolist()
    outcome = cohort.outcome_table(patients)
    known = pd.concat([outcome, cohort.patients.loc[patients, columns]], axis=1)
    joined = pd.concat([scores, known.reset_index(drop=True)], axis=1)
    names = list(outcome.columns)
    # Test outcomes are used here for the first time, after all predictions are made.
    folds = {fold.key: fold for fold in study_data.folds}
    tested = [
        (f, cohort.outcomes(f.test["patient_id"].tolist(), folds[f.repeat, f.fold].development))
        for f in finished
    ]
    if all(own.weight is not None for _, own in tested):
        joined["weight"] = np.concatenate([own.weights for _, own in tested])
        names.append("weight")
    parts = [
        survival_at_time(f.calibration, f.test["risk"].to_numpy(dtype=float), own)
        for f, own in tested
    ]
    if all(parts):
        for name in parts[0]:
            joined[name] = np.concatenate([part[name] for part in parts])
    first = ["arm", "patient_id", "repeat", "fold", *names, "risk", "risk_group"]
    return joined[[*first, *(c for c in joined.columns if c not in first)]]
