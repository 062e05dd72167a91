"""Discrimination by acquisition variables, without tissue or text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel, entries
from outcome.evaluation.outcome_kinds import EvaluatedOutcome
from outcome.statistics.concordance import concordance
from outcome.statistics.kaplan_meier import kaplan_meier

__all__ = ["NUISANCE_COLUMNS", "nuisance_baselines"]

Floats = NDArray[np.float64]
NUISANCE_COLUMNS = ["variable", "metric", "estimate", "lower", "upper", "n", "events", "note"]


def nuisance_baselines(
    panel: Panel,
    arm: ArmScores,
    outcome: EvaluatedOutcome,
    acquisition: pd.DataFrame,
) -> pd.DataFrame:
    """Discrimination by site, numbers of patches and slides, and a missing report, each alone.

    The sign of a number, and the event rate of a category, are learned from the other folds of the
    repeat, never from the evaluated patients. A value clearly different from 0.5 means that a model
    can profit from the way the material was acquired.

    Parameters
    ----------
    panel : Panel
    arm : ArmScores
        A cross-validated arm whose outcomes and folds are used.
    outcome : EvaluatedOutcome
    acquisition : DataFrame
        `patient_id` and the variables; text is a category.

    Returns
    -------
    DataFrame
        `NUISANCE_COLUMNS`; empty for a single fold, because there are no other folds to learn from.
        Intervals use twice the variance of fixed models, because the sign or rate is learned.
    """
    if len({f.fold for f in arm.folds}) < 2:
        return pd.DataFrame(columns=NUISANCE_COLUMNS)
    known = acquisition.set_index(acquisition["patient_id"].astype(str)).drop(columns="patient_id")
    values = known.reindex(panel.ids)
    metrics, _ = outcome.discrimination(panel, [arm], cross_validated=True)
    rows: list[list[object]] = []
    remarks: list[list[object]] = []
    n = len(arm.patients)
    events = len(np.unique(np.concatenate([f.patient[outcome.cases(f)] for f in arm.folds])))
    for name in map(str, values):
        column = values[name]
        mine = column.iloc[arm.patients]
        if mine.isna().any() or mine.nunique() < 2:
            why = "not known for all patients" if mine.isna().any() else "the same for all patients"
            remarks.append([name, "", *[np.nan] * 3, 0, 0, why])
            continue
        found = metrics.measure(_scored_by(arm, column, favourable=outcome.favourable))
        m = found[metrics.primary]
        rows.append([name, metrics.primary, m.value, *m.interval(), n, events, m.remarks])
    return pd.DataFrame([*rows, *remarks], columns=NUISANCE_COLUMNS)


def _scored_by(arm: ArmScores, column: pd.Series, *, favourable: bool) -> ArmScores:
    """Replace the risks of an arm by the predictions of the variable."""
    bare, folds = arm.without_probabilities(), []
    for fold in bare.folds:
        others = [f for f in bare.folds if f.repeat == fold.repeat and f.fold != fold.fold]
        folds.append(replace(fold, risk=_learned(fold, others, column, favourable=favourable)))
    return ArmScores(arm.name, tuple(folds))


def _learned(
    fold: FoldScores, others: Sequence[FoldScores], column: pd.Series, *, favourable: bool
) -> Floats:
    """Risk of each patient of a fold, from the other folds of its repeat."""
    seen = column.iloc[np.concatenate([f.patient for f in others])]
    judged = column.iloc[fold.patient]
    outcomes = [_outcomes(f, favourable=favourable) for f in others]
    time, event = (np.concatenate([o[k] for o in outcomes]) for k in (0, 1))
    if pd.api.types.is_numeric_dtype(column):
        c = concordance(time, event, seen.to_numpy(dtype=float), entry=entries(others)).c
        return judged.to_numpy(dtype=float) * (-1 if c < 0.5 else 1)
    labelled = all(np.isnan(f.time).all() for f in others)
    exposure = np.ones(len(time)) if labelled else _expected(time, event, entries(others))
    return _rates(seen, event.astype(bool), exposure, judged)


def _outcomes(fold: FoldScores, *, favourable: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """Return times and unfavourable events; labels become times at which these come first."""
    if not np.isnan(fold.time).all():
        return fold.time, fold.event
    bad = np.asarray(fold.event != favourable)
    return np.where(bad, 0.0, 1.0), bad


def _expected(time: Floats, event: NDArray[np.bool_], entry: Floats | None) -> Floats:
    """Cumulative hazard of each patient, from entry to the end of follow-up."""
    curve = kaplan_meier(time, event, entry)
    passed = curve.cumulative_hazard(time)
    return passed if entry is None else passed - curve.cumulative_hazard(entry)


def _rates(seen: pd.Series, event: NDArray[np.bool_], exposure: Floats, asked: pd.Series) -> Floats:
    """Events per exposure of each level; an unknown level gets the average."""
    total = float(exposure.sum())
    rate = float(event.sum()) / total if total > 0 else 0.0
    worth = total / max(len(seen), 1)
    levels = seen.astype(str).to_numpy()
    table = pd.DataFrame({"e": event.astype(float), "x": exposure, "level": levels})
    sums = table.groupby("level")[["e", "x"]].sum()
    # Adding the average exposure of one patient avoids extreme rates of small sites.
    rates = (sums["e"] + rate * worth) / (sums["x"] + worth) if worth > 0 else sums["e"] * 0
    return asked.astype(str).map(rates).fillna(rate).to_numpy(dtype=float)
