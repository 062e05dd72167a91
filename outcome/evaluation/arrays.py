"""Predictions as arrays: one set of scores per arm, repeat and fold, ordered by patient id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.endpoint import LONGEST_FOLLOW_UP
from outcome.errors import PredictionsError, Problems
from outcome.evaluation.horizon_columns import horizon_columns, horizon_name, number_column
from outcome.predictions import Predictions
from outcome.statistics.resampling import draw_counts
from outcome.statistics.ties import tie_times

__all__ = ["ArmScores", "FoldScores", "Panel", "blocks", "entries", "read_arms"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Panel:
    """The patients scored by any arm, and the resamples used for all metrics.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Patient ids, sorted.
    counts : ndarray of int16, shape (r, n)
        How often each patient is drawn in each resample.
    """

    ids: NDArray[np.str_]
    counts: NDArray[np.int16]

    @property
    def n(self) -> int:
        """Number of patients."""
        return len(self.ids)

    @property
    def n_resamples(self) -> int:
        """Number of resamples."""
        return len(self.counts)

    def without_resamples(self) -> Panel:
        """Return the same patients without resamples, for intervals without bootstrap."""
        return Panel(self.ids, self.counts[:0])


@dataclass(frozen=True)
class FoldScores:
    """The test patients of one repeat and fold, scored by one arm, ordered by patient id.

    Attributes
    ----------
    patient : ndarray, shape (m,)
        Position in the panel.
    time : ndarray, shape (m,)
        Follow-up; NaN for a binary outcome.
    event : ndarray of bool, shape (m,)
        The event of interest, or the positive label.
    ended : ndarray of bool, shape (m,)
        Follow-up ended with any event, competing ones included.
    risk : ndarray, shape (m,)
        Higher is worse; comparable within `stratum` only.
    stratum : ndarray of int, shape (m,)
    survival : dict of float to ndarray
        Predicted event-free probability at each horizon; may hold NaN.
    probability, weight, threshold, survival_at_time, event_at_time : ndarray, shape (m,)
        NaN if the table has no such column; weight is then 1.
    entry : ndarray, shape (m,), or None
        Start of observation, if it is delayed.
    """

    repeat: str
    fold: str
    patient: Ints
    time: Floats
    event: Bools
    ended: Bools
    risk: Floats
    stratum: Ints
    survival: dict[float, Floats]
    probability: Floats
    weight: Floats
    threshold: Floats
    survival_at_time: Floats
    event_at_time: Floats
    group: NDArray[np.str_]
    entry: Floats | None = None

    def take(self, keep: Bools) -> FoldScores:
        """Keep only some of the patients."""
        cut = {
            name: getattr(self, name)[keep]
            for name in (
                "patient", "time", "event", "ended", "risk", "stratum", "probability", "weight",
                "threshold", "survival_at_time", "event_at_time", "group",
            )
        }  # fmt: skip
        entry = None if self.entry is None else self.entry[keep]
        survival = {h: s[keep] for h, s in self.survival.items()}
        return replace(self, **cut, survival=survival, entry=entry)


@dataclass(frozen=True)
class ArmScores:
    """The scores of one arm."""

    name: str
    folds: tuple[FoldScores, ...]

    @property
    def timed(self) -> bool:
        """Whether outcomes are times to an event; otherwise they are labels."""
        return not all(np.isnan(f.time).all() for f in self.folds)

    @property
    def late(self) -> bool:
        """Whether observation begins after the origin (delayed entry)."""
        return any(f.entry is not None for f in self.folds)

    @property
    def first_folds(self) -> list[FoldScores]:
        """Folds of the first repeat, which contain each patient once."""
        return [f for f in self.folds if f.repeat == self.repeats[0]]

    @property
    def repeats(self) -> list[str]:
        """Repeats in the order of the folds."""
        return list(dict.fromkeys(f.repeat for f in self.folds))

    @property
    def patients(self) -> Ints:
        """Positions of the patients in the panel, sorted, each once."""
        return np.unique(np.concatenate([f.patient for f in self.folds] or [np.zeros(0, int)]))

    @property
    def n_events(self) -> int:
        """Patients with the event (or the positive label), each counted once."""
        return len(np.unique(np.concatenate([f.patient[f.event] for f in self.folds])))

    def rows(self) -> set[tuple[str, int]]:
        """Every (repeat, patient) that was scored."""
        return {(f.repeat, int(p)) for f in self.folds for p in f.patient}

    def fold_of(self) -> dict[tuple[str, int], tuple[str, str]]:
        """Repeat and fold of every (repeat, patient)."""
        return {(f.repeat, int(p)): (f.repeat, f.fold) for f in self.folds for p in f.patient}

    @property
    def fixed(self) -> bool:
        """Whether one score holds for all patients: they were not divided into folds."""
        return len(self.folds) == 1

    def divided_as(self, other: ArmScores) -> ArmScores:
        """Divide a fixed score by the repeats and folds of another arm.

        Risks that are comparable among all patients are comparable within any part of them. An arm
        with folds stays as it is; patients whom the other arm did not score are dropped.
        """
        if not self.fixed:
            return self
        (whole,) = self.folds
        parts = []
        for fold in other.folds:
            shared = np.isin(whole.patient, fold.patient)
            if shared.any():
                parts.append(replace(whole.take(shared), repeat=fold.repeat, fold=fold.fold))
        return ArmScores(self.name, tuple(parts))

    def lacks(self, other: ArmScores) -> list[str]:
        """Return the columns with probabilities missing in this arm but not in the other."""
        if not (self._has_gaps() or other._has_gaps()):
            return []
        mine, theirs, scored = self._given(), other._given(), self.rows()
        return [
            name for name in mine if mine[name] and (theirs.get(name, set()) & scored) - mine[name]
        ]

    def hide(self, other: ArmScores) -> ArmScores:
        """Remove the probabilities of patients for whom they are missing in the other arm."""
        theirs = other._given()

        def masked(fold: FoldScores, name: str, values: Floats) -> Floats:
            if not theirs.get(name):
                return values
            there = [(fold.repeat, int(p)) in theirs[name] for p in fold.patient]
            return np.where(there, values, np.nan)

        folds = [
            replace(
                f,
                survival={h: masked(f, _named(h), s) for h, s in f.survival.items()},
                probability=masked(f, "probability", f.probability),
            )
            for f in self.folds
        ]
        return ArmScores(self.name, tuple(folds))

    def _has_gaps(self) -> bool:
        scored = len(self.rows())
        return any(0 < len(given) < scored for given in self._given().values())

    def _given(self) -> dict[str, set[tuple[str, int]]]:
        """Every (repeat, patient) with a probability, by column."""
        found: dict[str, set[tuple[str, int]]] = {}
        for f in self.folds:
            columns = {_named(h): s for h, s in f.survival.items()}
            for name, values in {**columns, "probability": f.probability}.items():
                rows = {(f.repeat, int(p)) for p in f.patient[~np.isnan(values)]}
                found.setdefault(name, set()).update(rows)
        return found

    def without_probabilities(self) -> ArmScores:
        """Keep risks only."""
        gone = [
            replace(f, survival={}, probability=np.full(len(f.risk), np.nan)) for f in self.folds
        ]
        return ArmScores(self.name, tuple(gone))

    def restrict(self, rows: set[tuple[str, int]]) -> ArmScores:
        """Keep only these (repeat, patient)."""
        kept = []
        for fold in self.folds:
            keep = np.array([(fold.repeat, int(p)) in rows for p in fold.patient], dtype=bool)
            if keep.any():
                kept.append(fold.take(keep))
        return ArmScores(self.name, tuple(kept))


def blocks(folds: Sequence[FoldScores]) -> Ints:
    """Give each combination of fold and stratum a number: risks are comparable within it.

    Parameters
    ----------
    folds : sequence of FoldScores
        Folds of one repeat.

    Returns
    -------
    ndarray of int, shape (n,)
        One number per patient, in the order of the folds.
    """
    n_strata = 1 + max((int(f.stratum.max(initial=0)) for f in folds), default=0)
    raw = np.concatenate([k * n_strata + f.stratum for k, f in enumerate(folds)])
    return np.unique(raw, return_inverse=True)[1].astype(np.int64)


def entries(folds: Sequence[FoldScores]) -> Floats | None:
    """Start of observation of the patients of some folds, concatenated; None if not delayed."""
    known = [f.entry for f in folds if f.entry is not None]
    return np.concatenate(known) if known else None


def read_arms(
    predictions: Predictions,
    *,
    n_resamples: int = 0,
    seed: int = 0,
    unit: str | None = None,
    horizons: Sequence[float] = (),
) -> tuple[Panel, list[ArmScores]]:
    """Check the table and divide it into arms and folds.

    Patients are resampled within the folds of the first repeat (sorted), and one resample
    serves all repeats, arms and metrics. Times in the table that differ only by rounding, from each
    other or from a horizon, are made equal: `outcome.statistics.ties`.

    Raises
    ------
    PredictionsError
        Values cannot be evaluated; the message lists all problems.
    """
    table = _clean(predictions, unit, horizons)
    ids = np.unique(table["patient_id"].to_numpy(dtype=str))
    table["_patient"] = np.searchsorted(ids, table["patient_id"].to_numpy(dtype=str))
    table["_stratum"] = np.unique(table["strata"].to_numpy(dtype=str), return_inverse=True)[1]
    table = table.sort_values(["_repeat_rank", "_fold_rank", "_patient"], kind="stable")
    first = table.sort_values("_arm_rank", kind="stable").sort_values("_repeat_rank", kind="stable")
    strata = first.drop_duplicates("_patient").set_index("_patient")["_fold_rank"].sort_index()
    counts = draw_counts(strata.to_numpy(), n_resamples, np.random.default_rng(seed))
    arms = []
    for name in predictions.arms:
        rows = table[table["arm"] == name]
        folds = [
            _fold_scores(str(key[2]), str(key[3]), part)
            for key, part in rows.groupby(
                ["_repeat_rank", "_fold_rank", "repeat", "fold"], sort=True, observed=True
            )
        ]
        arms.append(ArmScores(str(name), tuple(folds)))
    return Panel(ids, counts), arms


def _clean(predictions: Predictions, unit: str | None, horizons: Sequence[float]) -> pd.DataFrame:
    """Columns as numbers, with defaults for those that are absent."""
    raw = predictions.table
    problems = Problems("predictions")
    if raw.empty:
        problems.add("the table has no rows")
    if unit is not None and unit not in LONGEST_FOLLOW_UP:
        problems.add(f"unit {unit!r} is unknown", remedy=f"one of {sorted(LONGEST_FOLLOW_UP)}")
    problems.raise_if_any(PredictionsError)
    table = pd.DataFrame(
        {
            "arm": raw["arm"],
            "patient_id": raw["patient_id"].astype(str),
            "repeat": raw["repeat"].astype(str),
            "fold": raw["fold"].astype(str),
            "risk": raw["risk"].to_numpy(dtype=float),
            "strata": raw["strata"].astype(str) if "strata" in raw else "",
            "risk_group": raw["risk_group"].fillna("").astype(str) if "risk_group" in raw else "",
        }
    ).reset_index(drop=True)
    _add_outcome(table, predictions, unit, problems)
    certain = ("probability", "survival_at_time", "event_at_time")
    for name in (*certain, *horizon_columns(raw).values()):
        table[name] = number_column(raw, name, problems, low=0.0, high=1.0)
    table["threshold"] = number_column(raw, "threshold", problems)
    weight = number_column(raw, "weight", problems, low=0.0)
    table["weight"] = np.where(np.isnan(weight), 1.0, weight)
    _tie(table, [*horizons, *horizon_columns(raw)], problems)
    _one_outcome_each(table, problems)
    problems.raise_if_any(PredictionsError)
    for name in ("repeat", "fold"):
        ranks = {value: i for i, value in enumerate(_natural_order(table[name].unique().tolist()))}
        table[f"_{name}_rank"] = table[name].map(ranks)
    order = {arm: i for i, arm in enumerate(predictions.arms)}
    table["_arm_rank"] = table["arm"].map(order)
    return table


def _add_outcome(
    table: pd.DataFrame, predictions: Predictions, unit: str | None, problems: Problems
) -> None:
    raw, ids = predictions.table, table["patient_id"].to_numpy()
    if predictions.kind == "binary":
        label = number_column(raw, "label", problems)
        bad = ~np.isin(label, (0.0, 1.0))
        if bad.any():
            problems.add("label is neither 0 nor 1", ids[bad].tolist(), "declare the positive one")
        table["time"], table["event_code"] = np.nan, label
        return
    time, event = number_column(raw, "time", problems), number_column(raw, "event", problems)
    if (unusable := np.isnan(time) | (time < 0)).any():
        problems.add("time is missing or negative", ids[unusable].tolist())
    if (unknown := ~np.isin(event, (0.0, 1.0, 2.0))).any():
        problems.add(
            "event is not 0 (censored), 1 (event) or 2 (competing event)", ids[unknown].tolist()
        )
    if not unknown.any() and len(event) and not (event == 0).any() and (event == 2).any():
        problems.add(
            "event contains 1 and 2 but no 0 (censored)",
            remedy="write 0 for censored and 1 for the event; 2 is a competing event",
        )
    if unit is not None and (long := time > LONGEST_FOLLOW_UP[unit]).any():
        problems.add(
            f"follow-up of more than {LONGEST_FOLLOW_UP[unit]:,.0f} {unit}",
            ids[long].tolist(),
            "give the unit of the times",
        )
    table["time"], table["event_code"] = time, event
    if "entry" in raw:
        entry = number_column(raw, "entry", problems)
        if (unusable := np.isnan(entry) | (entry < 0)).any():
            problems.add("entry is missing or negative", ids[unusable].tolist())
        table["entry"] = entry


def _tie(table: pd.DataFrame, horizons: Sequence[float], problems: Problems) -> None:
    """Equalise times that differ only by rounding; refuse entry after the end of follow-up."""
    if "entry" not in table:
        table["time"] = tie_times(table["time"], horizons)
        return
    both = np.concatenate([table["time"], table["entry"]])
    table["time"], table["entry"] = np.split(tie_times(both, horizons), 2)
    if (late := (table["entry"] >= table["time"]).to_numpy()).any():
        problems.add(
            "entry is not before the end of follow-up",
            table.loc[late, "patient_id"].tolist(),
            "correct it, or remove these patients: they were never under observation",
        )


def _one_outcome_each(table: pd.DataFrame, problems: Problems) -> None:
    columns = [c for c in ("time", "event_code", "strata", "entry") if c in table]
    kinds = table.groupby("patient_id")[columns].nunique()
    several = kinds.index[(kinds > 1).any(axis=1)]
    if len(several):
        problems.add(
            "a patient has different outcomes or strata in different rows",
            several.tolist(),
            "give each patient one outcome",
        )


def _natural_order(values: Sequence[str]) -> list[str]:
    """Sort key: numbers by value, then names alphabetically."""

    def rank(value: str) -> tuple[int, float, str]:
        try:
            return (0, float(value), value)
        except ValueError:
            return (1, 0.0, value)

    return sorted(values, key=rank)


def _named(horizon: float) -> str:
    return f"survival_{horizon_name(horizon)}"


def _fold_scores(repeat: str, fold: str, rows: pd.DataFrame) -> FoldScores:
    code = rows["event_code"].to_numpy(dtype=float)
    return FoldScores(
        repeat=repeat,
        fold=fold,
        patient=rows["_patient"].to_numpy(dtype=np.int64),
        time=rows["time"].to_numpy(dtype=float),
        event=code == 1,
        ended=code > 0,
        risk=rows["risk"].to_numpy(dtype=float),
        stratum=rows["_stratum"].to_numpy(dtype=np.int64),
        survival={h: rows[name].to_numpy(dtype=float) for h, name in horizon_columns(rows).items()},
        probability=rows["probability"].to_numpy(dtype=float),
        weight=rows["weight"].to_numpy(dtype=float),
        threshold=rows["threshold"].to_numpy(dtype=float),
        survival_at_time=rows["survival_at_time"].to_numpy(dtype=float),
        event_at_time=rows["event_at_time"].to_numpy(dtype=float),
        group=rows["risk_group"].to_numpy(dtype=str),
        entry=rows["entry"].to_numpy(dtype=float) if "entry" in rows else None,
    )
