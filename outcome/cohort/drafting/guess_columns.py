"""Guesses about the columns of an unknown table; they are printed as guesses."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from outcome.errors import CohortError
from outcome.tables.codes import canonical_code
from outcome.tables.column_names import (
    DEATH,
    EVENT,
    NO_TIME,
    SURVIVAL,
    TIME,
    VITAL,
    says_censored,
    unit_in_name,
    words,
)
from outcome.tables.dates import guess_order, looks_like_dates
from outcome.tables.ids import slide_name
from outcome.tables.missing import is_missing

__all__ = ["Guesses", "are_roles", "guess", "slides_by_prefix", "unit_of"]

FILE_SUFFIX = re.compile(r"\.(?:h5|hdf5|pt|pth|npy|npz|zarr)$", re.IGNORECASE)
PATIENT = re.compile(r"patient|case|subject|participant|\bmrn\b|\bpid\b|^id$|person", re.IGNORECASE)
SLIDE = re.compile(r"slide|wsi|image|file|scan", re.IGNORECASE)
LABEL = re.compile(r"label|respon|relapse|recur|outcome|class|target|benefit|pcr", re.IGNORECASE)
SITE = re.compile(
    r"\bsites?\b|hospital|cent(er|re)|zentrum|instit|\btss\b|(clinic|klinik)$", re.IGNORECASE
)
NOT_A_SITE = re.compile(r"anatom|tumou?r|primary|organ|metast|biopsy|tissue", re.IGNORECASE)
FOLD = re.compile(r"^(cv_?)?(outer_?)?(fold|split)_?\d*$", re.IGNORECASE)
NUMERIC = re.compile(r"\bage\b|bmi|\bpsa\b|tumou?r size|ki ?67", re.IGNORECASE)
CATEGORICAL = re.compile(
    r"\b(sex|gender|stage|grade|subtype|histolog\w*|smok\w*|[tnm] stage)\b", re.IGNORECASE
)
TRAINING = frozenset({"train", "training"})
ROLES = TRAINING | {"val", "valid", "validation", "tune", "dev", "development"}
ROLES |= {"test", "testing", "holdout"}
LAST = re.compile(
    r"\blast\b|follow ?up|\bfu\b|\b(last|latest) (contact|seen|visit|alive)|censor", re.IGNORECASE
)
START = re.compile(
    r"diagnos|surg|operat|resect|start|baseline|inclusion|enrol|index|random|treat|biops|\bdx\b",
    re.IGNORECASE,
)
MOSTLY = 0.9
SUFFICIENT = 0.7
GUESSED_UNIT = {"years": 30.0, "months": 150.0}
MOST_LEVELS = 12


@dataclass(frozen=True)
class Guesses:
    """Columns, each with the reason; empty text if no column matches.

    Parameters
    ----------
    patient, slide : str
        `slide` is empty if files are matched by patient.
    time : str or mapping
        A column of follow-up times, or `from` and `to` as in the study file.
    event, label, site : str
    censored : bool
        Whether, by its name, `event` has the inverse coding.
    unit : str
    codes : tuple of str
        Codes of `event`, or of `label`, that must be declared because they are not 0 and 1.
    folds, numeric, categorical : tuple of str
    unused : tuple of str
        Further columns that are neither empty nor dates.
    reasons : mapping of role to str
    """

    patient: str
    slide: str = ""
    time: str | Mapping[str, Any] = ""
    event: str = ""
    censored: bool = False
    label: str = ""
    unit: str = "days"
    codes: tuple[str, ...] = ()
    site: str = ""
    folds: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


def guess(
    table: pd.DataFrame, files: Collection[str], given: Mapping[str, str] | None = None
) -> Guesses:
    """Guess the roles of the columns.

    Parameters
    ----------
    table : DataFrame
        As returned by `read_table`.
    files : collection of str
        Names of slides with files; empty if no folder was given.
    given : mapping of role to str, optional
        Columns given by the user: patient, slide, time, event, label, site, unit.
    """
    given = {k: v for k, v in (given or {}).items() if v}
    reasons = dict.fromkeys(given, "as you said")
    slide = given.get("slide") or _slide(table, files, reasons)
    patient = given.get("patient") or _patient(table, files, slide, reasons)
    taken = {patient, slide}
    folds = tuple(
        c for c in _columns(table) if FOLD.match(c) and c not in taken and not are_roles(table[c])
    )
    site = given.get("site") or _first(
        table, lambda c: bool(SITE.search(words(c)) and not NOT_A_SITE.search(c)), taken
    )
    taken |= {site, *folds}
    time: str | Mapping[str, Any] = ""
    event = label = ""
    if "label" not in given:
        time, event = _follow_up(table, given, taken, reasons)
    if "event" in given and not time:
        raise CohortError(
            f"no column of follow-up times, and no dates of the beginning and end of follow-up, "
            f"were recognised for the event {given['event']!r}. To do: name the column of times "
            "with `time=`; for dates, write a study file with `time: {from: diagnosis_date, to: "
            "[death_date, last_contact_date]}` under `endpoint`"
        )
    if not (time and event):
        time = event = ""
        label = given.get("label") or _label(table, taken)
        if "label" not in given and EVENT.search(words(label)):
            _refuse_unreadable_times(table, taken, label)
    column = event or label
    codes = (
        sorted(set(table.loc[~is_missing(table[column]), column].map(canonical_code)))
        if column
        else []
    )
    unit = given.get("unit") or (unit_of(table, time, reasons) if time else "days")
    taken |= {*_names(time), event, label}
    numeric = tuple(c for c in _columns(table) if c not in taken and _is_number(table, c, NUMERIC))
    categorical = _categories(table, taken)
    return Guesses(
        patient=patient,
        slide="" if slide == patient else slide,
        time=time,
        event=event,
        censored=bool(event and says_censored(event)),
        label=label,
        unit=unit,
        codes=() if set(codes) <= {"0", "1"} else tuple(codes),
        site=site,
        folds=folds,
        numeric=numeric,
        categorical=categorical,
        unused=tuple(
            c
            for c in _columns(table)
            if c not in {*taken, *numeric, *categorical}
            and not is_missing(table[c]).all()
            and not looks_like_dates(table[c])
        ),
        reasons=reasons,
    )


def unit_of(
    table: pd.DataFrame, time: str | Mapping[str, Any], reasons: dict[str, str] | None = None
) -> str:
    """Guess the unit of a column of times by its name or by the size of the values."""
    reasons = {} if reasons is None else reasons
    if not isinstance(time, str):
        if "from" in time:
            return "days"
        time = str(time["to"][0])
    if unit := unit_in_name(time):
        reasons["unit"] = "by the column's name"
        return unit
    longest = float(pd.to_numeric(table[time], errors="coerce").max())
    unit = next((u for u, limit in GUESSED_UNIT.items() if longest <= limit), "days")
    reasons["unit"] = f"the longest time is {longest:g}"
    return unit


def slides_by_prefix(patients: Sequence[str], files: Collection[str]) -> dict[str, str]:
    """Return file -> patient, if the name of the file is the patient id or begins with it.

    The character after the id must not be a letter or digit. If several ids match, the longest is
    used.
    """
    known = frozenset(patients)
    found: dict[str, str] = {}
    for name in sorted(files):
        ends = [len(name), *(m.start() for m in re.finditer(r"[^0-9A-Za-z]", name))][:100]
        for end in sorted(ends, reverse=True):
            if name[:end] in known and end:
                found[name] = name[:end]
                break
    return found


def are_roles(values: pd.Series) -> bool:
    """Whether a column contains development and test sets instead of equivalent folds."""
    found = set(values[~is_missing(values)].str.strip().str.casefold())
    return bool(found & TRAINING) and found <= ROLES


def _columns(table: pd.DataFrame) -> list[str]:
    return [str(c) for c in table.columns]


def _first(table: pd.DataFrame, fits: Callable[[str], bool], taken: Collection[str]) -> str:
    return next((c for c in _columns(table) if c not in taken and fits(c)), "")


def _stem(value: str) -> str:
    return slide_name(FILE_SUFFIX.sub("", value))


def _slide(table: pd.DataFrame, files: Collection[str], reasons: dict[str, str]) -> str:
    hits = {c: int(table[c].map(_stem).isin(list(files)).sum()) for c in _columns(table)}
    best = max(hits, key=lambda c: hits[c])
    if files and hits[best]:
        reasons["slide"] = f"{hits[best]} of {len(table)} rows contain the name of a feature file"
        return best
    if not files and (found := _first(table, lambda c: bool(SLIDE.search(words(c))), ())):
        reasons["slide"] = "by its name"
        return found
    return ""


def _patient(
    table: pd.DataFrame, files: Collection[str], slide: str, reasons: dict[str, str]
) -> str:
    if not slide and files:
        hits = {c: len(slides_by_prefix(table[c].tolist(), files)) for c in _columns(table)}
        best = max(hits, key=lambda c: hits[c])
        if hits[best]:
            reasons["patient"] = (
                f"the names of {hits[best]} of {len(files)} feature files begin with its values"
            )
            return best
    if found := _first(table, lambda c: bool(PATIENT.search(words(c))), {slide}):
        reasons["patient"] = "by its name"
        return found
    if slide:
        named = (
            "files are named after it"
            if PATIENT.search(words(slide))
            else "no other looks like one"
        )
        reasons["patient"] = f"{named}: one file per patient"
        return slide
    distinct = {c: table[c].nunique() for c in _columns(table)}
    reasons["patient"] = "it has the most different values"
    return max(distinct, key=lambda c: distinct[c])


def _follow_up(
    table: pd.DataFrame, given: Mapping[str, str], taken: Collection[str], reasons: dict[str, str]
) -> tuple[str | Mapping[str, Any], str]:
    """Return the best-matching time and event columns; times may be computed from dates."""
    times = [given["time"]] if "time" in given else []
    times = times or [c for c in _columns(table) if c not in taken and _is_time(table, c)]
    events = [given["event"]] if "event" in given else []
    busy = {*taken, *times}
    events = events or [c for c in _columns(table) if c not in busy and _is_event(table, c)]
    pairs = [(t, e) for t in times for e in events if t != e]
    if not pairs:
        dates = _from_dates(table, taken) if events and "time" not in given else {}
        if not dates:
            return "", ""
        reasons.setdefault("time", "dates, by their names and values")
        reasons.setdefault("event", "by its name and values")
        return dates, next((e for e in events if VITAL.search(words(e))), events[0])

    known = {t: (~is_missing(table[t])).mean() for t in times}

    def together(pair: tuple[str, str]) -> tuple[bool, int]:
        one, other = (set(words(c).lower().split()) for c in pair)
        # The time to an event that few patients have is not the follow-up of the others.
        return bool(known[pair[0]] > SUFFICIENT * max(known.values())), len(one & other)

    best = max(pairs, key=together)
    reasons.setdefault("time", "by its name and values")
    reasons.setdefault("event", "by its name and values")
    rivals = [f"{t} with {e}" for t, e in pairs if together((t, e)) == together(best)]
    if parts := _in_two_columns(table, best[0], times):
        reasons["time"] = "two columns that complement each other, by their names and values"
        return {"to": parts}, best[1]
    if len(rivals) > 1:
        reasons["time"] += f"; as likely: {', '.join(rivals[1:6])}"
    return best


def _refuse_unreadable_times(table: pd.DataFrame, taken: Collection[str], label: str) -> None:
    """Refuse to use a status as a yes/no label if a column of times cannot be read."""
    for column in _columns(table):
        name = words(column)
        if column in (*taken, label) or not TIME.search(name) or NO_TIME.search(name):
            continue
        text = table.loc[~is_missing(table[column]), column]
        numbers = pd.to_numeric(text, errors="coerce")
        bad = text[numbers.isna()]
        if len(bad) and text.nunique() > 2 and text.str.contains(r"^\D{0,3}\d").mean() > MOSTLY:
            raise CohortError(
                f"column {column!r} looks like follow-up, but {len(bad)} of its cells are not "
                f"plain numbers, e.g. {bad.iloc[0]!r}. To do: write only numbers (1801 or "
                f"1.801), or, if the length of follow-up is not relevant, give {label!r} with "
                "`label=`"
            )


def _in_two_columns(table: pd.DataFrame, time: str, times: Sequence[str]) -> list[str]:
    """Return the time to death and the time to the last contact, if patients have one of them."""
    deaths = [c for c in times if DEATH.search(words(c))]
    last = [c for c in times if LAST.search(words(c)) and c not in deaths]
    if not deaths or not last or time not in (deaths[0], last[0]):
        return []
    absent = is_missing(table[time]).mean()
    together = (is_missing(table[deaths[0]]) & is_missing(table[last[0]])).mean()
    return [deaths[0], last[0]] if together < absent else []


def _from_dates(table: pd.DataFrame, taken: Collection[str]) -> dict[str, Any]:
    """Return `from` and `to` of follow-up if the table has dates, else nothing."""
    dates = [c for c in _columns(table) if c not in taken and looks_like_dates(table[c])]
    deaths = [c for c in dates if DEATH.search(words(c))]
    last = [c for c in dates if LAST.search(words(c)) and c not in deaths]
    starts = [c for c in dates if START.search(words(c)) and c not in (*deaths, *last)]
    if not starts or not last:
        return {}
    ends = [*deaths[:1], last[0]]
    found: dict[str, Any] = {"from": starts[0], "to": ends}
    order = guess_order([table[c] for c in (starts[0], *ends)])
    return found if order == "iso" else {**found, "dates": order or "?"}


def _names(time: str | Mapping[str, Any]) -> list[str]:
    """Return the columns from which a time is computed."""
    if isinstance(time, str):
        return [time]
    return [*([time["from"]] if "from" in time else []), *time["to"]]


def _numbers(table: pd.DataFrame, column: str) -> pd.Series:
    return pd.to_numeric(table.loc[~is_missing(table[column]), column], errors="coerce")


def _is_number(table: pd.DataFrame, column: str, pattern: re.Pattern[str]) -> bool:
    values = _numbers(table, column)
    return bool(pattern.search(words(column)) and len(values) and values.notna().all())


def _is_time(table: pd.DataFrame, column: str) -> bool:
    name, values = words(column), _numbers(table, column)
    if not TIME.search(name) or NO_TIME.search(name) or not len(values):
        return False
    # A few invalid cells are reported by `check`.
    return bool(values.nunique() > 2 and (values >= 0).mean() > MOSTLY)


def _is_event(table: pd.DataFrame, column: str) -> bool:
    values = table.loc[~is_missing(table[column]), column].map(canonical_code)
    name = words(column)
    return bool((EVENT.search(name) or SURVIVAL.search(name)) and 2 <= values.nunique() <= 4)


def _label(table: pd.DataFrame, taken: Collection[str]) -> str:
    two = [
        c
        for c in _columns(table)
        if c not in taken and 2 <= table.loc[~is_missing(table[c]), c].nunique() <= MOST_LEVELS
    ]
    named = [c for c in two if LABEL.search(words(c)) or EVENT.search(words(c))]
    return named[0] if named else ""


def _categories(table: pd.DataFrame, taken: Collection[str]) -> tuple[str, ...]:
    """Return clinical categories; of two codings of the same thing the first."""
    found: dict[tuple[int, ...], str] = {}
    for column in _columns(table):
        if column not in taken and _is_category(table, column):
            found.setdefault(tuple(pd.factorize(table[column])[0].tolist()), column)
    return tuple(found.values())


def _is_category(table: pd.DataFrame, column: str) -> bool:
    levels = table.loc[~is_missing(table[column]), column].nunique()
    return bool(CATEGORICAL.search(words(column)) and 2 <= levels <= MOST_LEVELS)
