"""Dates in text cells, and follow-up computed from them."""

from __future__ import annotations

import re
from typing import Literal

import pandas as pd

from outcome.tables.missing import is_missing

__all__ = [
    "DAYS_PER",
    "DateOrder",
    "guess_order",
    "is_incomplete_date",
    "looks_like_dates",
    "parse_dates",
]

DateOrder = Literal["iso", "day-first", "month-first"]
DAYS_PER = {"days": 1.0, "months": 365.25 / 12, "years": 365.25}
"""Days in one unit of time."""
ISO = r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?"
COMPACT = r"(?:19|20)\d{6}"
NUMERIC = r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:[T ].*)?"
SERIAL = r"[1-7]\d{4}(?:\.\d+)?"
MOSTLY_DATES = 0.9
"""A few incomplete dates are reported by `check`, and do not hide a column of dates."""
INCOMPLETE = r"\d{4}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{4}"
EXCEL_EPOCH = pd.Timestamp("1899-12-30")


def parse_dates(column: pd.Series, order: DateOrder = "iso") -> pd.Series:
    """Read dates; NaT if a cell is missing or is not a date.

    Years first (`2014-03-31`, `2014/03/31`, `20140331`) and the serial numbers of Excel (41729)
    are always understood. `03/04/2014` is read only if `order` states which number is the day.

    Examples
    --------
    >>> parse_dates(pd.Series(["31.12.2014", "2014-03-31"]), "day-first").dt.month.tolist()
    [12, 3]
    """
    text = column.where(~is_missing(column), "").astype(str).str.strip()
    parts = text.str.extract(f"^{ISO}$")
    parts = parts.fillna(text.where(text.str.fullmatch(COMPACT)).str.extract(r"^(.{4})(..)(..)$"))
    if order != "iso":
        numeric = text.str.extract(f"^{NUMERIC}$")
        columns = [2, 1, 0] if order == "day-first" else [2, 0, 1]
        parts = parts.fillna(numeric[columns].set_axis(parts.columns, axis=1))
    written = pd.to_datetime(
        parts.astype(float).set_axis(["year", "month", "day"], axis=1), errors="coerce"
    )
    # Numbers only: for missing numbers, pandas would compute with uninitialised memory.
    serial = (text.str.fullmatch(SERIAL) & written.isna()).to_numpy()
    days = pd.to_timedelta(pd.to_numeric(text[serial]) // 1, unit="D")
    written[serial] = (EXCEL_EPOCH + days).to_numpy()
    return written


def is_incomplete_date(cell: str) -> bool:
    """Return whether a cell has a year, or month and year, but no complete date.

    Examples
    --------
    >>> is_incomplete_date("2015"), is_incomplete_date("03/2015"), is_incomplete_date("1.2.2015")
    (True, True, False)
    """
    return re.fullmatch(INCOMPLETE, cell.strip()) is not None


def looks_like_dates(column: pd.Series) -> bool:
    """Return whether 9 of 10 values of a column are dates, in any order of day and month."""
    text = column[~is_missing(column)].astype(str).str.strip()
    dates = text.str.fullmatch(ISO) | text.str.fullmatch(NUMERIC) | text.str.fullmatch(COMPACT)
    return bool(len(text) and dates.mean() >= MOSTLY_DATES)


def guess_order(columns: list[pd.Series]) -> DateOrder | None:
    """Return the order of day and month in dates; None if the cells do not determine it."""
    text = pd.concat(columns).astype(str).str.strip()
    numbers = text.str.extract(f"^{NUMERIC}$")[[0, 1]].dropna().astype(int)
    if numbers.empty:
        return "iso"
    first, second = bool((numbers[0] > 12).any()), bool((numbers[1] > 12).any())
    if first == second:
        return None
    return "day-first" if first else "month-first"
