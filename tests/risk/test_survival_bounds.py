import numpy as np
import pytest

from outcome.outcomes import Outcomes
from outcome.risk.recalibration import fit_calibration
from outcome.risk.survival_bounds import SurvivalBound, fit_survival_bound


def cohort(rng, n, *, censored=True):
    truth = rng.normal(size=n)
    time = rng.exponential(np.exp(-truth))
    end = rng.uniform(0.2, 3, n) if censored else np.full(n, np.inf)
    return truth, Outcomes(time <= end, np.minimum(time, end))


def covered(found, risks, outcomes, new, times):
    calibration = fit_calibration(np.concatenate(risks), outcomes)
    return float(np.mean(times >= found.of(calibration, new, [""] * len(new))))


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("wrong", [False, True])
def test_bounds_cover_whatever_the_model(rng, coverage, wrong):
    """The misleading score says nothing, and is far too confident of it."""
    truth, outcomes = cohort(rng, 3000)
    new, fresh = cohort(rng, 4000, censored=False)
    own, other = (3 * rng.normal(size=len(t)) if wrong else t for t in (truth, new))
    risks = np.split(own, 5)
    found = fit_survival_bound(risks, outcomes, coverage=coverage)
    assert covered(found, risks, outcomes, other, fresh.time) == pytest.approx(coverage, abs=0.025)


def test_one_more_patient_makes_bounds_of_small_cohorts_careful(rng):
    shares = []
    for _ in range(40):
        truth, outcomes = cohort(rng, 60)
        risks = np.split(truth, 3)
        new, fresh = cohort(rng, 400, censored=False)
        found = fit_survival_bound(risks, outcomes)
        shares.append(covered(found, risks, outcomes, new, fresh.time))
    assert np.mean(shares) > 0.9


def test_without_censoring_the_level_is_an_order_statistic(rng):
    truth, outcomes = cohort(rng, 199, censored=False)
    risks = [truth[:100], truth[100:]]
    found = fit_survival_bound(risks, outcomes)
    calibrations = [fit_calibration(truth[s], outcomes[s]) for s in (slice(100, 199), slice(100))]
    score = [
        1 - c.survival(r, [""], t)[0]
        for c, part, times in zip(
            calibrations, risks, np.split(outcomes.time, [100]), strict=True
        )
        for r, t in zip(part[:, None], np.minimum(times, c.longest[""]), strict=True)
    ]  # fmt: skip
    # The 20th of 200, the new patient counted: 19 of 199 are below.
    assert found.level == pytest.approx(np.sort(score)[19])


def test_a_bound_is_where_the_risk_reaches_the_level_and_never_beyond_follow_up(rng):
    truth, outcomes = cohort(rng, 200)
    calibration = fit_calibration(truth, outcomes)
    risk, times = np.array([-4.0, 0.0, 1.0, 3.0]), calibration.baselines[""][0]
    bound = SurvivalBound(0.1, 1.5, 0.9).of(calibration, risk, [""] * 4)
    assert (np.diff(bound) <= 0).all()
    assert bound[0] == 1.5
    for r, b in zip(risk[1:], bound[1:], strict=True):
        assert calibration.survival(np.array([r]), [""], b)[0] <= 0.9
        before = times[times < b].max(initial=0.0)
        assert calibration.survival(np.array([r]), [""], before)[0] > 0.9
    assert SurvivalBound(1.0, 1.5, 0.9).of(calibration, risk, [""] * 4).tolist() == [1.5] * 4
    assert np.isnan(SurvivalBound(0.1, 1.5, 0.9).of(calibration, risk, ["other"] * 4)).all()


def test_no_bound_where_it_would_not_hold(rng):
    truth, outcomes = cohort(rng, 50)
    code = np.where(outcomes.event, 1, 2)
    assert fit_survival_bound([truth], Outcomes(outcomes.event, outcomes.time, code)) is None
    assert fit_survival_bound([truth], Outcomes(outcomes.event)) is None
    none = np.zeros(50, dtype=bool)
    assert fit_survival_bound([truth], Outcomes(none, outcomes.time)) is None
