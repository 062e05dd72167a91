"""Tables of predictions made anywhere, evaluated: what `outcome evaluate` and `compare` do."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.errors import PredictionsError, RunFolderError
from outcome.evaluation.summary import Evaluation, evaluate
from outcome.predictions import ForeignTables, Predictions, read_foreign
from outcome.reporting.report import make_report
from outcome.reporting.writing import write_run_folder

__all__ = ["Assessment", "assess", "check_folder"]

MADE_HERE = "the median risk of the scored patients themselves, in each fold"
PACKAGES = ("slide-outcome", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib")


@dataclass(frozen=True)
class Assessment:
    """What was found, and where it was written.

    Parameters
    ----------
    evaluation : Evaluation
    tables : mapping of name to DataFrame
        Everything that lies in the folder as CSV.
    baseline : str or None
    report : Path
    """

    evaluation: Evaluation
    tables: Mapping[str, pd.DataFrame]
    baseline: str | None
    report: Path


def assess(
    paths: Sequence[Path],
    out: Path,
    *,
    baseline: str | None = None,
    unit: str | None = None,
    horizons: Sequence[float] = (),
    covariates: Sequence[str] = (),
    favourable: bool = False,
    n_resamples: int = 1000,
    seed: int = 0,
    command: str = "",
) -> Assessment:
    """Evaluate tables of predictions and write metrics, comparisons, figures and the report.

    Parameters
    ----------
    paths : sequence of Path
        See `outcome.predictions.read_foreign`.
    out : Path
        A new folder, or one that an earlier evaluation wrote.
    baseline : str, optional
        Arm to compare with; by default `image` where there is one, else the first of several.
    unit : {"days", "months", "years"}, optional
        Of the times; by default what the column name says, else days.
    horizons : sequence of float
        Where AUC(t), Brier, calibration and survival are reported; ascending, in `unit`.
    covariates : sequence of str
        Columns of the first table: added value, hazard ratios and subgroups.
    favourable : bool
        The positive label is the better outcome.
    n_resamples, seed : int
        Of the bootstrap.
    command : str
        Noted in the manifest.

    Raises
    ------
    PredictionsError, RunFolderError
        Everything that is wrong, at once; then nothing has been written.
    """
    check_folder(out)
    read = read_foreign(paths, favourable=favourable, covariates=covariates)
    unit = _unit(unit, read.unit)
    arms = read.predictions.arms
    if baseline is None and len(arms) > 1:
        baseline = "image" if "image" in arms else arms[0]
    cross_validated = len(read.predictions.table[["repeat", "fold"]].drop_duplicates()) > 1
    evaluation = evaluate(
        read.predictions,
        baseline=baseline,
        unit=unit,
        horizons=horizons,
        n_resamples=n_resamples,
        seed=seed,
        cross_validated=cross_validated,
        favourable=favourable,
    )
    tables = {
        "predictions": _with_groups(read.predictions),
        "metrics": evaluation.metrics,
        "comparisons": evaluation.comparisons,
        "risk_groups": evaluation.risk_groups,
        "covariates": read.covariates,
    }
    about = _manifest(paths, read, evaluation, baseline, unit, horizons, favourable, command)
    about |= {"resamples": n_resamples, "seed": seed}
    if tables["predictions"] is not read.predictions.table:
        about["protocol"] = {"risk groups": MADE_HERE}
    write_run_folder(out, tables, about)
    made = make_report(out)
    return Assessment(evaluation, {**tables, **made.tables}, baseline, made.path)


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier evaluation."""
    if out.is_file():
        raise RunFolderError(f"{out} is a file: name another folder with --out")
    if out.is_dir() and any(out.iterdir()):
        if (out / "study.yaml").exists() or (out / "fits").exists():
            raise RunFolderError(f"{out} is the folder of a run: name another one with --out")
        if not (out / "manifest.json").is_file():
            raise RunFolderError(f"{out} holds other files: name another folder with --out")


def _unit(asked: str | None, found: str | None) -> str:
    if asked and asked not in ("days", "months", "years"):
        raise PredictionsError(f"--unit {asked!r}: use days, months or years")
    if asked and found and asked != found:
        raise PredictionsError(f"--unit {asked}, but the tables hold a column time_{found}")
    return asked or found or "days"


def _with_groups(predictions: Predictions) -> pd.DataFrame:
    """Fill in the groups that the evaluation used, so that the curves show the same patients."""
    table = predictions.table
    if "risk_group" in table and (table["risk_group"] != "").all():
        return table
    keys = ["arm", "repeat", "fold", *(["strata"] if "strata" in table else [])]
    high = table["risk"] > table.groupby(keys)["risk"].transform("median")
    return table.assign(risk_group=high.map({True: "high", False: "low"}))


def _manifest(
    paths: Sequence[Path],
    read: ForeignTables,
    evaluation: Evaluation,
    baseline: str | None,
    unit: str,
    horizons: Sequence[float],
    favourable: bool,
    command: str,
) -> dict[str, Any]:
    survival = read.predictions.kind == "survival"
    named = "event" if survival else "label"
    endpoint: dict[str, Any] = {"kind": "survival" if survival else "binary", "name": named}
    endpoint |= {"unit": unit, "horizons": list(horizons)} if survival else {}
    return {
        "format": 1,
        "name": " and ".join(p.stem for p in paths[:2]) + (" and more" if len(paths) > 2 else ""),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "platform": platform.platform(),
        "endpoint": {**endpoint, "favourable": favourable},
        "arms": [{"name": a, "inputs": []} for a in read.predictions.arms],
        "baseline": baseline or "",
        "covariates": _numeric(read.covariates),
        "inputs": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths},
        "notes": [*read.notes, *evaluation.notes],
        "warnings": list(evaluation.warnings),
    }


def _numeric(covariates: pd.DataFrame) -> dict[str, list[str]]:
    names = [str(c) for c in covariates if c != "patient_id"]
    numbers = [c for c in names if pd.api.types.is_numeric_dtype(covariates[c])]
    return {"numeric": numbers, "categorical": [c for c in names if c not in numbers]}
