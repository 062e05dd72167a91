"""ROC curves within test folds, and scores by outcome."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_curve

from outcome.evaluation.arrays import ArmScores, FoldScores
from outcome.evaluation.outcome_kinds import EvaluatedOutcome

__all__ = ["MEAN", "ROC_COLUMNS", "SCORE_COLUMNS", "roc_curves", "score_distribution"]

Floats = NDArray[np.float64]
ROC_COLUMNS = ["arm", "repeat", "fold", "stratum", "fpr", "tpr"]
SCORE_COLUMNS = ["arm", "scale", "outcome", "lower", "upper", "share", "n"]
MEAN = "mean"
"""Name of the vertical mean of the curves, in the column of the fold."""
_GRID = np.linspace(0, 1, 201)


def roc_curves(arms: Sequence[ArmScores], outcome: EvaluatedOutcome) -> pd.DataFrame:
    """ROC curve of every test fold and stratum, and their vertical mean.

    Scores of different folds or strata are never compared. Patients with an unknown outcome are
    skipped; the others are weighted by the column `weight` of the predictions.

    Parameters
    ----------
    arms : sequence of ArmScores
    outcome : EvaluatedOutcome
        A label, or the event by a horizon.

    Returns
    -------
    DataFrame
        `ROC_COLUMNS`: false and true positive rate; tied scores share one point. The mean has fold
        `mean`. Folds with one class are skipped.
    """
    rows: list[list[object]] = []
    for arm in arms:
        curves = []
        for fold in arm.folds:
            for stratum in np.unique(fold.stratum):
                chosen = outcome.label_known(fold) & (fold.stratum == stratum)
                label, weight = outcome.cases(fold)[chosen], fold.weight[chosen]
                if min(weight[label].sum(), weight[~label].sum()) <= 0:
                    continue
                score = -fold.risk[chosen] if outcome.favourable else fold.risk[chosen]
                fpr, tpr, _ = roc_curve(label, score, sample_weight=weight, drop_intermediate=False)
                name = [arm.name, fold.repeat, fold.fold, int(stratum)]
                rows += [[*name, float(x), float(y)] for x, y in zip(fpr, tpr, strict=True)]
                curves.append(np.interp(_GRID, fpr, tpr))
        if curves:
            mean = np.mean(curves, axis=0)
            mean[0] = 0.0
            rows += [
                [arm.name, "", MEAN, -1, float(x), float(y)]
                for x, y in zip(_GRID, mean, strict=True)
            ]
    return pd.DataFrame(rows, columns=ROC_COLUMNS)


def score_distribution(arms: Sequence[ArmScores], outcome: EvaluatedOutcome) -> pd.DataFrame:
    """Histogram of the scores of patients without and with the outcome, first repeat.

    Parameters
    ----------
    arms : sequence of ArmScores
    outcome : EvaluatedOutcome
        A label, or the event by a horizon.

    Returns
    -------
    DataFrame
        `SCORE_COLUMNS`: `scale` is `probability` (as predicted) or, without such a column,
        `rank` (of the risk within its fold, 0 to 1); `outcome` is 0 or 1; `share` is the proportion
        of the `n` patients with this outcome whose score is between `lower` and `upper`.
    """
    rows: list[list[object]] = []
    for arm in arms:
        folds = arm.first_folds
        known = [outcome.label_known(f) for f in folds]
        label = np.concatenate([outcome.cases(f)[k] for f, k in zip(folds, known, strict=True)])
        value, scale = _scores(folds, known, outcome)
        edges = np.linspace(0, 1, 21 if len(value) >= 200 else 11)
        for code in (0, 1):
            mine = value[label == bool(code)]
            if not len(mine):
                continue
            counts, _ = np.histogram(mine, bins=edges)
            rows += [
                [arm.name, scale, code, float(low), float(high), float(c / len(mine)), len(mine)]
                for low, high, c in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def _scores(
    folds: Sequence[FoldScores], known: Sequence[NDArray[np.bool_]], outcome: EvaluatedOutcome
) -> tuple[Floats, str]:
    pairs = list(zip(folds, known, strict=True))
    predicted = np.concatenate([outcome.probability(f)[k] for f, k in pairs])
    if not np.isnan(predicted).all():
        return predicted, "probability"
    ranks = [(rankdata(f.risk[k]) - 0.5) / max(k.sum(), 1) for f, k in pairs]
    return np.concatenate(ranks), "rank"
