"""The column that says which treatment a patient had: two values, one of them the reference."""

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
"""Name of the column in a table of patients, whatever the study calls it."""


@dataclass(frozen=True)
class TreatmentAssignment:
    """Which patient had which treatment.

    Attributes
    ----------
    table : DataFrame
        `patient_id` and `treatment`, one row per patient; an empty treatment is unknown.
    column : str
        Name of the column in the table of the user.
    reference : str
        The value that the other is compared with.
    randomised : bool
        Treatments were drawn by lot. If not, patients with the one and the other may differ.
    """

    table: pd.DataFrame
    column: str
    reference: str
    randomised: bool

    def of(self, patients: list[str]) -> NDArray[np.float64]:
        """Return 1 for the other treatment, 0 for the reference, NaN where it is unknown."""
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
    """Note what is wrong with the treatments of patients.

    Parameters
    ----------
    values : Series of str
        One per patient; empty where unknown.
    column, reference : str
    problems : Problems
        Receives an absent reference, one value only, and more than two.
    where : str
        Where the column was named, for the message.
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
    """Return the treatments that are known; a reference called `none` is one."""
    text = values.fillna("").astype(str)
    return text[~is_missing(text, {reference})].map(canonical_code)
