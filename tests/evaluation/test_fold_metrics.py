from dataclasses import replace

import numpy as np
import pytest
from crossfit_tables import run_tables

from outcome.evaluation.arrays import read_arms
from outcome.evaluation.censoring_weights import censoring_weights
from outcome.evaluation.fold_metrics import (
    area_at_horizon,
    area_of_labels,
    brier_at_horizon,
    brier_of_labels,
    harrell_in_fold,
    pairs_in_fold,
    uno_in_fold,
)
from outcome.predictions import Predictions
from outcome.statistics.concordance import harrell
from outcome.statistics.crossfit_variance import small_sample_factor
from outcome.statistics.roc import delong


def folds_of(**settings):
    _, arms = read_arms(Predictions(run_tables(**settings)[0]))
    return arms, arms[0].folds


def test_the_variance_of_an_area_is_delongs():
    _, folds = folds_of(binary=True)
    found = area_of_labels()(folds[0])
    areas, covariance = delong(folds[0].event, folds[0].risk)
    assert found.value == pytest.approx(areas[0])
    assert found.influence @ found.influence == pytest.approx(covariance[0, 0], rel=1e-9)


def test_a_favourable_label_is_expected_at_low_risk():
    _, folds = folds_of(binary=True)
    bad, good = (area_of_labels(favourable=f)(folds[0]) for f in (False, True))
    assert good.value == pytest.approx(1 - bad.value)
    np.testing.assert_allclose(good.influence, -bad.influence)


def test_concordance_has_the_factor_of_its_events():
    _, folds = folds_of()
    f = folds[0]
    plain = harrell(f.time, f.event, f.risk)
    factor = small_sample_factor(int(f.event.sum()))
    np.testing.assert_allclose(harrell_in_fold(f).influence, factor * plain.influence)


@pytest.mark.parametrize("strata", [False, True])
def test_pairs_of_each_patient_are_the_derivative_of_all_pairs(strata):
    _, folds = folds_of(strata=strata, n=60)
    f = folds[0]
    found = pairs_in_fold(f)
    later = (f.time[:, None] < f.time) | ((f.time[:, None] == f.time) & ~f.event[None, :])
    pairs = f.event[:, None] & later & (f.stratum[:, None] == f.stratum)
    assert found.size == pairs.sum()
    factor = small_sample_factor(int(f.event.sum()))
    np.testing.assert_allclose(found.size_influence, factor * (pairs.sum(0) + pairs.sum(1)))


@pytest.mark.parametrize("name", ["uno", "area", "brier"])
def test_weighted_metrics_sum_to_no_influence(name):
    arms, folds = folds_of()
    weights = censoring_weights(arms, (200, 500), cross_validated=True)
    metric = {
        "uno": uno_in_fold(weights),
        "area": area_at_horizon(weights, 500),
        "brier": brier_at_horizon(weights, 500),
    }[name]
    found = metric(folds[0])
    assert 0 < found.value < 1
    centre = np.where(folds[0].event & (folds[0].time <= 500), 1.0, 0.0)
    for group in (centre, 1 - centre) if name == "area" else (np.ones(len(centre)),):
        assert found.influence @ group == pytest.approx(0, abs=1e-12)
    assert (found.influence != 0).sum() > 10


def test_patients_without_a_probability_are_left_out_and_counted():
    _, folds = folds_of(binary=True)
    f = folds[0]
    some = replace(f, probability=np.where(np.arange(len(f.risk)) < 4, np.nan, f.probability))
    found = brier_of_labels(some)
    assert found.value == pytest.approx(np.mean((some.probability - f.event)[4:] ** 2))
    assert found.size == len(f.risk) - 4
    assert found.note == "4 predictions are missing"


def test_a_fold_without_pairs_says_so():
    _, folds = folds_of()
    none = replace(folds[0], event=np.zeros(len(folds[0].risk), dtype=bool))
    for metric in (harrell_in_fold, pairs_in_fold):
        found = metric(none)
        assert np.isnan(found.value)
        assert "comparable pair" in found.note


def test_a_single_pair_counts_where_pairs_are_pooled():
    _, folds = folds_of()
    two = replace(folds[0].take(np.arange(len(folds[0].risk)) < 2), stratum=np.zeros(2, int))
    two = replace(two, time=np.array([1.0, 2.0]), event=np.array([True, False]))
    found = pairs_in_fold(replace(two, risk=np.array([1.0, 0.0])))
    assert (found.value, found.size, found.influence.tolist()) == (1.0, 1.0, [0.0, 0.0])
    assert np.isnan(harrell_in_fold(two).value)
