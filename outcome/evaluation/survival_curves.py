"""Survival of risk groups over time: curves, horizons, pairwise tests, restricted means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr

from outcome.errors import PredictionsError
from outcome.evaluation.arrays import ArmScores
from outcome.evaluation.delayed_entry import entry_times
from outcome.evaluation.estimate import wald
from outcome.evaluation.risk_groups import GroupedPatients, group_patients
from outcome.statistics.aalen_johansen import cumulative_incidence, gray_test
from outcome.statistics.censoring import median_follow_up
from outcome.statistics.cutpoint import maximally_selected_cut
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.logrank import pairwise_logrank
from outcome.statistics.risk_sets import number_at_risk

__all__ = [
    "best_cuts",
    "follow_up",
    "incidence_at",
    "incidence_curves",
    "pairwise_tests",
    "restricted_means",
    "survival_at",
    "survival_curves",
]

CURVE_COLUMNS = [
    "arm", "group", "time", "survival", "lower", "upper", "n_risk", "n_event", "n_censored",
]  # fmt: skip
AT_COLUMNS = ["arm", "group", "horizon", "survival", "lower", "upper", "n_risk"]
PAIR_COLUMNS = ["arm", "group_a", "group_b", "chi_square", "p_value", "p_adjusted"]
MEAN_COLUMNS = [
    "arm", "group", "tau", "restricted_mean", "se", "difference", "lower", "upper", "p_value",
]  # fmt: skip
INCIDENCE_COLUMNS = [
    "arm", "group", "cause", "horizon", "incidence", "lower", "upper", "n_risk", "gray_p",
]  # fmt: skip
INCIDENCE_CURVE_COLUMNS = [
    "arm", "group", "cause", "time", "incidence", "lower", "upper", "n_risk", "n_event",
]  # fmt: skip
CUT_COLUMNS = [
    "arm", "cut", "statistic", "p_asymptotic", "p_bonferroni", "p_permutation", "n", "events",
]  # fmt: skip


def survival_curves(arms: Sequence[ArmScores]) -> pd.DataFrame:
    """Curve of every risk group, with pointwise intervals: see `EventFree`.

    Parameters
    ----------
    arms : sequence of ArmScores
        Time to event; risk groups as in `outcome.evaluation.risk_groups.group_patients`.

    Returns
    -------
    DataFrame
        `CURVE_COLUMNS`, one row per distinct time, starting at 0; `n_risk` is just before it (at 0,
        the patients under observation from the origin).

    Raises
    ------
    PredictionsError
        The outcomes are labels instead of times.
    """
    rows: list[list[object]] = []
    for arm in _with_times(arms):
        patients = group_patients(arm)
        for name in patients.names:
            curve, i = patients.event_free(name), patients.group == name
            rows.append([arm.name, name, 0.0, 1.0, 1.0, 1.0, patients.n_at_origin(i), 0, 0])
            columns = (
                curve.time, curve.at(curve.time), *curve.interval(curve.time), *curve.counts
            )  # fmt: skip
            rows += [[arm.name, name, *cells] for cells in zip(*columns, strict=True)]
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def survival_at(arms: Sequence[ArmScores], horizons: Sequence[float]) -> pd.DataFrame:
    """Proportion free of the event, and numbers at risk, of every risk group at the horizons.

    Returns
    -------
    DataFrame
        `AT_COLUMNS`; with competing events, `survival` is 1 minus the cumulative incidence. NaN
        beyond the last follow-up of the group.

    Raises
    ------
    PredictionsError
        As `survival_curves`.
    """
    rows: list[list[object]] = []
    for arm in _with_times(arms):
        patients = group_patients(arm)
        for name in patients.names:
            curve = patients.event_free(name)
            i = patients.group == name
            n_risk = number_at_risk(patients.time[i], list(horizons), patients.entry_of(i))
            for h, at_risk in zip(horizons, n_risk, strict=True):
                known = curve.reaches(h)
                low, high = curve.interval(h)
                cells = [float(curve.at(h)), float(low), float(high)] if known else [np.nan] * 3
                rows.append([arm.name, name, h, *cells, int(at_risk)])
    return pd.DataFrame(rows, columns=AT_COLUMNS)


def follow_up(arms: Sequence[ArmScores], horizons: Sequence[float] = ()) -> pd.DataFrame:
    """Length and completeness of follow-up.

    Returns
    -------
    DataFrame
        One row: n, events, competing, median_follow_up with its interval (reverse
        Kaplan-Meier), and `at_risk_<h>` just before each horizon. Patients of all arms. Under
        delayed entry, follow-up is counted from the entry; `entered_late` counts the patients who
        entered after the origin, and `median_entry` is over them.

    Raises
    ------
    PredictionsError
        As `survival_curves`.
    """
    arms = _with_times(arms)
    seen: dict[int, tuple[float, bool, bool]] = {}
    for arm in arms:
        for f in arm.folds:
            values = zip(f.time, f.event, f.ended, strict=True)
            seen.update(zip(f.patient.tolist(), values, strict=True))
    time, event, ended = (np.array(column) for column in zip(*seen.values(), strict=True))
    late = entry_times(arms)
    entry = np.array([late[p][0] for p in seen]) if late else None
    observed = time if entry is None else time - entry
    median, lower, upper = median_follow_up(observed, ended.astype(bool))
    row: dict[str, object] = {
        "n": len(time),
        "events": int(event.sum()),
        "competing": int(ended.sum() - event.sum()),
        "median_follow_up": median,
        "lower": lower,
        "upper": upper,
    }
    if entry is not None:
        after = entry > 0
        row["entered_late"] = int(after.sum())
        row["median_entry"] = float(np.median(entry[after])) if after.any() else np.nan
    for h, n in zip(horizons, number_at_risk(time, list(horizons), entry), strict=True):
        row[f"at_risk_{h:g}"] = int(n)
    return pd.DataFrame([row])


def pairwise_tests(arms: Sequence[ArmScores]) -> pd.DataFrame:
    """Log-rank test of every two risk groups, stratified by fold, Holm-corrected in each arm.

    Returns
    -------
    DataFrame
        `PAIR_COLUMNS`. For out-of-fold groups the p values are too small (the folds share
        training patients) and exploratory.

    Raises
    ------
    PredictionsError
        As `survival_curves`.
    """
    rows: list[list[object]] = []
    for arm in _with_times(arms):
        g = group_patients(arm)
        rank = np.array([g.names.index(name) for name in g.group])
        tests = pairwise_logrank(g.time, g.event, rank, strata=g.block, entry=g.entry)
        for a, b, test, corrected in tests:
            names = [g.names[a], g.names[b]]
            rows.append([arm.name, *names, test.chi_square, test.p, corrected])
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def restricted_means(arms: Sequence[ArmScores], tau: float) -> pd.DataFrame:
    """Restricted mean survival up to `tau` of every risk group, against the lowest [1]_.

    Unlike a hazard ratio, the difference has the same meaning whether or not hazards are
    proportional. It is in the unit of the times. NaN if a group is not followed to `tau`. Competing
    events are treated as censoring, as in the hazard ratio.

    Returns
    -------
    DataFrame
        `MEAN_COLUMNS`; `difference` is group minus lowest group.

    Raises
    ------
    PredictionsError
        As `survival_curves`, or `tau` is not positive.

    References
    ----------
    .. [1] Uno et al. (2014), Journal of Clinical Oncology 32:2380-2385.
    """
    if not tau > 0:
        raise PredictionsError(f"tau is {tau}, expected a positive time")
    rows: list[list[object]] = []
    for arm in _with_times(arms):
        patients = group_patients(arm)
        means = [_restricted_mean(patients, name, tau) for name in patients.names]
        for k, (name, (mean, se)) in enumerate(zip(patients.names, means, strict=True)):
            gap = mean - means[0][0] if k else np.nan
            error = float(np.hypot(se, means[0][1]))
            p = float(2 * ndtr(-abs(gap / error))) if error > 0 else np.nan
            rows.append([arm.name, name, tau, mean, se, gap, *wald(gap, error), p])
    return pd.DataFrame(rows, columns=MEAN_COLUMNS)


def _restricted_mean(patients: GroupedPatients, name: str, tau: float) -> tuple[float, float]:
    i = patients.group == name
    curve = kaplan_meier(patients.time[i], patients.event[i], patients.entry_of(i))
    if not curve.reaches(tau):
        return float("nan"), float("nan")
    return curve.restricted_mean(tau)


def incidence_at(arms: Sequence[ArmScores], horizons: Sequence[float]) -> pd.DataFrame:
    """Cumulative incidence of each kind of event by risk group (Aalen-Johansen).

    Returns
    -------
    DataFrame
        `INCIDENCE_COLUMNS`: `cause` 1 is the event of interest, 2 the competing one; `gray_p`
        compares the groups (not stratified) and is the same in all rows of an arm and cause; NaN
        under delayed entry, for which Gray's test is not defined. Incidences are NaN beyond the
        group's last follow-up.

    Raises
    ------
    PredictionsError
        As `survival_curves`.
    """
    rows: list[list[object]] = []
    for arm in _with_times(arms):
        g = group_patients(arm)
        code = g.code
        for cause in np.unique(code[code > 0]):
            late = g.entry is not None
            p = np.nan if late else gray_test(g.time, code, g.group, cause=int(cause)).p
            for name in g.names:
                i = g.group == name
                entry = g.entry_of(i)
                curve = cumulative_incidence(g.time[i], code[i], cause=int(cause), entry=entry)
                n_risk = number_at_risk(g.time[i], list(horizons), entry)
                for h, at_risk in zip(horizons, n_risk, strict=True):
                    (low,), (high,) = curve.interval(h)
                    cells = [float(curve.at(h)), float(low), float(high)]
                    cells = cells if curve.reaches(h) else [np.nan] * 3
                    rows.append([arm.name, name, int(cause), h, *cells, int(at_risk), p])
    return pd.DataFrame(rows, columns=INCIDENCE_COLUMNS)


def incidence_curves(arms: Sequence[ArmScores]) -> pd.DataFrame:
    """Cumulative incidence curves of every risk group and kind of event (Aalen-Johansen).

    Returns
    -------
    DataFrame
        `INCIDENCE_CURVE_COLUMNS`, one row per distinct time, starting at 0: `cause` 1 is the
        event of interest and given for every group, 2 the competing one; pointwise 95%
        intervals on the log(-log) scale; `n_risk` is just before the time; `n_event` counts
        events of this cause at it. Under delayed entry also `n`, the patients of the group.

    Raises
    ------
    PredictionsError
        As `survival_curves`.
    """
    rows: list[list[object]] = []
    for arm in _with_times(arms):
        g = group_patients(arm)
        code = g.code
        for name in g.names:
            i = g.group == name
            for cause in sorted({1, *np.unique(code[i & (code > 0)]).tolist()}):
                curve = cumulative_incidence(
                    g.time[i], code[i], cause=int(cause), entry=g.entry_of(i)
                )
                at = np.concatenate([[0.0], curve.time])
                lower, upper = curve.interval(at)
                n_risk = np.concatenate([[g.n_at_origin(i)], curve.n_risk]).astype(int)
                n_event = np.concatenate([[0], curve.n_cause]).astype(int)
                columns = (at, curve.at(at), lower, upper, n_risk, n_event)
                size = [] if g.entry is None else [int(i.sum())]
                rows += [[arm.name, name, cause, *c, *size] for c in zip(*columns, strict=True)]
    size_column = ["n"] if any(arm.late for arm in arms) else []
    return pd.DataFrame(rows, columns=[*INCIDENCE_CURVE_COLUMNS, *size_column])


def best_cuts(
    arms: Sequence[ArmScores], *, n_permutations: int = 999, seed: int = 0
) -> pd.DataFrame:
    """Maximally selected log-rank cut-off of each arm, with p values that allow for selection.

    Returns
    -------
    DataFrame
        `CUT_COLUMNS`; risks above `cut` are high.

    Raises
    ------
    PredictionsError
        As `survival_curves`; or an arm has several folds or strata, whose raw risks have no common
        scale for a single cut-off; or entry is delayed, for which the distribution of the statistic
        is unknown.
    """
    rows: list[list[object]] = []
    for arm in _with_times(arms):
        if len(arm.folds) > 1 or len(np.unique(arm.folds[0].stratum)) > 1:
            raise PredictionsError(
                f"arm {arm.name}: a single cut-off needs a common scale of risk, but there are "
                f"{len(arm.folds)} folds; choose cut-offs on development patients instead"
            )
        fold = arm.folds[0]
        if fold.entry is not None:
            raise PredictionsError(
                f"arm {arm.name}: the p value of a maximally selected cut-off is unknown under "
                "delayed entry"
            )
        found = maximally_selected_cut(
            fold.time, fold.event, fold.risk, n_permutations=n_permutations,
            rng=np.random.default_rng(seed),
        )  # fmt: skip
        rows.append(
            [arm.name, found.cut, found.statistic, found.p_asymptotic, found.p_bonferroni,
             found.p_permutation, len(fold.time), int(fold.event.sum())]
        )  # fmt: skip
    return pd.DataFrame(rows, columns=CUT_COLUMNS)


def _with_times(arms: Sequence[ArmScores]) -> Sequence[ArmScores]:
    if not all(arm.timed for arm in arms):
        raise PredictionsError("predictions: a label has no survival curve; give time and event")
    return arms
