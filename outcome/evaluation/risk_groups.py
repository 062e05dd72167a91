"""Risk groups: survival by group, hazard ratios, log-rank tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from outcome.evaluation.arrays import ArmScores, FoldScores, blocks, entries
from outcome.evaluation.crossfit_estimates import InnerScores
from outcome.evaluation.group_test import GroupTest, crossfit_logrank
from outcome.evaluation.metric_set import InnerByArm
from outcome.statistics.aalen_johansen import CumulativeIncidence, cumulative_incidence
from outcome.statistics.cox import CoxFit, fit_cox
from outcome.statistics.kaplan_meier import KaplanMeier, kaplan_meier
from outcome.statistics.logrank import logrank
from outcome.tables.codes import order_levels

__all__ = ["GROUP_COLUMNS", "RATE_COLUMNS", "GroupedPatients", "group_patients", "risk_group_table"]

GROUP_COLUMNS = [
    "arm", "group", "n", "events", "median_survival", "lower", "upper",
    "hazard_ratio", "hr_lower", "hr_upper", "logrank_p", "logrank_p_fixed", "variance", "note",
]  # fmt: skip
RATE_COLUMNS = ["arm", "group", "n", "events", "event_rate", "lower", "upper", "note"]


@dataclass(frozen=True)
class GroupedPatients:
    """Patients of one arm with their risk group, from the first repeat.

    Attributes
    ----------
    time, event, ended, group, block : ndarray, shape (n,)
        `ended` counts competing events too; `block` numbers fold and stratum: groups are
        compared within it.
    names : list of str
        Groups, lowest risk first.
    exploratory : bool
        Whether the groups were made here, from the median of each fold.
    entry : ndarray, shape (n,), or None
        Start of observation, if it is delayed.
    """

    time: NDArray[np.float64]
    event: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    group: NDArray[np.str_]
    block: NDArray[np.int64]
    names: list[str]
    exploratory: bool
    entry: NDArray[np.float64] | None = None

    @property
    def code(self) -> NDArray[np.int64]:
        """0 censored, 1 the event, 2 a competing event."""
        return np.where(self.event, 1, np.where(self.ended, 2, 0))

    @property
    def competing(self) -> bool:
        """Whether a patient had a competing event."""
        return bool((self.code == 2).any())

    def entry_of(self, rows: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        """Start of observation of some of the patients; None if it is the origin."""
        return None if self.entry is None else self.entry[rows]

    def n_at_origin(self, rows: NDArray[np.bool_]) -> int:
        """Count the patients who are under observation from the origin."""
        return int(rows.sum() if self.entry is None else (self.entry[rows] <= 0).sum())

    def event_free(self, name: str) -> EventFree:
        """Estimate the proportion of a group that is free of the event over time."""
        i = self.group == name
        if self.competing:
            found = cumulative_incidence(self.time[i], self.code[i], entry=self.entry_of(i))
            return EventFree(found)
        return EventFree(kaplan_meier(self.time[i], self.event[i], self.entry_of(i)))


@dataclass(frozen=True)
class EventFree:
    """Proportion without the event: Kaplan-Meier, or Aalen-Johansen with competing events.

    Patients with a competing event stay free of the event of interest.
    """

    curve: KaplanMeier | CumulativeIncidence

    @property
    def time(self) -> NDArray[np.float64]:
        """Distinct times of follow-up, ascending."""
        return self.curve.time

    @property
    def counts(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """At each time: at risk, with the event, and censored."""
        if isinstance(self.curve, KaplanMeier):
            return self.curve.n_risk, self.curve.n_event, self.curve.n_censored
        censored = self.curve.n_left - self.curve.n_event
        counts = (self.curve.n_risk, self.curve.n_cause, censored)
        return counts[0].astype(int), counts[1].astype(int), counts[2].astype(int)

    def at(self, when: ArrayLike) -> NDArray[np.float64]:
        """Proportion free of the event just after each of `when`."""
        share = self.curve.at(when)
        return share if isinstance(self.curve, KaplanMeier) else 1 - share

    def interval(self, when: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pointwise 95% interval of `at`."""
        lower, upper = self.curve.interval(when)
        if isinstance(self.curve, KaplanMeier):
            return lower, upper
        shape = np.shape(when)
        return (1 - upper).reshape(shape), (1 - lower).reshape(shape)

    def reaches(self, when: float) -> bool:
        """Whether the proportion is known at `when`."""
        return self.curve.reaches(when)

    def median(self) -> tuple[float, float, float]:
        """Time by which half of the patients had the event, with its 95% interval."""
        return self.curve.quantile()


def group_patients(arm: ArmScores) -> GroupedPatients:
    """Return the risk groups of the first repeat, or divide each fold at its median risk.

    Only one repeat is used, because the groups of a patient may differ between repeats and patients
    must not be counted twice. Medians are within fold and stratum; a risk equal to the median is
    low.
    """
    folds = arm.first_folds
    given = all((f.group != "").all() for f in folds)
    group = np.concatenate([f.group if given else _median_groups(f) for f in folds])
    risk = np.concatenate([f.risk for f in folds])
    means = {str(g): float(risk[group == g].mean()) for g in np.unique(group)}
    names = order_levels(sorted(means), means)
    return GroupedPatients(
        np.concatenate([f.time for f in folds]),
        np.concatenate([f.event for f in folds]),
        np.concatenate([f.ended for f in folds]),
        group,
        blocks(folds),
        names,
        not given,
        entries(folds),
    )


def _median_groups(fold: FoldScores) -> NDArray[np.str_]:
    group = np.full(len(fold.risk), "low", dtype="<U4")
    for stratum in np.unique(fold.stratum):
        i = fold.stratum == stratum
        group[i & (fold.risk > np.median(fold.risk[i]))] = "high"
    return group


def risk_group_table(arms: Sequence[ArmScores], inner: InnerByArm | None = None) -> pd.DataFrame:
    """Describe the risk groups of every arm.

    Parameters
    ----------
    arms : sequence of ArmScores
    inner : mapping, optional
        Scores by inner models, by arm.

    Returns
    -------
    DataFrame
        `GROUP_COLUMNS`, or `RATE_COLUMNS` for a binary outcome. Median survival has a log-log
        interval. With competing events it is the time at which the cumulative incidence reaches one
        half, as stated in the note. Hazard ratios compare with the lowest group, in a Cox model
        stratified by fold and stratum. The log-rank test has the same strata and is the same in
        every row of an arm. With several folds, `logrank_p` includes the variation from training,
        see `outcome.evaluation.group_test`; `variance` is its source. `logrank_p_fixed` takes the
        groups as given and finds differences too often.
    """
    timed = arms[0].timed
    rows = [
        row
        for arm in arms
        for row in (_survival(arm, (inner or {}).get(arm.name)) if timed else _rates(arm))
    ]
    return pd.DataFrame(rows, columns=GROUP_COLUMNS if timed else RATE_COLUMNS)


def _survival(
    arm: ArmScores, inner: Mapping[tuple[str, str], InnerScores] | None
) -> list[dict[str, object]]:
    patients = group_patients(arm)
    fixed = logrank(
        patients.time, patients.event, patients.group, strata=patients.block, entry=patients.entry
    ).p
    test, folds = GroupTest(fixed, "fixed models"), arm.first_folds
    if len(folds) > 1 and len(patients.names) > 1:
        rank = {name: k for k, name in enumerate(patients.names)}
        codes = np.array([rank[str(g)] for g in patients.group])
        ends = np.cumsum([len(f.patient) for f in folds])[:-1]
        test = crossfit_logrank(folds, np.split(codes, ends), inner)
    fit = group_hazards(patients)
    ratios = np.array(fit.hazard_ratios()) if fit else np.empty((3, 0))
    rows = []
    for k, name in enumerate(patients.names):
        i = patients.group == name
        median, lower, upper = patients.event_free(name).median()
        hr = [1.0, np.nan, np.nan] if k == 0 else ratios[:, k - 1].tolist()
        rows.append(
            dict(
                zip(
                    GROUP_COLUMNS,
                    [arm.name, name, int(i.sum()), int(patients.event[i].sum()), median, lower,
                     upper, *hr, test.p, fixed, test.source, _note(patients, k, hr[0])],
                    strict=True,
                )
            )
        )  # fmt: skip
    return rows


def group_hazards(patients: GroupedPatients) -> CoxFit | None:
    """Cox model of the groups against the lowest one; None with a single group."""
    if len(patients.names) < 2:
        return None
    dummies = np.column_stack([patients.group == name for name in patients.names[1:]])
    return fit_cox(
        patients.time, patients.event, dummies, strata=patients.block, entry=patients.entry
    )


def _note(patients: GroupedPatients, k: int, hazard_ratio: float) -> str:
    notes = []
    if patients.exploratory:
        notes.append("exploratory: median of the scored patients of each fold")
    if patients.competing:
        notes.append("median: cumulative incidence of 50% (Aalen-Johansen)")
    if len(patients.names) == 1:
        notes.append("only one risk group")
    elif k and np.isnan(hazard_ratio):
        notes.append("no hazard ratio: a group has no events, or too few")
    if patients.entry is not None and not patients.competing:
        curve = patients.event_free(patients.names[k])
        gone = curve.time[curve.at(curve.time) == 0]
        if len(gone) > 1:
            notes.append(
                f"survival is 0 from {gone[0]:.4g} on, because all patients under observation at "
                "that time had the event: too few patients enter early"
            )
    return "; ".join(notes)


def _rates(arm: ArmScores) -> list[dict[str, object]]:
    patients = group_patients(arm)
    rows = []
    for k, name in enumerate(patients.names):
        i = patients.group == name
        n, x = int(i.sum()), int(patients.event[i].sum())
        # exact binomial interval, Clopper & Pearson (1934)
        lower = float(betaincinv(x, n - x + 1, 0.025)) if x else 0.0
        upper = float(betaincinv(x + 1, n - x, 0.975)) if x < n else 1.0
        values = [arm.name, name, n, x, x / n, lower, upper, _note(patients, k, 1.0)]
        rows.append(dict(zip(RATE_COLUMNS, values, strict=True)))
    return rows
