"""Numbers as text, and tables as rows of cells that can be sorted and copied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from outcome.plotting.number_text import NOTHING, as_float, number

__all__ = ["Cell", "Table", "column", "entry", "joined", "quote", "slug"]


def slug(text: str, taken: set[str]) -> str:
    """Return a short part of a file name for any text, not yet in `taken`, and add it there.

    Examples
    --------
    >>> taken: set[str] = set()
    >>> slug("image+report", taken), slug("image report", taken), slug("💉", taken)
    ('image-report', 'image-report-2', 'arm')
    """
    kept = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower())
    base = "-".join(kept.split())[:40].strip("-") or "arm"
    name, i = base, 1
    while name in taken:
        i += 1
        name = f"{base}-{i}"
    taken.add(name)
    return name


def entry(row: Any, name: str) -> float:
    """Return a number of a row; NaN if the row has no such entry.

    Examples
    --------
    >>> entry({"n": 3}, "n"), entry({}, "n")
    (3.0, nan)
    """
    return as_float(row.get(name))


@dataclass(frozen=True)
class Cell:
    """One cell: its text and its sort key."""

    text: str
    sort: float | None = None
    header: bool = False
    swatch: str = ""
    """CSS class of a colour mark before the text."""
    link: str = ""
    """Id of the section of the page that the text links to."""


@dataclass
class Table:
    """A table of the report.

    Parameters
    ----------
    caption : str
        Title of the table; also its name for screen readers.
    columns : sequence of str
        Headings.
    rows : list of list of Cell
        Rows; each has the length of `columns`.
    notes : list of str
        Footnotes.
    """

    caption: str
    columns: Sequence[str]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    numeric: set[int] = field(default_factory=set)
    """Right-aligned columns."""

    def add(self, *cells: Cell | str | float | int | None) -> None:
        """Append a row; plain values become cells, the first one a row heading."""
        row = [_cell(value, first=i == 0) for i, value in enumerate(cells)]
        if len(row) != len(self.columns):
            raise ValueError(f"{self.caption}: {len(row)} cells for {len(self.columns)} columns")
        self.rows.append(row)

    def without_empty_columns(self) -> Table:
        """Return the table without columns that are empty in all rows."""
        full = [
            i
            for i in range(len(self.columns))
            if i == 0 or any(row[i].text not in ("", NOTHING) for row in self.rows)
        ]
        return Table(
            self.caption,
            [self.columns[i] for i in full],
            [[row[i] for i in full] for row in self.rows],
            self.notes,
            {new for new, old in enumerate(full) if old in self.numeric},
        )


def _cell(value: Cell | str | float | int | None, *, first: bool) -> Cell:
    if isinstance(value, Cell):
        return value
    if value is None:
        return Cell("")
    if isinstance(value, str):
        return Cell(value, header=first)
    x = float(value)
    if math.isnan(x):
        return Cell(NOTHING, header=first)
    return Cell(number(x, 0 if x == int(x) else 2), x, header=first)


def from_mapping(caption: str, columns: Sequence[str], values: Mapping[str, Any]) -> Table:
    """Make a two-column table of settings; nested mappings become dotted names."""
    table = Table(caption, columns)
    for key, value in _flat(values):
        table.add(key, value)
    return table


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found.append((f"{prefix}{key}", ", ".join(str(v) for v in value) or NOTHING))
        else:
            shown = {None: NOTHING, True: "yes", False: "no"}
            is_flag = value is None or isinstance(value, bool)
            found.append((f"{prefix}{key}", shown[value] if is_flag else str(value)))
    return found


def column(table: pd.DataFrame, name: str) -> pd.Series:
    """Return a numeric column; all values are missing if the table has no such column."""
    if name in table:
        return pd.to_numeric(table[name], errors="coerce")
    return pd.Series(math.nan, index=table.index, dtype=float)


def quote(arm: str) -> str:
    """Put the name of an arm in quotation marks."""
    return f"“{arm}”"


def joined(names: Sequence[str]) -> str:
    """Join names as in a sentence.

    Examples
    --------
    >>> joined(["a"]), joined(["a", "b", "c"])
    ('“a”', '“a”, “b” and “c”')
    """
    quoted = [quote(n) for n in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
