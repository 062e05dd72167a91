"""The table of predictions: schema, reading, writing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import CohortError, PredictionsError, Problems
from outcome.tables.codes import canonical_code
from outcome.tables.column_names import is_survival_probability, says_censored, unit_in_name
from outcome.tables.ids import join_ids, why_ids_differ
from outcome.tables.missing import (
    describe_missing,
    is_blank,
    is_missing,
    missing_words,
    without_missing,
)
from outcome.tables.numbers import as_numbers, plain_numbers, typed
from outcome.tables.read_table import TextTable, as_text, read_table

Kind = Literal["survival", "binary"]

__all__ = [
    "DeclaredColumns",
    "ExternalPredictions",
    "Kind",
    "Predictions",
    "arm_names",
    "check_common_patients",
    "read_covariates",
    "read_external",
    "read_predictions",
]

MOSTLY = 0.8
"""Proportion of numbers above which a column counts as numeric, and other text in it is an
error."""
ALL = "all"
"""The one fold of a table without folds."""
FIXED_SCORE = (
    "without the column fold the score counts as fixed before these patients were seen. If it was "
    "trained or chosen on them (cross-validation), add the column: without it the intervals are "
    "too narrow"
)
OPTIONAL = (
    *("arm", "repeat", "fold", "strata", "risk_group", "entry", "weight", "threshold"),
    *("survival_at_time", "event_at_time", "survival_bound"),
)
"""Columns with a role that a table may lack. If such a column is declared as a covariate or as the
treatment, it does not have the role."""


def binary_table(table: pd.DataFrame) -> bool:
    """Whether the outcome of a table is a label, not a time and an event."""
    return "label" in table


@dataclass(frozen=True)
class Predictions:
    """One row per arm, repeat and test patient.

    Parameters
    ----------
    table : DataFrame
        Columns `arm, patient_id, repeat, fold, risk, risk_group` and either `time, event` or
        `label`; optional `entry` (for times: start of observation, if delayed),
        `probability`, `strata`, `survival_<horizon>`. A higher `risk` always means a worse outcome.
        Risks are comparable only within one arm, repeat, fold and stratum.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        problems = Problems("predictions")
        have = set(self.table.columns)
        if missing := sorted({"arm", "patient_id", "repeat", "fold", "risk"} - have):
            problems.add(f"columns {missing} are missing", remedy=f"the table has {sorted(have)}")
        if not binary_table(self.table) and not {"time", "event"} <= have:
            problems.add("there is no outcome", remedy="give columns time and event, or label")
        problems.raise_if_any(PredictionsError)
        key = ["arm", "repeat", "patient_id"]
        twice = self.table.duplicated(key)
        if twice.any():
            several = not self.table.duplicated([*key, "fold"]).any()
            problems.add(
                "a patient is scored more than once in one arm and repeat"
                + (", by models of several folds" if several else ""),
                self.table.loc[twice, "patient_id"].tolist(),
                "for each patient, keep only the row of the patient's own test fold; the models "
                "of the other folds were trained on this patient"
                if several
                else "give one row per arm, repeat and patient",
            )
        risk = pd.to_numeric(self.table["risk"], errors="coerce").to_numpy(dtype=float)
        bad = ~np.isfinite(risk)
        if bad.any():
            problems.add("risk is not a finite number", self.table.loc[bad, "patient_id"].tolist())
        problems.raise_if_any(PredictionsError)

    @property
    def kind(self) -> Kind:
        """`survival` (time and event) or `binary` (label)."""
        return "binary" if binary_table(self.table) else "survival"

    @property
    def arms(self) -> list[str]:
        """Arm names in the order of their first row."""
        return list(dict.fromkeys(self.table["arm"]))

    def arm(self, name: str) -> pd.DataFrame:
        """Rows of one arm, ordered by repeat, fold and patient, with a fresh index."""
        rows = self.table[self.table["arm"] == name]
        return rows.sort_values(["repeat", "fold", "patient_id"]).reset_index(drop=True)

    def write(self, path: Path) -> None:
        """Write as CSV with every digit, so that metrics can be recomputed from the file."""
        self.table.to_csv(path, index=False)


def read_predictions(path: Path) -> Predictions:
    """Read a file written by `Predictions.write`; ids stay strings.

    Raises
    ------
    PredictionsError
        A column is missing or a value cannot be used.
    """
    problems = Problems(path.name)
    file = _read(path, problems, [])
    table = _with_types(file, ())
    problems.raise_if_any(PredictionsError)
    return Predictions(table)


@dataclass(frozen=True)
class DeclaredColumns:
    """Names of columns in tables of other tools, if they differ from the standard names.

    Parameters
    ----------
    patient, time, event, entry : str
        Names of columns; empty if the table uses the standard name. `entry` is the start of
        observation, if delayed.
    event_codes : mapping of str to int
        Codes of the event column: 0 no event, 1 the event, 2 a competing event.
    """

    patient: str = ""
    time: str = ""
    event: str = ""
    event_codes: Mapping[str, int] = field(default_factory=dict)
    entry: str = ""

    def __bool__(self) -> bool:
        return bool(self.called or self.event_codes)

    @property
    def called(self) -> dict[str, str]:
        """Return the standard name and the declared name of each declared column."""
        named = {
            "patient_id": self.patient, "time": self.time, "event": self.event, "entry": self.entry,
        }  # fmt: skip
        return {ours: theirs for ours, theirs in named.items() if theirs}


@dataclass(frozen=True)
class ExternalPredictions:
    """Predictions of any tool, converted to the standard schema.

    Parameters
    ----------
    predictions : Predictions
    unit : str or None
        Unit of the times, if a column name states it.
    covariates : DataFrame
        `patient_id` and the further requested columns, one row per patient.
    notes : tuple of str
        Notes on values that were filled in.
    origins : mapping of arm to tuple of Path
        The tables that contain rows of the arm.
    """

    predictions: Predictions
    unit: str | None
    covariates: pd.DataFrame
    notes: tuple[str, ...]
    origins: Mapping[str, tuple[Path, ...]]


def read_external(
    paths: Sequence[Path],
    *,
    favourable: bool = False,
    covariates: Sequence[str] = (),
    treatment: str = "",
    of_runs: Mapping[Path, pd.DataFrame] | None = None,
    declared: DeclaredColumns | None = None,
    frames: Mapping[Path, pd.DataFrame] | None = None,
) -> ExternalPredictions:
    """Read tables of predictions of any tool, with one or several arms each.

    Parameters
    ----------
    paths : sequence of Path
        CSV files with `patient_id` or `case_id`; `time` (or `time_days`, `time_months`,
        `time_years`) and `event`, or `label`; `risk` or `probability`; optional `entry` (start of
        observation, if delayed), `arm` (else the file name), `repeat`, `fold`, `strata`,
        `risk_group`, `survival_<h>`.
    favourable : bool
        The positive label is the better outcome: a risk made from `probability` is negated.
    covariates : sequence of str
        Further columns to read.
    treatment : str
        Column of treatments; it is read in the same way as covariates.
    of_runs : mapping of Path to DataFrame, optional
        Covariates of the run that a table belongs to, used if the table has no such column:
        `patient_id` and columns, one row per patient.
    declared : DeclaredColumns, optional
        Names of the columns in tables that do not belong to a run.
    frames : mapping of Path to DataFrame, optional
        Tables in memory, by a path that contains the name of the arm; there is no such file.

    Raises
    ------
    PredictionsError
        The tables are invalid; the message lists all problems.
    """
    problems = Problems("predictions")
    named, covariates = covariates, list(dict.fromkeys([*covariates, *filter(None, [treatment])]))
    apart = {c: _apart(c) for c in covariates}
    tables: list[pd.DataFrame] = []
    units: set[str | None] = set()
    notes: list[str] = []
    origins: dict[str, tuple[Path, ...]] = {}
    frames = frames or {}
    names = arm_names([p for p in paths if p not in frames]) | {p: str(p) for p in frames}
    for path in paths:
        try:
            file = _read(path, problems, notes, frames.get(path))
        except PredictionsError as error:
            problems.extend([str(error)])
            continue
        of_run, theirs = (of_runs or {}).get(path), declared or DeclaredColumns()
        if of_run is None:
            file = _set_apart(replace(file, declarable=declared is not None), covariates)
        else:  # there a column of ours always has its role
            theirs = DeclaredColumns()
        table, unit = _in_our_words(file, names[path], favourable, list(apart.values()), theirs)
        table = _with_columns(table, apart, of_run)
        _check_covariates(file, table, apart, treatment, of_run)
        tables.append(table)
        for arm in table["arm"].unique():
            origins[arm] = (*origins.get(arm, ()), path)
        units |= {unit} - {None}
    if len(units) > 1:
        problems.add("the tables give times in different units", sorted(map(str, units)))
    problems.raise_if_any(PredictionsError)
    if len({binary_table(t) for t in tables}) > 1:
        raise PredictionsError(
            "some tables have time and event, others a label; evaluate them separately"
        )
    joined = pd.concat(_with_same_ids(tables), ignore_index=True)
    if "entry" in joined and (
        lacking := [str(p) for p, t in zip(paths, tables, strict=True) if "entry" not in t]
    ):
        problems.add(
            "only some tables have a column entry", lacking, "give it in all tables, or in none"
        )
    _check_same_outcomes(joined, apart, problems)
    problems.raise_if_any(PredictionsError)
    for column in ("time", "entry"):
        if column in joined:
            joined[column] = joined.groupby("patient_id")[column].transform("first")
    rows = joined[["patient_id", *apart.values()]].groupby("patient_id", sort=False)
    wanted = rows.first().reset_index() if covariates else joined[["patient_id"]].drop_duplicates()
    wanted = wanted.rename(columns={name: c for c, name in apart.items()})
    joined = joined.drop(columns=[name for c, name in apart.items() if name != c])
    notes += _fold_notes(paths, tables)
    notes += _covariate_notes(wanted[["patient_id", *named]])
    unit = next(iter(units), None)
    return ExternalPredictions(Predictions(joined), unit, wanted, tuple(notes), origins)


def _fold_notes(paths: Sequence[Path], tables: Sequence[pd.DataFrame]) -> list[str]:
    """Say what it means that tables have no folds."""
    whole = [p.name for p, t in zip(paths, tables, strict=True) if set(t["fold"]) == {ALL}]
    return [f"{', '.join(whole)}: {FIXED_SCORE}"] if whole else []


def _apart(column: str) -> str:
    """Return the name under which a covariate is kept: another one where its own is a role."""
    return f"covariate {column}" if column.casefold() in OPTIONAL else column


def _set_apart(file: _File, wanted: Sequence[str]) -> _File:
    """Take the role from columns that are named as a covariate or as the treatment."""
    moved = {c: _apart(c) for c in wanted if c in file.table and _apart(c) != c}
    for column in moved:
        file.notes.append(
            f"{file.path.name}: column {column!r} is read as the covariate or treatment that it "
            f"was declared to be, and not as the {column.casefold().replace('_', ' ')} of the "
            "prediction"
        )
    called = {**file.called, **{name: c for c, name in moved.items()}}
    return replace(file, table=file.table.rename(columns=moved), called=called)


def _with_columns(
    table: pd.DataFrame, wanted: Mapping[str, str], of_run: pd.DataFrame | None
) -> pd.DataFrame:
    if of_run is None or "patient_id" not in table:
        return table
    found = {c: name for c, name in wanted.items() if c in of_run and name not in table}
    columns = of_run[["patient_id", *found]].rename(columns=found)
    return table.merge(columns, on="patient_id", how="left")


def _check_covariates(
    file: _File,
    table: pd.DataFrame,
    apart: Mapping[str, str],
    treatment: str,
    of_run: pd.DataFrame | None,
) -> None:
    """Note covariates and a treatment that the table lacks, and which columns it has."""
    missing = [c for c, name in apart.items() if name not in table]
    if not missing:
        return
    have = [file.name(str(c)) for c in file.table]
    have += [] if of_run is None else [str(c) for c in of_run if c != "patient_id"]
    named = ["`treatment=`"] * (treatment in missing)
    named += ["`covariates=`"] * bool(set(missing) - {treatment})
    file.problems.add(
        f"{file.path} has no column",
        missing,
        f"it has {_shortened(', '.join(dict.fromkeys(have)))}; correct {' and '.join(named)}, or "
        "add the column (each table needs it)",
    )


def _shortened(listed: str, most: int = 400) -> str:
    return listed if len(listed) <= most else f"{listed[: most - 3]}..."


def read_covariates(path: Path) -> pd.DataFrame:
    """Read a table of `patient_id` and covariates; numeric columns may have missing values.

    Only empty cells are missing: other codes for missing values were replaced when the table was
    written.

    Raises
    ------
    PredictionsError
        The file is not a table.
    """
    table = read_table(path, what="table of covariates", error=PredictionsError).frame
    return table.assign(**{c: typed(table[c]) for c in map(str, table) if c != "patient_id"})


NUMBERS = (
    *("risk", "probability", "time", "event", "label", "weight", "threshold"),
    *("survival_at_time", "event_at_time", "survival_bound", "repeat", "entry"),
)
"""Numeric columns; `survival_<horizon>` is numeric too."""
KEYS = ("patient_id", "arm", "repeat", "fold", "strata")
"""Columns that identify a row."""
TEXT = ("patient_id", "case_id", "arm", "risk_group", "fold", "strata")
SCORES = re.compile(r"score|hazard|pred|logit|prob", re.IGNORECASE)
PATIENTS = re.compile(r"patient|subject|case|(?:^|_)id$", re.IGNORECASE)
ROLES = {
    "patient_id": ("`patient=`", "the patient ids"),
    "time": ("`time=`", "the follow-up"),
    "event": ("`event=`", "the events"),
}
"""Columns that may be declared under another name: how, and what they contain."""
OF_A_MODEL = re.compile(r"^(?:risk|probability)[_. -](.+)$", re.IGNORECASE)


@dataclass(frozen=True)
class _File:
    """A table as read, with a collector for problems."""

    path: Path
    read: TextTable
    table: pd.DataFrame
    problems: Problems
    notes: list[str]
    called: Mapping[str, str] = field(default_factory=dict)
    declarable: bool = False
    """Whether the reader can be given the names of the columns and the codes of the event."""

    def name(self, column: str) -> str:
        """Return the name of the column in the file."""
        return self.called.get(column, column)

    def place(self, row: int) -> str:
        """Return the position of a row: its line and its patient."""
        who = str(self.table["patient_id"].iloc[row]) if "patient_id" in self.table else ""
        return self.read.places[row] + (f" (patient {who})" if who else "")

    def refuse(self, bad: pd.Series, what: str, remedy: str, *, values: str = "") -> None:
        """Report the rows by line and patient; with `values`, also the content of that column."""
        rows = np.flatnonzero(bad.to_numpy()).tolist()
        if not rows:
            return
        seen = [self.place(row) for row in rows]
        if values:
            held = self.table[values].to_numpy()
            seen = [f"{place}: {held[row]}" for place, row in zip(seen, rows, strict=True)]
        self.problems.add(f"{self.path}: {what}", seen, remedy)


def _read(
    path: Path, problems: Problems, notes: list[str], frame: pd.DataFrame | None = None
) -> _File:
    if frame is None:
        read = read_table(path, what="file", error=PredictionsError)
    else:
        try:
            read = as_text(frame, f"the table {path}")
        except CohortError as error:
            raise PredictionsError(str(error)) from None
    notes += read.notes
    return _File(path, read, read.frame, problems, notes)


def _in_our_words(
    file: _File,
    arm: str,
    favourable: bool,
    covariates: Sequence[str],
    declared: DeclaredColumns,
) -> tuple[pd.DataFrame, str | None]:
    table, path = _as_declared(file, declared), file.path
    unit = unit_in_name(declared.time) or None
    called = declared.called | _in_capitals(table)
    table = table.rename(columns={theirs: ours for ours, theirs in called.items()})
    if "patient_id" not in table and "case_id" in table:
        called["patient_id"] = "case_id"
    for name in ("days", "months", "years"):
        if "time" not in table and "time" not in called and f"time_{name}" in table:
            called["time"], unit = f"time_{name}", name
    table = table.rename(columns={theirs: ours for ours, theirs in called.items()})
    called = {ours: called.get(theirs, theirs) for ours, theirs in called.items()}
    if binary_table(table):  # in such a table it is not the start of observation
        table = table.drop(columns="entry", errors="ignore")
    needed = {"patient_id", "risk"} | ({"label"} if binary_table(table) else {"time", "event"})
    if "risk" not in table and "probability" in table:
        needed = needed - {"risk"} | {"probability"}
    if "entry" in table:
        needed |= {"entry"}
        file.notes.append(
            f"{path.name}: observation begins at {called.get('entry', 'entry')!r} (delayed entry)"
        )
    file = replace(file, table=table, called={**file.called, **called})
    if missing := sorted(needed - set(table.columns)):
        have = ", ".join(map(str, table.columns[:12]))
        hints = "".join(f"; {hint}" for hint in _hints(table, missing, declarable=file.declarable))
        file.problems.add(f"{path} has no column", missing, f"it has {have}{hints}")
    _check_keys(file)
    table = _with_types(file, needed, covariates)
    if "risk" not in table and "probability" in table:
        risk = _logit(table["probability"], replace(file, table=table), favourable)
        table = table.assign(risk=risk)
        file.notes.append(f"{path.name}: risk is the log odds of the probability")
    filled = pd.DataFrame({"arm": arm, "repeat": 0, "fold": ALL}, index=table.index)
    return table.join(filled[filled.columns.difference(table.columns)]), unit


def _as_declared(file: _File, declared: DeclaredColumns) -> pd.DataFrame:
    """Give declared columns the standard names, and event codes the standard numbers."""
    table = file.table
    if missing := [theirs for theirs in declared.called.values() if theirs not in table]:
        have = ", ".join(map(str, table.columns[:12]))
        file.problems.add(f"{file.path} has no column", missing, f"it has {have}")
    called = {ours: theirs for ours, theirs in declared.called.items() if theirs in table}
    # An existing column with the standard name is dropped.
    table = table.drop(columns=[o for o, t in called.items() if o != t and o in table])
    table = table.rename(columns={theirs: ours for ours, theirs in called.items()})
    if "event" not in table:
        return table
    file = replace(file, table=table, called=called)
    if declared.event_codes:
        return table.assign(event=_decoded(file, declared.event_codes))
    if declared.event and says_censored(declared.event):
        file.problems.add(
            f"{file.path}: by the name of column {declared.event!r}, 1 means that no event was "
            "observed",
            remedy="declare the meaning of its codes with `event_codes=`, e.g. 0=1,1=0",
        )
    return table


def _decoded(file: _File, codes: Mapping[str, int]) -> pd.Series:
    text = file.table["event"]
    meaning = text.map(canonical_code).map(dict(codes))
    unknown = meaning.isna() & ~is_missing(text)
    known = ", ".join(codes)
    file.refuse(
        unknown,
        f"column {file.name('event')!r} contains codes that are not declared",
        f"also declare these codes (declared: {known}), or remove these rows",
        values="event",
    )
    numbers = meaning.map(lambda code: "" if pd.isna(code) else str(int(code)))
    # Already refused; it must not also be reported as not a number.
    return numbers.where(~unknown, "0")


def _in_capitals(table: pd.DataFrame) -> dict[str, str]:
    """Return standard and actual name of columns that differ only in upper and lower case."""
    theirs: dict[str, list[str]] = {}
    for column in map(str, table.columns):
        theirs.setdefault(column.casefold(), []).append(column)
    times = ("time_days", "time_months", "time_years")
    return {
        ours: theirs[ours][0]
        for ours in (*KEYS, *NUMBERS, *TEXT, *times)
        if ours not in table and len(theirs.get(ours, ())) == 1
    }


def _hints(table: pd.DataFrame, missing: Sequence[str], *, declarable: bool) -> list[str]:
    """Suggest columns that may be meant, and those that must be inverted."""
    found = []
    columns = list(map(str, table.columns))
    if "risk" in missing:
        if len(models := [c for c in columns if OF_A_MODEL.match(c)]) > 1:
            found.append(
                f"{' and '.join(map(repr, models[:2]))} look like the risks of "
                f"{len(models)} models: write one table for each model with a column risk, or one "
                "long table with the columns arm (the model) and risk"
            )
        elif survival := [c for c in columns if is_survival_probability(c)]:
            found.append(
                f"by its name, {survival[0]!r} is a probability of survival, where higher is "
                f"better; write risk = -{survival[0]}"
            )
        elif scores := [c for c in columns if SCORES.search(c)]:
            found.append(f"if higher values of {scores[0]!r} are worse, call it risk")
    if "event" in missing and (censored := [c for c in columns if says_censored(c)]):
        found.append(
            f"by the name of {censored[0]!r}, 1 means that no event was observed; write event = "
            f"1 - {censored[0]}"
        )
    for ours, (option, content) in ROLES.items():
        if ours in missing and not (ours == "event" and any(map(says_censored, columns))):
            found += _hint_of_role(columns, ours, option if declarable else "", content)
    return found


def _hint_of_role(columns: Sequence[str], ours: str, option: str, content: str) -> list[str]:
    """Say how a column of another name is declared, or what to call it."""
    likely = {
        "time": [c for c in columns if unit_in_name(c)],
        "patient_id": sorted(
            (c for c in columns if PATIENTS.search(c)), key=lambda c: "patient" not in c.casefold()
        ),
    }.get(ours, [])
    called = f"call it {ours}"
    if likely and ours == "time":
        called += f"_{unit_in_name(likely[0])}"
    if not likely and not option:
        return []
    whose = f"{likely[0]!r}" if likely else "another column"
    return [
        f"if {whose} contains {content}, {f'name it with {option}, or ' if option else ''}{called}"
    ]


def _check_keys(file: _File) -> None:
    """Refuse rows without a patient, arm, repeat, fold or stratum."""
    for column in KEYS:
        if column not in file.table:
            continue
        remedy = "fill them in, or omit the whole column"
        empty = is_missing(file.table[column])
        if column in ("patient_id", "arm"):
            empty = is_blank(file.table[column])
        if column == "patient_id":
            remedy = "give the patient of these rows, or remove the rows"
        file.refuse(empty, f"column {file.name(column)!r} is empty", remedy)


def _with_types(
    file: _File, needed: Collection[str], covariates: Sequence[str] = ()
) -> pd.DataFrame:
    """Convert columns to numbers; refuse cells that are not numbers if numbers are needed."""
    form = file.read.numbers
    found: dict[str, pd.Series] = {}
    words: dict[str, Counter[str]] = {}
    for column in [c for c in map(str, file.table) if c not in TEXT]:
        text = file.table[column]
        if _is_number(column) or column in covariates:
            words[file.name(column)] = missing_words(text)
        plain = without_missing(text) if column in words or _is_number(column) else text
        if _is_number(column):
            plain = plain_numbers(
                plain.rename(file.name(column)), form, place=file.place, problems=file.problems,
                notes=file.notes,
            )  # fmt: skip
            found[column] = _numbers(file, column, plain, needed)
        elif column in covariates:
            found[column] = _covariate(file, column, plain_numbers(without_missing(text), form))
        else:
            found[column] = typed(plain)
    if "risk_group" in file.table:
        found["risk_group"] = without_missing(file.table["risk_group"])
    file.notes.extend(f"{file.path.name}: {said}" for said in describe_missing(words))
    return file.table.assign(**found)


def _numbers(file: _File, column: str, plain: pd.Series, needed: Collection[str]) -> pd.Series:
    empty, name = plain == "", file.name(column)
    if column in needed:
        file.refuse(empty, f"column {name!r} is empty", "fill them in, or remove these rows")
    values = typed(plain.map(canonical_truth))
    if values.dtype == object:
        values = as_numbers(plain.map(canonical_truth))
    unread = ~empty & ~np.isfinite(values.astype(float))
    remedy = "write finite numbers"
    if column in ("event", "label"):
        remedy = "write 1 or 0, or True or False"
    if column == "event" and file.declarable:
        remedy += ", or declare what the codes mean with `event_codes=`, e.g. Alive=0,Dead=1"
    file.refuse(
        unread, f"column {name!r} contains values that are not numbers", remedy, values=column
    )
    return values


def _covariate(file: _File, column: str, plain: pd.Series) -> pd.Series:
    """Return a covariate as numbers or as text; a mistyped number is refused."""
    values = typed(plain)
    if values.dtype == object:
        known = as_numbers(plain)
        bad = known.isna() & (plain != "")
        if known.notna().sum() > MOSTLY * (plain != "").sum():
            remedy = "correct them, or leave these cells empty"
            file.refuse(
                bad,
                f"column {file.name(column)!r} contains numbers, except for",
                remedy,
                values=column,
            )
    return values


def _covariate_notes(covariates: pd.DataFrame) -> list[str]:
    """Report incomplete covariates, with the number of patients."""
    names, n = [c for c in map(str, covariates) if c != "patient_id"], len(covariates)
    lacking = {c: int(covariates[c].isna().sum()) for c in names}
    found = [f"covariate {c}: missing for {k} of {n} patients" for c, k in lacking.items() if k]
    if found:
        complete = int(covariates[names].notna().all(axis=1).sum())
        found.append(f"models with covariates use the {complete} patients with complete covariates")
    return found


def _with_same_ids(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Write the ids of each table as in the previous tables, if they belong to the same patient."""
    known: set[str] = set()
    found = []
    for table in tables:
        called = join_ids(table["patient_id"].unique(), known)
        ids = pd.Series([called.get(i, i) for i in table["patient_id"]], index=table.index)
        known |= set(ids)
        found.append(table.assign(patient_id=ids))
    return found


def check_common_patients(predictions: Predictions, baseline: str | None) -> list[str]:
    """Return warnings about arms that share few patients with the baseline.

    Raises
    ------
    PredictionsError
        An arm shares no patient with the baseline, so they cannot be compared.
    """
    if baseline is None or baseline not in predictions.arms:
        return []
    table, warnings = predictions.table, []
    problems = Problems("predictions")
    theirs = set(table.loc[table["arm"] == baseline, "patient_id"])
    for arm in predictions.arms:
        mine = set(table.loc[table["arm"] == arm, "patient_id"])
        common = len(mine & theirs)
        if 2 * common >= min(len(mine), len(theirs)):
            continue
        reason = why_ids_differ(mine - theirs, theirs)
        because = f" ({reason})" if reason else ""
        if common:
            warnings.append(
                f"arms {arm} and {baseline} have {common} patients in common, of {len(mine)} and "
                f"{len(theirs)}{because}; they are compared on these patients only"
            )
        else:
            problems.add(
                f"arms {arm} and {baseline} have no patient in common{because}",
                remedy="write the ids in the same way, or evaluate the tables separately; if these "
                "are treatments and not models, declare their column with `treatment=`",
            )
    problems.raise_if_any(PredictionsError)
    return warnings


def arm_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the name of the arm of each table without a column `arm`.

    It is the name of the file, or that of its folder if several files have the same name.
    """

    def name(path: Path, length: int) -> str:
        parts = path.absolute().with_suffix("").parts[-length:]
        return "/".join(parts[:-1] if length > 1 else parts)

    found = {}
    for path in paths:
        rivals = [p for p in paths if p.absolute() != path.absolute() and p.stem == path.stem]
        length = 1
        while any(name(p, length) == name(path, length) for p in rivals) and length < 20:
            length += 1
        found[path] = name(path, length)
    return found


def canonical_truth(text: str) -> str:
    """Return 1 for true and 0 for false, in any case; other text as it is."""
    return canonical_code(text) if text.lower() in ("true", "false") else text


def _is_number(column: str) -> bool:
    horizon = column.removeprefix("survival_")
    return column in NUMBERS or (horizon != column and horizon.replace(".", "", 1).isdigit())


def _logit(column: pd.Series, file: _File, favourable: bool) -> NDArray[np.float64]:
    p = column.to_numpy(dtype=float)
    outside = (column < 0) | (column > 1)
    remedy = "give probabilities, or call the column risk"
    file.refuse(outside, "probability is outside [0, 1]", remedy, values="probability")
    safe = np.clip(p, 1e-12, 1 - 1e-12)
    logit: NDArray[np.float64] = np.log(safe) - np.log1p(-safe)
    return -logit if favourable else logit


def _check_same_outcomes(
    table: pd.DataFrame, covariates: Mapping[str, str], problems: Problems
) -> None:
    for covariate, column in covariates.items():
        kinds = table.groupby("patient_id")[column].nunique()
        if (differing := kinds.index[kinds > 1].tolist()) != []:
            problems.add(
                f"covariate {covariate!r} differs between rows of one patient",
                differing,
                "give each patient one value",
            )
    for column in ("time", "event", "label", "entry"):
        if column in table:
            ends = table.groupby("patient_id")[column].agg(["min", "max"])
            # A time written by another program may differ in its last digit.
            far = ends["max"] - ends["min"] > 1e-6 * ends["max"].abs()
            if (differing := ends.index[far].tolist()) != []:
                problems.add(
                    f"column {column!r} differs between rows of one patient",
                    differing,
                    "outcomes must be the same in all arms",
                )
