"""The statistics of the leak probes, against their definitions."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import binomtest

from outcome.checks.probes import ProbeOutcomes, joint, single, tokens, wilson


def outcomes(n=200, seed=0, binary=False):
    rng = np.random.default_rng(seed)
    time = None if binary else rng.exponential(10, n)
    event, fold = rng.random(n) < 0.5, np.arange(n) % 4
    return ProbeOutcomes(tuple(map(str, range(n))), time, event, fold, np.full(n, ""))


def test_residuals_are_those_of_lifelines():
    from lifelines import NelsonAalenFitter

    known = outcomes()
    curve = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(known.time, known.event)
    expected = known.event - curve.predict(known.time).to_numpy()
    np.testing.assert_allclose(known.residual(np.full(200, True)), expected, atol=1e-10)


@pytest.mark.parametrize(("share", "n"), [(0.9, 20), (1.0, 12), (0.5, 7)])
def test_wilson_interval(share, n):
    expected = binomtest(round(share * n), n).proportion_ci(0.95, method="wilson")
    found = wilson(round(share * n) / n, n, 0.05)
    np.testing.assert_allclose(found, (expected.low, expected.high), atol=1e-12)


@pytest.mark.parametrize("binary", [False, True])
def test_a_token_is_judged_by_the_pairs_that_it_tells_apart(binary):
    known = outcomes(binary=binary)
    rng = np.random.default_rng(1)
    has = (rng.random(200) < np.where(known.event, 0.3, 0.02)).astype(float)
    found = tokens(sparse.csc_matrix(np.column_stack([has, rng.random(200) < 0.5])), known)
    best = next(a for a in found if a.index == 0)
    agree = pairs = 0
    for i in np.flatnonzero(known.event):
        others = ~known.event if binary else (known.time > known.time[i])
        for j in np.flatnonzero(others):
            agree += has[i] > has[j]
            pairs += has[i] != has[j]
    assert best.value == pytest.approx(agree / pairs)
    assert best.tested == 2
    assert best.lower < best.value < best.upper


def test_the_log_rank_z_of_a_token():
    from lifelines.statistics import logrank_test

    known = outcomes()
    has = np.random.default_rng(2).random(200) < 0.3
    test = logrank_test(known.time[has], known.time[~has], known.event[has], known.event[~has])
    assert known.difference(has) ** 2 == pytest.approx(test.test_statistic, rel=1e-6)


def test_the_z_of_a_token_and_a_label():
    from scipy.stats import hypergeom

    known = outcomes(binary=True)
    has = np.random.default_rng(2).random(200) < 0.3
    law = hypergeom(200, int(known.event.sum()), int(has.sum()))
    expected = (known.event[has].sum() - law.mean()) / law.std()
    assert known.difference(has) == pytest.approx(expected)


def test_rare_tokens_are_not_judged():
    has = np.zeros((200, 1))
    has[:9] = 1
    assert tokens(sparse.csc_matrix(has), outcomes()) == []


@pytest.mark.parametrize("binary", [False, True])
def test_noise_is_at_chance_and_the_interval_covers_it(binary):
    values = []
    for seed in range(8):
        known = outcomes(seed=seed, binary=binary)
        x = np.random.default_rng([seed, 1]).normal(size=(200, 30))
        values.append(joint(x, known).value)
        assert single(x, known).lower < 0.5
    # Standard error of one: about 0.03 to 0.04.
    assert abs(np.mean(values) - 0.5) < 0.05


def test_one_telling_column_among_many_is_found_whatever_its_direction_and_scale():
    known = outcomes()
    x = np.random.default_rng(3).normal(size=(200, 50))
    x[:, 17] = np.exp(known.time / 3)
    x[5, 17] = np.nan
    found = single(x, known)
    assert found.index == 17
    assert found.value > 0.95
    assert found.tested == 50
    assert single(np.ones((200, 3)), known) is None
