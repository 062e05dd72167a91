"""Power by simulation, against what it was asked for and against closed forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index
from scipy.stats import norm

from outcome import Study
from outcome.errors import InputError
from outcome.simulation.power import ExpectedDifference, FollowUpModel, power
from outcome.simulation.source_cohort import read_source_cohort

COHORTS = Path(__file__).parents[2] / "cohorts"


@pytest.fixture(scope="module")
def survival():
    return Study.read(COHORTS / "pan_cancer_prognosis" / "one_type.yaml")


@pytest.fixture(scope="module")
def response():
    return Study.read(COHORTS / "immunotherapy_response" / "study.yaml")


def test_simulated_follow_up_and_scores_are_as_asked_for(survival):
    cohort = read_source_cohort(survival)
    source = FollowUpModel(cohort)
    source.prepare(ExpectedDifference(baseline=0.62, arm=0.70))
    time, event, first, second = source.draw(20_000, np.random.default_rng(3))
    assert event.mean() == pytest.approx(cohort.patients["event"].mean(), abs=0.01)
    assert np.median(time) == pytest.approx(cohort.patients["time"].median(), rel=0.08)
    part = slice(0, 6000)
    for score, wanted in ((first, 0.62), (second, 0.70)):
        c = concordance_index(time[part], -score[part], event[part])
        assert c == pytest.approx(wanted, abs=0.012)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(source.correlation, abs=0.02)


def test_equal_arms_are_seldom_called_different(survival):
    found = power(
        survival,
        ExpectedDifference(baseline=0.65, arm=0.65, correlation=0.6),
        sizes=[150],
        simulations=400,
    )
    row = found.table[found.table["patients"] == 1200].iloc[0]
    # One of the two signs counts: 2.5% expected, 3 standard errors allowed.
    assert row["power_held_out"] <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 400)
    assert row["power_cross_validated"] <= row["power_held_out"]


def test_labels_need_what_the_closed_form_says(response):
    """Binormal scores, uncorrelated: the areas' large-sample variances, then the usual formula."""
    wanted = ExpectedDifference(baseline=0.6, arm=0.75, correlation=0.0)
    found = power(response, wanted, sizes=[150, 300, 500], simulations=300)
    share = float(read_source_cohort(response).outcome.mean())

    def variance(auc):  # Obuchowski (1994), equal variances
        a = np.sqrt(2) * norm.ppf(auc)
        k = 1 / share - 1
        both = 0.0099 * np.exp(-(a**2) / 2) * ((5 * a**2 + 8) + (a**2 + 8) / k)
        return both / share

    n = (norm.isf(0.025) + norm.isf(0.2)) ** 2 * (variance(0.6) + variance(0.75)) / 0.15**2
    assert found.needed["held_out"] == pytest.approx(n, rel=0.25)
    assert found.needed["cross_validated"] > found.needed["held_out"]


def test_half_the_difference_needs_about_four_times_the_patients(survival):
    sizes = [100, 200, 400, 800, 1600]
    large, small = (
        power(survival, ExpectedDifference(baseline=0.6, arm=c, correlation=0.5), sizes=sizes,
              simulations=150).needed["held_out"]
        for c in (0.72, 0.66)
    )  # fmt: skip
    assert 2.5 < small / large < 6


def test_same_seed_same_power(response):
    wanted = ExpectedDifference(baseline=0.6, arm=0.7)
    tables = [power(response, wanted, sizes=[60], simulations=20).table for _ in range(2)]
    pd.testing.assert_frame_equal(*tables)


def test_scores_cannot_rank_alike_and_differ(survival):
    with pytest.raises(InputError, match="another correlation"):
        power(
            survival, ExpectedDifference(baseline=0.55, arm=0.9, correlation=0.95), simulations=10
        )


@pytest.mark.parametrize("folder", ["melanoma_relapse", "immunotherapy_response"])
def test_command(outcome, tmp_path, folder):
    study = COHORTS / folder / "study.yaml"
    done = outcome(
        "power", study, "--baseline-c", 0.6, "--arm-c", 0.8, "--sizes", "40,100",
        "--simulations", 20, "--out", tmp_path / "new" / "power.csv",
    )  # fmt: skip
    assert done.code == 0
    assert "patients (" in done.out
    assert len(pd.read_csv(tmp_path / "new" / "power.csv")) == 3


def test_wrong_wishes_are_told_at_once(outcome):
    study = COHORTS / "immunotherapy_response" / "study.yaml"
    done = outcome("power", study, "--baseline-c", 0.4, "--arm-c", 1.2)
    assert done.code == 2
    assert "baseline must be in [0.5, 0.99), not 0.4" in done.err
    assert "arm must be" in done.err
