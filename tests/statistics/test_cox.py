import numpy as np
import pytest

from outcome.errors import InputError
from outcome.statistics.cox import event_terms, fit_cox, proportional_hazards_test

X = ["x1", "x2", "x3", "x4"]


@pytest.mark.parametrize("score", ["zero", "lp1", "lp2", "lp3"])
@pytest.mark.parametrize("strata", ["plain", "strata"])
def test_partial_likelihood_is_that_of_r(case, score, strata):
    table, r = case
    eta = np.zeros(len(table)) if score == "zero" else table[score].to_numpy()
    codes = table["strata"].to_numpy() if strata == "strata" else np.zeros(len(table), dtype=int)
    terms = event_terms(
        table["time"].to_numpy(float),
        table["event"].to_numpy() == 1,
        table[["x1"]].to_numpy(float),
        eta,
        codes,
    )
    loglik = float(np.sum(eta[terms.row] - terms.log_risk))
    assert loglik == pytest.approx(r["cox_loglik"][f"efron_{score}_{strata}"], rel=1e-9)


@pytest.mark.parametrize("strata", ["plain", "strata"])
def test_coefficients_are_those_of_r(case, strata):
    table, r = case
    if "cox_fit" not in r:
        pytest.skip("too small for a model of four covariates")
    groups = table["strata"] if strata == "strata" else None
    found = fit_cox(table["time"], table["event"], table[X], strata=groups)
    expected = r["cox_fit"][f"efron_{strata}"]
    hr, lower, upper = found.hazard_ratios()
    assert found.coef == pytest.approx([expected["coef"][x] for x in X], rel=1e-7, abs=1e-9)
    assert found.se == pytest.approx([expected["se"][x] for x in X], rel=1e-7)
    assert hr == pytest.approx([expected["hr"][x] for x in X], rel=1e-7)
    assert lower == pytest.approx([expected["lo"][x] for x in X], rel=1e-7)
    assert upper == pytest.approx([expected["hi"][x] for x in X], rel=1e-7)
    assert [found.loglik_null, found.loglik] == pytest.approx(expected["loglik"], rel=1e-10)


@pytest.mark.parametrize("scale", ["km", "identity", "rank"])
def test_proportional_hazards_test_is_that_of_r(case, scale):
    table, r = case
    if "cox_zph" not in r:
        pytest.skip("too small for a model of four covariates")
    fit = fit_cox(table["time"], table["event"], table[X])
    found = proportional_hazards_test(table["time"], table["event"], table[X], fit, scale=scale)
    expected = r["cox_zph"][f"efron_{scale}"]
    assert found.chi_square == pytest.approx([expected[x]["chisq"] for x in X], rel=1e-6, abs=1e-9)
    assert found.p == pytest.approx([expected[x]["p"] for x in X], rel=1e-6)
    assert found.global_chi_square == pytest.approx(expected["GLOBAL"]["chisq"], rel=1e-6)


def test_large_log_hazards_do_not_overflow(tables):
    table = tables["lung"]
    base = fit_cox(table["time"], table["event"], table["x1"])
    moved = fit_cox(table["time"], table["event"], table["x1"] * 1e-5 + 1e3)
    assert moved.coef[0] == pytest.approx(base.coef[0] * 1e5, rel=1e-5)


@pytest.mark.parametrize(
    "x",
    [
        np.array([1.0, 1, 0, 0, 0, 0]),  # nobody with x = 0 has an event
        np.ones(6),
        np.array([[1.0, 2], [0, 0], [3, 6], [1, 2], [0, 0], [2, 4]]),
    ],
)
def test_no_maximum_or_collinear_is_unknown_not_huge(x):
    fit = fit_cox([1, 2, 3, 4, 5, 6], [1, 1, 0, 0, 0, 0], x)
    assert not fit.converged
    assert np.isnan(fit.coef).all()
    with pytest.raises(InputError, match="did not converge"):
        proportional_hazards_test([1, 2, 3, 4, 5, 6], [1, 1, 0, 0, 0, 0], x, fit)


def test_missing_covariates_are_refused():
    with pytest.raises(InputError, match="missing values"):
        fit_cox([1, 2], [1, 0], [np.nan, 1])
    assert not fit_cox([1, 2], [0, 0], [0, 1]).converged
