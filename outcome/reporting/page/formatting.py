"""Numbers as text, and tables as rows of cells that can be read, sorted and copied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = [
    "Cell",
    "Table",
    "entry",
    "estimate",
    "interval",
    "number",
    "p_value",
    "plural",
    "signed",
    "slug",
]

MINUS = "−"
NOTHING = "–"


def number(value: Any, digits: int = 2) -> str:
    """Format with fixed digits and a proper minus; a missing number is a dash.

    Examples
    --------
    >>> number(-0.12345), number(float("nan")), number(-0.0001), number(1234567.8, 0)
    ('−0.12', '–', '0.00', '1,234,568')
    """
    x = _float(value)
    if not math.isfinite(x):
        return NOTHING if math.isnan(x) else f"{MINUS if x < 0 else ''}∞"
    text = f"{abs(x):,.{digits}f}"
    return f"{MINUS}{text}" if x < 0 and float(text.replace(",", "")) else text


def signed(value: Any, digits: int = 2) -> str:
    """Format a difference with its sign.

    Examples
    --------
    >>> signed(0.031), signed(-0.031), signed(0)
    ('+0.03', '−0.03', '0.00')
    """
    text = number(value, digits)
    x = _float(value)
    zero = text.strip("0.,") == ""
    return f"+{text}" if x > 0 and math.isfinite(x) and not zero else text


def interval(lower: Any, upper: Any, digits: int = 2, *, sign: bool = False) -> str:
    """Format an interval as `0.61 to 0.74`; empty where a bound is missing.

    Examples
    --------
    >>> interval(0.612, 0.738), interval(None, 1), interval(-0.01, 0.04, sign=True)
    ('0.61 to 0.74', '', '−0.01 to +0.04')
    """
    if math.isnan(_float(lower)) or math.isnan(_float(upper)):
        return ""
    shape = signed if sign else number
    return f"{shape(lower, digits)} to {shape(upper, digits)}"


def estimate(
    value: Any, lower: Any = None, upper: Any = None, digits: int = 2, *, sign: bool = False
) -> str:
    """Format an estimate with its interval.

    Examples
    --------
    >>> estimate(0.678, 0.612, 0.738), estimate(0.678), estimate(None, 0, 1)
    ('0.68 (0.61 to 0.74)', '0.68', 'not estimable')
    """
    if math.isnan(_float(value)):
        return "not estimable"
    text = signed(value, digits) if sign else number(value, digits)
    between = interval(lower, upper, digits, sign=sign)
    return f"{text} ({between})" if between else text


def p_value(value: Any, name: str = "p") -> str:
    """Format a p-value; empty where there is none. It never reads `p = 0`.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.00004), p_value(0.64), p_value(0.0496), p_value(0.004)
    ('p = 0.03', 'p < 0.001', 'p = 0.64', 'p = 0.0496', 'p = 0.004')
    """
    p = _float(value)
    if math.isnan(p):
        return ""
    if p < 0.001:
        return f"{name} < 0.001"
    if p > 0.99:
        return f"{name} > 0.99"
    if p < 0.01:
        return f"{name} = {p:.3f}"
    text = f"{p:.2f}"
    return f"{name} = {p:.4f}" if text == "0.05" and p < 0.05 else f"{name} = {text}"


def plural(count: int, noun: str, several: str = "") -> str:
    """Count something in words.

    Examples
    --------
    >>> plural(1, "patient"), plural(1200, "patient"), plural(2, "study", "studies")
    ('1 patient', '1,200 patients', '2 studies')
    """
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def slug(text: str, taken: set[str]) -> str:
    """Return a short file-name part for any text, unlike those in `taken`, and add it there.

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
    """Return a number of a row, NaN where the row has none by that name.

    Examples
    --------
    >>> entry({"n": 3}, "n"), entry({}, "n")
    (3.0, nan)
    """
    return _float(row.get(name))


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


@dataclass(frozen=True)
class Cell:
    """One cell: what is read, and what it is sorted by."""

    text: str
    sort: float | None = None
    header: bool = False
    swatch: str = ""
    """CSS class of a colour mark before the text."""
    link: str = ""
    """Id of a section of the page that the text leads to."""


@dataclass
class Table:
    """A table of the report.

    Parameters
    ----------
    caption : str
        What it shows; it is also the name that a screen reader gives.
    columns : sequence of str
        Headings.
    rows : list of list of Cell
        Each as long as `columns`.
    notes : list of str
        Footnotes.
    """

    caption: str
    columns: Sequence[str]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    numeric: set[int] = field(default_factory=set)
    """Columns that are set flush right."""

    def add(self, *cells: Cell | str | float | int | None) -> None:
        """Append a row; plain values become cells, the first one a row heading."""
        row = [_cell(value, first=i == 0) for i, value in enumerate(cells)]
        if len(row) != len(self.columns):
            raise ValueError(f"{self.caption}: {len(row)} cells for {len(self.columns)} columns")
        self.rows.append(row)

    def without_empty_columns(self) -> Table:
        """Return the table without columns that say nothing in any row."""
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
    """Return a numeric column, all missing where the table lacks it."""
    if name in table:
        return pd.to_numeric(table[name], errors="coerce")
    return pd.Series(math.nan, index=table.index, dtype=float)
