"""Interaction of treatment and score against R, and what must not change it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcome.errors import InputError
from outcome.statistics.cox import fit_cox
from outcome.statistics.interaction import fit_ratio_model, treatment_interaction
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.logrank import logrank
from outcome.statistics.weighted_cox import fit_weighted_cox
from outcome.statistics.weighted_kaplan_meier import weighted_kaplan_meier

R = json.loads((Path(__file__).parents[1] / "reference" / "r" / "interaction.json").read_text())


@pytest.fixture
def colon(tables):
    table = tables["colon"]
    reference = sorted(table["group"].astype(str).unique())[0]
    assert reference == R["reference"]
    return table.assign(treated=(table["group"].astype(str) != reference).astype(int))


def interaction_of(table, **options):
    return treatment_interaction(
        table["treated"], table["lp1"], table["event"], time=table["time"], **options
    )


def test_coefficients_and_tests_are_those_of_r(colon):
    found = interaction_of(colon)
    assert found.coef == pytest.approx(R["coef"], rel=1e-7)
    assert found.se == pytest.approx(R["se"], rel=1e-7)
    assert found.chi_square == pytest.approx(R["lrt_chisq"], rel=1e-7)
    assert found.p == pytest.approx(R["lrt_p"], rel=1e-7)
    assert found.wald_p == pytest.approx(R["wald_p"], rel=1e-7)


def test_stratified_values_are_those_of_r(colon):
    found = interaction_of(colon, strata=colon["strata"])
    assert found.coef == pytest.approx(R["stratified"]["coef"], rel=1e-7)
    assert found.chi_square == pytest.approx(R["stratified"]["lrt_chisq"], rel=1e-7)


@pytest.mark.parametrize("high", [0, 1])
def test_treatment_within_groups_is_that_of_r(colon, high):
    part = colon[(colon["lp1"] > colon["lp1"].median()) == bool(high)]
    expected = R["by_group"][str(high)]
    fit = fit_ratio_model(part["event"], part["treated"], time=part["time"])
    half = 1.959963984540054 * fit.se
    assert (len(part), part["event"].sum()) == (expected["n"], expected["events"])
    assert np.exp(fit.coef) == pytest.approx(expected["hr"], rel=1e-7)
    bounds = [np.exp(fit.coef[0] - half[0]), np.exp(fit.coef[0] + half[0])]
    assert bounds == pytest.approx(expected["ci"], rel=1e-7)
    p = logrank(part["time"], part["event"], part["treated"]).p
    assert p == pytest.approx(expected["logrank_p"], rel=1e-7)


def test_the_other_coding_turns_signs_only(colon):
    found = interaction_of(colon)
    turned = interaction_of(colon.assign(treated=1 - colon["treated"]))
    assert turned.coef[0] == pytest.approx(-found.coef[0], rel=1e-6)
    assert turned.coef[2] == pytest.approx(-found.coef[2], rel=1e-6)
    assert turned.chi_square == pytest.approx(found.chi_square, rel=1e-7)


def test_effect_at_a_score_is_that_of_the_shifted_model(colon):
    """The treatment's coefficient is its effect where the score is 0."""
    effect, error = interaction_of(colon).treatment_effect([0.4])
    shifted = interaction_of(colon.assign(lp1=colon["lp1"] - 0.4))
    assert effect[0] == pytest.approx(shifted.coef[0], rel=1e-7)
    assert error[0] == pytest.approx(shifted.se[0], rel=1e-7)


def test_logistic_interaction_of_two_groups_is_the_ratio_of_odds_ratios():
    """A saturated model of a 2 x 2 x 2 table has its coefficients in closed form."""
    cells = {(0, 0): (30, 10), (0, 1): (25, 15), (1, 0): (12, 28), (1, 1): (22, 18)}
    rows = [
        (t, g, y) for (g, t), (no, yes) in cells.items() for y, k in ((0, no), (1, yes))
        for _ in range(k)
    ]  # fmt: skip
    treated, group, label = np.array(rows).T
    odds = {key: yes / no for key, (no, yes) in cells.items()}
    found = treatment_interaction(treated, group, label)
    ratios = [odds[g, 1] / odds[g, 0] for g in (0, 1)]
    assert np.exp(found.coef[2]) == pytest.approx(ratios[1] / ratios[0], rel=1e-6)
    variance = sum(1 / count for pair in cells.values() for count in pair)
    assert found.se[2] == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_separated_groups_have_no_estimate():
    found = treatment_interaction([0, 0, 1, 1], [1, 2, 1, 2], [0, 0, 1, 1])
    assert np.isnan([*found.coef, found.p, found.wald_p]).all()


def test_a_treatment_with_three_codes_is_refused():
    with pytest.raises(InputError, match="treated must be 0"):
        treatment_interaction([0, 1, 2], [1, 2, 3], [1, 1, 0], time=[1, 2, 3])


def test_the_size_of_equal_weights_means_nothing(colon):
    names = ["treated", "lp1"]
    plain = fit_cox(colon["time"], colon["event"], colon[names])
    errors = []
    for size in (0.5, 2.0):
        weight = np.full(len(colon), size)
        found = fit_weighted_cox(colon["time"], colon["event"], colon[names], weight)
        assert found.coef == pytest.approx(plain.coef, rel=1e-8)
        errors.append(found.se.tolist())
    assert errors[0] == pytest.approx(errors[1], rel=1e-10)


def test_weighted_model_is_that_of_lifelines(rng):
    """Without ties, which its robust errors leave out."""
    from lifelines import CoxPHFitter

    n = 120
    table = pd.DataFrame({"t": rng.integers(0, 2, n), "s": rng.normal(size=n)}).assign(
        time=rng.exponential(size=n), event=(rng.random(n) < 0.6).astype(int),
        weight=rng.uniform(0.2, 3, n), strata=rng.integers(0, 3, n),
    )  # fmt: skip
    theirs = CoxPHFitter().fit(
        table, "time", "event", weights_col="weight", strata=["strata"], robust=True,
        fit_options={"precision": 1e-10},
    )  # fmt: skip
    found = fit_weighted_cox(
        table["time"], table["event"], table[["t", "s"]], table["weight"], strata=table["strata"]
    )
    assert found.coef == pytest.approx(theirs.params_[["t", "s"]].to_numpy(), rel=1e-5)
    assert found.se == pytest.approx(theirs.standard_errors_[["t", "s"]].to_numpy(), rel=1e-5)


def test_robust_errors_are_the_jackknifes(rng):
    """Infinitesimal: each patient's weight changed a little, in turn; with ties and strata."""
    n = 40
    time, x = rng.integers(1, 12, n).astype(float), rng.normal(size=(n, 2))
    event, weight, strata = rng.random(n) < 0.7, rng.uniform(0.5, 2, n), rng.integers(0, 2, n)
    found = fit_weighted_cox(time, event, x, weight, strata=strata)
    moved = []
    for i in range(n):
        ends = []
        for change in (1e-4, -1e-4):
            other = weight.copy()
            other[i] *= 1 + change
            ends.append(fit_weighted_cox(time, event, x, other, strata=strata).coef)
        moved.append((ends[0] - ends[1]) / 2e-4)
    spread = np.array(moved)
    assert found.covariance == pytest.approx(spread.T @ spread, rel=0.05)


def test_a_weight_that_is_not_positive_is_refused():
    with pytest.raises(InputError, match="positive weight"):
        fit_weighted_cox([1, 2, 3], [1, 1, 0], [0.1, 0.4, 0.2], [1, 0, 1])


def test_weighted_curve_with_equal_weights_is_kaplan_meiers(colon):
    plain = kaplan_meier(colon["time"], colon["event"])
    found = weighted_kaplan_meier(colon["time"], colon["event"], np.full(len(colon), 0.7))
    at = [300, 1000, 2500]
    assert found.at(at) == pytest.approx(plain.at(at), rel=1e-12)
    assert found.standard_error(at) == pytest.approx(plain.standard_error(at), rel=0.01)
    assert np.ravel(found.interval(at)) == pytest.approx(np.ravel(plain.interval(at)), abs=2e-3)
    ours, theirs = found.restricted_mean(2000), plain.restricted_mean(2000)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
    assert ours[1] == pytest.approx(theirs[1], rel=0.01)


def test_errors_of_the_weighted_curve_cover_the_scatter():
    """Over 300 samples, the spread of the estimates is the mean of their standard errors."""
    rng, found = np.random.default_rng(11), []
    for _ in range(300):
        x = rng.normal(size=80)
        time, weight = rng.exponential(np.exp(0.5 * x)), np.exp(0.6 * x)
        event, time = time < 1.5, np.minimum(time, 1.5)
        curve = weighted_kaplan_meier(time, event, weight)
        found.append([curve.at(1.0), curve.standard_error(1.0), *curve.restricted_mean(1.2)])
    value, error, mean, mean_error = np.array(found, dtype=float).T
    assert value.std() == pytest.approx(error.mean(), rel=0.15)
    assert mean.std() == pytest.approx(mean_error.mean(), rel=0.15)
