"""Follow-up times from two dates, or from several columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from outcome.errors import Problems
from outcome.tables.dates import DAYS_PER, DateOrder, is_incomplete_date, parse_dates
from outcome.tables.missing import is_missing

__all__ = ["COLUMN", "PARTS", "FollowUp", "Time"]


class FollowUp(BaseModel):
    """Follow-up from one date to the first of several others that a patient has.

    Without `from`, the columns of `to` hold times already, as `days_to_death` and
    `days_to_last_follow_up` of the GDC do: the first that is given counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    origin: Annotated[str | None, Field(alias="from")] = None
    """Column of the date at which follow-up begins."""
    to: tuple[str, ...]
    """Column, or columns in order of preference, of the date at which it ends."""
    dates: DateOrder = "iso"
    """How dates are written: `iso` (2014-03-31), `day-first` or `month-first`. Dates with the
    year first, and those of Excel, are always understood."""

    @field_validator("to", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("to")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("give at least one column under `to`")
        return value

    def __str__(self) -> str:
        ends = " or ".join(self.to)
        return f"{self.origin} to {ends}" if self.origin else ends

    @property
    def described(self) -> str:
        """The columns in words, for messages about a computed time."""
        ends = " or ".join(map(repr, self.to))
        return f"follow-up from {self.origin!r} to {ends}" if self.origin else f"column {ends}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the cohort table must have."""
        return (*([self.origin] if self.origin else []), *self.to)

    def times(
        self, table: pd.DataFrame, unit: str, places: Sequence[str], problems: Problems
    ) -> pd.Series:
        """Return follow-up times as text, like a column of the table.

        Parameters
        ----------
        table : DataFrame
            Text columns.
        unit : str
            Unit of the times: days, months (365.25 / 12 days) or years (365.25 days).
        places : sequence of str
            Position of each row, for messages.
        problems : Problems
            Receives cells that are not dates.
        """
        if self.origin is None:
            return _first_given(table[list(self.to)])
        read = {c: self._read(table[c], places, problems) for c in self.columns}
        end = pd.concat([read[c] for c in self.to], axis=1).bfill(axis=1).iloc[:, 0]
        days = (end - read[self.origin]).dt.days.astype(float)
        values = days / DAYS_PER[unit]
        text = [repr(v) if np.isfinite(v) else "" for v in values.tolist()]
        return pd.Series(text, index=table.index, dtype=object)

    def _read(self, column: pd.Series, places: Sequence[str], problems: Problems) -> pd.Series:
        found = parse_dates(column, self.dates)
        values = column.to_numpy()
        bad = np.flatnonzero((found.isna() & ~is_missing(column)).to_numpy()).tolist()
        incomplete = [i for i in bad if is_incomplete_date(str(values[i]))]
        order = (
            "set `dates: day-first` (or month-first) under `time`"
            if self.dates == "iso"
            else f"correct `dates: {self.dates}` under `time`"
        )
        for what, rows, remedy in (
            ("is not a complete date", incomplete, "write day, month and year, or leave it empty"),
            (
                "is not a date",
                [i for i in bad if i not in set(incomplete)],
                f"write 2014-03-31, or {order}",
            ),
        ):
            if rows:
                seen = [f"{places[i]} ({values[i]!r})" for i in rows]
                problems.add(f"column {column.name!r} {what}", seen, remedy)
        return found


COLUMN, PARTS = "(a column)", "(from and to)"
"""Names of the two ways to give times in a study file."""


def _way(value: Any) -> str:
    return PARTS if isinstance(value, (Mapping, FollowUp)) else COLUMN


Time = Annotated[
    Annotated[str, Tag(COLUMN)] | Annotated[FollowUp, Tag(PARTS)],
    Discriminator(_way),
]


def _first_given(columns: pd.DataFrame) -> pd.Series:
    values = columns.mask(columns.apply(is_missing))
    return values.bfill(axis=1).iloc[:, 0].fillna("").astype(object)
