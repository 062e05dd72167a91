"""A run folder in memory: the source of every chapter of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.evaluation.evaluation import PatientTables
from outcome.evaluation.outcome_kinds import EvaluatedOutcome, described_outcome
from outcome.predictions import Predictions
from outcome.tables.codes import order_levels

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """A run folder in memory.

    Parameters
    ----------
    path : Path
        The folder.
    manifest : mapping
        `manifest.json`, with patient ids in free text replaced.
    predictions : Predictions
        `predictions.csv`.
    tables : mapping
        File name to table; a missing file is an empty table. Tables with several endpoints contain
        only the primary one.
    others : mapping
        The secondary endpoints of these tables.
    problems : sequence of str
        Files that are present but could not be used.
    show_ids : bool
        Whether patient ids are shown.
    patients : PatientTables
        Covariates and acquisition of the folder.
    covariates, acquisition : DataFrame
        `patient_id` and further columns, of the scored patients; numbers are numbers.
    left_out : sequence of str
        Covariates with too many levels, which are not used in tables.
    """

    path: Path
    manifest: Mapping[str, Any]
    predictions: Predictions
    tables: Mapping[str, pd.DataFrame]
    problems: Sequence[str]
    show_ids: bool = False
    others: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    patients: PatientTables = field(default_factory=PatientTables)
    covariates: pd.DataFrame = field(default_factory=pd.DataFrame)
    acquisition: pd.DataFrame = field(default_factory=pd.DataFrame)
    left_out: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.manifest["name"])

    @cached_property
    def endpoint(self) -> EvaluatedOutcome:
        """The outcome declared in the manifest."""
        return described_outcome(self.part("endpoint"), self.predictions)

    @cached_property
    def arms(self) -> list[str]:
        """Arms with predictions, in the order of the study."""
        scored = self.predictions.arms
        declared = [str(arm.get("name")) for arm in self.manifest.get("arms", [])]
        return [a for a in declared if a in scored] + [a for a in scored if a not in declared]

    @property
    def time_unit(self) -> str:
        """Unit of time axes, or `auto` for a readable one."""
        return str(self.part("report").get("time_unit") or "auto")

    @property
    def baseline(self) -> str:
        """The arm with which the others are compared."""
        return str(self.manifest.get("baseline") or "")

    @cached_property
    def inputs(self) -> dict[str, list[str]]:
        """The inputs of each arm, as declared."""
        arms = self.manifest.get("arms", [])
        return {str(a.get("name")): [str(i) for i in a.get("inputs") or []] for a in arms}

    @cached_property
    def folds(self) -> int:
        """Number of outer folds of the predictions, per repeat."""
        return int(self.predictions.table.groupby(["arm", "repeat"])["fold"].nunique().max())

    @cached_property
    def repeats(self) -> int:
        """Number of divisions into folds of the predictions."""
        return int(self.predictions.table["repeat"].nunique())

    @cached_property
    def fixed_arms(self) -> list[str]:
        """Arms with one score for all patients, in a run whose other arms have folds."""
        if not self.cross_validated:
            return []
        parts = self.predictions.table.drop_duplicates(["arm", "repeat", "fold"])["arm"]
        counts = parts.value_counts()
        return [arm for arm in self.arms if counts[arm] == 1]

    @property
    def cross_validated(self) -> bool:
        """Whether patients were scored by models of several folds, or of several divisions."""
        return self.folds > 1 or self.repeats > 1

    @property
    def division(self) -> str:
        """Description of the division into test sets."""
        if self.folds > 1:
            again = f", {self.repeats} repeats" if self.repeats > 1 else ""
            return f"{self.folds}-fold cross-validation{again}"
        return (
            f"{self.repeats} random divisions with one test set each"
            if self.repeats > 1
            else "one test set"
        )

    @cached_property
    def n_patients(self) -> int:
        """Number of scored patients."""
        return int(self.predictions.table["patient_id"].nunique())

    @cached_property
    def status(self) -> pd.Series:
        """Outcome of each scored patient in words, by patient id: see `status_words`."""
        once = self.predictions.table.drop_duplicates("patient_id").set_index("patient_id")
        return self.endpoint.status(once)

    @cached_property
    def n_events(self) -> int:
        """Number of patients with the event (by the landmark, if any) or the positive class."""
        return int((self.status == self.endpoint.status_words[0]).sum())

    @cached_property
    def n_unknown(self) -> int:
        """Number of scored patients with an unknown outcome: censored before a landmark."""
        return int((self.status == self.endpoint.status_words[2]).sum())

    @cached_property
    def constant_arms(self) -> list[str]:
        """Arms that give all patients of a fold the same risk, in every fold."""
        table = self.table("risk_range.csv")
        if table.empty:
            return []
        varies = table.loc[table["highest"] - table["lowest"] > 1e-12, "arm"]
        return [a for a in self.arms if a in set(table["arm"]) - set(varies)]

    @cached_property
    def tested_apart(self) -> bool | None:
        """Whether `splits.csv` confirms that all scored patients were test patients of their fold.

        None if the file is missing.
        """
        splits = self.table("splits.csv")
        if splits.empty:
            return None
        keys = ["repeat", "fold", "patient_id"]
        roles = splits.rename(columns={"outer_fold": "fold"})
        if "repeat" not in roles:
            roles = roles.assign(repeat=0)
        scored = self.predictions.table[keys].drop_duplicates()
        scored, roles = (
            t.assign(repeat=t["repeat"].astype(float), fold=t["fold"].astype(str))
            for t in (scored, roles)
        )
        merged = scored.merge(roles[[*keys, "role"]], on=keys, how="left")
        return bool((merged["role"] == "test").all())

    def part(self, key: str) -> Mapping[str, Any]:
        """Return a section of the manifest; empty if it is missing or null."""
        value = self.manifest.get(key)
        return value if isinstance(value, Mapping) else {}

    def table(self, file: str) -> pd.DataFrame:
        """Return a table of the folder; empty if the file is missing."""
        return self.tables.get(file, pd.DataFrame())

    def first_repeat(self, arm: str) -> pd.DataFrame:
        """Return the rows of one arm in the first repeat, with every patient once."""
        rows: pd.DataFrame = self.predictions.arm(arm)
        keep = rows["repeat"] == rows["repeat"].iloc[0]
        first: pd.DataFrame = rows[keep].reset_index(drop=True)
        return first

    def groups(self, arm: str) -> list[str]:
        """Return the risk groups of an arm from low to high, including empty groups."""
        table = self.table("risk_groups.csv")
        listed = table.loc[table["arm"] == arm, "group"].tolist() if len(table) else []
        rows = self.predictions.arm(arm)
        if "risk_group" not in rows:
            return order_levels(listed)
        means = rows.groupby("risk_group")["risk"].mean().sort_values(kind="stable")
        return order_levels([*listed, *(str(g) for g in means.index if str(g))])
