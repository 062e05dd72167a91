"""The table that training hands to evaluation: schema, reading, writing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import PredictionsError, Problems

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["survival", "binary"]

__all__ = ["ForeignTables", "Kind", "Predictions", "read_foreign", "read_predictions"]


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
        if "label" not in have and not {"time", "event"} <= have:
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
        bad = ~np.isfinite(self.table["risk"].to_numpy(dtype=float))
        if bad.any():
            problems.add("risk is not a finite number", self.table.loc[bad, "patient_id"].tolist())
        problems.raise_if_any(PredictionsError)

    @property
    def kind(self) -> Kind:
        """`survival` (time and event) or `binary` (label)."""
        return "survival" if "time" in self.table.columns else "binary"

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
    """

    predictions: Predictions
    unit: str | None
    covariates: pd.DataFrame
    notes: tuple[str, ...]


def read_foreign(
    paths: Sequence[Path], *, favourable: bool = False, covariates: Sequence[str] = ()
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

    Raises
    ------
    PredictionsError
        Everything that is wrong with any of the tables, at once.
    """
    problems = Problems("predictions")
    tables: list[pd.DataFrame] = []
    units: set[str | None] = set()
    notes: list[str] = []
    for path in paths:
        try:
            table = _read_table(path)
        except PredictionsError as error:
            problems.extend([str(error)])
            continue
        table, unit = _in_our_words(table, path, favourable, problems, notes)
        if missing := [c for c in covariates if c not in table]:
            problems.add(f"{path.name} has no column", missing, "correct --covariates")
        tables.append(table)
        units |= {unit} - {None}
    if len(units) > 1:
        problems.add("the tables give times in different units", sorted(map(str, units)))
    problems.raise_if_any(PredictionsError)
    if len({"label" in t for t in tables}) > 1:
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
    return ForeignTables(Predictions(joined), unit, wanted, tuple(notes))


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
            encoding="utf-8-sig",
        )
    except FileNotFoundError:
        raise PredictionsError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise PredictionsError(f"{path.name} cannot be read as a table: {reason}") from None


def _in_our_words(
    table: pd.DataFrame, path: Path, favourable: bool, problems: Problems, notes: list[str]
) -> tuple[pd.DataFrame, str | None]:
    unit = None
    if "patient_id" not in table and "case_id" in table:
        table = table.rename(columns={"case_id": "patient_id"})
    for name in ("days", "months", "years"):
        if "time" not in table and f"time_{name}" in table:
            table, unit = table.rename(columns={f"time_{name}": "time"}), name
    for column in ("time", "event", "label"):
        if column in table and not pd.api.types.is_numeric_dtype(table[column]):
            bad = pd.to_numeric(table[column], errors="coerce").isna()
            problems.add(
                f"{path.name}: column {column!r} holds text", table.loc[bad, column].tolist()
            )
    if "risk" not in table and "probability" in table:
        table = table.assign(risk=_logit(table["probability"], path, favourable, problems))
        notes.append(f"{path.name}: risk is the log odds of the probability")
    needed = {"patient_id", "risk"} | ({"label"} if "label" in table else {"time", "event"})
    if missing := sorted(needed - set(table.columns)):
        have = ", ".join(map(str, table.columns[:12]))
        problems.add(f"{path.name} has no column", missing, f"it has {have}")
    filled = pd.DataFrame({"arm": path.stem, "repeat": 0, "fold": "all"}, index=table.index)
    return table.join(filled[filled.columns.difference(table.columns)]), unit


def _logit(
    column: pd.Series, path: Path, favourable: bool, problems: Problems
) -> NDArray[np.float64]:
    p = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if (bad := ~((p >= 0) & (p <= 1))).any():
        problems.add(f"{path.name}: probability is outside [0, 1]", column[bad].tolist())
        return np.zeros(len(p))
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
