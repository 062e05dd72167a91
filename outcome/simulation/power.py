"""Number of patients needed to detect a difference between two arms, by simulation.

The model
---------
Follow-up is like that of the user's cohort: event times are drawn from its Kaplan-Meier curve, and
censoring times from its reverse Kaplan-Meier curve. (For a label, the cohort's proportion of
positives is used; for an event by a horizon, its cumulative incidence among patients who are
followed that long.) There are no events beyond the last follow-up. Each patient has a latent normal
rank among event times, and two scores that are jointly normal with the rank::

    score = rho * rank + sqrt(1 - rho^2) * noise

with rho such that the concordance *under this censoring* has the given value. The two scores are
correlated. By default the score with the higher concordance contains all information of the other
one (image+report and image), which is the favourable case. Arms that are wrong in different
patients have a lower correlation and need more patients. Strata are not simulated. If only patients
of one type are compared, there are fewer pairs; simulate each type separately, or interpret the
result as a minimum.

Each simulated cohort is divided into folds, both scores are measured within folds, and the paired
difference is tested given the scores (infinitesimal jackknife, DeLong for a label). Power is
the share of simulated cohorts in which the two-sided p is below `alpha` and the difference has the
right sign.

Cross-validation
----------------
This is the power for a *held-out* cohort, with scores of models that were fixed in advance. Scores
that are cross-validated on the same patients vary more, because folds share training patients. In
1,000 simulated cohorts with two equal arms, the standard error had to be 1.29 times as large with
200 patients, and 1.14 times with 500, for the test to keep its level of 5%. The second power uses
these factors (interpolated between 200 and 500 patients; 1.14 for more patients, for which nothing
was measured). `outcome run` has to estimate the factor in each study, which costs additional power
with few events: the power was 20%, compared with 28% with a known factor (200 patients, 80 events,
a gain of .05). Neither power predicts the concordance that *your* arms reach with this number of
patients: models trained on few patients are worse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from outcome.cohort import Cohort
from outcome.endpoint import Binary, Landmark, TimeToEvent
from outcome.errors import InputError
from outcome.progress import CountProgress, no_progress
from outcome.simulation.source_cohort import read_source_cohort
from outcome.statistics.aalen_johansen import cumulative_incidence
from outcome.statistics.concordance import harrell
from outcome.statistics.kaplan_meier import KaplanMeier, kaplan_meier
from outcome.statistics.roc import delong
from outcome.study import Study

__all__ = [
    "SIZES",
    "ExpectedDifference",
    "FollowUpModel",
    "LabelModel",
    "Power",
    "inflation",
    "power",
]

SIZES = (100, 200, 400, 800, 1600)
Array = NDArray[np.float64]
Scored = tuple[Array, Array, Array, Array]  # time or label, event, baseline score, arm score


@dataclass(frozen=True, kw_only=True)
class ExpectedDifference:
    """The difference between two arms to be detected.

    Parameters
    ----------
    baseline, arm : float
        Concordance (AUROC for a yes/no outcome) of the two arms, in [0.5, 0.99).
    correlation : float, optional
        Correlation of the two scores (within a class, for a yes/no outcome). By default the better
        score contains all information of the other one.
    alpha : float
        Two-sided level of the test.
    target : float
        The desired power.
    """

    baseline: float
    arm: float
    correlation: float | None = None
    alpha: float = 0.05
    target: float = 0.8

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be {what}, not {value}"
            for name, value, good, what in (
                ("baseline", self.baseline, 0.5 <= self.baseline < 0.99, "in [0.5, 0.99)"),
                ("arm", self.arm, 0.5 <= self.arm < 0.99, "in [0.5, 0.99)"),
                ("alpha", self.alpha, 0 < self.alpha < 1, "between 0 and 1"),
                ("target", self.target, 0 < self.target < 1, "between 0 and 1"),
            )
            if not good
        ]
        if self.correlation is not None and not -1 < self.correlation < 1:
            wrong.append(f"correlation must be between -1 and 1, not {self.correlation}")
        if wrong:
            raise InputError("power: " + "; ".join(wrong))


@dataclass(frozen=True)
class Power:
    """Result of a power simulation.

    Attributes
    ----------
    table : DataFrame
        `patients, events, difference, half_width, power_held_out, power_cross_validated`: means
        over the simulated cohorts; `half_width` is half the width of the 95% interval.
    needed : mapping
        `held_out` and `cross_validated` -> patients for the target power, or None if no simulated
        size reaches it.
    correlation : float
        Correlation of the two simulated scores.
    event_share : float
        Events per patient.
    """

    table: pd.DataFrame
    needed: dict[str, int | None]
    correlation: float
    event_share: float

    def events(self, patients: int) -> int:
        """Events among so many patients."""
        return round(self.event_share * patients)


def inflation(patients: int) -> float:
    """Factor for the standard error with which a cross-validated paired test keeps its level.

    Examples
    --------
    >>> [round(inflation(n), 2) for n in (100, 200, 500, 2000)]
    [1.29, 1.29, 1.14, 1.14]
    """
    wide, narrow = norm.isf(0.025) / norm.isf(np.array([0.128, 0.085]) / 2)
    return float(np.interp(np.log(patients), np.log([200, 500]), [wide, narrow]))


def power(
    study: Study,
    difference: ExpectedDifference,
    *,
    sizes: Sequence[int] = SIZES,
    simulations: int = 400,
    seed: int = 0,
    progress: CountProgress = no_progress,
) -> Power:
    """Simulate cohorts of several sizes, with the follow-up of the study's cohort.

    Parameters
    ----------
    study : Study
        Study whose cohort table and endpoint are used; embeddings are not needed.
    difference : ExpectedDifference
    sizes : sequence of int
        Numbers of patients; the size of the cohort is added.
    simulations : int
        Cohorts per size. The standard error of a power is at most 0.5 / sqrt(simulations).
    seed : int
    progress : callable
        Called with the number of finished simulations, and of all simulations.

    Returns
    -------
    Power

    Raises
    ------
    InputError
        The table is invalid, or the correlation is impossible with these concordances.

    Examples
    --------
    >>> import outcome
    >>> few = outcome.Simulation(patients=60, patches=5, dimension=16)
    >>> study = outcome.Study.read(outcome.simulate("planned", few))
    >>> wanted = outcome.ExpectedDifference(baseline=0.60, arm=0.75)
    >>> found = outcome.power(study, wanted, sizes=[100], simulations=20)
    >>> found.table["patients"].tolist()
    [60, 100]
    """
    if simulations < 10 or any(n < 20 for n in sizes):
        raise InputError("power: simulate at least 10 cohorts, of at least 20 patients")
    cohort = read_source_cohort(study)
    source = SOURCES[type(cohort.endpoint)](cohort)
    source.prepare(difference)
    wanted = sorted({*sizes, len(cohort.patients)})
    folds = 5 if study.split.column else study.split.folds
    rows = []
    for k, n in enumerate(wanted):
        rng = np.random.default_rng([seed, n])
        found = []
        for i in range(simulations):
            progress(k * simulations + i, len(wanted) * simulations)
            found.append(_one_cohort(source, n, folds, rng))
        rows.append(_row(n, np.array(found), difference))
    progress(len(wanted) * simulations, len(wanted) * simulations)
    table = pd.DataFrame(rows)
    needed = {
        kind: _needed(table["patients"], table[f"power_{kind}"], difference.target)
        for kind in ("held_out", "cross_validated")
    }
    share = float((table["events"] / table["patients"]).mean())
    return Power(table, needed, source.correlation, share)


def _correlated(c0: float, c1: float, wanted: float | None) -> tuple[float, float]:
    """Correlations of two scores and of their noise terms, given those with the rank."""
    r = wanted if wanted is not None else (min(c0, c1) / max(c0, c1) if max(c0, c1) > 0 else 0.0)
    r = min(r, 0.9999)
    noise = (r - c0 * c1) / np.sqrt((1 - c0**2) * (1 - c1**2))
    if abs(noise) > 1:
        raise InputError(
            f"power: scores with these concordances cannot have the correlation {r:g}; with a "
            "higher correlation they would give the same ranking. To do: give another "
            "correlation"
        )
    return r, float(noise)


def _noises(n: int, correlation: float, rng: np.random.Generator) -> tuple[Array, Array]:
    first, second = rng.normal(size=(2, n))
    return first, correlation * first + np.sqrt(1 - correlation**2) * second


class FollowUpModel:
    """Draws follow-up like that of a cohort with follow-up times, and two scores."""

    def __init__(self, cohort: Cohort) -> None:
        seen = cohort.endpoint.observed(cohort.patients)
        time, event = seen.time, seen.event
        if seen.entry is not None:
            raise InputError(
                "power: a cohort with delayed entry cannot be resampled, because it does not "
                "show which event-free patients enter late. To do: for this estimate, remove "
                "`entry` from the study file; the result then applies to patients observed from "
                "the origin"
            )
        assert time is not None
        self.event_free, self.censoring = kaplan_meier(time, event), kaplan_meier(time, ~event)
        self.end = float(time.max())
        self.rho = (0.0, 0.0)
        self.correlation = self.noise = 0.0

    def prepare(self, difference: ExpectedDifference) -> None:
        """Find the correlations that give the concordances under this censoring."""
        gaps = self._reference()
        self.rho = (self._rho_for(difference.baseline, gaps), self._rho_for(difference.arm, gaps))
        self.correlation, self.noise = _correlated(*self.rho, difference.correlation)

    def _reference(self) -> Array:
        """Differences of rank over comparable pairs."""
        rng = np.random.default_rng(0)
        rank = rng.normal(size=2000)
        time, event = self._follow_up(rank, rng)
        rows = np.flatnonzero(event)[:600]
        later = (time[rows, None] < time[None, :]) | (
            (time[rows, None] == time[None, :]) & (event[None, :] == 0)
        )
        gaps: Array = (rank[rows, None] - rank[None, :])[later]
        return gaps

    @staticmethod
    def _rho_for(concordance: float, gaps: Array) -> float:
        """Mean probability over pairs that the scores agree, which has a closed form."""

        def excess(rho: float) -> float:
            return float(norm.cdf(rho / np.sqrt(2 * (1 - rho**2)) * gaps).mean()) - concordance

        if excess(0.999) < 0:
            raise InputError(f"power: a concordance of {concordance} cannot be reached")
        return 0.0 if concordance == 0.5 else float(brentq(excess, 0.0, 0.999, xtol=1e-4))

    def _follow_up(self, rank: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        # A high rank is an early event.
        time = _quantile(self.event_free, norm.sf(rank))
        stop = np.minimum(_quantile(self.censoring, rng.random(len(rank))), self.end)
        return np.minimum(time, stop), (time <= stop).astype(float)

    def draw(self, n: int, rng: np.random.Generator) -> Scored:
        """Time, event and the two scores of n patients."""
        rank = rng.normal(size=n)
        time, event = self._follow_up(rank, rng)
        noises = _noises(n, self.noise, rng)
        first, second = (
            rho * rank + np.sqrt(1 - rho**2) * e for rho, e in zip(self.rho, noises, strict=True)
        )
        return time, event, first, second

    @staticmethod
    def outcome(drawn: Scored) -> Array:
        """Whether each patient has the event, for the stratification of folds."""
        return drawn[1]

    @staticmethod
    def events(drawn: Scored) -> float:
        """Return the number of events."""
        return float(drawn[1].sum())

    @staticmethod
    def compare(drawn: Scored) -> tuple[float, float]:
        """Difference and variance within one fold."""
        time, event, first, second = drawn
        a, b = harrell(time, event, second), harrell(time, event, first)
        influence = a.influence - b.influence
        return a.c - b.c, float(influence @ influence)


class LabelModel:
    """Draws labels and two scores that are normal within each class."""

    def __init__(self, share: float, known: float) -> None:
        self.share, self.known = share, known
        self.shift = (0.0, 0.0)
        self.correlation = self.noise = 0.0

    def prepare(self, difference: ExpectedDifference) -> None:
        """Find the distance of the classes."""
        a, b = (float(np.sqrt(2) * norm.ppf(auc)) for auc in (difference.baseline, difference.arm))
        self.shift = (a, b)
        nested = min(a, b) / max(a, b) if max(a, b) > 0 else 0.0
        wanted = difference.correlation
        self.correlation = min(nested if wanted is None else wanted, 0.9999)

    def draw(self, n: int, rng: np.random.Generator) -> Scored:
        """Label, whether it is known, and the two scores of n patients."""
        label = (rng.random(n) < self.share).astype(float)
        known = (rng.random(n) < self.known).astype(float)
        noises = _noises(n, self.correlation, rng)
        first, second = (d * label + e for d, e in zip(self.shift, noises, strict=True))
        return label, known, first, second

    @staticmethod
    def outcome(drawn: Scored) -> Array:
        """Label of each patient, for the stratification of folds."""
        return drawn[0]

    @staticmethod
    def events(drawn: Scored) -> float:
        """Return the number of positives whose label is known."""
        return float((drawn[0] * drawn[1]).sum())

    @staticmethod
    def compare(drawn: Scored) -> tuple[float, float]:
        """Difference and variance within one fold, among those whose label is known."""
        label, _, first, second = (x[drawn[1] == 1] for x in drawn)
        areas, covariance = delong(label, np.stack([first, second]))
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        return float(areas[1] - areas[0]), float(variance)


def _labels(cohort: Cohort) -> LabelModel:
    return LabelModel(float(cohort.outcome.mean()), 1.0)


def _events_by_horizon(cohort: Cohort) -> LabelModel:
    seen = cohort.endpoint.observed(cohort.patients)
    (horizon,) = cohort.endpoint.horizons
    assert seen.time is not None
    share = float(cumulative_incidence(seen.time, seen.code).at([horizon])[0])
    return LabelModel(share, float(((seen.time >= horizon) | (seen.code > 0)).mean()))


SOURCES: Mapping[type, Callable[[Cohort], FollowUpModel | LabelModel]] = {
    TimeToEvent: FollowUpModel,
    Landmark: _events_by_horizon,
    Binary: _labels,
}
"""Class that draws outcomes and scores, for each kind of endpoint."""


def _quantile(curve: KaplanMeier, share: Array) -> Array:
    """Time at which the curve has fallen by `share`; infinite if it never does."""
    fallen = 1 - curve.survival
    at = np.searchsorted(fallen, share, side="left")
    return np.append(curve.time, np.inf)[at]


def _one_cohort(
    source: FollowUpModel | LabelModel, n: int, folds: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Difference, its standard error, and the events of one simulated cohort."""
    drawn = source.draw(n, rng)
    # Events are distributed evenly, as in stratified folds.
    fold = np.empty(n, dtype=int)
    fold[np.lexsort((rng.random(n), source.outcome(drawn)))] = np.arange(n) % folds
    found = []
    for k in range(folds):
        part = tuple(x[fold == k] for x in drawn)
        value, variance = source.compare(part)
        if np.isfinite(value) and np.isfinite(variance):
            found.append((value, variance))
    events = source.events(drawn)
    if not found:
        return 0.0, np.inf, events
    values, variances = np.array(found).T
    return float(values.mean()), float(np.sqrt(variances.sum()) / len(found)), events


def _row(n: int, found: Array, difference: ExpectedDifference) -> dict[str, float]:
    value, se, events = found.T
    sign = 1.0 if difference.arm >= difference.baseline else -1.0
    z = np.divide(sign * value, se, out=np.zeros_like(value), where=se > 0)
    critical = norm.isf(difference.alpha / 2)
    usable = np.isfinite(se)
    return {
        "patients": n,
        "events": float(events.mean()),
        "difference": float(value[usable].mean()) if usable.any() else np.nan,
        "half_width": float(1.96 * se[usable].mean()) if usable.any() else np.nan,
        "power_held_out": float((z > critical).mean()),
        "power_cross_validated": float((z > critical * inflation(n)).mean()),
    }


def _needed(patients: pd.Series, reached: pd.Series, target: float) -> int | None:
    """Interpolated on the scale in which power is nearly a line: its probit over sqrt(n)."""
    n = np.sqrt(patients.to_numpy(dtype=float))
    level = norm.ppf(np.clip(reached.to_numpy(dtype=float), 0.001, 0.999))
    level = np.maximum.accumulate(level)
    if level[-1] < norm.ppf(target):
        return None
    if level[0] >= norm.ppf(target):
        return int(patients.iloc[0])
    k = int(np.argmax(level >= norm.ppf(target)))
    root = np.interp(norm.ppf(target), level[k - 1 : k + 1], n[k - 1 : k + 1])
    return int(np.ceil(root**2 / 10) * 10)
