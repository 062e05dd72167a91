import numpy as np
import pytest
from sksurv.nonparametric import (
    CensoringDistributionEstimator,
    kaplan_meier_estimator,
    nelson_aalen_estimator,
)
from sksurv.util import Surv

from outcome.errors import InputError
from outcome.statistics.censoring import (
    censoring_curve,
    choose_tau,
    landmark_weights,
    median_follow_up,
)
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.logrank import logrank, pairwise_logrank
from outcome.statistics.multiple_testing import holm
from outcome.statistics.risk_sets import number_at_risk

CLOSED = {"rel": 1e-9, "abs": 1e-12, "nan_ok": True}


def known(values):
    return [np.nan if v is None else v for v in values]


@pytest.mark.parametrize("kind", ["log", "log-log", "plain"])
def test_kaplan_meier_is_that_of_r(case, kind):
    table, r = case
    r = r["km"][kind]
    curve = kaplan_meier(table["time"], table["event"])
    lower, upper = curve.interval(r["times"], kind=kind)
    assert curve.at(r["times"]) == pytest.approx(r["surv"], **CLOSED)
    assert curve.standard_error(r["times"]) == pytest.approx(known(r["se"]), **CLOSED)
    assert lower == pytest.approx(known(r["lo"]), **CLOSED)
    assert upper == pytest.approx(known(r["hi"]), **CLOSED)
    assert number_at_risk(table["time"], r["times"]).tolist() == r["n_risk"]
    for i, share in enumerate((0.25, 0.5, 0.75)):
        expected = [known(r["quantile"][k])[i] for k in ("quantile", "lower", "upper")]
        assert curve.quantile(share, kind=kind) == pytest.approx(expected, **CLOSED)


def test_curves_of_groups_are_those_of_r(case):
    table, r = case
    r = r["km_group"]
    for group, rows in table.groupby("group"):
        i = [k for k, name in enumerate(r["strata"]) if name == f"group={group}"]
        when = [r["times"][k] for k in i]
        curve = kaplan_meier(rows["time"], rows["event"])
        lower, upper = curve.interval(when)
        assert curve.at(when) == pytest.approx([r["surv"][k] for k in i], **CLOSED)
        # R has no interval where a curve is still at 1 after a censoring; ours is (1, 1)
        started = curve.at(when) < 1
        assert lower[started] == pytest.approx(
            np.array(known(r["lo"][k] for k in i))[started], **CLOSED
        )
        assert upper[started] == pytest.approx(
            np.array(known(r["hi"][k] for k in i))[started], **CLOSED
        )
        assert number_at_risk(rows["time"], when).tolist() == [r["n_risk"][k] for k in i]
    medians = [kaplan_meier(g["time"], g["event"]).quantile() for _, g in table.groupby("group")]
    expected = zip(*(known(r["table"][k]) for k in ("median", "0.95LCL", "0.95UCL")), strict=True)
    assert np.array(medians) == pytest.approx(np.array(list(expected), dtype=float), **CLOSED)


def test_median_follow_up_is_that_of_r(case):
    table, r = case
    found = median_follow_up(table["time"], table["event"])[0]
    assert found == pytest.approx(known([r["followup_reverse_km"]["median"]])[0], **CLOSED)


def test_restricted_mean_is_that_of_r(case):
    table, r = case
    groups = sorted(table["group"].unique())[:2]
    for tau, expected in r["rmst"].items():
        for name, rows in [
            ("all", table),
            ("g1", table[table["group"] == groups[0]]),
            ("g2", table[table["group"] == groups[1]]),
        ]:
            found = kaplan_meier(rows["time"], rows["event"]).restricted_mean(float(tau))
            assert found == pytest.approx((expected[name]["rmst"], expected[name]["se"]), **CLOSED)


@pytest.mark.parametrize("name", ["plain", "stratified", "peto_rho1", "median_split_lp1"])
def test_logrank_is_that_of_r(case, name):
    table, r = case
    r = r["logrank"][name]
    group = table["lp1"] > table["lp1"].median() if name == "median_split_lp1" else table["group"]
    found = logrank(
        table["time"], table["event"], group,
        strata=table["strata"] if name == "stratified" else None, rho=float(name == "peto_rho1"),
    )  # fmt: skip
    assert found.chi_square == pytest.approx(r["chisq"], rel=1e-9)
    assert found.p == pytest.approx(r["p"], rel=1e-7, abs=1e-300)
    assert (found.df, list(found.n)) == (r["df"], r["n"])
    assert found.observed == pytest.approx(r["obs"], rel=1e-9)
    assert found.expected == pytest.approx(r["exp"], rel=1e-9)


def test_pairwise_logrank_is_that_of_r(case):
    table, r = case
    if "logrank_pairwise" not in r:
        pytest.skip("two groups")
    for a, b, test, corrected in pairwise_logrank(table["time"], table["event"], table["group"]):
        key = f"{a}_vs_{b}"
        assert test.chi_square == pytest.approx(r["logrank_pairwise"]["raw"][key]["chisq"])
        assert corrected == pytest.approx(r["logrank_pairwise"]["holm"][key], rel=1e-7)


def test_logrank_of_one_group_or_without_events_is_unknown():
    assert np.isnan(logrank([1, 2], [1, 1], ["a", "a"]).p)
    assert np.isnan(logrank([1, 2, 3], [0, 0, 0], [0, 1, 1]).p)
    assert logrank([1, 2, 3], [0, 0, 0], [0, 1, 1]).df == 0
    with pytest.raises(InputError, match="group has shape"):
        logrank([1, 2], [1, 1], ["a"])


def test_a_curve_of_ones_and_a_curve_to_zero():
    flat = kaplan_meier([1, 2], [0, 0])
    assert [x.tolist() for x in flat.interval([1, 2])] == [[1, 1], [1, 1]]
    assert np.isnan(flat.quantile()).all()
    ended = kaplan_meier([1, 2], [1, 1])
    assert ended.at([0, 1, 2, 3]).tolist() == [1, 0.5, 0, 0]
    assert ended.before([1, 2, 3]).tolist() == [1, 0.5, 0]
    assert ended.quantile()[0] == 1.5  # level at one half from 1 to 2
    assert ended.restricted_mean(5) == pytest.approx((1.5, np.sqrt(0.125)))


def test_holm_keeps_order_and_unknowns():
    found = holm([0.01, np.nan, 0.04, 0.03])
    assert found == pytest.approx([0.03, np.nan, 0.06, 0.06], nan_ok=True)
    assert holm([]).tolist() == []
    assert holm([0.9, 0.8]).tolist() == [1, 1]


def test_numbers_at_risk_are_just_before_the_time():
    # two of the four leave at 3: they are still at risk just before it
    assert number_at_risk([1, 3, 3, 8], [0, 1, 2, 3, 3.1, 8, 9]).tolist() == [4, 4, 3, 3, 1, 1, 0]


def test_events_come_before_censorings_of_their_time():
    curve = censoring_curve([1, 2, 2, 3], [1, 1, 0, 1])
    assert curve.before([1, 2, 3]).tolist() == [1, 1, 0.5]
    assert curve.at([0.5, 1, 2, 99]).tolist() == [1, 1, 0.5, 0.5]


def test_censoring_is_that_of_scikit_survival(case):
    table, _ = case
    outcome = Surv.from_arrays(table["event"] == 1, table["time"])
    expected = CensoringDistributionEstimator().fit(outcome).predict_proba(table["time"])
    curve = censoring_curve(table["time"], table["event"])
    assert (curve.at(table["time"]) == expected).all()


def test_survival_is_that_of_scikit_survival(case):
    table, _ = case
    time, survival = kaplan_meier_estimator(table["event"] == 1, table["time"])
    curve = kaplan_meier(table["time"], table["event"])
    assert (curve.time == time).all()
    assert (curve.survival == survival).all()


def test_cumulative_hazard_is_that_of_scikit_survival(case):
    table, _ = case
    time, hazard = nelson_aalen_estimator(table["event"] == 1, table["time"])
    curve = kaplan_meier(table["time"], table["event"])
    assert curve.cumulative_hazard(time) == pytest.approx(hazard, rel=1e-14)
    assert kaplan_meier([1, 2], [0, 0]).cumulative_hazard([0, 3]).tolist() == [0, 0]


def test_nobody_is_censored_where_all_had_the_event_and_all_are_where_none_had():
    assert censoring_curve([1, 2], [1, 1]).at([1, 2]).tolist() == [1, 1]
    assert censoring_curve([1, 2], [0, 0]).at([1, 2]).tolist() == [0.5, 0]
    with pytest.raises(InputError, match="at least one patient"):
        censoring_curve([], [])


def test_tau_is_the_last_time_with_enough_patients():
    curve = censoring_curve(np.arange(1, 11), np.zeros(10))
    assert choose_tau([3, 5, 9, 10, 11], [curve]) == 10
    assert choose_tau([3, 5, 9], [curve], least=0.55) == 5
    assert choose_tau([12], [curve]) is None


def test_who_is_censored_at_a_fixed_horizon_has_been_seen_event_free_at_it():
    time, code = np.array([1.0, 2, 3, 4, 4, 4, 5]), np.array([0, 1, 0, 0, 1, 2, 1])
    curve = censoring_curve(time, code > 0)
    event, weight = landmark_weights(time, code, 4.0, curve)
    assert event.tolist() == [False, True, False, False, True, False, False]
    first, then = 6 / 7, 6 / 7 * 4 / 5  # not censored at 1, nor at 3
    assert weight == pytest.approx([0, 1 / first, 0, *[1 / then] * 4])
    assert weight.sum() == pytest.approx(len(time))  # they stand for all patients
