import numpy as np
import pytest

from outcome.errors import InputError
from outcome.statistics.aalen_johansen import cumulative_incidence, gray_test
from outcome.statistics.cutpoint import maximally_selected_cut
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
