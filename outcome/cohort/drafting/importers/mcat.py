"""MCAT, PORPOISE, SurvPath: a table with `survival_months, censorship` and `splits_0.csv`..."""

from __future__ import annotations

import re

import pandas as pd

from outcome.cohort.drafting.endpoint_section import SURVIVAL, survival_section
from outcome.cohort.drafting.importers.source import (
    Imported,
    Source,
    find_table,
    joined,
    numbered_splits,
    read_folds,
    require_columns,
)
from outcome.errors import CohortError
from outcome.tables.read_table import read_table

__all__ = ["import_mcat", "import_survpath"]

OMICS = re.compile(r"_(rnaseq|cnv|mut)$")


def import_mcat(source: Source) -> Imported:
    """Read the files; see the module."""

    def fits(table: pd.DataFrame) -> bool:
        return {"case_id", "slide_id"} <= set(table) and any(map(SURVIVAL.match, map(str, table)))

    found = find_table(source.path, fits)
    if found is None:
        raise CohortError(
            f"{source.path} contains no table with case_id, slide_id and survival_months"
        )
    path, table = found
    require_columns(table, ["case_id", "slide_id"], path.name)
    notes = []
    omics = [c for c in map(str, table) if OMICS.search(c)]
    if omics:
        notes.append(f"{len(omics)} columns of molecular data are not used")
    blank = [c for c in map(str, table) if c == "" or c.startswith("Unnamed")]
    table = table.drop(columns=[*omics, *blank])
    endpoint = survival_section(table, source.endpoint, path.name)
    clinical = source.table or None
    if clinical is not None:
        table = joined(table, read_table(clinical).frame, clinical.name)
    folds, said = read_folds(numbered_splits(source, path), "mcat", table, "case_id", "slide_id")
    return Imported(table, "case_id", "slide_id", endpoint, folds, notes=[*notes, *said])


def import_survpath(source: Source) -> Imported:
    """Read the files; see the module."""
    if source.table is None and source.path.is_dir():
        clinical = find_table(
            source.path,
            lambda t: (
                "case_id" in t
                and bool({"stage", "grade", "subtype"} & set(t))
                and not any(map(SURVIVAL.match, map(str, t)))
            ),
        )
        if clinical is not None:
            source = Source(**{**vars(source), "table": clinical[0]})
    return import_mcat(source)
