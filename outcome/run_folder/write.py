"""Writes a run folder atomically: readers see either the old files or the new ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.evaluation.study_tables import STUDY_TABLES

__all__ = ["write_manifest", "write_run_folder", "write_study_tables"]


def write_run_folder(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    about: Mapping[str, Any],
    study: str | None = None,
    stale: Sequence[str] = (),
) -> None:
    """Write every file under a temporary name, then rename all of them, the manifest last.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    tables : mapping of name to DataFrame
        Written as `<name>.csv`.
    about : mapping
        Written as `manifest.json`.
    study : str, optional
        Written as `study.yaml`.
    stale : sequence of str
        Outdated files to remove. Tables of an evaluation that are not in `tables` are always
        removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stale = [*stale, *(f"{name}.csv" for name in STUDY_TABLES if name not in tables)]
    files = {f"{name}.csv": table.to_csv(index=False) for name, table in tables.items()}
    if study is not None:
        files["study.yaml"] = study
    files["manifest.json"] = _manifest_text(about)
    for name, text in files.items():
        (folder / f".{name}.part").write_text(text, encoding="utf-8")
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    for name in files:
        (folder / f".{name}.part").replace(folder / name)


def write_manifest(folder: Path, about: Mapping[str, Any]) -> None:
    """Replace the manifest of a run folder, e.g. to add a note.

    Parameters
    ----------
    folder : Path
        A run folder.
    about : mapping
        Written as `manifest.json`.
    """
    partial = folder / ".manifest.json.part"
    partial.write_text(_manifest_text(about), encoding="utf-8")
    partial.replace(folder / "manifest.json")


def _manifest_text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, indent=1, ensure_ascii=False)


def write_study_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables of an evaluation into a run folder, and remove outdated ones.

    Parameters
    ----------
    folder : Path
        A run folder.
    tables : mapping of name to DataFrame
        Written as `<name>.csv`; see `outcome.evaluation.study_tables.STUDY_TABLES`.
    """
    for name in STUDY_TABLES:
        path = folder / f"{name}.csv"
        if name in tables:
            partial = folder / f".{name}.csv.part"
            partial.write_text(tables[name].to_csv(index=False), encoding="utf-8")
            partial.replace(path)
        else:
            path.unlink(missing_ok=True)
