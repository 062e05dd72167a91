"""CLAM: a table with `case_id, slide_id, label` and `splits_0.csv` ... of slides."""

from __future__ import annotations

from outcome.cohort.drafting.endpoint_section import binary_section
from outcome.cohort.drafting.importers.source import (
    Imported,
    Source,
    find_table,
    numbered_splits,
    read_folds,
    require_columns,
)
from outcome.errors import CohortError

__all__ = ["import_clam"]


def import_clam(source: Source) -> Imported:
    """Read the files; see the module."""
    found = find_table(source.path, lambda t: {"case_id", "slide_id", "label"} <= set(t))
    if found is None:
        raise CohortError(f"{source.path} contains no table with case_id, slide_id and label")
    path, table = found
    require_columns(table, ["case_id", "slide_id", "label"], path.name)
    endpoint = binary_section(table, "label", source.positive)
    folds, notes = read_folds(numbered_splits(source, path), "clam", table, "case_id", "slide_id")
    return Imported(table, "case_id", "slide_id", endpoint, folds, notes=notes)
