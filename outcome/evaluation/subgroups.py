"""Performance in parts of the cohort: by site, sex, age, race or any covariate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel
from outcome.evaluation.calibration import pool
from outcome.evaluation.covariates import FirstRepeat, align, first_repeat, levels
from outcome.evaluation.crossfit_estimates import crossfit_estimate
from outcome.evaluation.delayed_entry import SHARES
from outcome.evaluation.estimate import Estimate, unknown
from outcome.evaluation.fold_metrics import pairs_in_fold
from outcome.evaluation.metric_set import InnerByArm
from outcome.evaluation.regression import fit_model
from outcome.statistics.logrank import chi_square_p

__all__ = [
    "FEWEST_EVENTS",
    "SUBGROUP_COLUMNS",
    "observed_over_expected",
    "pairs_within_folds",
    "subgroups",
]

FEWEST_EVENTS = 10
SUBGROUP_COLUMNS = [
    "arm", "covariate", "level", "metric", "n", "events", "estimate", "lower", "upper",
    "variance", "interaction_p", "calibration_ratio", "note",
]  # fmt: skip


def subgroups(
    panel: Panel,
    arms: Sequence[ArmScores],
    covariates: pd.DataFrame,
    *,
    names: Sequence[str] | None = None,
    horizon: float | None = None,
    favourable: bool = False,
    inner: InnerByArm | None = None,
) -> pd.DataFrame:
    """Concordance in each level of each covariate, and whether the score works differently.

    Pairs within a level, fold and stratum are pooled (`harrell_c_pairs`, `auroc_pairs`): folds
    of a small subgroup are too small for a mean. Levels with fewer than 10 events are
    suppressed. Intervals have the variance of `outcome.statistics.crossfit_variance`. The
    interaction p treats the models as fixed: it is a likelihood-ratio test of risk times level in a
    Cox (logistic) model stratified by fold. All results are descriptive, without correction.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
    covariates : DataFrame
        Column `patient_id` and the covariates; numbers with more than five values are divided at
        their median.
    names : sequence of str, optional
        Covariates to use; all by default.
    horizon : float, optional
        Horizon of observed over expected events, if the table has `survival_<horizon>`; not needed
        for a binary outcome with `probability`.
    favourable : bool
        The positive label is the better outcome.
    inner : mapping, optional
        Scores by inner models, by arm.

    Returns
    -------
    DataFrame
        `SUBGROUP_COLUMNS`; patients without a value form the level `missing`.

    Raises
    ------
    PredictionsError
        The covariates cannot be used.
    """
    table = align(covariates, panel)
    metric = "harrell_c_pairs" if arms[0].timed else "auroc_pairs"
    rows: list[list[object]] = []
    for arm in arms:
        for name in names if names is not None else list(table.columns):
            level = levels(table[name]).fillna("missing").to_numpy(dtype=str)
            p = _interaction(first_repeat(arm), level)
            for value in sorted(set(level[arm.patients].tolist())):
                part = arm.restrict({r for r in arm.rows() if level[r[1]] == value})
                n, events = len(part.patients), part.n_events
                m = pairs_within_folds(panel, part, inner, favourable=favourable)
                oe = (
                    observed_over_expected(part, horizon)
                    if events >= FEWEST_EVENTS
                    else unknown("")
                )
                note = "; ".join(filter(None, [m.remarks, oe.note]))
                cells = [m.value, *m.interval(), m.source, p, oe.value, note]
                rows.append([arm.name, str(name), value, metric, n, events, *cells])
    return pd.DataFrame(rows, columns=SUBGROUP_COLUMNS)


def pairs_within_folds(
    panel: Panel, arm: ArmScores, inner: InnerByArm | None, *, favourable: bool
) -> Estimate:
    """Concordance over the pairs of the same fold and stratum; mean over repeats."""
    few, what = arm.n_events, "events"
    if not arm.timed:
        few, what = min(few, len(arm.patients) - few), "of the rarer class"
    if few < FEWEST_EVENTS:
        return unknown(f"suppressed: fewer than {FEWEST_EVENTS} {what}")
    folds = arm.folds if arm.timed else tuple(_ranked(f, favourable=favourable) for f in arm.folds)
    scores = (inner or {}).get(arm.name)
    found = crossfit_estimate(panel, ArmScores(arm.name, folds), pairs_in_fold, scores)
    return Estimate(found.value, note=found.note, crossfit=found)


def _ranked(fold: FoldScores, *, favourable: bool) -> FoldScores:
    """Convert a label to times at which the patients with the worse outcome come first."""
    worse = fold.event ^ favourable
    return replace(fold, time=np.where(worse, 0.0, 1.0), event=worse)


def _interaction(rows: FirstRepeat, level: NDArray[np.str_]) -> float:
    mine = level[rows.patient]
    known = sorted(set(mine.tolist()) - {"missing"})
    keep = np.isin(mine, known)
    if len(known) < 2:
        return float("nan")
    part = rows.take(keep)
    dummies = (mine[keep][:, None] == np.array(known[1:])).astype(float)
    plain = np.column_stack([part.scaled, dummies])
    crossed = np.column_stack([plain, part.scaled[:, None] * dummies])
    gain = 2 * (fit_model(part, crossed).loglik - fit_model(part, plain).loglik)
    return chi_square_p(max(gain, 0.0), len(known) - 1) if not np.isnan(gain) else float("nan")


def observed_over_expected(arm: ArmScores, horizon: float | None) -> Estimate:
    """Observed over expected events of the first repeat, at a horizon or of a label."""
    at = horizon if arm.timed else float("nan")
    if at is None or (arm.timed and at not in arm.folds[0].survival):
        return unknown("")
    if arm.late:
        return unknown(f"no observed / predicted, {SHARES}")
    pooled = pool(arm, arm.repeats[0], at)
    expected = float(pooled.probability.mean()) if len(pooled.event) else 0.0
    if expected <= 0:
        return unknown("")
    observed = pooled.observed(at)[0] if arm.timed else float(pooled.event.mean())
    if np.isnan(observed):
        return unknown("observed / predicted: no patient is followed to the horizon")
    return Estimate(observed / expected)
