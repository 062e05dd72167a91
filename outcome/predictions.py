"""The table of predictions: schema, reading, writing."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.endpoint import is_blank
from outcome.errors import PredictionsError, Problems

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["survival", "binary"]

__all__ = ["ForeignTables", "Kind", "Predictions", "read_foreign", "read_predictions"]


def binary_table(table: pd.DataFrame) -> bool:
    """Whether the outcome of a table is a label, rather than a time and an event."""
    return "label" in table


@dataclass(frozen=True)
class Predictions:
    """One row per arm, repeat and test patient.

    Parameters
    ----------
    table : DataFrame
        Columns `arm, patient_id, repeat, fold, risk, risk_group` and either `time, event` or
        `label`; optional `probability`, `strata`, `survival_<horizon>`. A higher `risk` is worse,
        everywhere. Risks are comparable only within one arm, repeat, fold and stratum.
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
            problems.add(
                "a patient is scored more than once in one arm and repeat",
                self.table.loc[twice, "patient_id"].tolist(),
                "give one row per arm, repeat and patient",
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
    """Read what `Predictions.write` wrote; ids stay strings.

    Raises
    ------
    PredictionsError
        A column is missing or a value cannot be used.
    """
    return Predictions(_read_table(path))


@dataclass(frozen=True)
class ForeignTables:
    """Predictions made anywhere, brought into our schema.

    Parameters
    ----------
    predictions : Predictions
    unit : str or None
        Unit of the times, where a column name says it.
    covariates : DataFrame
        `patient_id` and the further columns that were asked for, one row per patient.
    notes : tuple of str
        What was filled in.
    origins : mapping of arm to tuple of Path
        The tables that hold rows of it.
    """

    predictions: Predictions
    unit: str | None
    covariates: pd.DataFrame
    notes: tuple[str, ...]
    origins: Mapping[str, tuple[Path, ...]]


def read_foreign(
    paths: Sequence[Path],
    *,
    favourable: bool = False,
    covariates: Sequence[str] = (),
    of_runs: Mapping[Path, pd.DataFrame] | None = None,
) -> ForeignTables:
    """Read tables of predictions made anywhere, one or several arms in each.

    Parameters
    ----------
    paths : sequence of Path
        CSV files with `patient_id` or `case_id`; `time` (or `time_days`, `time_months`,
        `time_years`) and `event`, or `label`; `risk` or `probability`; optional `arm` (else the
        file's name), `repeat`, `fold`, `strata`, `risk_group`, `survival_<h>`.
    favourable : bool
        The positive label is the better outcome: a risk made from `probability` is negated.
    covariates : sequence of str
        Further columns that are wanted.
    of_runs : mapping of Path to DataFrame, optional
        Covariates of the run of a table, used where the table lacks a column: `patient_id` and
        columns, one row per patient.

    Raises
    ------
    PredictionsError
        Everything that is wrong with any of the tables, at once.
    """
    problems = Problems("predictions")
    tables: list[pd.DataFrame] = []
    units: set[str | None] = set()
    notes: list[str] = []
    origins: dict[str, tuple[Path, ...]] = {}
    for path in paths:
        try:
            table = _read_table(path)
        except PredictionsError as error:
            problems.extend([str(error)])
            continue
        file = _File(path, table, problems)
        table, unit = _in_our_words(file, favourable, notes)
        table = _with_columns(table, covariates, (of_runs or {}).get(path))
        if missing := [c for c in covariates if c not in table]:
            problems.add(f"{path} has no column", missing, "correct the names of the covariates")
        tables.append(table)
        for arm in table["arm"].unique():
            origins[arm] = (*origins.get(arm, ()), path)
        units |= {unit} - {None}
    if len(units) > 1:
        problems.add("the tables give times in different units", sorted(map(str, units)))
    problems.raise_if_any(PredictionsError)
    if len({binary_table(t) for t in tables}) > 1:
        raise PredictionsError(
            "some tables have time and event, others a label: evaluate them apart"
        )
    joined = pd.concat(tables, ignore_index=True)
    _check_same_outcomes(joined, problems)
    problems.raise_if_any(PredictionsError)
    if "time" in joined:
        joined["time"] = joined.groupby("patient_id")["time"].transform("first")
    wanted = joined[["patient_id", *covariates]].drop_duplicates("patient_id")
    unit = next(iter(units), None)
    return ForeignTables(Predictions(joined), unit, wanted, tuple(notes), origins)


def _with_columns(
    table: pd.DataFrame, wanted: Sequence[str], of_run: pd.DataFrame | None
) -> pd.DataFrame:
    if of_run is None or "patient_id" not in table:
        return table
    found = [c for c in wanted if c in of_run and c not in table]
    return table.merge(of_run[["patient_id", *found]], on="patient_id", how="left")


def _read_table(path: Path) -> pd.DataFrame:
    names = ("patient_id", "case_id", "arm", "risk_group", "fold", "strata")
    text: dict[Hashable, type[str]] = dict.fromkeys(names, str)
    try:
        return pd.read_csv(
            path,
            dtype=text,
            keep_default_na=False,
            na_values={c: ["", "NA", "NaN", "nan"] for c in ("risk", "probability")},
            float_precision="round_trip",
            low_memory=False,
            encoding="utf-8-sig",
        )
    except FileNotFoundError:
        raise PredictionsError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise PredictionsError(f"{path.name} cannot be read as a table: {reason}") from None


NUMBERS = (
    *("risk", "probability", "time", "event", "label", "weight", "threshold"),
    "survival_at_time",
)
"""Columns that hold numbers; so do `survival_<horizon>`."""
KEYS = ("patient_id", "arm", "repeat", "fold", "strata")
"""Columns that say what a row is about."""
TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class _File:
    """A table as it was read, and where to say what is wrong with it."""

    path: Path
    table: pd.DataFrame
    problems: Problems
    called: Mapping[str, str] = field(default_factory=dict)

    def name(self, column: str) -> str:
        """Return what the file calls the column."""
        return self.called.get(column, column)

    def refuse(self, bad: pd.Series, what: str, remedy: str, *, values: str = "") -> None:
        """Name the rows by line and patient; with `values`, also what that column holds there."""
        rows = np.flatnonzero(bad.to_numpy())
        if not len(rows):
            return
        lines, n = _lines(self.path, len(self.table)), len(self.table)
        ids = self.table["patient_id"] if "patient_id" in self.table else pd.Series([""] * n)
        known = ~is_blank(ids)
        who = [f" (patient {p})" if k else "" for p, k in zip(ids, known, strict=True)]
        seen = [f"line {lines[row]}{who[row]}" for row in rows.tolist()]
        if values:
            held = self.table[values].to_numpy()
            seen = [f"{place}: {held[row]}" for place, row in zip(seen, rows, strict=True)]
        self.problems.add(f"{self.path}: {what}", seen, remedy)


def _lines(path: Path, n: int) -> list[int]:
    """Return the line of the file on which each row of the table begins; the first is line 1."""
    begins, end = [], 0
    with suppress(csv.Error), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                begins.append(end + 1)
            end = reader.line_num
    # Where the two readers disagree on what a row is, rows are taken to be lines.
    return begins[1:] if len(begins) == n + 1 else list(range(2, n + 2))


def _in_our_words(
    file: _File, favourable: bool, notes: list[str]
) -> tuple[pd.DataFrame, str | None]:
    table, path, unit = file.table, file.path, None
    called = {}
    if "patient_id" not in table and "case_id" in table:
        called["patient_id"] = "case_id"
    for name in ("days", "months", "years"):
        if "time" not in table and "time" not in called and f"time_{name}" in table:
            called["time"], unit = f"time_{name}", name
    table = table.rename(columns={theirs: ours for ours, theirs in called.items()})
    needed = {"patient_id", "risk"} | ({"label"} if binary_table(table) else {"time", "event"})
    if "risk" not in table and "probability" in table:
        needed = needed - {"risk"} | {"probability"}
    if missing := sorted(needed - set(table.columns)):
        have = ", ".join(map(str, table.columns[:12]))
        file.problems.add(f"{path} has no column", missing, f"it has {have}")
    file = _File(path, table, file.problems, called)
    _check_keys(file)
    table = _with_numbers(file, needed)
    if "risk" not in table and "probability" in table:
        table = table.assign(risk=_logit(table["probability"], file, favourable))
        notes.append(f"{path.name}: risk is the log odds of the probability")
    filled = pd.DataFrame({"arm": path.stem, "repeat": 0, "fold": "all"}, index=table.index)
    return table.join(filled[filled.columns.difference(table.columns)]), unit


def _check_keys(file: _File) -> None:
    """Refuse rows without a patient, arm, repeat, fold or stratum."""
    for column in KEYS:
        if column not in file.table:
            continue
        remedy = "fill them in, or leave the whole column out"
        if column == "patient_id":
            remedy = "give these rows their patient, or take them out"
        what = f"column {file.name(column)!r} is empty"
        file.refuse(is_blank(file.table[column]), what, remedy)


def _with_numbers(file: _File, needed: set[str]) -> pd.DataFrame:
    """Turn columns of numbers into such, True and False into 1 and 0; refuse anything else."""
    table = file.table
    found = {}
    for column in filter(_is_number, map(str, table)):
        empty, name = is_blank(table[column]), file.name(column)
        if column in needed:
            remedy = "fill them in, or take these rows out"
            file.refuse(empty, f"column {name!r} is empty", remedy)
        found[column] = values = _as_numbers(table[column])
        unread = ~empty & ~np.isfinite(values)
        remedy = "write finite numbers (event and label: 1 or 0, or True or False)"
        file.refuse(unread, f"column {name!r} holds no number", remedy, values=column)
    return table.assign(**found)


def _is_number(column: str) -> bool:
    horizon = column.removeprefix("survival_")
    return column in NUMBERS or (horizon != column and horizon.replace(".", "", 1).isdigit())


def _as_numbers(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        return column.astype(int)
    if pd.api.types.is_numeric_dtype(column):
        return column
    truth = column.astype(str).str.strip().str.lower().map(TRUTH)
    return pd.to_numeric(column, errors="coerce").astype(float).fillna(truth)


def _logit(column: pd.Series, file: _File, favourable: bool) -> NDArray[np.float64]:
    p = column.to_numpy(dtype=float)
    outside = (column < 0) | (column > 1)
    remedy = "give probabilities, or call the column risk"
    file.refuse(outside, "probability is outside [0, 1]", remedy, values="probability")
    safe = np.clip(p, 1e-12, 1 - 1e-12)
    logit: NDArray[np.float64] = np.log(safe) - np.log1p(-safe)
    return -logit if favourable else logit


def _check_same_outcomes(table: pd.DataFrame, problems: Problems) -> None:
    for column in ("time", "event", "label"):
        if column in table:
            ends = table.groupby("patient_id")[column].agg(["min", "max"])
            # A time that went through another program may differ in its last digit.
            far = ends["max"] - ends["min"] > 1e-6 * ends["max"].abs()
            if (differing := ends.index[far].tolist()) != []:
                problems.add(
                    f"column {column!r} differs between rows of one patient",
                    differing,
                    "give every arm the same outcomes",
                )
