"""PathBench-MIL: a table with `slide, patient, dataset` and `time, event`, or `category`.

`dataset` names the cohort of a slide; the settings of PathBench-MIL, which are not read, assign
datasets to training and testing. The values `train` and `test` are read as one given split. The
table does not contain the unit of the times. Written from PathBench-MIL's source (commit 06c35c1).
"""

from __future__ import annotations

from typing import Any

from outcome.cohort.drafting.endpoint_section import binary_section
from outcome.cohort.drafting.guess_columns import unit_of
from outcome.cohort.drafting.importers.source import (
    Imported,
    Source,
    find_table,
    one_fold,
    require_columns,
)
from outcome.errors import CohortError

__all__ = ["import_pathbench_mil"]

NEEDED = ["slide", "patient", "dataset"]


def import_pathbench_mil(source: Source) -> Imported:
    """Read the files; see the module."""
    found = find_table(source.path, lambda table: set(NEEDED) <= set(table))
    if found is None:
        raise CohortError(f"{source.path} contains no table with slide, patient and dataset")
    path, table = found
    require_columns(table, NEEDED, path.name)
    notes = []
    if {"time", "event"} <= set(table):
        reasons: dict[str, str] = {}
        unit = (source.columns or {}).get("unit") or unit_of(table, "time", reasons)
        if reason := reasons.get("unit"):
            notes.append(
                f"guess: times are in {unit} ({reason}); the table does not state the unit"
            )
        endpoint: dict[str, Any] = {"kind": "survival", "time": "time", "event": "event"}
        endpoint["unit"] = unit
    else:
        require_columns(table, ["category"], path.name)
        endpoint = binary_section(table, "category", source.positive)
    dataset = table["dataset"].str.strip().str.lower()
    parts = {str(name): frozenset(rows["patient"]) for name, rows in table.groupby(dataset)}
    folds = []
    if set(parts) == {"train", "test"}:
        folds = [one_fold("0", parts["train"], parts["test"], path.name)]
    else:
        notes.append(
            f"datasets: {', '.join(sorted(parts)[:5])}; all are used, and folds are drawn at random"
        )
    return Imported(table, "patient", "slide", endpoint, folds, notes=notes)
