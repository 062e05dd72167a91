import numpy as np
import pytest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from outcome.errors import InputError
from outcome.outcomes import Outcomes
from outcome.risk.recalibration import fit_calibration

EVENT, TIME = np.array([True, False, True]), np.array([3.0, 5.0, 2.0])


def test_a_surv_array_comes_and_goes():
    y = Outcomes(EVENT, TIME).to_surv()
    np.testing.assert_array_equal(y, Surv.from_arrays(EVENT, TIME))
    again = Outcomes.from_surv(y, strata=["a", "b", "a"])
    np.testing.assert_array_equal(again.event, EVENT)
    np.testing.assert_array_equal(again.time, TIME)
    assert again.code.tolist() == [1, 0, 1]
    assert again.strata.tolist() == ["a", "b", "a"]
    assert again.stratified
    assert not Outcomes.from_surv(y).stratified


def test_a_model_of_scikit_survival_takes_them_and_ours_takes_its_arrays():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 1))
    outcomes = Outcomes(rng.random(60) < 0.7, rng.exponential(np.exp(-x[:, 0])))
    theirs = CoxPHSurvivalAnalysis(ties="efron").fit(x, outcomes.to_surv())
    ours = fit_calibration(x[:, 0], Outcomes.from_surv(outcomes.to_surv()))
    assert ours.slope == pytest.approx(theirs.coef_[0], abs=0.2)


@pytest.mark.parametrize(
    ("outcomes", "what"),
    [
        (Outcomes(EVENT), "without follow-up times"),
        (Outcomes(EVENT, TIME, np.array([1, 2, 1])), "1 of 3 patients have a competing event"),
    ],
)
def test_what_a_surv_array_cannot_hold_is_refused(outcomes, what):
    with pytest.raises(InputError, match=what):
        outcomes.to_surv()


@pytest.mark.parametrize(
    ("y", "strata", "what"),
    [
        (TIME, (), "not an array of survival outcomes"),
        (Surv.from_arrays(EVENT, TIME)[["time", "event"]], (), "not an array of survival outcomes"),
        (Surv.from_arrays(EVENT, np.array([3.0, 0.0, np.nan])), (), r"2 times .* row 1 \(0\)"),
        (Surv.from_arrays(EVENT, TIME), ["a"], "1 strata were given for 3 outcomes"),
    ],
)
def test_other_arrays_are_refused(y, strata, what):
    with pytest.raises(InputError, match=what):
        Outcomes.from_surv(y, strata)


def test_some_patients_are_taken_by_number_or_by_mask():
    strata, weight = np.array(["a", "b", "c"]), np.array([1.0, 0.0, 2.0])
    outcomes = Outcomes(EVENT, TIME, np.array([1, 2, 1]), strata, weight, favourable=True)
    for rows in ([2, 0], np.array([True, False, True])):
        some = outcomes[np.asarray(rows)]
        assert len(some) == 2
        assert some.favourable
        assert some.known.all()
        assert sorted(some.strata) == ["a", "c"]
    assert outcomes[np.array([2, 0])].time.tolist() == [2.0, 3.0]
    assert outcomes.worse.tolist() == [False, True, False]
    assert outcomes.known.tolist() == [True, False, True]
    assert Outcomes(EVENT).weights.tolist() == [1.0, 1.0, 1.0]


def test_times_that_differ_by_rounding_are_the_same():
    written = np.array([0.3, 0.3, 0.7, 1.1])
    computed = np.array([0.3, 0.1 + 0.2, 0.7, 0.1 * 11])
    event = np.array([True, False, True, False])
    for outcomes in (
        Outcomes(event, computed),
        Outcomes.from_surv(Surv.from_arrays(event, computed)),
        Outcomes(event, np.append(computed, 5.0)[:4])[np.arange(4)],
    ):
        assert outcomes.time[0] == outcomes.time[1]
        np.testing.assert_allclose(outcomes.time, written, rtol=1e-15)
    assert Outcomes(event).time is None
