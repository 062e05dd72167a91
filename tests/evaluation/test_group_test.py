"""The log-rank test of risk groups that counts the training."""

import numpy as np
import pandas as pd
import pytest
from crossfit_tables import run_tables
from scipy.stats import f as fisher
from scipy.stats import t as student

from outcome.evaluation.arrays import read_arms
from outcome.evaluation.crossfit_estimates import read_inner_scores
from outcome.evaluation.group_test import crossfit_logrank
from outcome.evaluation.risk_groups import risk_group_table
from outcome.predictions import Predictions
from outcome.statistics.crossfit_variance import (
    CrossfitInfluence,
    pair_covariance,
    training_variance,
)
from outcome.statistics.logrank import logrank, logrank_influence


def read(**settings):
    """Folds of one arm, its groups by the median, and its inner scores."""
    predictions, scores, splits = run_tables(arms=1, **settings)
    panel, (arm,) = read_arms(Predictions(predictions))
    inner = read_inner_scores(scores, splits, panel)[arm.name]
    return panel, arm, inner


def halves(arm):
    return [(f.risk > np.median(f.risk)).astype(int) for f in arm.first_folds]


def test_influences_sum_to_observed_less_expected(rng):
    n = 90
    time, event = rng.integers(1, 20, n).astype(float), rng.random(n) < 0.6
    group, strata = rng.integers(0, 3, n), rng.integers(0, 2, n)
    test = logrank(time, event, group, strata=strata)
    found = logrank_influence(time, event, group, strata=strata)
    assert found.sum(0) == pytest.approx(np.subtract(test.observed, test.expected), abs=1e-9)
    assert found.sum(1) == pytest.approx(np.zeros(n), abs=1e-9)


def test_two_groups_by_the_definition():
    panel, arm, inner = read(n=90)
    codes = halves(arm)
    u, moved = np.zeros(panel.n), np.full((panel.n, 3), np.nan)
    place = np.full(panel.n, -1)
    for k, (f, own) in enumerate(zip(arm.first_folds, codes, strict=True)):
        place[f.patient] = k
        u[f.patient] = logrank_influence(f.time, f.event, own)[:, 1]
        for a in range(3):
            risk = inner[f.repeat, f.fold].under(a, f).risk
            high = np.argsort(np.argsort(risk)) >= len(risk) - own.sum()
            moved[f.patient, a] = logrank_influence(f.time, f.event, high.astype(int))[:, 1]
    left_out = np.stack([inner[f.repeat, f.fold].left_out for f in arm.first_folds])
    repeat = CrossfitInfluence(u.sum(), u, place, moved, left_out)
    v0 = u @ u
    j = min(training_variance(repeat), v0)
    q = np.clip(2 * pair_covariance(repeat), 0, j)
    df = max(2 * v0**2 / ((u**4).sum() - v0**2 / panel.n), 3)
    wanted = 2 * student.sf(abs(u.sum()) / np.sqrt(v0 + (j + q) / 2), df)
    found = crossfit_logrank(arm.first_folds, codes, inner)
    assert found.p == pytest.approx(wanted, rel=1e-9)
    assert found.source == "inner models"
    twice = 2 * student.sf(abs(u.sum()) / np.sqrt(2 * v0), df)
    without = crossfit_logrank(arm.first_folds, codes)
    assert without.p == pytest.approx(twice, rel=1e-9)
    assert without.source == "twice the fixed-model variance"


def test_three_groups_without_inner_scores_by_the_definition():
    panel, arm, _ = read(n=120)
    codes = [np.digitize(f.risk, np.quantile(f.risk, [1 / 3, 2 / 3])) for f in arm.first_folds]
    t = np.zeros((panel.n, 2))
    for f, own in zip(arm.first_folds, codes, strict=True):
        t[f.patient] = logrank_influence(f.time, f.event, own)[:, 1:]
    u, sigma = t.sum(0), t.T @ t
    parts = t @ np.linalg.inv(np.linalg.cholesky(sigma)).T
    df = max((2 / ((parts**4).sum(0) - 1 / panel.n)).min(), 3)
    wanted = fisher.sf(u @ np.linalg.solve(sigma, u) / (2 * 2), 2, df)
    assert crossfit_logrank(arm.first_folds, codes).p == pytest.approx(wanted, rel=1e-9)


def test_three_groups_have_one_p_and_a_single_group_none():
    _, arm, inner = read(n=120)
    codes = [np.digitize(f.risk, np.quantile(f.risk, [1 / 3, 2 / 3])) for f in arm.first_folds]
    found = crossfit_logrank(arm.first_folds, codes, inner)
    assert 0 < found.p < 1
    only = crossfit_logrank(arm.first_folds, [np.zeros_like(c) for c in codes], inner)
    assert np.isnan(only.p)


def test_the_table_has_both_p_values_and_a_test_set_the_ordinary_one():
    predictions, scores, splits = run_tables(n=90, arms=1)
    panel, arms = read_arms(Predictions(predictions))
    table = risk_group_table(arms, read_inner_scores(scores, splits, panel))
    row = table.iloc[0]
    assert row["logrank_p_fixed"] < row["logrank_p"] < 1
    assert row["variance"] == "inner models"
    one = predictions.assign(fold="0")
    row = risk_group_table(read_arms(Predictions(one))[1]).iloc[0]
    assert row["logrank_p"] == row["logrank_p_fixed"]
    assert row["variance"] == "fixed models"


def test_the_order_of_rows_does_not_matter():
    predictions, scores, splits = run_tables(n=90, arms=1)
    found = []
    for seed in (0, 1):
        mixed = [t.sample(frac=1, random_state=seed) for t in (predictions, scores, splits)]
        panel, arms = read_arms(Predictions(mixed[0].reset_index(drop=True)))
        found.append(risk_group_table(arms, read_inner_scores(*mixed[1:], panel)))
    pd.testing.assert_frame_equal(found[0], found[1])
