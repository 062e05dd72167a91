import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from outcome.errors import InputError
from outcome.statistics import concordance as module
from outcome.statistics.censoring import censoring_curve
from outcome.statistics.concordance import concordance, harrell

SCORES = ["lp1", "lp2", "lp3"]
CLOSED = {"rel": 1e-9, "abs": 1e-12}


def outcome_of(table):
    return table["time"].to_numpy(), table["event"].to_numpy()


def uno(time, event, risk, *, tau=None):
    """Pairs weighted by 1 / G(t-)^2, as the evaluation weights them."""
    free = censoring_curve(time, event).before(time)
    weight = np.where(free > 0, 1 / np.maximum(free, 1e-300) ** 2, 0.0)
    return concordance(time, event, risk, weight=weight, tau=tau)


@pytest.fixture(scope="session")
def measured(tables):
    """Concordance of a score of a data set, each computed once for all tests."""

    @cache
    def of(kind, name, score, tau=None):
        table = tables[name]
        return kind(*outcome_of(table), table[score], tau=tau)

    return of


def same_counts(found, counts):
    expected = [counts[k] for k in ("concordant", "discordant", "tied.x", "tied.y", "tied.xy")]
    got = [found.concordant, found.discordant, found.tied_risk, found.tied_time, found.tied_both]
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("score", SCORES)
def test_harrell_is_that_of_r(data_set, oracle, measured, score):
    r = oracle[data_set]
    found = measured(harrell, data_set, score)
    assert found.c == pytest.approx(r["harrell"][score]["c"], **CLOSED)
    assert found.variance == pytest.approx(r["harrell"][score]["var"], **CLOSED)
    assert found.n == r["n"]
    assert found.n_events == r["events"]
    same_counts(found, r["harrell"][score]["counts"])


@pytest.mark.parametrize("score", SCORES)
def test_tau_is_inclusive_as_in_r(data_set, oracle, measured, score):
    for tau, expected in oracle[data_set]["harrell_ymax"][score].items():
        found = measured(harrell, data_set, score, float(tau))
        assert (found.c, found.se) == pytest.approx((expected["c"], expected["se"]), **CLOSED)
        same_counts(found, expected["counts"])


@pytest.mark.parametrize("score", SCORES)
def test_pairs_within_strata_as_in_r(case, score):
    table, r = case
    found = harrell(*outcome_of(table), table[score], group=table["strata"])
    expected = r["harrell_strata"][score]
    assert (found.c, found.se) == pytest.approx((expected["c"], expected["se"]), **CLOSED)


@pytest.mark.parametrize("score", SCORES)
def test_weighted_for_censoring_it_is_uno_s_c_of_r(data_set, oracle, measured, score):
    for tau, expected in oracle[data_set]["uno"][score].items():
        found = measured(uno, data_set, score, None if tau == "none" else float(tau))
        assert (found.c, found.variance) == pytest.approx(
            (expected["c"], expected["var"]), **CLOSED
        )
        same_counts(found, expected["counts"])


@pytest.mark.parametrize("name", ["paired_harrell", "paired_uno"])
@pytest.mark.parametrize("pair", ["lp1_vs_lp2", "lp1_vs_lp3"])
def test_paired_difference_is_that_of_r(data_set, oracle, measured, name, pair):
    kind = harrell if name == "paired_harrell" else uno
    a, b = (measured(kind, data_set, s) for s in pair.split("_vs_"))
    expected = oracle[data_set][name][pair]
    shift = a.influence - b.influence
    se = np.sqrt(shift @ shift)
    assert a.influence @ b.influence == pytest.approx(expected["cov"][0][1], **CLOSED)
    assert a.c - b.c == pytest.approx(expected["diff"], abs=1e-12)
    assert se == pytest.approx(expected["se"], **CLOSED)
    assert 2 * norm.sf(abs(a.c - b.c) / se) == pytest.approx(expected["p"], rel=1e-7)


def test_paired_uno_with_tau_is_that_of_r(data_set, oracle, measured):
    for pair, by_tau in oracle[data_set]["paired_uno_tau"].items():
        for tau, expected in by_tau.items():
            a, b = (measured(uno, data_set, s, float(tau)) for s in pair.split("_vs_"))
            shift = a.influence - b.influence
            assert np.sqrt(shift @ shift) == pytest.approx(expected["se"], **CLOSED)


def test_external_patients_are_those_of_r(oracle, tables):
    table, r = tables["horizon_test"], oracle["horizon"]
    for score in ("lp1", "lp2"):
        h = harrell(*outcome_of(table), table[score])
        u = uno(*outcome_of(table), table[score], tau=3650)
        assert (h.c, h.se) == pytest.approx((r["harrell"][score]["c"], r["harrell"][score]["se"]))
        assert (u.c, u.se) == pytest.approx(
            (r["uno_tau3650"][score]["c"], r["uno_tau3650"][score]["se"]), **CLOSED
        )


def by_pairs(time, event, risk, weight, tau, group):
    """Numerator and denominator, one pair after the other."""
    agree = pairs = 0.0
    for i, j in itertools.permutations(range(len(time)), 2):
        outlived = time[i] < time[j] or (time[i] == time[j] and not event[j])
        if group[i] != group[j] or not event[i] or time[i] > tau or not outlived:
            continue
        pairs += weight[i]
        agree += weight[i] * (0.5 if risk[i] == risk[j] else float(risk[i] > risk[j]))
    return agree, pairs


small = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 6), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.integers(-3, 3), min_size=n, max_size=n),
        st.lists(st.floats(0.1, 5), min_size=n, max_size=n),
        st.lists(st.integers(0, 1), min_size=n, max_size=n),
        st.integers(0, 6),
    )
)


@settings(deadline=None, max_examples=60)
@given(small)
def test_blocks_count_what_a_loop_over_pairs_counts(data):
    time, event, risk, weight, group, tau = (np.asarray(x) for x in data)
    found = concordance(time, event, risk, weight=weight, tau=float(tau), group=group)
    agree, pairs = by_pairs(time, event, risk, weight, tau, group)
    assert (found.agreeing, found.comparable) == pytest.approx((agree, pairs), abs=1e-9)
    if found.n_pairs >= 2:
        assert found.c == pytest.approx(agree / pairs)
    else:
        assert np.isnan(found.c)
        assert np.isnan(found.influence).all()


@settings(deadline=None, max_examples=30)
@given(small, st.integers(0, 100))
def test_influence_is_a_derivative(data, seed):
    time, event, risk, _, group, _ = (np.asarray(x) for x in data)
    found = concordance(time, event, risk, group=group)
    if found.n_pairs < 2:
        return
    k, step = seed % len(time), 1e-6
    # weighting patient k by 1 + step, by hand
    a = p = 0.0
    for i, j in itertools.permutations(range(len(time)), 2):
        w = (1 + step * (i == k)) * (1 + step * (j == k))
        one = by_pairs(time[[i, j]], event[[i, j]], risk[[i, j]], [w, 0], np.inf, group[[i, j]])
        a, p = a + one[0], p + one[1]
    assert (a / p - found.c) / step == pytest.approx(found.influence[k], abs=1e-4)
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)


def test_row_order_shift_and_monotone_transform_do_not_matter(tables, rng):
    table = tables["veteran"]
    time, event = outcome_of(table)
    risk = table["lp3"].to_numpy()
    base = uno(time, event, risk)
    order = rng.permutation(len(time))
    moved = uno(time[order], event[order], risk[order])
    assert moved.c == pytest.approx(base.c, abs=1e-14)
    assert moved.influence == pytest.approx(base.influence[order], abs=1e-15)
    for other in (risk + 1e3, np.exp(risk), risk * 1e-9):
        assert uno(time, event, other).c == base.c
    assert uno(time, event, -risk).c == pytest.approx(1 - base.c, abs=1e-14)


def test_the_size_of_the_blocks_does_not_matter(tables, monkeypatch):
    table = tables["lung"]
    whole = harrell(*outcome_of(table), table["lp3"], group=table["strata"])
    monkeypatch.setattr(module, "_BLOCK", 300)
    pieces = harrell(*outcome_of(table), table["lp3"], group=table["strata"])
    assert pieces.c == whole.c
    assert pieces.influence == pytest.approx(whole.influence, abs=1e-15)


def test_constant_risk_is_one_half_by_ties():
    found = harrell([1, 2, 3, 4], [1, 1, 0, 0], [7.0] * 4)
    assert (found.c, found.tied_risk, found.se) == (0.5, 5, 0)


@pytest.mark.parametrize("event", [[0, 0, 0], [0, 1, 0]])
def test_fewer_than_two_pairs_is_unknown(event):
    found = harrell([1, 2, 3], event, [3, 2, 1])
    assert np.isnan(found.c)
    assert found.n_pairs == sum(event)


def test_nobody_is_unknown_too():
    assert np.isnan(harrell([], [], []).c)


def test_tiny_scores_are_told_apart():
    assert harrell([1, 2, 3], [1, 1, 0], [3e-12, 2e-12, 1e-12]).c == 1


@pytest.mark.parametrize(
    ("time", "event", "risk", "message"),
    [
        ([1, 2], [1, 0, 1], [1, 2], "event has shape"),
        ([1, -2], [1, 0], [1, 2], "negative in 1 rows"),
        ([1, 2], [1, 2], [1, 2], "must be 0"),
        ([1, 2], [1, 0], [1, np.nan], "risk is not finite in 1 rows"),
        ([1, np.inf], [1, 0], [1, 2], "time is not finite"),
        ([1, 2], [1, 0], [1], "risk has shape"),
    ],
)
def test_bad_input_is_refused(time, event, risk, message):
    with pytest.raises(InputError, match=message):
        harrell(time, event, risk)
