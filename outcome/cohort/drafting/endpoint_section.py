"""The endpoint section of a study file, from columns; codes are never assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from outcome.cohort.drafting.guess_columns import Guesses, unit_of
from outcome.errors import CohortError
from outcome.tables.codes import canonical_code
from outcome.tables.missing import is_missing

__all__ = ["SURVIVAL", "UNDECLARED", "binary_section", "guessed_section", "survival_section"]

UNDECLARED = "?"
"""Placeholder for information that only the user has; `check` refuses it."""
SURVIVAL = re.compile(r"^(?:(?P<first>\w+?)_)?survival_(?P<unit>days|months)(?:_(?P<last>\w+))?$")
PREFERRED = ("os", "dss", "pfi", "dfi")


def binary_section(table: pd.DataFrame, label: str, positive: str) -> dict[str, Any]:
    """Return the endpoint of a yes/no column; without `positive`, the user has to add it."""
    codes = set(table.loc[~is_missing(table[label]), label].map(canonical_code))
    if positive and canonical_code(positive) not in codes:
        shown = ", ".join(sorted(codes)[:10])
        raise CohortError(f"column {label!r} does not contain {positive!r} (it contains {shown})")
    found: dict[str, Any] = {"kind": "binary", "label": label, "positive": positive or UNDECLARED}
    if positive and len(codes) > 2:
        found["negative"] = sorted(codes - {canonical_code(positive)})
    return found


def survival_section(table: pd.DataFrame, wanted: str, where: str) -> dict[str, Any]:
    """Return the endpoint of `[os_]survival_days[_dss]` and its `censorship` (1 = censored)."""
    found: dict[str, dict[str, Any]] = {}
    for column in map(str, table.columns):
        if not (match := SURVIVAL.match(column)):
            continue
        name = match["first"] or match["last"] or "os"
        pattern = column.replace(f"survival_{match['unit']}", "censorship")
        if pattern in table:
            found[name] = {
                "kind": "survival", "time": column, "censored": pattern, "unit": match["unit"],
            }  # fmt: skip
    if not found:
        raise CohortError(
            f"{where} has no pair of survival_days (or _months) and censorship (its columns are"
            f" {', '.join(map(str, table.columns[:12]))})"
        )
    name = wanted or next((n for n in PREFERRED if n in found), next(iter(found)))
    if name not in found:
        raise CohortError(f"{where} has no endpoint {name!r} (it has {', '.join(found)})")
    return found[name]


def guessed_section(
    found: Guesses,
    table: pd.DataFrame,
    positive: str = "",
    codes: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return the endpoint section from guesses; codes must be declared and are never guessed.

    Raises
    ------
    CohortError
        No column looks like an outcome.
    """
    if found.time:
        time = found.time if isinstance(found.time, str) else dict(found.time)
        endpoint: dict[str, Any] = {"kind": "survival", "time": time}
        endpoint["censored" if found.censored else "event"] = found.event
        if codes:
            endpoint["event_codes"] = dict(codes)
        elif found.codes:
            endpoint["event_codes"] = dict.fromkeys(found.codes, UNDECLARED)
        endpoint["unit"] = found.unit or unit_of(table, found.time)
        return endpoint
    if found.label:
        return binary_section(table, found.label, positive)
    raise CohortError(
        f"no column looks like an outcome (columns: {', '.join(map(str, table.columns[:20]))}). "
        "To do: give the column with `time=` and `event=`, or `label=`"
    )
