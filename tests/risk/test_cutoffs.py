import numpy as np
import pytest

from outcome.outcomes import Outcomes
from outcome.risk.cutoffs import cut_offs, group_names, risk_groups, specificity_threshold


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def outcomes(event, strata=None, time=None, favourable=False):
    event = np.asarray(event, dtype=bool)
    strata = np.full(len(event), "") if strata is None else np.asarray(strata)
    return Outcomes(event, time, strata=strata, favourable=favourable)


def test_cut_offs_per_stratum_where_there_are_events_enough():
    known = outcomes([1] * 20 + [0] * 20, ["A"] * 20 + ["B"] * 20)
    risk = np.r_[np.arange(20.0), 100 + np.arange(20.0)]
    cuts = cut_offs(risk, known, "median", True)
    assert cuts == {"": (59.5,), "A": (9.5,)}
    groups = risk_groups([9.5, 10.0, 60.0, 59.0], ["A", "A", "B", "B"], cuts)
    assert groups == ["low", "high", "high", "low"]


def test_constant_risk_is_one_group():
    cuts = cut_offs(np.zeros(4), outcomes([1, 0, 1, 0]), "median", False)
    assert risk_groups([0.0, 0.0], ["", ""], cuts) == ["low", "low"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("tertiles", ["low", "intermediate", "high"]),
        ((0.25, 0.5, 0.75), ["low", "intermediate 1", "high"]),
        ("median", ["low", "low", "high"]),
    ],
)
def test_more_groups(rule, expected):
    cuts = cut_offs(np.arange(101.0), outcomes([1, 0] * 50 + [1]), rule, False)
    assert risk_groups([10.0, 40.0, 90.0], [""] * 3, cuts) == expected
    assert len(cuts[""]) + 1 == len(group_names(len(cuts[""]) + 1))


def test_the_maximally_selected_cut_finds_a_step(rng):
    risk = rng.normal(size=300)
    time = rng.exponential(np.where(risk > 0.8, 0.2, 1.0))
    (cut,) = cut_offs(risk, outcomes(np.ones(300), time=time), "maxstat", False)[""]
    assert cut == pytest.approx(0.8, abs=0.1)


def test_the_threshold_of_a_specificity_is_met_on_development(rng):
    risk = rng.normal(size=100)
    worse = rng.random(100) < 0.3
    threshold = specificity_threshold(risk, outcomes(worse))
    assert np.mean(risk[~worse] <= threshold) == pytest.approx(0.9, abs=0.02)
    # Of a response the negatives are those who do worse, and low risk is called positive.
    threshold = specificity_threshold(risk, outcomes(~worse, favourable=True))
    assert np.mean(risk[worse] >= threshold) == pytest.approx(0.9, abs=0.04)


def test_patients_of_unknown_outcome_set_no_threshold(rng):
    risk = np.arange(10.0)
    known = Outcomes(np.zeros(10, bool), weight=np.r_[np.ones(5), np.zeros(5)])
    assert specificity_threshold(risk, known) == 4.0
    assert np.isnan(specificity_threshold(risk, Outcomes(np.ones(10, bool))))
