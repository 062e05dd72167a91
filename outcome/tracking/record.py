"""Data of a run for trackers, without data of single patients."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from outcome.run_folder.read import read_manifest

__all__ = ["CurvePoint", "RunRecord", "read_record"]

KEPT_FILES = ("study.yaml", "metrics.csv", "comparisons.csv")
MEASURED = ("train_", "tune_")
"""Prefixes of the columns of learning curves."""


@dataclass(frozen=True)
class CurvePoint:
    """One point of a learning curve.

    Parameters
    ----------
    name : str
        `<arm>/<quantity>`, such as `image/train_loss`.
    epoch : int
    value : float
        Mean over the fits of the arm that have this epoch.
    """

    name: str
    epoch: int
    value: float


@dataclass(frozen=True)
class RunRecord:
    """Data of a run for trackers.

    Parameters
    ----------
    study : str
        Name of the study, used as experiment or project.
    name : str
        Name of the run folder.
    simulated : bool
    settings : mapping
        All settings of the study file, by key (`training.epochs`).
    curves : sequence of CurvePoint
    metrics : mapping
        `<arm>/<metric>`, with `_lower` and `_upper` for the 95% interval; differences as
        `<arm> minus <baseline>/<metric>`, also with `_p`. Secondary endpoints come first in the
        name. Values that could not be computed are omitted.
    figures : sequence of Path
        PNG files.
    page : Path
    files : sequence of Path
        Tables of results, and the study file.
    """

    study: str
    name: str
    simulated: bool
    settings: dict[str, str | int | float | bool]
    curves: list[CurvePoint]
    metrics: dict[str, float]
    figures: list[Path]
    page: Path
    files: list[Path]


def read_record(folder: Path) -> RunRecord:
    """Read the data for trackers from a run folder.

    Raises
    ------
    RunFolderError
        The folder contains no finished run.
    """
    manifest = read_manifest(folder / "manifest.json")
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    metrics = dict(_metrics(_table(folder / "metrics.csv")))
    metrics |= dict(_differences(_table(folder / "comparisons.csv")))
    return RunRecord(
        study=str(manifest["name"]),
        name=folder.absolute().name,
        simulated=bool(manifest.get("simulated")),
        settings=dict(_flat(study, "")),
        curves=list(_curves(_table(folder / "history.csv"))),
        metrics=metrics,
        figures=sorted((folder / "figures").glob("*.png")),
        page=folder / "report.html",
        files=[folder / name for name in KEPT_FILES if (folder / name).is_file()],
    )


def _table(path: Path) -> pd.DataFrame:
    text: dict[Hashable, type[str]] = dict.fromkeys(("endpoint", "arm", "baseline", "model"), str)
    return pd.read_csv(path, dtype=text) if path.is_file() else pd.DataFrame()


def _flat(value: Any, key: str) -> Iterator[tuple[str, str | int | float | bool]]:
    """Yield settings by key, without unset ones; lists as JSON."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, bool | int | float | str):
        yield key, value
    elif value:
        yield key, json.dumps(value, ensure_ascii=False)


def _metrics(table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    for row in table.to_dict("records"):
        yield from _numbers(row, str(row["arm"]), {"estimate": "", **INTERVAL})


def _differences(table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    for row in table.to_dict("records"):
        parts = {"difference": "", **INTERVAL, "p_value": "_p"}
        yield from _numbers(row, f"{row['arm']} minus {row['baseline']}", parts)


INTERVAL = {"lower": "_lower", "upper": "_upper"}


def _numbers(row: dict[Any, Any], about: str, parts: dict[str, str]) -> Iterator[tuple[str, float]]:
    endpoint = row.get("endpoint")
    before = f"{endpoint}/" if isinstance(endpoint, str) and endpoint else ""
    for column, suffix in parts.items():
        if np.isfinite(value := float(row[column])):
            yield f"{before}{about}/{row['metric']}{suffix}", value


def _curves(table: pd.DataFrame) -> Iterator[CurvePoint]:
    if not len(table):
        return
    models = table.groupby("arm")["model"].nunique().to_dict()
    columns = [c for c in map(str, table) if c.startswith(MEASURED)]
    for (arm, model), rows in table.groupby(["arm", "model"], sort=False):
        name = f"{arm}/{model}" if models[arm] > 1 else str(arm)
        for epoch, mean in rows.groupby("epoch")[columns].mean().iterrows():
            for column, value in mean.items():
                if np.isfinite(value):
                    yield CurvePoint(f"{name}/{column}", int(str(epoch)), float(value))
