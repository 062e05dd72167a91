"""Times that differ by rounding are ties, as in R (`timefix`)."""

import json
from pathlib import Path

import numpy as np
import pytest

from outcome.statistics.aalen_johansen import cumulative_incidence
from outcome.statistics.concordance import harrell
from outcome.statistics.cox import fit_cox
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.logrank import logrank
from outcome.statistics.ties import TOLERANCE, tie_times

WRITTEN = np.array([0.3, 0.3, 0.7, 0.7, 1.1, 1.1, 2.0])
ROUNDED = np.array([0.3, 0.1 + 0.2, 0.7, 1.0 - 0.3, 1.1, 0.1 * 11, np.nextafter(2, 3)])


@pytest.fixture
def timefix():
    path = Path(__file__).parents[1] / "reference" / "r" / "timefix.json"
    return json.loads(path.read_text())


def test_the_rounded_times_are_other_numbers():
    assert len(np.unique(ROUNDED)) > len(np.unique(WRITTEN))


@pytest.mark.parametrize("times", [WRITTEN, ROUNDED])
def test_statistics_are_those_of_r(timefix, times):
    event, risk = timefix["event"], timefix["risk"]
    found = harrell(times, event, risk)
    assert found.c == pytest.approx(timefix["c"], abs=1e-12)
    counts = timefix["counts"]
    assert (found.concordant, found.discordant) == (counts["concordant"], counts["discordant"])
    assert (found.tied_risk, found.tied_time) == (counts["tied.x"], counts["tied.y"])
    curve = kaplan_meier(times, event)
    assert curve.at(timefix["times"]) == pytest.approx(timefix["surv"], abs=1e-12)


def test_models_and_tests_are_those_of_the_written_times(timefix):
    event, risk = np.array(timefix["event"]), np.array(timefix["risk"])
    group = risk > 1.5
    for statistic in (
        lambda t: fit_cox(t, event, risk).coef,
        lambda t: fit_cox(t, event, risk).loglik,
        lambda t: logrank(t, event, group).p,
        lambda t: cumulative_incidence(t, event + (risk == 3)).at([0.4, 1.5]),
    ):
        assert statistic(ROUNDED) == pytest.approx(statistic(WRITTEN), abs=1e-12)


@pytest.mark.parametrize(
    ("computed", "meant"),
    [
        (np.cumsum(np.full(60, 0.1)), np.arange(1, 61) / 10),
        (np.arange(1, 61) * 30.4375 / 365.25 * 12, np.arange(1.0, 61.0)),
        (np.arange(1, 61) / 365.25 * 365.25, np.arange(1.0, 61.0)),
        (np.arange(1, 61) / 7 * 7 / 3 * 3 * 1000, np.arange(1, 61) * 1000.0),
        (np.arange(1, 61) + 1.4e-8, np.arange(1.0, 61.0)),
    ],
)
def test_computed_times_join_the_written_ones(computed, meant):
    both = tie_times(np.concatenate([computed, meant]))
    assert len(np.unique(both)) == 60
    np.testing.assert_array_equal(both[:60], both[60:])


def test_other_times_stay_as_they_are(rng):
    for times in (rng.exponential(10, 300), rng.integers(1, 900, 300) * 1.0, [], [5.0], [np.nan]):
        np.testing.assert_array_equal(tie_times(times), times)
    apart = [1.0, 1.0 + 2 * TOLERANCE, 3.0]
    assert tie_times(apart).tolist() != tie_times([1.0, 1.0, 3.0]).tolist()
    tolerance = np.mean([1000.0, 1000.0, 5000.0]) * TOLERANCE
    near, far = 1000.0 + 0.9 * tolerance, 1000.0 + 2 * tolerance
    assert len(np.unique(tie_times([1000.0, near, 5000.0]))) == 2
    assert len(np.unique(tie_times([1000.0, far, 5000.0]))) == 3


def test_the_input_is_not_changed_and_a_second_time_changes_nothing():
    given = ROUNDED.copy()
    once = tie_times(given)
    np.testing.assert_array_equal(given, ROUNDED)
    np.testing.assert_array_equal(tie_times(once), once)
    assert (np.diff(once) >= 0).all()


def test_times_at_a_horizon_are_the_horizon():
    early, late = np.nextafter(12, 0), np.nextafter(12, 13)
    assert tie_times([early, late, 13.0, np.nan], [12.0])[:3].tolist() == [12.0, 12.0, 13.0]
    assert tie_times([early, 12.1], [6.0, 12.0]).tolist() == [12.0, 12.1]
    assert tie_times([11.9, 12.1], [12.0]).tolist() == [11.9, 12.1]
