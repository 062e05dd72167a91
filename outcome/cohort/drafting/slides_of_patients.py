"""Slides of a cohort table without a column of slides, matched by patient id."""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd

from outcome.cohort.drafting.guess_columns import slides_by_prefix

__all__ = ["with_slides"]


def with_slides(
    table: pd.DataFrame,
    patient: str,
    files: Collection[str],
    written: str,
    pattern: re.Pattern[str] | None = None,
) -> tuple[pd.DataFrame | None, str | None, list[str]]:
    """Match feature files to patients, if a table has no column of slides.

    Parameters
    ----------
    table : DataFrame
    patient : str
        Column of patient ids.
    files : collection of str
        Names of the slides that have a feature file.
    written : str
        Name of the table that will be written, for messages.
    pattern : pattern, optional
        Of names of slides, with the group `patient`; other names begin with the patient's id.

    Returns
    -------
    table : DataFrame or None
        With the column `slide_id`; None if the table needs no change.
    slide : str or None
        Column of slides: that of patients if files are named after them; None without files.
    notes : list of str
        Notes on the matching.
    """
    if not files or set(files) <= set(table[patient]):
        return None, patient if files else None, []
    known = set(table[patient])
    matches = {name: pattern.fullmatch(name) for name in sorted(files)} if pattern else {}
    owner = {name: m["patient"] for name, m in matches.items() if m and m["patient"] in known}
    owner |= slides_by_prefix(table[patient].tolist(), [f for f in files if f not in owner])
    pairs = pd.DataFrame({"patient": list(owner.values()), "slide_id": list(owner)}, dtype=str)
    columns = table.rename(columns={"slide_id": "slide_id_of_the_table"})
    cohort = columns.merge(
        pairs, left_on=patient, right_on="patient", how="left", suffixes=("", "_")
    )
    cohort = cohort.drop(columns="patient_" if "patient" in columns else "patient").fillna("")
    without = sorted(set(table[patient]) - set(owner.values()))
    rule = "contain the patient ids" if pattern else "begin with the patient ids"
    notes = [
        f"guess: {len(owner)} of {len(files)} feature files belong to {len(set(owner.values()))} "
        f"patients, because the file names {rule}; listed in {written}"
    ]
    if without:
        notes.append(f"{len(without)} patients have no file, e.g. {', '.join(without[:3])}")
    return cohort, "slide_id", notes
