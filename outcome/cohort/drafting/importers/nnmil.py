"""nnMIL: `dataset.json` and a table `slide_id, patient_id, split, event, time` (or `label`).

The unit of the times is `labels: {time_unit: ...}` of `dataset.json`. Folds are those of
`dataset_plan.json`, if nnMIL has planned the experiment, else the column `split`; its training and
validation sets are both development. Written from nnMIL's source of October 2025 (commit be0ba05).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort.drafting.endpoint_section import binary_section
from outcome.cohort.drafting.importers.settings_files import read_settings
from outcome.cohort.drafting.importers.source import Imported, Source, one_fold, require_columns
from outcome.cohort.split_files import GivenFold, repeats_of
from outcome.errors import CohortError
from outcome.tables.read_table import read_table

__all__ = ["import_nnmil"]

UNITS = ("days", "months", "years")
DEVELOPMENT = ("train", "val")


def import_nnmil(source: Source) -> Imported:
    """Read the files; see the module."""
    folder = source.path if source.path.is_dir() else source.path.parent
    about = read_settings(folder / "dataset.json")
    path = source.table or folder / "dataset.csv"
    table = read_table(path).with_plain_numbers().frame
    kind = about.get("task_type")
    outcome = {"survival": ["event", "time"], "classification": ["label"]}.get(str(kind))
    if outcome is None:
        raise CohortError(
            f"dataset.json: task_type is {kind!r}, but only survival and classification are "
            "supported"
        )
    require_columns(table, ["slide_id", "patient_id", *outcome], path.name)
    labels = about.get("labels")
    if kind == "survival":
        stated = labels.get("time_unit") if isinstance(labels, Mapping) else None
        unit = (source.columns or {}).get("unit") or str(stated).lower()
        if unit not in UNITS:
            raise CohortError(
                "dataset.json does not state the unit of the times (labels: time_unit). To do: "
                "give it with `unit=`"
            )
        endpoint: dict[str, Any] = {"kind": "survival", "time": "time", "event": "event"}
        endpoint["unit"] = unit
    else:
        endpoint = binary_section(table, "label", source.positive)
    folds = _planned(folder / "dataset_plan.json", table) or _of_column(table, path.name)
    notes = [] if folds else ["no folds were found: folds will be drawn"]
    place = about.get("feature_dir")
    patches = [place] if isinstance(place, str) and Path(place).is_dir() else []
    return Imported(table, "patient_id", "slide_id", endpoint, folds, notes=notes, patches=patches)


def _planned(path: Path, table: pd.DataFrame) -> list[GivenFold]:
    """Return the folds planned by nnMIL; none without a plan."""
    if not path.is_file():
        return []
    splits = read_settings(path).get("data_splits")
    known = set(table["patient_id"])
    folds = []
    for name, parts in splits.items() if isinstance(splits, Mapping) else ():
        who = {
            part: {str(p) for p in parts[part].get("patient_ids", ())}
            for part in ("train", "val", "test")
            if isinstance(parts, Mapping) and isinstance(parts.get(part), Mapping)
        }
        if strangers := sorted(set().union(*who.values()) - known):
            raise CohortError(
                f"{path.name}, {name}: {len(strangers)} patients are not in the table, e.g."
                f" {', '.join(strangers[:3])}. To do: plan the experiment again"
            )
        development = set().union(*(who.get(part, set()) for part in DEVELOPMENT))
        if who.get("test"):
            fold = str(name).removeprefix("fold_")
            folds.append(one_fold(fold, development, who["test"], f"{path.name}, {name}"))
    # nnMIL may test every fold on one held-out set.
    repeats = repeats_of([fold.test for fold in folds])
    return [replace(fold, repeat=r) for fold, r in zip(folds, repeats, strict=True)]


def _of_column(table: pd.DataFrame, where: str) -> list[GivenFold]:
    """Return the fold of the column `split`; none without test patients."""
    if "split" not in table:
        return []
    role = table["split"].str.strip().str.lower()
    test = set(table.loc[role == "test", "patient_id"])
    development = set(table.loc[role.isin(DEVELOPMENT), "patient_id"])
    if not (test and development):
        return []
    return [one_fold("0", development, test, f"{where}, column 'split'")]
