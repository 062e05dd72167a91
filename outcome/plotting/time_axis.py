"""The unit of a time axis."""

from __future__ import annotations

import pandas as pd

__all__ = ["TIME_UNITS", "in_time_unit", "readable_unit"]

_DAYS = {"days": 1.0, "weeks": 7.0, "months": 365.25 / 12, "years": 365.25}
TIME_UNITS = tuple(_DAYS)
"""Available units."""


def readable_unit(unit: str, longest: float, wanted: str = "auto") -> tuple[str, float]:
    """Choose the unit of a time axis.

    Parameters
    ----------
    unit : str
        Unit of the times.
    longest : float
        Longest follow-up, in this unit.
    wanted : str
        `days`, `weeks`, `months`, `years`; or `auto`: days are shown as months beyond half a
        year and as years beyond five, months as years beyond fifteen.

    Returns
    -------
    str
        The unit shown.
    float
        Factor of the times.

    Examples
    --------
    >>> readable_unit("days", 2000.0)[0], readable_unit("months", 60.0), readable_unit("", 9.0)
    ('years', ('months', 1.0), ('', 1.0))
    """
    if unit not in _DAYS:
        return unit, 1.0
    days = longest * _DAYS[unit]
    shown = wanted if wanted in _DAYS else unit
    if wanted == "auto" and unit in ("days", "weeks"):
        shown = "years" if days > 5 * 365.25 else "months" if days > 183 else unit
    elif wanted == "auto" and unit == "months":
        shown = "years" if days > 15 * 365.25 else unit
    return shown, _DAYS[unit] / _DAYS[shown]


def in_time_unit(
    table: pd.DataFrame, unit: str, wanted: str, column: str = "time"
) -> tuple[pd.DataFrame, str]:
    """Return a table with its times in the unit of the axis, and this unit.

    Parameters
    ----------
    table : DataFrame
        Table with the column of times; a column `entry` has the same unit.
    unit : str
        Unit of these times.
    wanted : str
        See `readable_unit`.
    column : str
    """
    times = table[column].astype(float)
    shown, factor = readable_unit(unit, float(times.max()) if len(times) else 0.0, wanted)
    if factor == 1.0:
        return table, shown
    late = {"entry": table["entry"].astype(float) * factor} if "entry" in table else {}
    return table.assign(**{column: times * factor, **late}), shown
