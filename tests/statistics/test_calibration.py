import numpy as np
import pytest

from outcome.errors import InputError
from outcome.statistics.calibration_measures import (
    calibration_errors,
    calibration_slope,
    d_calibration,
    smooth_binary,
    smooth_survival,
)
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.logistic import fit_logistic


@pytest.mark.parametrize("model", ["m1", "m2"])
@pytest.mark.parametrize("horizon", [1095, 1825, 3650])
def test_calibration_is_that_of_r(oracle, tables, model, horizon):
    table, r = tables["horizon_test"], oracle["horizon"]["calibration"][f"{model}_{horizon}"]
    time, event, p = table["time"], table["event"], table[f"{model}_risk_{horizon}"]
    slope, se = calibration_slope(time, event, p)
    assert slope == pytest.approx(r["slope"], rel=1e-6)
    assert se == pytest.approx(r["slope_se"][0][0], rel=1e-6)
    km = kaplan_meier(time, event)
    assert 1 - km.at(horizon) == pytest.approx(r["O"], rel=1e-12)
    assert (1 - km.at(horizon)) / p.mean() == pytest.approx(r["OE"], rel=1e-9)
    assert km.standard_error(horizon) == pytest.approx(r["O_se"], rel=1e-9)
    errors = calibration_errors(p, smooth_survival(time, event, p, horizon, p))
    found = [errors.ici, errors.e50, errors.e90, errors.emax]
    assert found == pytest.approx([r["ICI"], r["E50"], r["E90"], r["Emax"]], rel=1e-6)


def test_predictions_that_do_not_vary_have_no_slope_or_curve():
    time, event = np.arange(1.0, 9), np.ones(8)
    assert np.isnan(calibration_slope(time, event, np.full(8, 0.3))).all()
    smooth = smooth_survival(time, event, np.full(8, 0.3), 4, [0.3])
    assert np.isnan(smooth).all()
    assert np.isnan(calibration_errors([0.3], smooth).ici)
    assert np.isnan(smooth_binary(event, np.full(8, 0.3), [0.3])).all()


def test_true_probabilities_are_calibrated(rng):
    n = 20_000
    risk = rng.normal(size=n)
    u = rng.random(n)
    time = -np.log(u) / np.exp(risk)
    censor = rng.exponential(2, n)
    event = time <= censor
    observed = np.minimum(time, censor)
    s = np.exp(-observed * np.exp(risk))
    assert d_calibration(s, event).p > 0.01
    assert d_calibration(s**0.8, event).p < 1e-6
    assert d_calibration(s, event).counts.sum() == pytest.approx(n)
    p = 1 - np.exp(-np.exp(risk))
    slope, se = calibration_slope(observed, event, p)
    assert abs(slope - 1) < 4 * se
    assert calibration_errors(p, smooth_survival(observed, event, p, 1, p)).ici < 0.01
    y = rng.random(n) < p
    assert calibration_errors(p, smooth_binary(y, p, p)).ici < 0.02


def test_d_calibration_by_hand():
    # censored at 0.5: half of the patient in each lower bin of width 0.25
    found = d_calibration([0.1, 0.3, 0.6, 0.5], [1, 1, 1, 0], bins=4)
    assert found.counts.tolist() == [1.5, 1.5, 1, 0]
    assert np.isnan(d_calibration([], []).p)
    assert d_calibration([0.0, 1.0], [0, 0], bins=2).counts.tolist() == [1.5, 0.5]
    with pytest.raises(InputError, match="outside"):
        d_calibration([1.2], [1])


def test_logistic_by_hand():
    # saturated: the coefficients are the log odds of each group
    fit = fit_logistic([0, 1, 1, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert fit.coef == pytest.approx([np.log(3), np.log(1 / 4) - np.log(3)])
    assert fit.se[0] == pytest.approx(np.sqrt(1 + 1 / 3))
    weighted = fit_logistic([0, 1], weight=[1, 3])
    assert weighted.coef[0] == pytest.approx(np.log(3))
    assert fit_logistic([0, 1, 1], offset=[5, 5, 5]).coef[0] == pytest.approx(np.log(2) - 5)


@pytest.mark.parametrize(
    ("y", "x"), [([0, 0, 1, 1], [0, 1, 2, 3]), ([1, 1], [0, 1]), ([0, 1, 0], [1, 1, 1]), ([], [])]
)
def test_separated_or_collinear_is_unknown(y, x):
    assert not fit_logistic(y, x).converged


def test_logistic_refuses_missing_covariates():
    with pytest.raises(InputError, match="missing values"):
        fit_logistic([0, 1], [np.nan, 1])
