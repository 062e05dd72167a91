"""Predictions that look in-sample: pooled discrimination, and models of several folds."""

import numpy as np
import pandas as pd
import pytest

from outcome.errors import PredictionsError
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.fold_metrics import harrell_in_fold
from outcome.evaluation.in_sample import models_of_several_folds, pooled_excess, pooled_notices
from outcome.predictions import Predictions
from outcome.statistics.concordance import harrell

N, K = 150, 5


def table(rng, leak=0.0, signal=0.7):
    """Survival in folds; with `leak`, folds are ordered by time, and risks know their fold."""
    hazard = rng.normal(size=N)
    time = rng.exponential(1, N) / np.exp(hazard)
    censoring = rng.exponential(2, N)
    fold = np.arange(N) % K
    rank = np.argsort(np.argsort(time)) // (N // K)
    fold = np.where(leak > 0, rank, fold)  # folds that differ in their outcome
    risk = signal * hazard + rng.normal(size=N) + leak * -fold
    return pd.DataFrame(
        {
            "arm": "image", "patient_id": [f"P{i:03d}" for i in range(N)], "repeat": 0,
            "fold": fold, "time": np.minimum(time, censoring), "event": (time <= censoring) * 1,
            "risk": risk,
        }
    )  # fmt: skip


def arms(rows):
    return read_arms(Predictions(rows))[1]


def test_pooled_and_mean_are_the_known_concordances():
    rows = table(np.random.default_rng(0))
    (arm,) = arms(rows)
    pooled, mean, difference, error = pooled_excess(arm, harrell_in_fold)
    assert pooled == pytest.approx(harrell(rows["time"], rows["event"], rows["risk"]).c)
    by_fold = [harrell(f["time"], f["event"], f["risk"]).c for _, f in rows.groupby("fold")]
    assert mean == pytest.approx(np.mean(by_fold))
    assert difference == pytest.approx(pooled - mean)
    assert 0 < error < 0.1


def test_honest_folds_are_silent_and_pooled_gains_are_not():
    silent = [pooled_notices(arms(table(np.random.default_rng(i)))) for i in range(40)]
    assert sum(map(len, silent)) == 0
    (said,) = pooled_notices(arms(table(np.random.default_rng(1), leak=2.0)))
    assert "arm image: C over all patients is 0." in said
    assert "far above the mean over folds" in said


def test_one_fold_has_nothing_to_compare_with():
    assert pooled_notices(arms(table(np.random.default_rng(0)).assign(fold="all"))) == []


def test_models_that_scored_several_folds_are_named():
    rows = table(np.random.default_rng(0))
    own = rows.assign(model="fold " + rows["fold"].astype(str))
    assert models_of_several_folds(own) == []
    assert models_of_several_folds(rows.assign(model="ABMIL")) == []
    (said,) = models_of_several_folds(rows.assign(checkpoint="fold-2.ckpt"))
    assert "1 of 1 models (fold-2.ckpt) scored patients of several folds" in said
    mixed = own.assign(model=own["model"].where(own["fold"] > 1, "fold 0"))
    (said,) = models_of_several_folds(mixed)
    assert "1 of 4 models (fold 0)" in said


def test_every_model_scoring_every_patient_is_refused_with_the_reason():
    rows = pd.concat([table(np.random.default_rng(0)).assign(fold=k) for k in range(2)])
    with pytest.raises(PredictionsError, match="by models of several folds") as refused:
        Predictions(rows)
    assert "the row of the patient's own test fold" in str(refused.value)
