"""Cross-validated metrics with a variance from test sampling and from training.

A metric of one fold (`outcome.evaluation.fold_metrics`) is evaluated on the scores of the fold's
ensemble, and on those of each inner model. The variance is that of
`outcome.statistics.crossfit_variance`.

Probabilities of inner models come from the calibrator of the fold, applied to the risk by the inner
model. The variance of Brier scores therefore treats the calibrator as fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.endpoint import is_blank
from outcome.errors import InputError, PredictionsError, Problems
from outcome.evaluation.arrays import ArmScores, FoldScores, Panel
from outcome.evaluation.fold_metrics import FoldMetric, FoldValue
from outcome.evaluation.horizon_columns import horizon_columns, number_column
from outcome.statistics.crossfit_variance import (
    CrossfitInfluence,
    CrossfitVariance,
    crossfit_variance,
    linear_combination,
    t_interval,
    t_test,
)

__all__ = [
    "CrossfitEstimate",
    "InnerModelTables",
    "InnerScores",
    "crossfit_difference",
    "crossfit_estimate",
    "inner_scores_by_arm",
    "read_inner_scores",
    "weighted_sum",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FoldKey = tuple[str, str]


@dataclass(frozen=True)
class InnerScores:
    """Scores of the test patients of one fold by each of its inner models, of one arm.

    Attributes
    ----------
    patient : ndarray, shape (m,)
        Position in the panel, ascending.
    risk : ndarray, shape (a, m)
        Risk by each inner model, centred as in the ensemble, so that the mean over models is the
        risk of the ensemble.
    survival : dict of float to ndarray, shape (a, m)
        Event-free probability at each horizon.
    probability : ndarray, shape (a, m)
        NaN if the table has no such column.
    left_out : ndarray of int, shape (n,)
        Inner model that was trained without each patient of the panel; -1 for patients that are not
        development patients of the fold.
    """

    patient: Ints
    risk: Floats
    survival: Mapping[float, Floats]
    probability: Floats
    left_out: Ints

    @property
    def n_models(self) -> int:
        """Inner models of the fold."""
        return len(self.risk)

    def under(self, model: int, fold: FoldScores) -> FoldScores:
        """Return the fold with the scores of one inner model, also for a subset of its patients.

        Probabilities missing in the ensemble stay unknown.
        """
        at = np.searchsorted(self.patient, fold.patient)
        survival = {
            h: np.where(np.isnan(s), np.nan, self.survival[h][model, at])
            for h, s in fold.survival.items()
            if h in self.survival
        }
        known = ~np.isnan(fold.probability)
        probability = np.where(known, self.probability[model, at], np.nan)
        return replace(fold, risk=self.risk[model, at], survival=survival, probability=probability)

    def covers(self, fold: FoldScores) -> bool:
        """Whether every patient of the fold has inner scores, of two or more models."""
        return self.n_models > 1 and bool(np.isin(fold.patient, self.patient).all())


@dataclass(frozen=True)
class CrossfitEstimate:
    """A metric, or a difference, with the variance from test sampling and training.

    Attributes
    ----------
    found : CrossfitVariance or None
        None if it cannot be estimated; `note` gives the reason.
    repeats : tuple of CrossfitInfluence
        Influence values of each repeat, over the panel.
    difference : bool
    note : str
    """

    found: CrossfitVariance | None
    repeats: tuple[CrossfitInfluence, ...] = ()
    difference: bool = False
    note: str = ""

    @property
    def value(self) -> float:
        """The estimate; NaN if it is unknown."""
        return float("nan") if self.found is None else self.found.estimate

    @property
    def se(self) -> float:
        """Standard error; NaN if the estimate is unknown."""
        return float("nan") if self.found is None else self.found.se

    @property
    def by_repeat(self) -> tuple[float, ...]:
        """The metric in each repeat."""
        return tuple(r.value for r in self.repeats)

    @property
    def p_value(self) -> float:
        """Two-sided p of no difference; NaN for an arm."""
        if self.found is None or not self.difference:
            return float("nan")
        return t_test(self.found)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the t interval, within [0, 1] for an arm and [-1, 1] for a difference."""
        if self.found is None:
            return float("nan"), float("nan")
        limits = (-1.0, 1.0) if self.difference else (0.0, 1.0)
        return t_interval(self.found, level, limits=limits)


def crossfit_estimate(
    panel: Panel,
    arm: ArmScores,
    metric: FoldMetric,
    inner: Mapping[FoldKey, InnerScores] | None = None,
) -> CrossfitEstimate:
    """Evaluate an arm: mean over folds weighted by their size, then over repeats.

    Parameters
    ----------
    panel : Panel
    arm : ArmScores
        Restricted, if only some of its patients count.
    metric : callable
        Fold -> value and influence; see `outcome.evaluation.fold_metrics`.
    inner : mapping of (repeat, fold) to InnerScores, optional
        Inner scores of this arm. For folds without them, the variance is twice that of fixed
        models, or that of fixed models for one test set.

    Returns
    -------
    CrossfitEstimate
        Folds in which the metric is unknown are skipped and counted in the note.
    """
    repeats, skipped, notes = [], 0, []
    for repeat in arm.repeats:
        # Sorted by their first patient, so that arms with the same folds agree, whatever the names
        # of the folds.
        folds = sorted((f for f in arm.folds if f.repeat == repeat), key=lambda f: f.patient[0])
        values = [metric(f) for f in folds]
        skipped += sum(bool(np.isnan(v.value)) for v in values)
        notes += [v.note for v in values if v.note]
        kept = [(f, v) for f, v in zip(folds, values, strict=True) if not np.isnan(v.value)]
        if kept:
            repeats.append(_repeat(panel, folds, kept, metric, inner or {}))
    if not repeats:
        reasons = "; ".join(sorted(set(notes))) or "no fold has comparable patients"
        return CrossfitEstimate(None, note=reasons)
    note = f"{skipped} of {len(arm.folds)} folds skipped" if skipped else ""
    return CrossfitEstimate(crossfit_variance(repeats), tuple(repeats), note=note)


def crossfit_difference(first: CrossfitEstimate, second: CrossfitEstimate) -> CrossfitEstimate:
    """Metric of one arm minus that of another, paired.

    Both arms must be restricted to their common patients and have the same folds.

    Raises
    ------
    InputError
        The arms have different patients or folds.
    """
    if first.found is None or second.found is None:
        reasons = sorted({e.note for e in (first, second) if e.found is None and e.note})
        return CrossfitEstimate(None, difference=True, note="; ".join(reasons))
    if len(first.repeats) != len(second.repeats):
        raise InputError("the arms have different repeats; restrict both to their common repeats")
    repeats = tuple(a - b for a, b in zip(first.repeats, second.repeats, strict=True))
    found = crossfit_variance(repeats, difference=True)
    note = "; ".join(dict.fromkeys(filter(None, [first.note, second.note])))
    return CrossfitEstimate(found, repeats, difference=True, note=note)


def weighted_sum(
    estimates: Sequence[CrossfitEstimate], weights: Sequence[float], note: str = ""
) -> CrossfitEstimate:
    """Weighted sum of metrics of one arm: an integrated Brier score, a mean AUC.

    Unknown if one of them is, or if they could not be estimated in the same repeats.
    """
    if not estimates or any(e.found is None for e in estimates):
        return CrossfitEstimate(None, note=note or "one of its parts cannot be estimated")
    if len({len(e.repeats) for e in estimates}) > 1:
        return CrossfitEstimate(None, note="its parts can be estimated in different repeats only")
    by_repeat = zip(*(e.repeats for e in estimates), strict=True)
    repeats = tuple(linear_combination(parts, weights) for parts in by_repeat)
    return CrossfitEstimate(crossfit_variance(repeats), repeats, note=note)


@dataclass(frozen=True)
class InnerModelTables:
    """The tables of inner models in a run folder.

    Attributes
    ----------
    scores : DataFrame
        `inner_scores.csv`, for the arms to which it applies.
    splits : DataFrame
        `splits.csv`.
    """

    scores: pd.DataFrame
    splits: pd.DataFrame


def inner_scores_by_arm(
    tables: Sequence[InnerModelTables], panel: Panel
) -> dict[str, dict[FoldKey, InnerScores]]:
    """Arrange the inner scores of one or several runs; an arm must be in only one of them.

    Raises
    ------
    PredictionsError
        See `read_inner_scores`.
    """
    found: dict[str, dict[FoldKey, InnerScores]] = {}
    for of_run in tables:
        found |= read_inner_scores(of_run.scores, of_run.splits, panel)
    return found


def read_inner_scores(
    table: pd.DataFrame, splits: pd.DataFrame, panel: Panel
) -> dict[str, dict[FoldKey, InnerScores]]:
    """Arrange `inner_scores.csv` and `splits.csv` by arm, repeat and fold.

    Parameters
    ----------
    table : DataFrame
        `arm, patient_id, repeat, fold, inner_fold, risk`, and `survival_<h>` or `probability`.
    splits : DataFrame
        `patient_id, repeat, outer_fold, role, inner_fold`: the inner fold of each development
        patient, that is, the inner model trained without this patient.
    panel : Panel

    Raises
    ------
    PredictionsError
        A column is missing, a score is not a number, or a patient of a fold does not have exactly
        one score by each of its inner models. The message lists all problems.
    """
    problems = Problems("inner scores")
    for what, given, wanted in (
        ("inner scores", table, ["arm", "patient_id", "repeat", "fold", "inner_fold", "risk"]),
        ("splits", splits, ["patient_id", "repeat", "outer_fold", "role", "inner_fold"]),
    ):
        if lacking := [c for c in wanted if c not in given]:
            problems.add(f"the {what} have no column", lacking, "give the tables of one run")
    problems.raise_if_any(PredictionsError)
    horizons = horizon_columns(table)
    numbers = {"risk": number_column(table, "risk", problems)}
    for name in ("probability", *horizons.values()):
        numbers[name] = number_column(table, name, problems, low=0.0, high=1.0)
    if (empty := is_blank(table["risk"]).to_numpy()).any():
        problems.add("risk is empty", table["patient_id"].astype(str)[empty].tolist())
    rows = pd.DataFrame(numbers)
    for name in ("arm", "patient_id", "repeat", "fold", "inner_fold"):
        rows[name] = table[name].astype(str).to_numpy()
    rows = rows[rows["patient_id"].isin(panel.ids)]
    rows["_patient"] = np.searchsorted(panel.ids, rows["patient_id"].to_numpy(dtype=str))
    groups = _inner_folds(splits, panel)
    found: dict[str, dict[FoldKey, InnerScores]] = {}
    for (arm, repeat, fold), part in rows.groupby(["arm", "repeat", "fold"], sort=False):
        key = (str(repeat), str(fold))
        of_fold = groups.get(key, {})
        if of_fold and not any(len(held_out) for held_out in of_fold.values()):
            # With one test set no training patient is scored, so the models are treated as fixed.
            continue
        if scores := _arranged(part, of_fold, horizons, panel.n, problems):
            found.setdefault(str(arm), {})[key] = scores
    problems.raise_if_any(PredictionsError)
    return found


def _repeat(
    panel: Panel,
    folds: Sequence[FoldScores],
    kept: Sequence[tuple[FoldScores, FoldValue]],
    metric: FoldMetric,
    inner: Mapping[FoldKey, InnerScores],
) -> CrossfitInfluence:
    """Return the mean over folds, and the influence of each patient on it."""
    total = sum(v.size for _, v in kept)
    value = sum(v.size * v.value for _, v in kept) / total
    influence, place = np.zeros(panel.n), np.full(panel.n, -1)
    for k, f in enumerate(folds):
        place[f.patient] = k
    for fold, v in kept:
        influence[fold.patient] = v.size / total * v.influence
        if v.size_influence is not None:
            influence[fold.patient] += (v.value - value) / total * v.size_influence
    known = [inner.get((f.repeat, f.fold)) for f in folds]
    scores = [s for f, s in zip(folds, known, strict=True) if s is not None and s.covers(f)]
    if len(scores) < len(folds):
        return CrossfitInfluence(value, influence, place)
    by_model = np.full((panel.n, max(s.n_models for s in scores)), np.nan)
    sizes = {fold.fold: v.size for fold, v in kept}
    for fold, s in zip(folds, scores, strict=True):
        share = sizes.get(fold.fold, 0.0) / total
        for a in range(s.n_models):
            one = metric(s.under(a, fold)).influence if share else np.zeros(len(fold.patient))
            by_model[fold.patient, a] = share * one
    left_out = np.stack([s.left_out for s in scores])
    return CrossfitInfluence(value, influence, place, by_model, left_out)


def _inner_folds(splits: pd.DataFrame, panel: Panel) -> dict[FoldKey, dict[str, Ints]]:
    """Positions of the scored patients held out in each inner fold, by (repeat, fold)."""
    rows = splits[splits["role"] == "development"]
    ids = rows["patient_id"].to_numpy(dtype=str)
    columns = {c: rows[c].astype(str).to_numpy() for c in ("repeat", "outer_fold", "inner_fold")}
    at = np.searchsorted(panel.ids, ids)
    table = pd.DataFrame({**columns, "at": at, "scored": np.isin(ids, panel.ids)})
    found: dict[FoldKey, dict[str, Ints]] = {}
    for (repeat, fold, name), part in table.groupby(list(columns), sort=False):
        scored = part.loc[part["scored"], "at"].to_numpy()
        found.setdefault((str(repeat), str(fold)), {})[str(name)] = scored
    return found


def _arranged(
    part: pd.DataFrame,
    groups: Mapping[str, Ints],
    horizons: Mapping[float, str],
    n: int,
    problems: Problems,
) -> InnerScores | None:
    """Scores of one arm and fold as matrices of inner models and patients."""
    names = sorted(part["inner_fold"].unique())
    patients = np.unique(part["_patient"])
    place = dict(zip(part["_patient"], part["patient_id"], strict=True))
    times = pd.crosstab(part["_patient"], part["inner_fold"]).loc[patients, names].to_numpy()
    where = f"arm {part['arm'].iloc[0]}, fold {part['fold'].iloc[0]}"
    if (wrong := (times != 1).any(axis=1)).any():
        who = [str(place[p]) for p in patients[wrong]]
        problems.add(
            f"{where}: there must be one score by each inner model", who, "give each score once"
        )
    if unknown := [name for name in names if name not in groups]:
        problems.add(
            f"{where}: the splits contain no patient of the inner fold", unknown,
            "give the splits of the same run",
        )  # fmt: skip
    if wrong.any() or unknown:
        return None

    def matrix(column: str) -> Floats:
        wide = part.pivot(index="inner_fold", columns="_patient", values=column)
        return wide.loc[names, patients].to_numpy(dtype=np.float64)

    left_out = np.full(n, -1)
    for a, name in enumerate(names):
        left_out[groups[name]] = a
    survival = {h: matrix(column) for h, column in horizons.items()}
    return InnerScores(patients, matrix("risk"), survival, matrix("probability"), left_out)
