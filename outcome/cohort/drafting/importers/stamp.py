"""STAMP: a clinical table (`PATIENT`) and a slide table (`PATIENT, FILENAME`)."""

from __future__ import annotations

from outcome.cohort.drafting.endpoint_section import guessed_section
from outcome.cohort.drafting.guess_columns import guess
from outcome.cohort.drafting.importers.source import (
    Imported,
    Source,
    file_stem,
    find_table,
    require_columns,
)
from outcome.errors import CohortError

__all__ = ["import_stamp"]


def import_stamp(source: Source) -> Imported:
    """Read the files; see the module."""
    clini = find_table(source.path, lambda t: "PATIENT" in t and "FILENAME" not in t)
    if clini is None:
        raise CohortError(f"{source.path} contains no clinical table (with a column PATIENT)")
    path, table = clini
    require_columns(table, ["PATIENT"], path.name)
    where = source.table or source.path
    slides = find_table(
        where if where.is_dir() or source.table else where.parent, lambda t: "FILENAME" in t
    )
    slide, notes = "", []
    if slides is None:
        notes.append("no slide table (with a column FILENAME); files are matched by patient id")
    else:
        name, names = slides
        require_columns(names, ["PATIENT", "FILENAME"], name.name)
        slide = "FILENAME"
        names = names[["PATIENT", "FILENAME"]].drop_duplicates()
        names = names.assign(FILENAME=names["FILENAME"].map(file_stem))
        without = sorted(set(names["PATIENT"]) - set(table["PATIENT"]))
        if without:
            notes.append(
                f"{len(without)} patients of {name.name} are not in {path.name} and are "
                f"excluded, e.g. {', '.join(without[:3])}"
            )
        if "FILENAME" in table:  # one table is both
            table = table.drop(columns="FILENAME").drop_duplicates()
        table = table.merge(names, on="PATIENT", how="left").fillna("")
    given = {"patient": "PATIENT", "slide": slide, **(source.columns or {})}
    if source.endpoint:
        given["label"] = source.endpoint
    guessed = guess(table, (), given)
    endpoint = guessed_section(guessed, table, source.positive)
    return Imported(table, "PATIENT", slide, endpoint, notes=notes)
