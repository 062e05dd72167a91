"""Uncertainty of individual predictions: spread over inner models, survival bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import PredictionsError, Problems
from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.crossfit_estimates import FoldKey, InnerScores
from outcome.evaluation.estimate import wald
from outcome.evaluation.horizon_columns import number_column
from outcome.evaluation.metric_set import InnerByArm
from outcome.evaluation.subgroups import observed_over_expected, pairs_within_folds
from outcome.predictions import Predictions
from outcome.risk.survival_bounds import COVERAGE
from outcome.statistics.censoring import censoring_curve

__all__ = ["inner_model_spread", "set_aside", "survival_bounds"]

Floats = NDArray[np.float64]
SPREAD_COLUMNS = [
    "arm", "patient_id", "repeat", "fold", "horizon", "predicted", "sd", "lowest", "highest",
    "inner_models",
]  # fmt: skip
SET_ASIDE_COLUMNS = [
    "arm", "horizon", "share", "n", "events", "largest_sd", "metric", "estimate", "lower", "upper",
    "calibration_ratio", "predicted", "note",
]  # fmt: skip
BOUND_COLUMNS = [
    "arm", "nominal", "coverage", "lower", "upper", "n", "events", "lowest_bound", "median_bound",
    "highest_bound",
]  # fmt: skip
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


def inner_model_spread(
    panel: Panel, arms: Sequence[ArmScores], inner: InnerByArm, horizons: Sequence[float]
) -> pd.DataFrame:
    """Spread of each patient's predicted probability over the inner models of the fold.

    Inner models were trained on overlapping parts of the same development patients, so the spread
    shows how much a prediction depends on the choice of training patients. It is not a confidence
    interval for the patient's outcome.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
    inner : mapping
        Scores by inner models, by arm.
    horizons : sequence of float
        Times at which event-free probability is given; none for labels.

    Returns
    -------
    DataFrame
        `SPREAD_COLUMNS`, test patients of the first repeat. `predicted` is the event-free
        probability at `horizon`, or the probability of the label (`horizon` is NaN); `sd`, `lowest`
        and `highest` are over the inner models. Arms without inner scores have no rows.
    """
    rows: list[list[object]] = []
    for arm in arms:
        for h in horizons if arm.timed else [float("nan")]:
            for k, (own, by_model) in enumerate(_by_fold(arm, inner.get(arm.name) or {}, h)):
                fold = arm.first_folds[k]
                columns = (
                    panel.ids[fold.patient], own, *_spread(by_model)
                )  # fmt: skip
                rows += [
                    [arm.name, i, fold.repeat, fold.fold, h, *values, len(by_model)]
                    for i, *values in zip(*columns, strict=True)
                    if np.isfinite(values[0])
                ]
    return pd.DataFrame(rows, columns=SPREAD_COLUMNS)


def _by_fold(
    arm: ArmScores, scores: Mapping[FoldKey, InnerScores], horizon: float
) -> list[tuple[Floats, Floats]]:
    """Predicted probability by the ensemble and by each inner model, per fold of a repeat."""
    found = []
    for fold in arm.first_folds:
        of_fold = scores.get((fold.repeat, fold.fold))
        missing = np.full(len(fold.patient), np.nan)
        own = fold.survival.get(horizon, missing) if arm.timed else fold.probability
        if of_fold is None or not of_fold.covers(fold):
            found.append((missing, missing[None, :]))
            continue
        under = [of_fold.under(m, fold) for m in range(of_fold.n_models)]
        each = [u.survival.get(horizon, missing) if arm.timed else u.probability for u in under]
        found.append((own, np.array(each)))
    return found


def _spread(by_model: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the standard deviation, smallest and largest over models, shape (n,) each."""
    if len(by_model) < 2:
        return by_model[0], by_model[0], by_model[0]
    return by_model.std(axis=0, ddof=1), by_model.min(axis=0), by_model.max(axis=0)


def set_aside(
    panel: Panel,
    arms: Sequence[ArmScores],
    inner: InnerByArm,
    horizons: Sequence[float],
    *,
    favourable: bool = False,
) -> pd.DataFrame:
    """Discrimination and calibration when the least certain patients are set aside.

    In each fold the patients with the largest `sd` of `inner_model_spread`, at the last horizon,
    are set aside. The spread of a probability is largest near one half. If the remaining patients
    are easier to rank, this may only mean that their risks are further apart.

    Parameters
    ----------
    panel, arms, inner, horizons
        As for `inner_model_spread`.
    favourable : bool
        The positive label is the better outcome.

    Returns
    -------
    DataFrame
        `SET_ASIDE_COLUMNS`: `share` is set aside, `n` patients remain, with a spread
        of at most `largest_sd`. `metric` counts the pairs
        of the same fold and stratum, as for subgroups; `calibration_ratio` is observed over
        expected events at `horizon`, `predicted` the mean predicted event probability. First
        repeat.
    """
    rows: list[list[object]] = []
    for arm in arms:
        h = horizons[-1] if arm.timed and horizons else float("nan")
        folds = _by_fold(arm, inner.get(arm.name) or {}, h)
        if not any(np.isfinite(by_model).all() and len(by_model) > 1 for _, by_model in folds):
            continue
        rank = np.full(panel.n, np.nan)
        predicted, spread = np.full(panel.n, np.nan), np.full(panel.n, np.nan)
        for fold, (own, by_model) in zip(arm.first_folds, folds, strict=True):
            sd = np.where(np.isnan(own), np.nan, _spread(by_model)[0])
            known = np.flatnonzero(~np.isnan(sd))
            order = np.argsort(np.argsort(sd[known], kind="stable"), kind="stable")
            rank[fold.patient[known]] = (order + 0.5) / max(len(known), 1)
            spread[fold.patient] = sd
            predicted[fold.patient] = 1 - own if arm.timed else own
        repeat = arm.repeats[0]
        for share in SHARES:
            left = np.flatnonzero(rank <= 1 - share)
            part = arm.restrict({(repeat, int(p)) for p in left})
            found = pairs_within_folds(panel, part, None, favourable=favourable)
            ratio = observed_over_expected(part, h)
            note = "; ".join(filter(None, [found.remarks, ratio.note]))
            metric = "harrell_c_pairs" if arm.timed else "auroc_pairs"
            cells = [metric, found.value, *found.interval(), ratio.value, predicted[left].mean()]
            sizes = [len(left), part.n_events, spread[left].max()]
            rows.append([arm.name, h, share, *sizes, *cells, note])
    return pd.DataFrame(rows, columns=SET_ASIDE_COLUMNS)


def survival_bounds(predictions: Predictions) -> pd.DataFrame:
    """Coverage of the lower bounds of survival times, estimated on the scored patients.

    Parameters
    ----------
    predictions : Predictions
        With a column `survival_bound`; see `outcome.risk.survival_bounds`.

    Returns
    -------
    DataFrame
        `BOUND_COLUMNS`, one row per arm, first repeat. `coverage` is the share of patients whose
        event is at or after their bound. Events before it are weighted by the inverse probability
        of not being censored, estimated on all patients of the table. Wald interval. Empty for a
        table without bounds.

    Raises
    ------
    PredictionsError
        A bound is not a number, or negative.
    """
    table, rows = predictions.table, list[list[object]]()
    if "survival_bound" not in table or "time" not in table:
        return pd.DataFrame(columns=BOUND_COLUMNS)
    problems = Problems("predictions")
    bounds = number_column(table, "survival_bound", problems, low=0.0)
    problems.raise_if_any(PredictionsError)
    table = table.assign(survival_bound=bounds)
    for name in predictions.arms:
        mine = table[table["arm"] == name]
        mine = mine[(mine["repeat"] == mine["repeat"].iloc[0]) & mine["survival_bound"].notna()]
        time, bound = (mine[c].to_numpy(dtype=float) for c in ("time", "survival_bound"))
        event = mine["event"].to_numpy(dtype=float) == 1
        if len(mine) < 2 or not event.any():
            continue
        early = event & (time < bound)
        missed = np.where(early, 1 / censoring_curve(time, event).before(time), 0.0)
        error = float(missed.std(ddof=1)) / np.sqrt(len(missed))
        low, high = wald(1 - float(missed.mean()), error)
        cells = [COVERAGE, 1 - float(missed.mean()), max(low, 0.0), min(high, 1.0)]
        spread = [float(bound.min()), float(np.median(bound)), float(bound.max())]
        rows.append([name, *cells, len(mine), int(event.sum()), *spread])
    return pd.DataFrame(rows, columns=BOUND_COLUMNS)
