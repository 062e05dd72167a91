"""Censoring weights of test patients, estimated on other patients if possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, FoldScores
from outcome.statistics.censoring import Censoring, censoring_curve, choose_tau

__all__ = ["LARGEST_WEIGHT", "CensoringWeights", "censoring_weights", "fixed_horizon_weights"]

Floats = NDArray[np.float64]
LARGEST_WEIGHT = 10.0  # maximum weight of a patient whose event by a fixed horizon is known
_FEWEST = 20  # minimum number of patients for a separate curve of a stratum


@dataclass(frozen=True)
class CensoringWeights:
    """G(t) for each repeat, fold and stratum, and the tau at which concordance is truncated.

    Attributes
    ----------
    curves : dict
        (repeat, fold, stratum) -> curve.
    tau : float or None
        The same for all arms; None if no event time has enough patients under observation.
    source : str
        Source of the curves, in words.
    cap : float
        Largest weight of a patient.
    closed : bool
        A patient censored exactly at a horizon was observed event-free at it. If the outcome is the
        event by the horizon, yes or no, this patient counts as event-free. AUC(t) and Brier score
        of a time to event follow the definition of R and scikit-survival, in which this patient is
        uninformative.
    """

    curves: dict[tuple[str, str, int], Censoring]
    tau: float | None
    source: str
    cap: float = float("inf")
    closed: bool = False

    def at_event(self, fold: FoldScores) -> Floats:
        """G just before each patient's own time, shape (m,)."""
        free = np.empty(len(fold.patient))
        for stratum in np.unique(fold.stratum):
            i = fold.stratum == stratum
            free[i] = self._curve(fold, stratum).before(fold.time[i])
        return free

    def at(self, fold: FoldScores, horizon: float) -> Floats:
        """G at the horizon (closed: just before it) for each patient's stratum, shape (m,)."""
        free = np.empty(len(fold.patient))
        for stratum in np.unique(fold.stratum):
            curve = self._curve(fold, stratum)
            there = curve.before(horizon) if self.closed else curve.at(horizon)
            free[fold.stratum == stratum] = there
        return free

    def status_weights(self, fold: FoldScores, horizon: float) -> tuple[Floats, Floats]:
        """Weight of each patient as a case by the horizon, and as a control.

        Cases had the event by the horizon: 1 / G(t-). Controls are observed event-free beyond the
        horizon (closed: at it), weighted by `at`, or had a competing event before it, 1 / G(t-).
        Patients censored earlier have weight 0.
        """
        own, there = self.at_event(fold), self.at(fold, horizon)
        by_then = fold.time <= horizon
        with np.errstate(divide="ignore"):
            case = np.where(fold.event & by_then, 1 / own, 0.0)
            reached = (fold.time >= horizon) & ~case.astype(bool) if self.closed else ~by_then
            control = np.where(reached, 1 / there, 0.0)
            control = np.where(fold.ended & ~fold.event & by_then, 1 / own, control)
        return np.minimum(case, self.cap), np.minimum(control, self.cap)

    def _curve(self, fold: FoldScores, stratum: int) -> Censoring:
        return self.curves[fold.repeat, fold.fold, int(stratum)]


def censoring_weights(
    arms: Sequence[ArmScores], horizons: Sequence[float], *, cross_validated: bool
) -> CensoringWeights:
    """Estimate G for every fold.

    In a cross-validated table, G is estimated on the other folds of the same repeat, which are the
    development patients of the fold. Otherwise, or with a single fold, the whole table is used. A
    stratum has its own curve if it has at least 20 patients; else all strata share one.

    Tau is the largest horizon, or without horizons the largest event time, at which every
    G(t-) is at least 0.1.
    """
    everybody = _outcomes(arms)
    curves: dict[tuple[str, str, int], Censoring] = {}
    borrowed = False
    for repeat, folds in everybody.items():
        for fold in folds:
            others = [f for f in folds if f != fold] if cross_validated else []
            borrowed |= bool(others)
            rows = np.concatenate([folds[f] for f in (others or folds)])
            strata = np.unique(np.concatenate([folds[f][:, 2] for f in folds]))
            for stratum in strata.astype(int):
                own = rows[rows[:, 2] == stratum]
                used = own if len(own) >= _FEWEST else rows
                curves[repeat, fold, int(stratum)] = censoring_curve(used[:, 0], used[:, 1])
    events = np.concatenate([f.time[f.event] for arm in arms for f in arm.folds])
    tau = choose_tau(horizons if len(horizons) else events, list(curves.values()))
    source = "the other folds of the repeat" if borrowed else "the patients of the table"
    return CensoringWeights(curves, tau, source)


def fixed_horizon_weights(
    arms: Sequence[ArmScores], horizon: float, *, cross_validated: bool
) -> CensoringWeights:
    """Estimate G for the event by a horizon, yes or no: `censoring_weights`, capped and closed."""
    weights = censoring_weights(arms, [horizon], cross_validated=cross_validated)
    return replace(weights, cap=LARGEST_WEIGHT, closed=True)


def _outcomes(arms: Sequence[ArmScores]) -> dict[str, dict[str, Floats]]:
    """Rows of (time, ended, stratum) per repeat and fold, over all arms, each patient once."""
    seen: dict[str, dict[str, dict[int, tuple[float, float, float]]]] = {}
    for arm in arms:
        for f in arm.folds:
            rows = seen.setdefault(f.repeat, {}).setdefault(f.fold, {})
            values = zip(f.time, f.ended, f.stratum, strict=True)
            for patient, (time, ended, stratum) in zip(f.patient, values, strict=True):
                rows[int(patient)] = (float(time), float(ended), float(stratum))
    return {
        repeat: {fold: np.array(list(rows.values())) for fold, rows in folds.items()}
        for repeat, folds in seen.items()
    }
