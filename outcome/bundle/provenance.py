"""Information on the training of a bundle: counts, versions, cross-validated performance."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from outcome.cohort import Fold
from outcome.dataset.study_data import StudyData
from outcome.study import Arm, Study

__all__ = ["performance", "training_facts"]

PACKAGES = ("slide-outcome", "torch", "numpy", "pandas", "scipy", "scikit-learn", "safetensors")


def training_facts(
    study: Study, study_data: StudyData, fold: Fold, patients: pd.DataFrame
) -> dict[str, Any]:
    """Return counts, versions and notes.

    Parameters
    ----------
    study : Study
    study_data : StudyData
    fold : Fold
    patients : DataFrame
        Development patients of the fold.
    """
    versions = {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}}
    facts: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "patients": len(patients),
        "events": int(study.endpoint.positive_outcome(patients).sum()),
        "inner_models": len(fold.inner),
        "left_out_fold": None if fold.name == "all" else fold.name,
        "simulated": study_data.facts().get("encoder") == "simulated",
        "notes": list(study_data.notes),
    }
    longest = study.endpoint.longest_follow_up(patients)
    return facts if longest is None else facts | {"longest_follow_up": longest}


def performance(run: Path, study: Study, arm: Arm) -> list[dict[str, Any]]:
    """Return the performance of the arm in a run of the same study; empty without such a run.

    Parameters
    ----------
    run : Path
        Folder of the run.
    """
    try:
        written = yaml.safe_load((run / "study.yaml").read_text(encoding="utf-8"))
        metrics = pd.read_csv(run / "metrics.csv")
    except (OSError, ValueError, yaml.YAMLError):
        return []
    ours = yaml.safe_load(study.to_yaml())
    same = all(written.get(k) == ours[k] for k in ("endpoint", "covariates", "training", "split"))
    described = arm.model_dump(mode="json")
    if not same or described not in written.get("arms", []) or "arm" not in metrics:
        return []
    rows = metrics[metrics["arm"] == arm.name]
    if "endpoint" in rows:
        rows = rows[rows["endpoint"].isna() | (rows["endpoint"] == "")]
    columns = ["metric", "estimate", "lower", "upper", "n", "events"]
    known = rows.loc[rows["estimate"].notna(), columns].to_dict("records")
    return [{str(k): None if pd.isna(v) else v for k, v in row.items()} for row in known]
