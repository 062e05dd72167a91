"""Detection of contradictory predictions, independent of the outcomes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel
from outcome.evaluation.horizon_columns import horizon_name
from outcome.evaluation.notes import name_folds
from outcome.statistics.concordance import concordance

__all__ = ["impossible_predictions"]

FEWEST_PAIRS = 10
"""Minimum number of pairs of different predictions in a fold for a judgement of their order."""
ROUNDING = 1e-9
"""Largest rise of a survival probability that rounding can explain."""

Floats = NDArray[np.float64]


def impossible_predictions(
    panel: Panel, arms: Sequence[ArmScores], *, favourable: bool = False
) -> list[str]:
    """Warn of survival that rises with time, and of probabilities that contradict risks.

    Parameters
    ----------
    panel : Panel
        Panel with the ids of patients.
    arms : sequence of ArmScores
    favourable : bool
        The positive label is the better outcome; `probability` should then decrease with the risk.

    Returns
    -------
    list of str
        For each arm, the patients whose survival at a later time is higher than at an earlier
        one (`survival_<h>`, and `survival_at_time` at the own time); and the folds in which, in
        most pairs, the patient with the higher risk has the better probability. Pairs are within
        fold and stratum, because risks are comparable only within these.
    """
    found = []
    for arm in arms:
        found += _rising(panel, arm)
        found += _reversed(arm, favourable=favourable)
    return found


def _rising(panel: Panel, arm: ArmScores) -> list[str]:
    rising: dict[str, str] = {}
    several = set[int]()
    for fold in arm.folds:
        times, survival = _curves(fold)
        # Missing values are skipped: each value is compared with the lowest one before it.
        known = np.where(np.isnan(survival), np.inf, survival)
        lowest = np.minimum.accumulate(known, axis=1)[:, :-1]
        rises = survival[:, 1:] > lowest + ROUNDING
        several |= set(fold.patient[(~np.isnan(survival)).sum(axis=1) > 1].tolist())
        for row in np.flatnonzero(rises.any(axis=1)):
            after = int(np.argmax(rises[row])) + 1
            before = int(np.argmin(known[row, :after]))
            rising.setdefault(
                str(panel.ids[fold.patient[row]]),
                f"{survival[row, before]:.3g} at {times[row, before]:g} and"
                f" {survival[row, after]:.3g} at {times[row, after]:g}",
            )
    if not rising:
        return []
    shown = ", ".join(f"{who} ({what})" for who, what in list(rising.items())[:3])
    return [
        f"arm {arm.name}: predicted survival rises with time for {len(rising)} of {len(several)} "
        f"patients, e.g. {shown}. This is impossible, so Brier scores and calibration are "
        "meaningless. survival_<time> must be the probability of no event by that time"
    ]


def _curves(fold: FoldScores) -> tuple[Floats, Floats]:
    """Return times and predicted survival of each patient, by time; shape (m, horizons + 1).

    The survival at the patient's own time is skipped if it is a horizon, because an event at
    exactly that time may be counted in only one of the two.
    """
    m, horizons = len(fold.patient), sorted(fold.survival)
    times = np.column_stack([np.broadcast_to(np.array(horizons), (m, len(horizons))), fold.time])
    own = np.where(np.isin(fold.time, horizons), np.nan, fold.survival_at_time)
    survival = np.column_stack([*(fold.survival[h] for h in horizons), own])
    order = np.argsort(times, axis=1, kind="stable")
    return np.take_along_axis(times, order, axis=1), np.take_along_axis(survival, order, axis=1)


def _reversed(arm: ArmScores, *, favourable: bool) -> list[str]:
    # Folds by column; columns with problems in the same folds are named together.
    wrong: dict[str, list[FoldScores]] = {}
    for fold in arm.folds:
        better = {f"survival_{horizon_name(h)}": s for h, s in fold.survival.items()}
        better["probability"] = fold.probability if favourable else 1 - fold.probability
        for column, value in better.items():
            if _contradicts(fold, value):
                wrong.setdefault(column, []).append(fold)
    columns: dict[str, list[str]] = {}
    for column, folds in wrong.items():
        columns.setdefault(name_folds(arm, folds), []).append(column)
    return [
        f"arm {arm.name}, {where}: {', '.join(names)} and risk contradict each other: in most "
        "pairs of patients, the patient with the higher risk has the better prediction. A "
        "higher risk must mean a worse outcome. Correct the sign of risk, or the probabilities"
        for where, names in columns.items()
    ]


def _contradicts(fold: FoldScores, better: Floats) -> bool:
    """Whether patients with a higher risk have a higher probability of the better outcome."""
    known = ~np.isnan(better)
    seen = np.ones(int(known.sum()), dtype=bool)
    agree = concordance(better[known], seen, fold.risk[known], group=fold.stratum[known])
    return agree.comparable >= FEWEST_PAIRS and agree.c < 0.5
