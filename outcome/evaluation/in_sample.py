"""Detection of predictions by models for their own training patients.

There are two signs, neither of which is a proof: one model of a cross-validation scored patients of
several folds; or discrimination over all patients is far above the mean over folds. Out-of-fold
risks come from one model per fold. Their scales differ, so pooling them usually lowers
discrimination.

The second sign is one of folds that differ, rather than of training patients. In 2,000 simulated
cohorts (`tests/benchmarks/in_sample_warning.py`; 100 to 1,000 patients, 5 folds) it was found in 0
with honest predictions of random folds, in 1 where each fold had a scale and a shift of its own,
and in 91 where folds were sites with different hazards. It was found in 0 where an ensemble of all
models, or one model, had scored all patients, because pairs within and between random folds are
then equally in-sample.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from outcome.evaluation.arrays import ArmScores, FoldScores
from outcome.evaluation.fold_metrics import FoldMetric, area_of_labels, harrell_in_fold

__all__ = ["models_of_several_folds", "pooled_excess", "pooled_notices"]

MODEL_COLUMNS = ("model", "checkpoint", "model_fold")
OF_A_FOLD = re.compile(r"fold|split|ckpt|checkpoint|^\d+$", re.IGNORECASE)
EXCESS = 0.05
ERRORS = 3.0
MOST_SHOWN = 3


def models_of_several_folds(table: pd.DataFrame) -> list[str]:
    """Warn of models that scored test patients of several folds of a cross-validation.

    Parameters
    ----------
    table : DataFrame
        Predictions with `arm, repeat, fold`, and optionally a column `model`, `checkpoint` or
        `model_fold` with the model of each row.

    Returns
    -------
    list of str
        A warning per arm. A column with a single value that is not a fold is assumed to be the name
        of a method and is ignored.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"arm": "image", "repeat": 0, "fold": [0, 0, 1, 1], "model": "fold 0"})
    >>> len(models_of_several_folds(table)), len(models_of_several_folds(table.assign(model="MIL")))
    (1, 0)
    """
    found = []
    for column in (c for c in MODEL_COLUMNS if c in table):
        for arm, rows in table.groupby("arm", sort=False):
            names = rows[column].astype(str)
            if names.nunique() == 1 and not OF_A_FOLD.search(names.iloc[0]):
                continue
            folds = rows.groupby(["repeat", names])["fold"].nunique()
            if several := sorted({str(name) for _, name in folds.index[folds > 1]}):
                shown = ", ".join(several[:MOST_SHOWN])
                found.append(
                    f"arm {arm}: {len(several)} of {names.nunique()} models ({shown}) scored "
                    "patients of several folds, possibly patients on whom they were trained. To "
                    "do: for each patient, keep the prediction of the model of the patient's "
                    "own test fold"
                )
    return found


def pooled_excess(arm: ArmScores, metric: FoldMetric) -> tuple[float, float, float, float]:
    """Compare a metric over all patients with its mean over the folds of the first repeat.

    Parameters
    ----------
    arm : ArmScores
    metric : callable
        Metric in one fold.

    Returns
    -------
    pooled, mean, difference, error : float
        `error` is the standard error of the difference, for new patients and fixed models. All are
        NaN if fewer than two folds can be evaluated.
    """
    folds = arm.first_folds
    values = [metric(fold) for fold in folds]
    known = [(f, v) for f, v in zip(folds, values, strict=True) if not np.isnan(v.value)]
    if len(known) < 2:
        return (np.nan,) * 4
    pooled = metric(_joined([fold for fold, _ in known]))
    mean = float(np.mean([value.value for _, value in known]))
    within = np.concatenate([value.influence / len(known) for _, value in known])
    error = float(np.sqrt(np.square(pooled.influence - within).sum()))
    return pooled.value, mean, pooled.value - mean, error


def pooled_notices(arms: Sequence[ArmScores], *, favourable: bool = False) -> list[str]:
    """Warn if discrimination over all patients is far above the mean over folds.

    Parameters
    ----------
    arms : sequence of ArmScores
    favourable : bool
        The positive label is the better outcome.

    Returns
    -------
    list of str
        A warning for each arm whose difference is above 0.05 and above three standard errors.
    """
    found = []
    for arm in arms:
        metric = harrell_in_fold if arm.timed else area_of_labels(favourable=favourable)
        pooled, mean, difference, error = pooled_excess(arm, metric)
        if difference > max(EXCESS, ERRORS * error):
            name = "C" if arm.timed else "AUC"
            found.append(
                f"arm {arm.name}: {name} over all patients is {pooled:.2f}, far above the mean "
                f"over folds, {mean:.2f}. Pooling should not improve out-of-fold risks. Either "
                "the folds differ in their outcome (if each is a hospital, for example), or some "
                "patients were scored by models that were trained on them. To do: check that each "
                "patient has the prediction of the model of the patient's own test fold, and "
                "report the mean over folds"
            )
    return found


def _joined(folds: Sequence[FoldScores]) -> FoldScores:
    """Return the patients of several folds as those of one."""
    joined = {
        f.name: np.concatenate([getattr(fold, f.name) for fold in folds])
        for f in fields(FoldScores)
        if f.name not in ("repeat", "fold", "survival") and getattr(folds[0], f.name) is not None
    }
    return FoldScores(folds[0].repeat, "all", survival={}, **joined)
