"""The treatment column: two values, one of them the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import Problems
from outcome.tables.codes import canonical_code
from outcome.tables.missing import is_missing

__all__ = ["TREATMENT", "TreatmentAssignment", "check_treatment"]

TREATMENT = "treatment"
"""Name of the column in a table of patients, independent of the name in the study."""


@dataclass(frozen=True)
class TreatmentAssignment:
    """Treatments of the patients.

    Attributes
    ----------
    table : DataFrame
        `patient_id` and `treatment`, one row per patient; an empty treatment is unknown.
    column : str
        Name of the column in the table of the user.
    reference : str
        The reference treatment.
    randomised : bool
        Whether treatments were randomised. If not, patients with different treatments may differ.
    """

    table: pd.DataFrame
    column: str
    reference: str
    randomised: bool

    def of(self, patients: list[str]) -> NDArray[np.float64]:
        """Return 1 for the other treatment, 0 for the reference, NaN if unknown."""
        reference = canonical_code(self.reference)
        by_patient = self.table.set_index(self.table["patient_id"].astype(str))[TREATMENT]
        known = _codes(by_patient, reference)
        mine = known.reindex(patients)
        return np.where(mine.isna(), np.nan, (mine != reference).astype(float))

    @property
    def other(self) -> str:
        """The value that is not the reference."""
        reference = canonical_code(self.reference)
        found = _codes(self.table[TREATMENT], reference)
        others = found[found != reference]
        return str(others.iloc[0]) if len(others) else "other"


def check_treatment(
    values: pd.Series, column: str, reference: str, problems: Problems, *, where: str = ""
) -> None:
    """Check the treatments of patients.

    Parameters
    ----------
    values : Series of str
        One per patient; empty if unknown.
    column, reference : str
    problems : Problems
        Receives problems: a missing reference, a single value, or more than two values.
    where : str
        Where the column was given, for the message.
    """
    counts = _codes(values, canonical_code(reference)).value_counts().sort_index()
    held = [f"{value} ({n} patients)" for value, n in counts.items()]
    what = f"column {column!r}{f' ({where})' if where else ''}"
    if not held:
        problems.add(f"{what} is empty", remedy="fill in the treatments, or give another column")
        return
    if canonical_code(reference) not in counts.index:
        problems.add(
            f"{what} does not contain the reference {reference!r}; its values are "
            f"{', '.join(held)}",
            remedy="give one of these values as the reference",
        )
    if len(held) == 1:
        problems.add(
            f"{what} contains only one value, {held[0]}",
            remedy="a treatment effect needs two treatments: give another column, or omit "
            "`treatment`",
        )
    if len(held) > 2:
        problems.add(
            f"{what} contains more than two values",
            held,
            "leave the other values empty (these patients are counted and excluded), or combine "
            "the values into two",
        )


def _codes(values: pd.Series, reference: str) -> pd.Series:
    """Return which treatments are known; a reference named `none` is known."""
    text = values.fillna("").astype(str)
    return text[~is_missing(text, {reference})].map(canonical_code)
