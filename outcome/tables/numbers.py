"""Numbers in text cells: decimal points and commas, and ambiguous numbers.

`1,5` is a number of a European table. In such a table, `1.801` means 1801, but a program reads
1.801. If the cells of the column or the table determine the meaning, it is used; ambiguous numbers
are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from outcome.errors import Problems

__all__ = ["NumberFormat", "as_numbers", "number_format", "plain_numbers", "typed"]

Mark = Literal["", ".", ","]
SIGN = r"[-+\u2212]?"
WITH_COMMA = SIGN + r"\d*,\d+"
WITH_POINT = SIGN + r"\d*\.\d+(?:[eE][-+]?\d+)?"
GROUPS_BY_COMMA = SIGN + r"[1-9]\d{0,2}(?:,\d{3})+"
GROUPS_BY_POINT = SIGN + r"[1-9]\d{0,2}(?:\.\d{3})+"
PLAIN = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
WHOLE = r"[-+]?\d{1,15}"
ONLY_DECIMAL_COMMA = "|".join(
    [
        rf"(?!{GROUPS_BY_COMMA}$){WITH_COMMA}",
        rf"{GROUPS_BY_POINT},\d+",
        SIGN + r"[1-9]\d{0,2}(?:\.\d{3}){2,}",
    ]
)
"""Texts that are numbers only if the decimal mark is a comma: 1,5 and 1.801,5 and 1.000.000."""
ONLY_DECIMAL_POINT = "|".join(
    [
        rf"(?!{GROUPS_BY_POINT}$){WITH_POINT}",
        rf"{GROUPS_BY_COMMA}\.\d+",
        SIGN + r"[1-9]\d{0,2}(?:,\d{3}){2,}",
    ]
)


@dataclass(frozen=True)
class NumberFormat:
    """Number format of a table.

    Parameters
    ----------
    mark : {"", ".", ","}
        The decimal mark if a column shows it unambiguously; empty if no column does, or if columns
        contradict each other.
    semicolons : bool
        Whether semicolons separate the fields, as in tables with decimal commas.
    """

    mark: Mark = ""
    semicolons: bool = False


def number_format(table: pd.DataFrame, *, semicolons: bool) -> NumberFormat:
    """Detect the number format of a table of text cells."""
    marks = {m for column in table for m in _marks(table[column])}
    return NumberFormat(marks.pop() if len(marks) == 1 else "", semicolons)


def plain_numbers(
    column: pd.Series,
    form: NumberFormat,
    *,
    place: Callable[[int], str] = str,
    problems: Problems | None = None,
    notes: list[str] | None = None,
) -> pd.Series:
    """Return a column with its numbers in Python's notation; other text is unchanged.

    Parameters
    ----------
    column : Series
        Text cells.
    form : NumberFormat
        Number format of the table.
    place : callable
        Returns the position of a row by its index, for messages.
    problems : Problems, optional
        Receives ambiguous numbers; these cells are then empty.
    notes : list of str, optional
        Receives notes on numbers that were read differently from how they are written.
    """
    # Columns have few distinct cells, and most columns need no change.
    text = column.str.replace("\u2212", "-", regex=False)
    commas = text.str.fullmatch(WITH_COMMA) | text.str.fullmatch(rf"{GROUPS_BY_COMMA}(?:\.\d+)?")
    points = text.str.fullmatch(rf"{GROUPS_BY_POINT}(?:,\d+)?")
    doubtful = points if form.semicolons else points & text.str.contains(",", regex=False)
    doubtful |= text.str.fullmatch(rf"{GROUPS_BY_POINT}") & text.str.count(r"\.").gt(1)
    if not (commas | doubtful).any():
        return text
    marks = _marks(text)
    mark: Mark = marks.pop() if len(marks) == 1 else "" if marks else form.mark
    if not mark:
        if problems is not None:
            rows = column.index[commas | doubtful].tolist()
            problems.add(
                f"column {column.name!r} contains numbers that can be read in two ways",
                [f"{place(i)} ({column[i]!r})" for i in rows],
                "write thousands without a separator and decimals with a point: 1801 or 1.801",
            )
            return text.where(~(commas | doubtful), "")
        return text
    other = "," if mark == "." else "."
    changed = commas | doubtful
    plain = text.str.replace(other, "", regex=False).str.replace(mark, ".", regex=False)
    if notes is not None:
        notes.append(_said(str(column.name), text, commas, doubtful, mark))
    return text.where(~changed, plain)


def _said(name: str, text: pd.Series, commas: pd.Series, doubtful: pd.Series, mark: Mark) -> str:
    decimal, grouped = (commas, doubtful) if mark == "," else (doubtful, commas)
    parts = []
    if mark == "," and (n := int(decimal.sum())):
        parts.append(f"{n} numbers are read with a decimal comma")
    if n := int(grouped.sum()):
        first = text[grouped].iloc[0]
        parts.append(f"{n} numbers are read with a thousands separator, e.g. {first}")
    if mark == "." and (n := int(decimal.sum())):
        parts.append(f"{n} numbers such as {text[decimal].iloc[0]} are read with a decimal point")
    return f"column {name!r}: {'; '.join(parts)}"


def _marks(column: pd.Series) -> set[Mark]:
    """Return the decimal marks that a cell shows unambiguously."""
    text = column.astype(str)
    if not text.str.contains(r"\d[.,]\d|^[-+]?[.,]\d").any():
        return set()
    found: set[Mark] = set()
    if text.str.fullmatch(ONLY_DECIMAL_COMMA).any():
        found.add(",")
    if text.str.fullmatch(ONLY_DECIMAL_POINT).any():
        found.add(".")
    return found


def as_numbers(column: pd.Series) -> pd.Series:
    """Return plain numbers with all digits; NaN if the text is not a finite number."""
    text = column.astype(str).str.strip()
    numbers = text.str.fullmatch(PLAIN)
    values = [float(v) if ok else np.nan for v, ok in zip(text, numbers, strict=True)]
    found = pd.Series(values, index=column.index, name=column.name, dtype=float)
    return found.where(np.isfinite(found))


def typed(column: pd.Series) -> pd.Series:
    """Return a column of plain texts as numbers if every value is a number, else as text.

    An empty text is a missing value: it never turns a column of numbers into text.

    Examples
    --------
    >>> typed(pd.Series(["63", "", "71"])).tolist()
    [63.0, nan, 71.0]
    """
    given = column != ""
    if given.any() and column[given].str.fullmatch(PLAIN).all():
        if given.all() and column.str.fullmatch(WHOLE).all():
            return column.astype("int64")
        return as_numbers(column)
    text: pd.Series = column.astype(object).where(given, np.nan)
    return text
