"""Quick probes of how well a variable predicts the outcome out of fold, without training.

A probe asks whether a prediction is too good to be true. Ridge regression is fitted to residuals of
a model without covariates (survival: the martingale residual, event minus Nelson-Aalen cumulative
hazard; label: minus its mean). This is one step of a Cox or logistic model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata
from sklearn.linear_model import Ridge, RidgeCV
from threadpoolctl import threadpool_limits

from outcome.dataset.study_data import StudyData
from outcome.statistics.concordance import harrell
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.risk_sets import number_at_risk
from outcome.statistics.roc import roc_area

__all__ = ["Accuracy", "ProbeOutcomes", "joint", "single", "tokens", "wilson"]

Array = NDArray[np.float64]
CANDIDATES = 25
ALPHAS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
FEWEST_WITH = 10


@dataclass(frozen=True)
class Accuracy:
    """C-index or AUROC with an interval.

    Parameters
    ----------
    value, lower, upper : float
        The interval is 95%, corrected for `tested` (Bonferroni).
    index : int
        Index of the variable among those tested.
    tested : int
    """

    value: float
    lower: float
    upper: float
    index: int = 0
    tested: int = 1


@dataclass(frozen=True)
class ProbeOutcomes:
    """Outcomes of patients, and the folds of one repeat for the cross-validation of probes.

    Parameters
    ----------
    patients : tuple of str
    time : array, shape (n,), optional
        None for a label.
    event : bool array, shape (n,)
        Whether the event was observed, or the label is positive.
    fold : int array, shape (n,)
    stratum : str array, shape (n,)
    entry : array, shape (n,), optional
        Start of observation, if it is delayed.
    """

    patients: tuple[str, ...]
    time: Array | None
    event: NDArray[np.bool_]
    fold: NDArray[np.int64]
    stratum: NDArray[np.str_]
    entry: Array | None = None

    @classmethod
    def of(cls, study_data: StudyData) -> ProbeOutcomes:
        """Use the first repeat; for a single division, also its inner folds."""
        first = [f for f in study_data.folds if f.repeat == study_data.folds[0].repeat]
        parts = [f.test for f in first]
        if len(first) == 1:
            parts += [inner.tune for inner in first[0].inner]
        place = {p: k for k, part in enumerate(parts) for p in part}
        patients = sorted(place)
        seen = study_data.cohort.endpoint.observed(study_data.cohort.patients.loc[patients])
        fold = np.array([place[p] for p in patients])
        return cls(tuple(patients), seen.time, seen.event, fold, seen.strata, seen.entry)

    @property
    def group(self) -> list[str]:
        """Groups in which pairs are compared: fold and stratum."""
        return [f"{f}|{s}" for f, s in zip(self.fold, self.stratum, strict=True)]

    def residual(self, learn: NDArray[np.bool_]) -> Array:
        """Residual of a model without covariates; higher is worse (or positive).

        The model is fitted to the patients of `learn`.
        """
        if self.time is None:
            return np.asarray(self.event - float(self.event[learn].mean()), dtype=np.float64)
        begun = None if self.entry is None else self.entry[learn]
        curve = kaplan_meier(self.time[learn], self.event[learn], begun)
        passed = curve.cumulative_hazard(self.time)
        if self.entry is not None:
            passed = passed - curve.cumulative_hazard(self.entry)
        return np.asarray(self.event - passed, dtype=np.float64)

    def difference(self, has: NDArray[np.bool_]) -> float:
        """Standardised difference of two groups: the log-rank or hypergeometric z.

        Positive if patients with the token have worse outcomes (or are positive more often).
        """
        n = len(has)
        if self.time is None:
            k, m = int(has.sum()), int(self.event.sum())
            excess = float(self.event[has].sum() - k * m / n)
            variance = k * (n - k) * m * (n - m) / (n**2 * (n - 1))
        else:
            order = np.argsort(self.time, kind="stable")
            times, events, marked = self.time[order], self.event[order], has[order].astype(float)
            begun = None if self.entry is None else self.entry[order]
            with_it = number_at_risk(
                times[marked > 0], times, None if begun is None else begun[marked > 0]
            )
            share = with_it / number_at_risk(times, times, begun)
            excess = float((marked - share)[events].sum())
            variance = float((share * (1 - share))[events].sum())
        return excess / math.sqrt(variance) if variance > 0 else 0.0

    def accuracy(self, risk: Array, *, group: Any = None, tested: int = 1) -> Accuracy:
        """C-index or AUROC of a score, over pairs of the same fold (or `group`)."""
        group = self.group if group is None else group
        if self.time is not None:
            found = harrell(self.time, self.event, risk, group=group, entry=self.entry)
            value, se = found.c, found.se
        else:
            area = roc_area(risk, self.event, ~self.event, group=group)
            value, se = area.area, area.se
        half = NormalDist().inv_cdf(1 - 0.025 / tested) * se
        return Accuracy(value, max(0.0, value - half), min(1.0, value + half), tested=tested)


def joint(x: Any, outcomes: ProbeOutcomes) -> Accuracy:
    """Accuracy of ridge regression on all columns of `x` together, out of fold.

    Parameters
    ----------
    x : array or sparse matrix, shape (n, d)
        Dense columns are standardised; missing values are replaced by the mean.
    outcomes : ProbeOutcomes
    """
    score = np.zeros(len(outcomes.event))
    for fold in np.unique(outcomes.fold):
        learn = outcomes.fold != fold
        residual = outcomes.residual(learn)
        with threadpool_limits(1):
            score[~learn] = _ridge(x, learn, residual)
    return outcomes.accuracy(score)


def _ridge(x: Any, learn: NDArray[np.bool_], residual: Array) -> Array:
    if sparse.issparse(x):
        model = Ridge(alpha=1.0, solver="lsqr").fit(x[learn], residual[learn])
        return np.asarray(model.predict(x[~learn]))
    known = ~np.isnan(x[learn])
    filled, n = np.where(known, x[learn], 0.0), np.maximum(known.sum(axis=0), 1)
    mean = filled.sum(axis=0) / n
    spread = np.sqrt((np.where(known, filled - mean, 0.0) ** 2).sum(axis=0) / n)
    standard = np.nan_to_num((x - mean) / np.where(spread > 0, spread, np.inf))
    model = RidgeCV(ALPHAS).fit(standard[learn], residual[learn])
    return np.asarray(model.predict(standard[~learn]))


def single(x: Array, outcomes: ProbeOutcomes) -> Accuracy | None:
    """Accuracy of the best single column, with its direction estimated on the other folds.

    Parameters
    ----------
    x : array, shape (n, d)
        Missing values are replaced by the median.

    Returns
    -------
    Accuracy or None
        None if all columns are constant. The interval is corrected for the number of columns.
    """
    known = np.flatnonzero(np.nanstd(x, axis=0) > 0) if len(x) else np.array([], dtype=int)
    if not len(known):
        return None
    x = x[:, known]
    filled = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)
    ranks = np.asarray(rankdata(filled, axis=0))
    everybody = np.full(len(x), True)
    strength = np.abs((ranks - ranks.mean(axis=0)).T @ outcomes.residual(everybody))
    best = None
    for column in np.argsort(-strength, kind="stable")[:CANDIDATES].tolist():
        score = np.zeros(len(x))
        for fold in np.unique(outcomes.fold):
            learn = outcomes.fold != fold
            residual, order = outcomes.residual(learn), ranks[:, column]
            sign = np.sign((order[learn] - order[learn].mean()) @ residual[learn])
            score[~learn] = sign * order[~learn]
        found = outcomes.accuracy(score, tested=len(known))
        if best is None or found.value > best.value:
            best = Accuracy(found.value, found.lower, found.upper, int(known[column]), len(known))
    return best


def tokens(present: sparse.csc_matrix, outcomes: ProbeOutcomes) -> list[Accuracy]:
    """Accuracy of single tokens, among pairs of patients in which only one has the token.

    A rare token leaves most pairs tied, so its ordinary C-index is near 0.5 even if it reveals the
    outcome. Restricting to untied pairs avoids this.

    Parameters
    ----------
    present : sparse matrix of 0 and 1, shape (n, tokens)

    Returns
    -------
    list of Accuracy
        Accuracy of the most informative tokens, highest lower limit first. Intervals are Wilson's.
        The number of observations is the smallest of: patients with the token, patients without it,
        and events. Intervals are corrected for the number of tokens that at least 10 patients have
        and 10 do not have. An interval includes 0.5 if the log-rank test (label: hypergeometric
        test), with the same correction, finds no difference.
    """
    n = present.shape[0]
    with_it = np.asarray(present.sum(axis=0)).ravel()
    known = np.flatnonzero((with_it >= FEWEST_WITH) & (n - with_it >= FEWEST_WITH))
    if not len(known):
        return []
    residual = outcomes.residual(np.full(n, True))
    score = np.asarray(present[:, known].T @ (residual - residual.mean())).ravel()
    strength = np.abs(score) / np.sqrt(with_it[known] * (n - with_it[known]) / n)
    found = []
    for column in known[np.argsort(-strength, kind="stable")[:CANDIDATES]].tolist():
        has = np.asarray(present[:, [column]].todense()).ravel() > 0
        value, informative = _among_differing(has, outcomes)
        value = max(value, 1 - value)
        size = int(min(with_it[column], n - with_it[column], informative))
        lower, upper = wilson(value, size, 0.05 / len(known))
        if abs(outcomes.difference(has)) < NormalDist().inv_cdf(1 - 0.025 / len(known)):
            lower = min(lower, 0.5)
        found.append(Accuracy(value, lower, upper, column, len(known)))
    return sorted(found, key=lambda a: -a.lower)


def _among_differing(has: NDArray[np.bool_], outcomes: ProbeOutcomes) -> tuple[float, int]:
    """Proportion of pairs in which the patient with the token is worse, and number of events."""
    score = has.astype(float)
    if outcomes.time is None:
        area = roc_area(score, outcomes.event, ~outcomes.event).area
        case, control = has[outcomes.event].mean(), has[~outcomes.event].mean()
        tied = case * control + (1 - case) * (1 - control)
        events = int(min(outcomes.event.sum(), (~outcomes.event).sum()))
        return (float((area - tied / 2) / (1 - tied)) if tied < 1 else 0.5), events
    found = harrell(outcomes.time, outcomes.event, score, entry=outcomes.entry)
    pairs = found.concordant + found.discordant
    return (found.concordant / pairs if pairs else 0.5), int(outcomes.event.sum())


def wilson(share: float, n: int, alpha: float) -> tuple[float, float]:
    """Wilson's interval of a proportion of n observations, with confidence 1 - alpha."""
    if n < 1:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - alpha / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)
