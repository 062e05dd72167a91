"""Information in the names of columns: units of times, coding of events, reversed scores.

Used for guessing, import, declaration and evaluation of columns, so that all of these agree.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import pandas as pd

from outcome.tables.missing import is_missing

__all__ = [
    "DEATH",
    "EVENT",
    "NO_TIME",
    "SURVIVAL",
    "TIME",
    "VITAL",
    "event_contradiction",
    "follow_up_columns",
    "is_survival_probability",
    "label_contradiction",
    "says_censored",
    "unit_contradiction",
    "unit_in_name",
    "words",
]

TIME = re.compile(
    r"time|days|months|years|survival|follow|\bfu\b|duration|\b(os|dss|pfi|dfi|pfs|rfs|dfs|efs)\b",
    re.IGNORECASE,
)
NO_TIME = re.compile(
    r"\bage\b|birth|date|diagnos(is|ed) ?(year|date)|year of|status|event|cens|prob",
    re.IGNORECASE,
)
EVENT = re.compile(
    r"event|status|dead|death|died|deceased|vital|cens|relapse|recur|progress|\bliving\b|\balive\b",
    re.IGNORECASE,
)
SURVIVAL = re.compile(r"^(os|dss|pfi|dfi|pfs|dfs|rfs|efs|ttp|mfs|css)$", re.IGNORECASE)
"""Names of survival endpoints: as a column of two codes, the event (TCGA, UCSC Xena)."""
CENSORED = re.compile(r"(?<!un)(?<!not )cens|\bliving\b|\balive\b|\bsurvived\b", re.IGNORECASE)
"""Inverse coding: 1 means that the event was not observed."""
OCCURRED = re.compile(
    r"\bevents?\b|\bdead\b|\bdeath\b|\bdied\b|\bdeceased\b|relapse|recur|progress(?!ion free)",
    re.IGNORECASE,
)
UNITS = {
    "days": r"\bdays?\b",
    "months": r"\bmonths?\b|\bmo\b|\bmos\b",
    "years": r"\byears?\b|\byrs?\b",
}
DEATH = re.compile(r"death|died|deceased|exitus", re.IGNORECASE)
VITAL = re.compile(r"vital|\bstatus\b|\bdead\b|death|died|deceased|\balive\b|surviv", re.IGNORECASE)
SURVIVAL_PROBABILITY = re.compile(
    r"(surv\w*|\bos\b|\bs\b) ?(prob\w*|chance)|prob\w* (of )?surv|^surv(ival)?( (score|pred\w*))?$"
    r"|event free prob|\bs ?\d+ ?(d|m|mo|y|yr)?$",
    re.IGNORECASE,
)


def words(column: str) -> str:
    """Return the name of a column with its words separated.

    Examples
    --------
    >>> words("OSTime_days")
    'OS Time days'
    """
    apart = re.sub(r"([a-z])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3 \2\4", column)
    return re.sub(r"[^0-9A-Za-z]+", " ", apart).strip()


def unit_in_name(column: str) -> str:
    """Return the unit in the name of a column, or an empty text.

    Examples
    --------
    >>> unit_in_name("OS_MONTHS"), unit_in_name("time")
    ('months', '')
    """
    found = [u for u, pattern in UNITS.items() if re.search(pattern, words(column), re.IGNORECASE)]
    return found[0] if len(found) == 1 else ""


def says_censored(column: str) -> bool:
    """Return whether, by the column name, 1 means that the event was not observed."""
    return bool(CENSORED.search(words(column)))


def is_survival_probability(column: str) -> bool:
    """Return whether, by its name, a column is a probability of survival (higher is better)."""
    return bool(SURVIVAL_PROBABILITY.search(words(column)))


def unit_contradiction(column: str, unit: str, *, declared: bool) -> str:
    """Return a warning if the name of a time column contradicts its unit; else empty."""
    named = unit_in_name(column)
    if not named or named == unit:
        return ""
    said = f"says `unit: {unit}`" if declared else f"gives no unit, so the unit is {unit}"
    return (
        f"the name of the time column {column!r} indicates {named}, but the study file {said}. "
        f"Write `unit: {named}` under `endpoint`, or rename the column"
    )


def event_contradiction(
    column: str, *, censored: bool, codes: Mapping[str, int] | None = None
) -> str:
    """Return a warning if the name of an indicator suggests the inverse coding; else empty.

    Parameters
    ----------
    column : str
    censored : bool
        The study file reads it with 1 = censored, not with 1 = event.
    codes : mapping, optional
        Declared meanings. Declared words resolve the contradiction; 0 and 1 declared as themselves
        do not.
    """
    if codes and any(key not in ("0", "1") or str(v) != key for key, v in codes.items()):
        return ""
    if not censored and says_censored(column):
        return (
            f"column {column!r} is read as 1 = event, but its name suggests that 1 means no "
            f"event. If so, write `censored: {column}` instead of `event: {column}`"
        )
    if censored and not says_censored(column) and OCCURRED.search(words(column)):
        return (
            f"column {column!r} is read as 1 = censored, but its name suggests that 1 means an "
            f"event. If so, write `event: {column}` instead of `censored: {column}`"
        )
    return ""


def follow_up_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns with different follow-up times, by name and values."""
    found = []
    for column in map(str, table.columns):
        name = words(column)
        if not TIME.search(name) or NO_TIME.search(name):
            continue
        values = pd.to_numeric(table.loc[~is_missing(table[column]), column], errors="coerce")
        if len(values) and values.notna().all() and values.nunique() > 2 and (values >= 0).all():
            found.append(column)
    return found


def label_contradiction(label: str, times: Collection[str]) -> str:
    """Return a warning if a yes/no label is the event of a known follow-up time; else empty."""
    if not times or not VITAL.search(words(label)):
        return ""
    return (
        f"column {label!r} is used as a yes/no label, but column {next(iter(times))!r} contains "
        "the length of follow-up. Patients with short follow-up would count as a certain 'no'. "
        f"Use `kind: survival` with `time: {next(iter(times))}` and `event: {label}`, or `kind: "
        "landmark` for the event by a fixed time"
    )
