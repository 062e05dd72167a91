"""Reads what the report needs from a run folder, once; optional files may be absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.errors import PredictionsError, RunFolderError
from outcome.predictions import read_predictions
from outcome.run_folder.folder import Run
from outcome.run_folder.pseudonyms import Pseudonyms

__all__ = ["read_manifest", "read_run"]

FORMAT = 1
_TEXT = {
    *("arm", "baseline", "metric", "group", "step", "reason", "note"),
    *("endpoint", "stratum", "fold", "outer_fold", "model", "statistic"),
}
_NEEDS = {
    "cohort_flow.csv": {"step", "patients"},
    "metrics.csv": {"arm", "metric", "estimate"},
    "comparisons.csv": {"arm", "baseline", "metric", "difference"},
    "risk_groups.csv": {"arm", "group", "n"},
    "history.csv": {"arm", "epoch"},
    "splits.csv": {"patient_id", "outer_fold", "role"},
    "permutations.csv": {"arm", "statistic", "p_value"},
}
_BY_ENDPOINT = ("metrics.csv", "comparisons.csv", "risk_groups.csv")


def read_run(folder: Path, *, show_ids: bool = False) -> Run:
    """Read a run folder.

    Parameters
    ----------
    folder : Path
        What `outcome run` wrote.
    show_ids : bool
        Leave patient ids in notes, warnings and file names as they are.

    Raises
    ------
    RunFolderError
        The folder has no manifest or no predictions, or they cannot be read.
    """
    folder = Path(folder)
    manifest = read_manifest(folder / "manifest.json")
    if not (folder / "predictions.csv").is_file():
        raise RunFolderError(f"{folder} has no predictions.csv: run the study first")
    predictions = read_predictions(folder / "predictions.csv")
    if predictions.table.empty:
        raise PredictionsError(f"{folder / 'predictions.csv'} holds no patients")
    problems: list[str] = []
    tables = {name: _read_table(folder / name, needs, problems) for name, needs in _NEEDS.items()}
    if not show_ids:
        hide = Pseudonyms(predictions.table["patient_id"], tables["splits.csv"])
        manifest = {k: v if k in _STRUCTURE else hide.inside(v) for k, v in manifest.items()}
        for table in tables.values():
            for column in {"reason", "note"} & set(table.columns):
                table[column] = table[column].map(hide.inside)
    spec = manifest.get("endpoint")
    name = str(spec.get("name") or "") if isinstance(spec, Mapping) else ""
    others = {}
    for file in _BY_ENDPOINT:
        tables[file], others[file] = _primary_first(tables[file], name)
    ids = predictions.table["patient_id"].astype(str).drop_duplicates()
    asked = manifest.get("covariates")
    numeric = asked.get("numeric") if isinstance(asked, Mapping) else None
    beside = [
        _read_beside(folder / file, ids, numbers, problems)
        for file, numbers in (
            ("covariates.csv", numeric),
            ("acquisition.csv", ["slides", "patches", "report missing"]),
        )
    ]
    return Run(folder, manifest, predictions, tables, problems, show_ids, others, *beside)


def _primary_first(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide a table into the rows of the primary endpoint and all others."""
    if "endpoint" not in table:
        return table, table.iloc[:0]
    mine = table["endpoint"] == ""
    if not mine.any():
        mine = table["endpoint"].isin(["primary", name])
    return table[mine].reset_index(drop=True), table[~mine].reset_index(drop=True)


def _read_beside(
    path: Path, ids: pd.Series, numeric: Sequence[str] | None, problems: list[str]
) -> pd.DataFrame:
    """Read a table with a row per patient; which columns are numbers is declared, or seen."""
    frame = pd.DataFrame({"patient_id": ids.to_numpy()})
    if not path.is_file():
        return frame
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError) as error:
        problems.append(f"{path.name} cannot be read and is left out: {error}")
        return frame
    if "patient_id" not in table or table["patient_id"].duplicated().any():
        problems.append(f"{path.name} has not one row for each patient_id and is left out")
        return frame
    table = table.set_index("patient_id").reindex(ids.to_numpy())
    table = table.mask(table.isna() | (table.apply(lambda c: c.str.strip()) == ""))
    for column in table:
        values = pd.to_numeric(table[column], errors="coerce")
        seen = values.notna().equals(table[column].notna()) and column != "site"
        if seen if numeric is None else column in numeric:
            table[column] = values
    return table.rename_axis("patient_id").reset_index()


_STRUCTURE = frozenset({"name", "endpoint", "arms", "baseline", "epochs", "versions", "format"})


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what a run says of itself; `RunFolderError` where there is nothing to read."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(
            f"{path.parent} is not a run folder: it has no {path.name}. "
            "Give the folder that `outcome run` wrote"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or "name" not in manifest:
        raise RunFolderError(f"{path} is not the manifest of a run: it does not name the study")
    if int(manifest.get("format") or FORMAT) > FORMAT:
        raise RunFolderError(
            f"{path} has format {manifest['format']}, this version reads up to {FORMAT}: "
            "update slide-outcome"
        )
    return manifest


def _read_table(path: Path, needs: set[str], problems: list[str]) -> pd.DataFrame:
    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in sorted(needs)})
    if not path.is_file():
        return empty
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(_TEXT | {"patient_id"}, str))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError) as error:
        problems.append(f"{path.name} cannot be read and is left out: {error}")
        return empty
    if missing := sorted(needs - set(table.columns)):
        problems.append(f"{path.name} has no column {', '.join(missing)} and is left out")
        return empty
    for column in _TEXT & set(table.columns):
        table[column] = table[column].fillna("")
    for column in set(table.columns) - _TEXT - {"patient_id", "role"}:
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table
