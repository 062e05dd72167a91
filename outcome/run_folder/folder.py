"""A run folder in memory: what every chapter of the report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from outcome.predictions import Predictions
from outcome.risk.cutoffs import order_groups

__all__ = ["Endpoint", "Run", "constant_risk"]


_YES = frozenset({"yes", "y", "true", "t", "positive", "pos"})


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
    competing: bool = False

    @property
    def landmark(self) -> float | None:
        """The time by which the event counts, where the question is yes or no by then."""
        return self.horizons[0] if self.kind == "landmark" and self.horizons else None

    @property
    def ordinal(self) -> bool:
        """Whether the main question is who comes first (and not yes or no)."""
        return self.kind == "survival"

    @property
    def positive_name(self) -> str:
        """What a positive patient is called; a bare code, or a yes, is given its column."""
        is_word = any(c.isalpha() for c in self.positive)
        telling = is_word and self.positive.lower() not in _YES
        return self.positive if telling else f"{self.name} = {self.positive}"

    @property
    def counted(self) -> str:
        """Heading of a column that counts those who had it."""
        return "Positive" if self.kind == "binary" else "Events"

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
        File name to table; an absent file is an empty table. Of tables with several endpoints,
        only the primary one.
    others : mapping
        The rest of such tables: secondary endpoints.
    covariates, acquisition : DataFrame
        `patient_id` and further columns, of the scored patients; numbers are numbers.
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
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    covariates: pd.DataFrame = field(default_factory=pd.DataFrame)
    acquisition: pd.DataFrame = field(default_factory=pd.DataFrame)

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
            competing=self._competing,
        )

    @cached_property
    def _competing(self) -> bool:
        table = self.predictions.table
        return "event" in table and bool((table["event"].astype(float) == 2).any())

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
        """Number of outer folds, per repeat, that the predictions come from."""
        return int(self.predictions.table.groupby("repeat")["fold"].nunique().max())

    @cached_property
    def repeats(self) -> int:
        """Number of divisions into folds that the predictions come from."""
        return int(self.predictions.table["repeat"].nunique())

    @property
    def cross_validated(self) -> bool:
        """Whether patients were scored by models of several folds, or of several divisions."""
        return self.folds > 1 or self.repeats > 1

    @property
    def division(self) -> str:
        """How test patients came about, in words."""
        if self.folds > 1:
            again = f", {self.repeats} repeats" if self.repeats > 1 else ""
            return f"{self.folds}-fold cross-validation{again}"
        return (
            f"{self.repeats} divisions, one test set each" if self.repeats > 1 else "one test set"
        )

    @cached_property
    def patients(self) -> int:
        """Scored patients."""
        return int(self.predictions.table["patient_id"].nunique())

    @cached_property
    def status(self) -> pd.Series:
        """What became of each scored patient, by patient id: see `outcome_words`."""
        once = self.predictions.table.drop_duplicates("patient_id").set_index("patient_id")
        yes, no, unknown, competing = self.outcome_words
        if "label" in once:
            return once["label"].astype(float).eq(1).map({True: yes, False: no})
        code, landmark = once["event"].astype(float), self.endpoint.landmark
        if landmark is None:
            words = {0: no, 1: yes, 2: competing}
            return code.map(words)
        by_then = once["time"].astype(float) <= landmark
        status = pd.Series(no, index=once.index)
        status[(once["time"].astype(float) < landmark) & (code == 0)] = unknown
        status[by_then & (code == 1)] = yes
        return status

    @cached_property
    def outcome_words(self) -> tuple[str, str, str, str]:
        """Words for: had it, had it not, not known, had a competing event."""
        end = self.endpoint
        if end.kind == "binary":
            return end.positive_name, "all others", "unknown", ""
        if end.landmark is not None:
            at = f"{end.landmark:g} {end.unit}"
            return f"event by {at}", f"no event by {at}", f"censored before {at}", ""
        return "event", "censored", "unknown", "competing event"

    @cached_property
    def events(self) -> int:
        """Scored patients with the event (by the landmark, if any), or of the positive class."""
        return int((self.status == self.outcome_words[0]).sum())

    def part(self, key: str) -> Mapping[str, Any]:
        """Return a section of the manifest; empty where it is absent or null."""
        value = self.manifest.get(key)
        return value if isinstance(value, Mapping) else {}

    def table(self, file: str) -> pd.DataFrame:
        """Return a table of the folder; empty where the file is absent."""
        return self.tables.get(file, pd.DataFrame())

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


def constant_risk(rows: pd.DataFrame) -> bool:
    """Whether an arm gives every patient of a fold the same risk, in every fold.

    Parameters
    ----------
    rows : DataFrame
        Rows of one arm, with `repeat, fold, risk`.
    """
    spread = rows.groupby(["repeat", "fold"])["risk"].agg(np.ptp)
    return bool((spread <= 1e-12).all())
