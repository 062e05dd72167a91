"""Everything that the report needs from a run folder, read once; optional files may be absent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from outcome.errors import PredictionsError, RunFolderError
from outcome.predictions import Predictions, read_predictions
from outcome.reporting.palette import order_groups

__all__ = ["Endpoint", "Run", "read_run"]

FORMAT = 1
_TEXT = {
    *("arm", "baseline", "metric", "group", "step", "reason", "note"),
    *("endpoint", "stratum", "fold", "outer_fold"),
}
_NEEDS = {
    "cohort_flow.csv": {"step", "patients"},
    "metrics.csv": {"arm", "metric", "estimate"},
    "comparisons.csv": {"arm", "baseline", "metric", "difference"},
    "risk_groups.csv": {"arm", "group", "n"},
    "history.csv": {"arm", "epoch"},
    "splits.csv": {"patient_id", "outer_fold", "role"},
}


@dataclass(frozen=True)
class Endpoint:
    """What was predicted, in words; `word` is what happens to a patient who has it."""

    kind: Literal["survival", "binary", "landmark"]
    name: str
    unit: str
    horizons: tuple[float, ...]
    favourable: bool
    positive: str
    strata: str

    @property
    def ordinal(self) -> bool:
        """Whether the main question is who comes first (and not yes or no)."""
        return self.kind == "survival"

    @property
    def positive_name(self) -> str:
        """What a positive patient is called; a bare code is given its column."""
        is_word = any(c.isalpha() for c in self.positive)
        return self.positive if is_word else f"{self.name} = {self.positive}"

    @property
    def word(self) -> str:
        """The countable thing: `event` or `positive patient`."""
        return "positive patient" if self.kind == "binary" else "event"


@dataclass(frozen=True)
class Run:
    """A run folder in memory.

    Parameters
    ----------
    path : Path
        The folder.
    manifest : mapping
        `manifest.json`, patient ids in free text replaced.
    predictions : Predictions
        `predictions.csv`.
    tables : mapping
        File name to table; an absent file is an empty table.
    problems : sequence of str
        Files that are there but could not be used.
    show_ids : bool
        Whether the reader asked for patient ids.
    """

    path: Path
    manifest: Mapping[str, Any]
    predictions: Predictions
    tables: Mapping[str, pd.DataFrame]
    problems: Sequence[str]
    show_ids: bool = False

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.manifest["name"])

    @cached_property
    def endpoint(self) -> Endpoint:
        """The declared endpoint."""
        spec = self.part("endpoint")
        asked = str(spec.get("kind") or self.predictions.kind)
        kinds: dict[str, Literal["binary", "landmark"]] = {
            "binary": "binary",
            "landmark": "landmark",
        }
        return Endpoint(
            kind=kinds.get(asked, "survival"),
            name=str(spec.get("name") or spec.get("label") or spec.get("event") or "the outcome"),
            unit=str(spec.get("unit") or ""),
            horizons=tuple(float(h) for h in spec.get("horizons") or ()),
            favourable=bool(spec.get("favourable")),
            positive=str(spec.get("positive") or "positive"),
            strata=str(spec.get("strata") or ""),
        )

    @cached_property
    def arms(self) -> list[str]:
        """Arms in the order of the study; only those that have predictions."""
        scored = self.predictions.arms
        declared = [str(arm.get("name")) for arm in self.manifest.get("arms", [])]
        return [a for a in declared if a in scored] + [a for a in scored if a not in declared]

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with."""
        return str(self.manifest.get("baseline") or "")

    @cached_property
    def inputs(self) -> dict[str, list[str]]:
        """What each arm sees, as declared."""
        arms = self.manifest.get("arms", [])
        return {str(a.get("name")): [str(i) for i in a.get("inputs") or []] for a in arms}

    @cached_property
    def folds(self) -> int:
        """Number of outer folds that the predictions come from."""
        return int(self.predictions.table["fold"].nunique())

    @cached_property
    def repeats(self) -> int:
        """Number of divisions into folds that the predictions come from."""
        return int(self.predictions.table["repeat"].nunique())

    @property
    def cross_validated(self) -> bool:
        """Whether the patients were scored by the models of several folds."""
        return self.folds > 1

    @cached_property
    def patients(self) -> int:
        """Scored patients."""
        return int(self.predictions.table["patient_id"].nunique())

    @cached_property
    def events(self) -> int:
        """Scored patients with the event, or of the positive class."""
        once = self.predictions.table.drop_duplicates("patient_id")
        column = "event" if "event" in once else "label"
        return int((once[column].astype(float) == 1).sum())

    def part(self, key: str) -> Mapping[str, Any]:
        """Return a section of the manifest; empty where it is absent or null."""
        value = self.manifest.get(key)
        return value if isinstance(value, Mapping) else {}

    def table(self, file: str) -> pd.DataFrame:
        """Return a table of the folder; empty where the file is absent."""
        return self.tables[file]

    def first_repeat(self, arm: str) -> pd.DataFrame:
        """Return the rows of one arm in the first repeat: every patient once."""
        rows: pd.DataFrame = self.predictions.arm(arm)
        keep = rows["repeat"] == rows["repeat"].iloc[0]
        first: pd.DataFrame = rows[keep].reset_index(drop=True)
        return first

    def groups(self, arm: str) -> list[str]:
        """Return the risk groups of an arm from low to high, empty ones included."""
        table = self.table("risk_groups.csv")
        listed = table.loc[table["arm"] == arm, "group"].tolist() if len(table) else []
        rows = self.predictions.arm(arm)
        if "risk_group" not in rows:
            return order_groups(listed)
        means = rows.groupby("risk_group")["risk"].mean().sort_values(kind="stable")
        return order_groups([*listed, *(str(g) for g in means.index if str(g))])


def read_run(folder: Path, *, show_ids: bool = False) -> Run:
    """Read a run folder.

    Parameters
    ----------
    folder : Path
        What `outcome run` wrote.
    show_ids : bool
        Leave patient ids in notes, warnings and file names as they are.

    Raises
    ------
    RunFolderError
        The folder has no manifest or no predictions, or they cannot be read.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder / "manifest.json")
    if not (folder / "predictions.csv").is_file():
        raise RunFolderError(f"{folder} has no predictions.csv: run the study first")
    predictions = read_predictions(folder / "predictions.csv")
    if predictions.table.empty:
        raise PredictionsError(f"{folder / 'predictions.csv'} holds no patients")
    problems: list[str] = []
    tables = {name: _read_table(folder / name, needs, problems) for name, needs in _NEEDS.items()}
    if not show_ids:
        hide = _Pseudonyms(predictions.table["patient_id"], tables["splits.csv"])
        manifest = {k: v if k in _STRUCTURE else hide.inside(v) for k, v in manifest.items()}
        for table in tables.values():
            for column in {"reason", "note"} & set(table.columns):
                table[column] = table[column].map(hide.inside)
    return Run(folder, manifest, predictions, tables, problems, show_ids)


_STRUCTURE = frozenset({"name", "endpoint", "arms", "baseline", "epochs", "versions", "format"})


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(
            f"{path.parent} is not a run folder: it has no {path.name}. "
            "Give the folder that `outcome run` wrote"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or "name" not in manifest:
        raise RunFolderError(f"{path} is not the manifest of a run: it does not name the study")
    if int(manifest.get("format") or FORMAT) > FORMAT:
        raise RunFolderError(
            f"{path} has format {manifest['format']}, this version reads up to {FORMAT}: "
            "update slide-outcome"
        )
    return manifest


def _read_table(path: Path, needs: set[str], problems: list[str]) -> pd.DataFrame:
    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in sorted(needs)})
    if not path.is_file():
        return empty
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(_TEXT | {"patient_id"}, str))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError) as error:
        problems.append(f"{path.name} cannot be read and is left out: {error}")
        return empty
    if missing := sorted(needs - set(table.columns)):
        problems.append(f"{path.name} has no column {', '.join(missing)} and is left out")
        return empty
    for column in _TEXT & set(table.columns):
        table[column] = table[column].fillna("")
    for column in set(table.columns) - _TEXT - {"patient_id", "role"}:
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


class _Pseudonyms:
    """Replaces patient ids in free text; ids that look like a plain word or number stay."""

    def __init__(self, ids: pd.Series, splits: pd.DataFrame) -> None:
        everybody = sorted({*ids.astype(str), *splits["patient_id"].dropna().astype(str)})
        self.names = {p: f"[patient {i}]" for i, p in enumerate(everybody, 1) if _telling(p)}
        longest_first = sorted(self.names, key=len, reverse=True)
        any_id = "|".join(re.escape(p) for p in longest_first)
        self.pattern = re.compile(rf"(?<![^\W_])(?:{any_id})(?![^\W_])") if any_id else None

    def inside(self, value: Any) -> Any:
        """Return the value with ids replaced in its text, keys included."""
        if self.pattern is None:
            return value
        if isinstance(value, str):
            return self.pattern.sub(lambda found: self.names[found.group()], value)
        if isinstance(value, Mapping):
            return {self.inside(k): self.inside(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.inside(v) for v in value]
        return value


def _telling(patient: str) -> bool:
    if patient.isdigit():
        return len(patient) >= 5
    return len(patient) >= 2 and not patient.isalpha()


def constant_risk(rows: pd.DataFrame) -> bool:
    """Whether an arm gives every patient of a fold the same risk, in every fold.

    Parameters
    ----------
    rows : DataFrame
        Rows of one arm, with `repeat, fold, risk`.
    """
    spread = rows.groupby(["repeat", "fold"])["risk"].agg(np.ptp)
    return bool((spread <= 1e-12).all())
