import numpy as np
import pytest
from scipy.stats import norm

from outcome.errors import InputError
from outcome.statistics.roc import delong, roc_area

SCORES = ["score_a", "score_b", "ordinal", "p1", "p2"]


@pytest.mark.parametrize("score", SCORES)
def test_delong_is_that_of_r(oracle, tables, score):
    table, r = tables["binary"], oracle["delong"]["single"][score]
    area, covariance = delong(table["y"], table[score])
    assert area[0] == pytest.approx(r["auc"], rel=1e-12)
    assert covariance[0, 0] == pytest.approx(r["var"], rel=1e-9)
    half = norm.ppf(0.975) * np.sqrt(covariance[0, 0])
    assert area[0] - half == pytest.approx(r["lo"], rel=1e-9)
    assert roc_area(table[score], table["y"], 1 - table["y"]).area == pytest.approx(r["auc"])


@pytest.mark.parametrize("pair", ["score_a_vs_score_b", "score_a_vs_ordinal", "p2_vs_p1"])
def test_paired_delong_is_that_of_r(oracle, tables, pair):
    table, r = tables["binary"], oracle["delong"]["paired"][pair]
    areas, covariance = delong(table["y"], [table[s] for s in pair.split("_vs_")])
    assert covariance[0, 1] == pytest.approx(r["cov"], rel=1e-9)
    z = (areas[0] - areas[1]) / np.sqrt(covariance.trace() - 2 * covariance[0, 1])
    assert z == pytest.approx(r["z"], rel=1e-9)
    assert 2 * norm.sf(abs(z)) == pytest.approx(r["p"], rel=1e-8)


def test_influence_is_delong_without_the_small_sample_factor(tables):
    table = tables["binary"]
    y = table["y"].to_numpy(float)
    found = roc_area(table["score_a"], y, 1 - y)
    m, n = y.sum(), (1 - y).sum()
    scaled = found.influence * np.where(y == 1, np.sqrt(m / (m - 1)), np.sqrt(n / (n - 1)))
    assert scaled @ scaled == pytest.approx(delong(y, table["score_a"])[1][0, 0], rel=1e-10)
    assert found.influence.sum() == pytest.approx(0, abs=1e-12)


def test_areas_that_cannot_be_known():
    assert np.isnan(roc_area([1, 2], [1, 1], [0, 0]).area)
    assert np.isnan(delong([1, 1], [1, 2])[0]).all()
    assert np.isnan(delong([1, 0, 0], [1, 2, 3])[1]).all()
    with pytest.raises(InputError, match="negative"):
        roc_area([1, 2], [-1, 1], [0, 0])


def test_groups_pool_their_pairs():
    # group 0: one pair, right; group 1: two pairs, both wrong
    found = roc_area([2, 1, 1, 5, 6], [1, 0, 1, 0, 0], [0, 1, 0, 1, 1], group=[0, 0, 1, 1, 1])
    assert found.area == pytest.approx(1 / 3)
    assert found.n_pairs == 3
