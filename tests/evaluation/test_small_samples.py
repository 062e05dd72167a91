import numpy as np
import pandas as pd
import pytest
from crossfit_tables import run_tables

from outcome.evaluation.arrays import read_arms
from outcome.evaluation.crossfit_estimates import crossfit_difference, crossfit_estimate
from outcome.evaluation.fold_metrics import area_of_labels, harrell_in_fold
from outcome.evaluation.small_samples import (
    at_edge,
    auc_times,
    disjoint_pairs_of,
    edge_interval,
    rarer_class,
    untested_below,
    verdict_withheld,
)
from outcome.predictions import Predictions


def few(risks, *, label=False):
    """Five patients in one test set, three of them with the event."""
    outcome = {"label": [1, 1, 1, 0, 0]} if label else {"event": [1, 1, 1, 0, 0]}
    rows = {"patient_id": list("abcde"), "repeat": 0, "fold": 0, **outcome}
    if not label:
        rows["time"] = [1.0, 2, 3, 4, 5]
    tables = [pd.DataFrame({"arm": k, **rows, "risk": r}) for k, r in risks.items()]
    return read_arms(Predictions(pd.concat(tables, ignore_index=True)))


def test_five_patients_in_the_right_order_are_not_certain():
    panel, (arm,) = few({"a": [5, 4, 3, 2, 1]})
    found = crossfit_estimate(panel, arm, harrell_in_fold)
    assert at_edge(found)
    assert found.interval() == (1.0, 1.0)  # what the variance says, and why it is not used
    edge = edge_interval(found, disjoint_pairs_of(arm), cross_validated=False)
    assert (edge.lower, edge.upper) == pytest.approx((0.025**0.5, 1.0))
    assert "no discordant pair" in edge.note
    assert verdict_withheld(arm) == "3 events: a verdict needs 10"


def test_the_wrong_order_is_the_mirror_image():
    panel, (arm,) = few({"a": [1, 2, 3, 4, 5]})
    found = crossfit_estimate(panel, arm, harrell_in_fold)
    edge = edge_interval(found, disjoint_pairs_of(arm), cross_validated=False)
    assert (edge.lower, edge.upper) == pytest.approx((0.0, 1 - 0.025**0.5))


def test_half_of_the_pairs_count_under_cross_validation():
    panel, (arm,) = few({"a": [5, 4, 3, 2, 1]})
    found = crossfit_estimate(panel, arm, harrell_in_fold)
    edge = edge_interval(found, [8], cross_validated=True)
    assert edge.lower == pytest.approx(0.025 ** (1 / 4))


def test_arms_that_rank_alike_may_still_differ():
    panel, arms = few({"a": [5, 4, 3, 2, 1], "b": [9, 5, 3, 2, 0]})
    pair = [crossfit_estimate(panel, a, harrell_in_fold) for a in arms]
    found = crossfit_difference(*pair)
    edge = edge_interval(found, disjoint_pairs_of(arms[0]), cross_validated=False)
    assert (edge.lower, edge.upper) == pytest.approx((0.025**0.5 - 1, 1 - 0.025**0.5))


def test_a_constant_risk_has_no_interval():
    panel, (arm,) = few({"a": [1, 1, 1, 1, 1]})
    found = crossfit_estimate(panel, arm, harrell_in_fold)
    edge = edge_interval(found, disjoint_pairs_of(arm), cross_validated=False)
    assert np.isnan([edge.lower, edge.upper]).all()
    assert "does not depend on any single patient" in edge.note


def test_labels_pair_a_positive_with_a_negative():
    panel, (arm,) = few({"a": [5, 4, 3, 2, 1]}, label=True)
    assert at_edge(crossfit_estimate(panel, arm, area_of_labels()))
    assert disjoint_pairs_of(arm) == [2]
    assert rarer_class(arm) == 2


def test_a_landmark_counts_those_whose_outcome_is_known():
    _, (arm,) = few({"a": [5, 4, 3, 2, 1]})
    assert rarer_class(arm, landmark=1.0) == 1
    assert disjoint_pairs_of(arm, landmark=4.0) == [2]


def test_verdicts_need_events_and_pairs():
    tables = run_tables(n=90)
    _, arms = read_arms(Predictions(tables[0]))
    assert verdict_withheld(arms[0]) == ""
    assert untested_below(arms[0]) == ""
    thin = tables[0].assign(fold=np.arange(len(tables[0])) % 90 // 3)
    _, arms = read_arms(Predictions(thin))
    assert "comparable pairs per fold" in verdict_withheld(arms[0])
    _, arms = read_arms(Predictions(run_tables(n=30)[0]))
    assert "only in simulated cohorts with at least 25" in untested_below(arms[0])


def test_auc_begins_with_the_tenth_event():
    times = np.arange(1.0, 41.0)
    grid = auc_times(times, 35.0)
    assert (grid[0], grid[-1], len(grid)) == (10.0, 35.0, 20)
    many = np.arange(1.0, 1001.0)
    assert auc_times(many, None) == []
    assert auc_times(many, 2000.0)[0] == pytest.approx(np.quantile(many, 0.1))
    assert auc_times(times[:9], 35.0) == []
    assert auc_times(times, 9.0) == []
