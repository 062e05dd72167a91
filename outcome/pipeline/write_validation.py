"""Results of a trained model on other patients, in the form of a run folder."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort import Cohort
from outcome.evaluation.evaluation import evaluate_study
from outcome.evaluation.outcome_kinds import described_outcome
from outcome.pipeline.evaluate import PACKAGES, check_folder
from outcome.predictions import Predictions
from outcome.reporting.report import write_report
from outcome.run_folder.write import write_run_folder

__all__ = ["EXTERNAL", "check_folder", "write_validation"]

EXTERNAL = "external"
"""Name of the single fold of predictions for new patients."""


def write_validation(
    folder: Path,
    table: pd.DataFrame,
    cohort: Cohort,
    *,
    recalibration: pd.DataFrame,
    trained_on: Sequence[str],
    horizons: Sequence[float],
    about: Mapping[str, Any],
    notes: Sequence[str],
    warnings: Sequence[str],
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Evaluate predictions of one held-out set of patients; write tables and report.

    Parameters
    ----------
    folder : Path
    table : DataFrame
        `predictions.csv`: the model, and recalibrated versions as further arms.
    cohort : Cohort
    recalibration : DataFrame
    trained_on : sequence of str
        Patients of the study who were in the training cohort and are excluded.
    horizons : sequence of float
    about : mapping
        Description of the model in the manifest.
    notes, warnings : sequence of str
    n_resamples, seed : int

    Returns
    -------
    dict
        The fields of `outcome.pipeline.validate_model.Validation`.
    """
    predictions = Predictions(table)
    described = {**about["endpoint"], "horizons": list(horizons)}
    evaluation = evaluate_study(
        predictions,
        described_outcome(described, predictions),
        n_resamples=n_resamples,
        seed=seed,
        cross_validated=False,
    )
    found_notes = [*notes, *evaluation.notes, *_how(table)]
    found_warnings = [*warnings, *evaluation.warnings]
    arms = predictions.arms
    versions = {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}}
    manifest = {
        "format": 1,
        **{k: v for k, v in about.items() if k != "inputs_of_arm"},
        "endpoint": described,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "platform": platform.platform(),
        "arms": [{"name": a, "inputs": about["inputs_of_arm"]} for a in arms],
        "baseline": "",
        "resamples": n_resamples,
        "recalibration": [
            {str(k): None if pd.isna(v) else v for k, v in row.items()}
            for row in recalibration.to_dict("records")
        ],
        "notes": found_notes,
        "warnings": found_warnings,
        "tables": [n for n in evaluation.tables if n != "comparisons"],
    }
    tables = {
        "predictions": table,
        **{n: t for n, t in evaluation.tables.items() if n != "comparisons"},
        "recalibration": recalibration,
        "cohort_flow": cohort.flow_table(),
        "cohort_lost": cohort.lost_table(),
        "splits": _roles(table, trained_on),
    }
    write_run_folder(folder, tables, manifest)
    return {
        "folder": folder,
        "report": write_report(folder),
        "predictions": table,
        "metrics": evaluation.metrics,
        "risk_groups": evaluation.risk_groups,
        "recalibration": recalibration,
        "notes": found_notes,
        "warnings": found_warnings,
    }


def _roles(table: pd.DataFrame, trained_on: Sequence[str]) -> pd.DataFrame:
    """Return the roles of the patients, in the columns of `splits.csv`."""
    roles = [(p, "development") for p in trained_on]
    roles += [(p, "test") for p in table["patient_id"].drop_duplicates()]
    rows = pd.DataFrame(roles, columns=["patient_id", "role"])
    return rows.assign(repeat=0, outer_fold=EXTERNAL, inner_fold="")


def _how(table: pd.DataFrame) -> list[str]:
    found = [
        "external validation: model, calibration and cut-offs were fixed in advance, so "
        "intervals, p values and the log-rank test of the risk groups need no adjustment",
    ]
    if table["arm"].nunique() > 1:
        found.append(
            "recalibrated arms rank patients as the model does. Their probabilities are fitted "
            "on these patients by five-fold cross-fitting: each patient is predicted without "
            "the fold that contains the patient"
        )
    return found
