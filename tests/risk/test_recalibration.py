import numpy as np
import pytest
from sksurv.functions import StepFunction
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from outcome.outcomes import Outcomes
from outcome.risk.recalibration import fit_calibration, fit_weights, survival_at_time
from outcome.statistics.aalen_johansen import cumulative_incidence


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def survival(rng, log_hazard, code=None):
    n = len(log_hazard)
    time = rng.exponential(np.exp(-log_hazard))
    end = rng.uniform(0.2, 3, n)
    seen = time <= end
    return Outcomes(seen, np.minimum(time, end), seen.astype(int), np.full(n, ""), np.ones(n))


def test_the_slope_undoes_overconfidence_and_survival_is_right(rng):
    truth = rng.normal(size=4000)
    outcomes = survival(rng, truth)
    found = fit_calibration(4 * truth, outcomes)
    assert found.slope == pytest.approx(0.25, abs=0.02)
    fresh = rng.normal(size=2000)
    predicted = found.survival(4 * fresh, [""] * 2000, 1.0)
    np.testing.assert_allclose(predicted, np.exp(-np.exp(fresh)), atol=0.03)


def test_baseline_equals_scikit_survival(rng):
    x = rng.normal(size=200)
    outcomes = survival(rng, x)
    theirs = CoxPHSurvivalAnalysis(ties="efron").fit(
        x[:, None], Surv.from_arrays(outcomes.worse, outcomes.time)
    )
    slope = float(theirs.coef_[0])
    # With a prior as wide as ours, the slope differs a little: compare at theirs.
    found = fit_calibration(slope * x, outcomes, fixed_slope=True)
    curves = theirs.predict_survival_function(x[:5, None])
    expected = [float(c(0.7)) for c in curves]
    np.testing.assert_allclose(found.survival(slope * x[:5], [""] * 5, 0.7), expected, rtol=1e-4)


def test_survival_functions_are_those_of_scikit_survival(rng):
    outcomes = survival(rng, rng.normal(size=60))
    strata = np.array(["a", "b"])[np.arange(60) % 2]
    code = np.where(np.arange(60) % 7 == 0, 2, outcomes.code)
    outcomes = Outcomes(code == 1, outcomes.time, code, strata, outcomes.weight)
    found = fit_calibration(np.zeros(60), outcomes, fixed_slope=True)
    risk, own = np.array([-1.0, 0.0, 2.0]), ["b", "unseen", "a"]
    curves = found.survival_functions(risk, own)
    for i in (0, 2):
        assert isinstance(curves[i], StepFunction)
        assert curves[i].domain == (0, found.longest[own[i]])
        when = np.linspace(0, found.longest[own[i]], 50)
        expected = [found.survival(risk[[i]], [own[i]], t)[0] for t in when]
        assert curves[i](when).tolist() == expected
        assert curves[i](0.0) == 1
        with pytest.raises(ValueError, match="within"):
            curves[i](found.longest[own[i]] + 0.1)
    assert np.isnan(curves[1](0.0))


def test_few_events_shrink_the_slope_towards_one(rng):
    def mean_slope(n):
        noise = [rng.normal(size=n) for _ in range(20)]
        return np.mean([fit_calibration(x, survival(rng, np.zeros(n))).slope for x in noise])

    assert mean_slope(8) > 0.4
    assert mean_slope(2000) < 0.05


def test_a_reversed_risk_gets_slope_zero_and_everybody_the_baseline(rng):
    truth = rng.normal(size=1000)
    found = fit_calibration(-truth, survival(rng, truth))
    assert found.slope == 0
    assert np.ptp(found.survival(np.array([-3.0, 3.0]), ["", ""], 1.0)) == 0


def test_nothing_is_said_beyond_follow_up_or_of_a_thin_stratum(rng):
    n = 60
    outcomes = survival(rng, np.zeros(n))
    strata = np.where(np.arange(n) < 50, "A", "B")
    outcomes = Outcomes(outcomes.worse, outcomes.time, outcomes.code, strata, outcomes.weight)
    found = fit_calibration(np.zeros(n), outcomes)
    assert np.isnan(found.survival(np.zeros(1), ["A"], 99.0)).all()
    assert np.isfinite(found.survival(np.zeros(1), ["A"], 0.5)).all()
    assert np.isnan(found.survival(np.zeros(2), ["B", "never seen"], 0.5)).all()


def test_competing_events_give_the_cumulative_incidence(rng):
    n = 400
    code = rng.integers(0, 3, n)
    time = rng.exponential(size=n).round(2) + 0.01
    outcomes = Outcomes(code == 1, time, code, np.full(n, ""), np.ones(n))
    found = fit_calibration(np.zeros(n), outcomes, fixed_slope=True)
    event_free = found.survival(np.zeros(1), [""], 0.8)[0]
    aalen_johansen = float(cumulative_incidence(time, code).at(0.8))
    assert 1 - event_free == pytest.approx(aalen_johansen, abs=0.005)
    naive = 1 - np.exp(-found.baselines[""][1][np.searchsorted(found.baselines[""][0], 0.8) - 1])
    assert naive > aalen_johansen + 0.02


def test_logistic_recalibration(rng):
    truth = rng.normal(size=5000)
    worse = rng.random(5000) < 1 / (1 + np.exp(1 - truth))
    outcomes = Outcomes(worse, None, worse.astype(int), np.full(5000, ""), np.ones(5000))
    found = fit_calibration(3 * truth, outcomes)
    assert found.slope == pytest.approx(1 / 3, abs=0.03)
    assert found.intercept == pytest.approx(-1, abs=0.1)
    assert found.probability(3 * truth).mean() == pytest.approx(worse.mean(), abs=1e-3)


def test_weights_favour_the_score_that_knows(rng):
    truth = rng.normal(size=2000)
    scores = np.column_stack([truth, rng.normal(size=2000)])
    weights, _ = fit_weights(scores, survival(rng, truth), around=0.5)
    assert weights[0] == pytest.approx(1, abs=0.1)
    assert weights[1] == pytest.approx(0, abs=0.1)


def test_scores_that_hardly_differ_are_not_kept_so(rng):
    truth = 0.7 * rng.normal(size=800)
    time = rng.exponential(np.exp(-truth))
    for scale in (1.0, 0.02, 1e-6):
        outcomes = Outcomes(
            np.full(800, True), time, np.ones(800, np.int64), np.full(800, ""), np.ones(800)
        )
        found = fit_calibration(scale * truth, outcomes)
        assert found.slope * scale == pytest.approx(1, abs=0.15)


def test_who_is_followed_longer_than_the_model_is_censored_at_its_end(rng):
    outcomes = survival(rng, rng.normal(size=400))
    found = fit_calibration(rng.normal(size=400), outcomes)
    last = found.longest[""]
    ones = np.ones(2)
    beyond = Outcomes(ones > 0, last * np.array([0.5, 2]), ones.astype(int), np.full(2, ""), ones)
    at = survival_at_time(found, np.zeros(2), beyond)
    expected = [found.survival(np.zeros(1), [""], t)[0] for t in (last / 2, last)]
    np.testing.assert_array_equal(at["survival_at_time"], expected)
    assert at["event_at_time"].tolist() == [1, 0]


def test_horizons_and_own_times_meet_those_of_development_up_to_rounding():
    development = Outcomes(np.array([True, True, False, True]), np.array([0.3, 0.6, 0.7, 0.9]))
    model = fit_calibration(np.array([0.1, 0.4, -0.3, -0.2]), development, fixed_slope=True)
    risk, one = np.array([0.2]), [""]
    for written in (0.3, 0.6, 0.9):
        at = model.survival(risk, one, written)
        for other in (np.nextafter(written, 0), np.nextafter(written, 1)):
            np.testing.assert_array_equal(model.survival(risk, one, other), at)
            own = survival_at_time(model, risk, Outcomes(np.array([True]), np.array([other])))
            np.testing.assert_array_equal(own["survival_at_time"], at)
            assert own["event_at_time"] == [1]
    assert model.survival(risk, one, 0.29) > model.survival(risk, one, 0.3)
    assert np.isnan(model.survival(risk, one, 0.91))
