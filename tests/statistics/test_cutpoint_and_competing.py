import numpy as np
import pytest

from outcome.errors import InputError
from outcome.statistics.aalen_johansen import cumulative_incidence, gray_test
from outcome.statistics.cox import fit_cox
from outcome.statistics.cutpoint import maximally_selected_cut
from outcome.statistics.fine_gray import fit_fine_gray
from outcome.statistics.kaplan_meier import kaplan_meier


@pytest.mark.parametrize(("data", "score"), [("gbsg", "lp1"), ("lung", "x1"), ("veteran", "x1")])
def test_best_cut_is_that_of_r(oracle, tables, data, score, rng):
    table, r = tables[data], oracle["maxstat"][f"{data}_{score}"]
    found = maximally_selected_cut(
        table["time"], table["event"], table[score], n_permutations=999, rng=rng
    )
    assert found.statistic == pytest.approx(r["statistic"], rel=1e-9)
    assert found.cut == r["cutpoint"]
    assert found.p_asymptotic == pytest.approx(r["Lau92"], rel=1e-9)
    assert found.p_bonferroni == pytest.approx(r["Lau94"], rel=1e-5)
    assert found.p_permutation == pytest.approx(r["condMC"], abs=0.03)


def test_the_search_is_paid_for(rng):
    n, small = 80, 0
    for _ in range(200):
        time, event, score = rng.exponential(1, n), rng.random(n) < 0.7, rng.normal(size=n)
        small += maximally_selected_cut(time, event, score).p_asymptotic < 0.05
    assert small <= 17  # 5% and three standard errors


def test_cuts_that_are_not_there():
    assert np.isnan(maximally_selected_cut([1, 2, 3], [0, 0, 0], [1, 2, 3]).statistic)
    assert np.isnan(maximally_selected_cut([1, 2, 3], [1, 0, 1], [1, 1, 1]).cut)
    with pytest.raises(InputError, match="smallest_share"):
        maximally_selected_cut([1, 2], [1, 1], [1, 2], smallest_share=0.5)
    with pytest.raises(InputError, match="at least 199"):
        maximally_selected_cut([1, 2], [1, 1], [1, 2], n_permutations=10)


@pytest.mark.parametrize("cause", [1, 2])
def test_competing_risks_are_those_of_r(oracle, tables, cause):
    table, r = tables["pbc"], oracle["competing"]
    curve = cumulative_incidence(table["time"], table["status3"], cause=cause)
    expected = np.array(r["pstate"])[:, cause]
    assert curve.at(r["times"]) == pytest.approx(expected, rel=1e-9, abs=1e-14)
    assert curve.at(r["times"]) == pytest.approx(r["cmprsk_cif"]["est"][cause - 1], abs=1e-12)
    errors = np.array(r["se"])[:, cause]
    assert curve.standard_error(r["times"]) == pytest.approx(errors, rel=1e-9, abs=1e-14)
    test = gray_test(table["time"], table["status3"], table["group"], cause=cause)
    assert test.chi_square == pytest.approx(r["gray_by_trt"]["stat"][cause - 1], rel=1e-9)
    assert test.p == pytest.approx(r["gray_by_trt"]["pv"][cause - 1], rel=1e-9)


def test_without_competition_incidence_is_one_minus_kaplan_meier(tables):
    table = tables["veteran"]
    when = [10, 100, 400]
    curve = cumulative_incidence(table["time"], table["event"])
    assert curve.at(when) == pytest.approx(1 - kaplan_meier(table["time"], table["event"]).at(when))
    lower, upper = curve.interval([0.5, *when])
    assert (lower[0], upper[0]) == (0, 0)
    assert (lower[1:] < curve.at(when)).all()
    assert (upper[1:] > curve.at(when)).all()


def test_gray_keeps_its_level_and_order_does_not_matter(rng):
    p = []
    for _ in range(150):
        code = rng.integers(0, 3, 90)
        time, group = rng.integers(1, 40, 90), rng.integers(0, 3, 90)
        p.append(gray_test(time, code, group).p)
    assert np.mean(np.array(p) < 0.05) < 0.11
    order = rng.permutation(90)
    assert gray_test(time[order], code[order], group[order]).p == pytest.approx(p[-1])
    assert gray_test(time, code, 2 - group).p == pytest.approx(p[-1])


def test_gray_without_a_comparison_is_unknown():
    assert np.isnan(gray_test([1, 2], [1, 2], [0, 0]).p)
    assert np.isnan(gray_test([1, 2, 3], [0, 2, 2], [0, 1, 1]).p)


def test_codes_are_checked():
    for code in ([0, 1.5], [0, -1]):
        with pytest.raises(InputError, match="event codes"):
            cumulative_incidence([1, 2], code)
    with pytest.raises(InputError, match="negative"):
        cumulative_incidence([-1, 2], [0, 1])


def test_fine_and_gray_is_that_of_r(oracle, tables):
    table, r = tables["pbc"], oracle["competing"]
    names = list(r["finegray_survival"]["coef"])
    fit = fit_fine_gray(table["time"], table["status3"], table[names], cause=2)
    assert fit.coef == pytest.approx([*r["finegray_survival"]["coef"].values()], rel=1e-8)
    # `crr` counts events as at risk of being censored at the same time, `finegray` does not: as
    # far as R's two values differ, ours may differ from `crr`, which alone has these errors.
    assert fit.coef == pytest.approx([*r["finegray_cmprsk"]["coef"].values()], rel=3e-5)
    assert fit.se == pytest.approx([*r["finegray_cmprsk"]["se"].values()], rel=2e-5)
    assert fit.loglik == pytest.approx(r["finegray_cmprsk"]["loglik"], rel=1e-5)
    assert (fit.n_events, fit.n_competing) == tuple(
        int((table["status3"] == k).sum()) for k in (2, 1)
    )


def test_fine_and_gray_without_competition_is_cox(tables):
    table = tables["lung"].drop_duplicates("time")  # without ties, Breslow's are Efron's
    x = table[["x1", "x2"]]
    fine = fit_fine_gray(table["time"], table["event"], x)
    cox = fit_cox(table["time"], table["event"], x)
    assert fine.coef == pytest.approx(cox.coef, rel=1e-7)


def test_fine_and_gray_does_not_depend_on_order_scale_or_a_split_into_equal_strata(tables, rng):
    table = tables["pbc"]
    x = table[["x1", "x4"]].to_numpy()
    plain = fit_fine_gray(table["time"], table["status3"], x, cause=2)
    mixed = table.sample(frac=1, random_state=1)
    scaled = mixed[["x1", "x4"]].to_numpy() * [10, 0.1]
    other = fit_fine_gray(mixed["time"] / 365.25, mixed["status3"], scaled, cause=2)
    assert other.coef * [10, 0.1] == pytest.approx(plain.coef, rel=1e-7)
    assert other.se * [10, 0.1] == pytest.approx(plain.se, rel=1e-7)
    twice = np.repeat([0, 1], len(table))
    double = fit_fine_gray(
        np.tile(table["time"], 2), np.tile(table["status3"], 2), np.tile(x, (2, 1)), cause=2,
        strata=twice,
    )  # fmt: skip
    assert double.coef == pytest.approx(plain.coef, rel=1e-7)
    assert double.se == pytest.approx(plain.se / np.sqrt(2), rel=1e-7)


def test_fine_and_gray_without_a_maximum_is_unknown():
    time, code = np.arange(1, 9), [1, 0, 1, 2, 1, 0, 2, 0]
    assert not fit_fine_gray(time, code, [1, 0, 1, 0, 1, 0, 0, 0]).converged
    assert np.isnan(fit_fine_gray(time, code, np.ones(8)).coef[0])
    assert np.isnan(fit_fine_gray(time, np.zeros(8), time).se[0])
    assert not fit_fine_gray(time, code, np.column_stack([time, -2 * time])).converged
    with pytest.raises(InputError, match="missing values"):
        fit_fine_gray(time, code, [np.nan] * 8)
