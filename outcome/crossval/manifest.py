"""The manifest of a run: settings, inputs, versions."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pandas as pd

from outcome.crossval.arm_fold import ArmFold
from outcome.dataset.study_data import StudyData
from outcome.endpoint import describe as describe_endpoint
from outcome.risk.recalibration import summary
from outcome.study import ReportTexts, Study
from outcome.training.precision import compiles, resolved

__all__ = ["describe", "epochs", "hashes"]

PACKAGES = (
    "slide-outcome",
    "torch",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "lifelines",
    "matplotlib",
    "h5py",
)


def describe(
    study: Study,
    study_data: StudyData,
    device: str,
    command: str,
    frame: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Return the manifest of a run, without results."""
    facts = study_data.facts()
    versions = {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}}
    training = resolved(study, device).training
    if any(compiles(training, arm.aggregator, device) for arm in study.arms):
        versions["numba"] = version("numba")
    folds = study_data.folds
    per_repeat = len([f for f in folds if f.repeat == folds[0].repeat])
    return {
        "format": 1,
        "name": study.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "simulated": facts.get("encoder") == "simulated",
        "versions": versions,
        "platform": platform.platform(),
        "device": device,
        "threads": study.training.threads,
        "endpoint": describe_endpoint(study.endpoint),
        "arms": [
            {
                "name": a.name,
                "inputs": list(a.inputs),
                "aggregator": a.aggregator,
                "fusion": a.fusion if len(a.inputs) > 1 else None,
            }
            for a in study.arms
        ],
        "baseline": study.baseline,
        "cohort": facts,
        "split": {
            "source": _source(study),
            "folds": per_repeat,
            "repeats": len({f.repeat for f in folds}),
            "inner_folds": study.split.inner_folds,
            "seed": study.split.seed,
            "stratify": study.split.stratify and not study.split.given,
        },
        "protocol": {
            "cutoffs": study.risk_groups
            if isinstance(study.risk_groups, str)
            else list(study.risk_groups),
            "calibration": (
                "one slope (normal prior around 1, SD 0.5, wider for risks that hardly differ) and"
                f" {study.endpoint.calibration}"
            ),
            "epochs (linear arms: penalty)": "lowest inner-fold loss after one calibration slope",
        },
        "covariates": study.covariates.model_dump(mode="json"),
        **(
            {"treatment": study.treatment.model_dump(mode="json")}
            if study.treatment is not None
            else {}
        ),
        "secondary": [{"name": e.name, "kind": e.kind} for e in study.secondary],
        "training": study.training.model_dump(),
        "report": study.report.model_dump(),
        "inputs": hashes(study, study_data, frame),
        "notes": list(study_data.notes),
        "warnings": [],
    }


def epochs(finished: Sequence[ArmFold]) -> list[dict[str, Any]]:
    """Return the choices per model, arm and fold: epochs or penalty, weight, calibration."""
    return [
        {
            "arm": f.arm,
            "repeat": f.repeat,
            "fold": f.fold,
            **model,
            "calibration": summary(f.calibration),
            "inner_folds": f.inner_folds,
            "few_events": f.few,
        }
        for f in finished
        for model in f.models
    ]


def _source(study: Study) -> str:
    split = study.split
    if split.column:
        return f"column {', '.join(split.column)} of the cohort table"
    if split.files is not None:
        return f"read from {split.files.name}"
    if split.site_preserved:
        return f"drawn, whole sites ({split.site}) kept together"
    return "drawn" + (", stratified by outcome" if split.stratify else "")


def hashes(study: Study, study_data: StudyData, frame: pd.DataFrame | None) -> dict[str, str]:
    """Return a hash of the content of each input."""
    found = {}
    if frame is not None:
        text = frame.to_csv(index=False)
        found["cohort table given in Python"] = hashlib.sha256(text.encode()).hexdigest()
    reports = study.embeddings.reports
    texts = reports.texts if isinstance(reports, ReportTexts) else reports
    given = (None if frame is not None else study.cohort, texts, study.split.files)
    for path in given:
        if path is not None and path.is_file():
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    if study_data.slides:
        text = "".join(s.content for p in sorted(study_data.slides) for s in study_data.slides[p])
        found["patch features (all slides)"] = hashlib.sha256(text.encode()).hexdigest()
    return found
