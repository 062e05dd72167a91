"""What each kind of endpoint says about itself, on one table."""

import numpy as np
import pandas as pd
import pytest
import torch

from outcome.crossval.absolute_risk import COLUMNS, absolute_risk
from outcome.endpoint import Binary, Landmark, TimeToEvent, describe, same_question
from outcome.models.heads import HEADS, CoxHead, LogisticHead, Target, head_of
from outcome.risk.recalibration import LogisticCalibration, SurvivalCalibration

KINDS = {TimeToEvent, Binary, Landmark}
SURVIVAL = TimeToEvent(kind="survival", time="t", event="e")
LANDMARK = Landmark(kind="landmark", time="t", event="e", horizon=10)
RELAPSE = Binary(kind="binary", label="y", positive=("yes",))
RESPONSE = Binary(kind="binary", label="y", positive=("yes",), favourable=True)


@pytest.fixture
def followed():
    return pd.DataFrame(
        {"time": [4.0, 6.0, 10.0, 12.0, 3.0], "event": [1, 0, 0, 1, 2]}, index=list("abcde")
    ).astype({"event": float})


@pytest.fixture
def labelled():
    return pd.DataFrame({"label": [1.0, 0.0, 1.0]}, index=list("abc"))


def test_the_registries_know_every_kind():
    assert set(HEADS) == KINDS
    assert set(COLUMNS) == KINDS


def test_a_competing_event_is_an_outcome_of_its_own(followed):
    outcomes = SURVIVAL.outcomes(followed.assign(strata=list("xxyyy")))
    assert outcomes.code.tolist() == [1, 0, 0, 1, 2]
    assert outcomes.event.tolist() == [True, False, False, True, False]
    assert outcomes.strata.tolist() == list("xxyyy")
    assert outcomes.weight is None
    target = Target.of(outcomes)
    assert target.strata.tolist() == [0, 0, 1, 1, 1]
    assert target.time.dtype == torch.float64


def test_by_a_horizon_those_who_are_not_followed_weigh_nothing(followed):
    outcomes = LANDMARK.outcomes(followed, followed)
    assert outcomes.time is None
    assert outcomes.event.tolist() == [True, False, False, False, False]
    # One of three who were still followed is censored at 6: the others stand for that patient.
    np.testing.assert_allclose(outcomes.weight, [1, 0, 1.5, 1.5, 1])
    assert LANDMARK.observed(followed).time.tolist() == followed["time"].tolist()
    assert Target.of(outcomes).strata is None


def test_a_favourable_label_is_the_better_outcome(labelled):
    assert RELAPSE.outcomes(labelled).worse.tolist() == [True, False, True]
    assert RESPONSE.outcomes(labelled).worse.tolist() == [False, True, False]
    raw = np.array([2.0])
    assert head_of(RELAPSE).risk(raw) == 2.0
    assert head_of(RESPONSE).risk(raw) == -2.0
    assert isinstance(head_of(SURVIVAL), CoxHead)
    assert isinstance(head_of(LANDMARK), LogisticHead)


def test_absolute_risk_is_named_as_the_endpoint_has_it():
    risk, logistic = np.array([0.0]), LogisticCalibration(1.0, 1.0)
    worse = 1 / (1 + np.exp(-1.0))
    found = absolute_risk(RELAPSE, logistic, risk, [""], [])
    assert found["probability"][0] == pytest.approx(worse)
    assert absolute_risk(RESPONSE, logistic, risk, [""], [])["probability"][0] == pytest.approx(
        1 - worse
    )
    found = absolute_risk(LANDMARK, logistic, risk, [""], [5.0])
    assert found["survival_10"][0] == pytest.approx(1 - worse)
    baseline = np.array([[2.0, 4.0], [0.1, 0.3], [0.0, 0.0]])
    cox = SurvivalCalibration(1.0, {"": baseline}, {"": 9.0})
    found = absolute_risk(SURVIVAL, cox, risk, [""], [3.0, 5.5])
    assert {k: v[0] for k, v in found.items()} == {
        "survival_3": pytest.approx(np.exp(-0.1)),
        "survival_5.5": pytest.approx(np.exp(-0.3)),
    }


def test_horizons_of_a_model_are_those_of_the_study_or_whole_years():
    patients = pd.DataFrame({"time": np.repeat([300.0, 400.0, 1200.0], [5, 4, 10])})
    assert SURVIVAL.default_horizons(patients) == (365.0, 1095.0)
    assert SURVIVAL.model_copy(update={"horizons": (7.0,)}).default_horizons(patients) == (7.0,)
    assert LANDMARK.default_horizons(patients) == (10.0,)
    assert RELAPSE.default_horizons(patients) == ()


def test_follow_up_is_converted_between_units(followed):
    months = SURVIVAL.model_copy(update={"unit": "months"})
    np.testing.assert_allclose(
        months.in_unit_of(SURVIVAL, followed)["time"], followed["time"] * 365.25 / 12
    )
    assert SURVIVAL.in_unit_of(SURVIVAL, followed) is followed
    assert SURVIVAL.longest_follow_up(followed) == 12.0
    assert RELAPSE.longest_follow_up(followed) is None


def test_a_model_is_judged_on_the_same_question_only():
    assert same_question(SURVIVAL, SURVIVAL.model_copy(update={"time": "other", "unit": "years"}))
    assert not same_question(SURVIVAL, SURVIVAL.model_copy(update={"strata": "type"}))
    assert not same_question(SURVIVAL, LANDMARK)
    assert not same_question(RELAPSE, RESPONSE)


def test_a_description_holds_what_the_manifest_keeps():
    codes = SURVIVAL.model_copy(update={"event_codes": {"0": 0, "1": 1, "2": 2}})
    assert describe(codes) == {
        "kind": "survival", "name": "e", "strata": None, "time": "t", "event": "e",
        "unit": "days", "horizons": [], "competing": True,
    }  # fmt: skip
    assert describe(RESPONSE) == {
        "kind": "binary", "name": "y", "strata": None, "label": "y", "positive": "yes",
        "favourable": True,
    }  # fmt: skip


def test_times_at_the_horizon_up_to_rounding_are_at_it():
    late = np.nextafter(10.0, 11.0)
    early = np.nextafter(10.0, 9.0)
    columns = {"event": [1.0, 0.0, 1.0, 0.0, 2.0, 0.0]}
    written = pd.DataFrame({"time": [10.0, 10.0, 12.0, 4.0, 10.0, 11.0], **columns})
    computed = pd.DataFrame({"time": [late, early, 12.0, 4.0, late, 11.0], **columns})
    given = computed.copy()
    for name in ("event", "weight"):
        first, second = (getattr(LANDMARK.outcomes(t, t), name) for t in (written, computed))
        np.testing.assert_array_equal(first, second)
    assert LANDMARK.positive_outcome(computed).tolist() == [1, 0, 0, 0, 0, 0]
    assert LANDMARK.rarer(computed) == LANDMARK.rarer(written) == 1
    survival = TimeToEvent(kind="survival", time="t", event="e", horizons=(10,))
    assert survival.observed(computed).time.tolist() == written["time"].tolist()
    pd.testing.assert_frame_equal(computed, given)  # written times stay as they were


def test_patients_followed_to_a_year_up_to_rounding_are_not_followed_beyond():
    survival = TimeToEvent(kind="survival", time="t", event="e", unit="months")
    times = np.full(12, np.nextafter(12.0, 13.0))
    assert survival.default_horizons(pd.DataFrame({"time": times})) == ()
    assert survival.default_horizons(pd.DataFrame({"time": times + 1})) == (12.0,)


def test_times_of_other_patients_are_the_same_up_to_rounding():
    development = pd.DataFrame({"time": [0.3, 0.3, 0.7, 2.0], "event": [0.0, 1.0, 1.0, 0.0]})
    written = pd.DataFrame({"time": [0.3, 0.7], "event": [1.0, 1.0]})
    computed = written.assign(time=[0.1 + 0.2, 1.0 - 0.3])
    spec = Landmark(kind="landmark", time="t", event="e", horizon=1)
    expected = spec.outcomes(written, development).weight
    np.testing.assert_array_equal(spec.outcomes(computed, development).weight, expected)
    assert expected[0] == 1  # no patient was censored before 0.3
