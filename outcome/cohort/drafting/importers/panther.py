"""PANTHER, MMP: a folder per fold, `train.csv` and `test.csv` with `os_survival_days` and so on."""

from __future__ import annotations

import pandas as pd

from outcome.cohort.drafting.endpoint_section import survival_section
from outcome.cohort.drafting.importers.source import (
    Imported,
    Source,
    once_per_slide,
    read_folds,
    require_columns,
)
from outcome.errors import CohortError
from outcome.tables.read_table import read_table

__all__ = ["import_panther"]


def import_panther(source: Source) -> Imported:
    """Read the files; see the module."""
    path = source.path
    places = (
        [path] if (path / "test.csv").is_file() else sorted(p for p in path.glob("*") if p.is_dir())
    )
    parts, others = [], {}
    for place in places:
        for file in sorted(place.glob("*.csv")):
            if file.stem in ("train", "val", "test"):
                parts.append(read_table(file).frame)
            elif file.stem.startswith("test_") and f"cohort_{file.stem[5:]}.csv" not in others:
                others[f"cohort_{file.stem[5:]}.csv"] = read_table(file).frame
    if not parts:
        raise CohortError(f"{path} contains no folder with train.csv and test.csv")
    table = pd.concat(parts, ignore_index=True).fillna("")
    require_columns(table, ["case_id", "slide_id"], "train.csv")
    table = once_per_slide(table, "slide_id", "train.csv and test.csv")
    endpoint = survival_section(table, source.endpoint, "train.csv")
    folds, notes = read_folds(source.splits or path, "panther", table, "case_id", "slide_id")
    return Imported(table, "case_id", "slide_id", endpoint, folds, others, notes)
