import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from outcome.errors import InputError
from outcome.statistics.concordance import harrell
from outcome.statistics.crossfit_variance import (
    CrossfitInfluence,
    crossfit_variance,
    linear_combination,
    pair_covariance,
    small_sample_factor,
    t_interval,
    t_test,
    training_variance,
)

PATH = Path(__file__).parents[1] / "reference" / "crossfit_variance.json"
REFERENCE = json.loads(PATH.read_text())
CLOSED = {"rel": 1e-9, "abs": 1e-12}


def concordance_influence(time, event, scores, fold, left_out):
    """Harrell's C within outer folds, from the scores by inner models, shape (n, m)."""
    kept = []
    ensemble, inner = np.zeros(len(time)), np.zeros(scores.shape)
    for k in np.unique(fold):
        rows = np.flatnonzero(fold == k)
        found = harrell(time[rows], event[rows], scores[rows].mean(1))
        if np.isnan(found.c):
            continue
        factor = small_sample_factor(int(event[rows].sum()))
        kept.append(found.c)
        ensemble[rows] = factor * found.influence
        for a in range(scores.shape[1]):
            alone = harrell(time[rows], event[rows], scores[rows, a])
            inner[rows, a] = factor * alone.influence
    n = len(kept)
    return CrossfitInfluence(float(np.mean(kept)), ensemble / n, fold, inner / n, left_out)


def repeats_of(case, arm):
    time, event = np.array(case["time"]), np.array(case["event"])
    return [
        concordance_influence(
            time, event, np.array(r["scores"][arm]), np.array(r["fold"]), np.array(r["inner"])
        )
        for r in case["repeats"]
    ]


def simulated(rng, n=60, k=4, m=3):
    fold = rng.permutation(np.arange(n) % k)
    left_out = np.full((k, n), -1)
    for j in range(k):
        development = np.flatnonzero(fold != j)
        left_out[j, development] = rng.permutation(np.arange(len(development)) % m)
    inner = rng.normal(size=(n, m)) / n
    return CrossfitInfluence(0.6, inner.mean(1), fold, inner, left_out)


@pytest.mark.parametrize("arm", ["A", "B", "B-A"])
@pytest.mark.parametrize("name", list(REFERENCE))
def test_every_reference_value(name, arm):
    case, expected = REFERENCE[name], REFERENCE[name]["expected"][arm]
    repeats = [repeats_of(case, one) for one in reversed(arm.split("-"))]
    difference = len(repeats) == 2
    parts = [b - a for a, b in zip(*repeats, strict=True)] if difference else repeats[0]
    found = crossfit_variance(parts, difference=difference)
    lower, upper = t_interval(found, limits=(-1, 1) if difference else (0, 1))
    got = {
        "estimate": found.estimate, "se": found.se, "df": found.df, "lower": lower,
        "upper": upper, "v0": found.v0, "j_uncapped": found.j,
        "p_cross": np.mean([pair_covariance(r) for r in parts]),
    }  # fmt: skip
    if difference:
        got["p"] = t_test(found)
    assert set(expected) - {"p"} <= set(got)
    assert got == pytest.approx({k: expected[k] for k in got}, **CLOSED)
    assert found.source == "inner models"


def test_pair_covariance_is_the_sum_over_pairs(rng):
    repeat = simulated(rng)
    delta, total = repeat.deviations, 0.0
    for i in range(60):
        for j in range(60):
            k, other = repeat.fold[i], repeat.fold[j]
            if k != other:
                total += delta[i, repeat.left_out[k, j]] * delta[j, repeat.left_out[other, i]]
    assert pair_covariance(repeat) == pytest.approx(total, **CLOSED)


def test_order_of_patients_folds_and_inner_models_does_not_matter(rng):
    repeat = simulated(rng)
    rows, folds, inner = rng.permutation(60), rng.permutation(4), rng.permutation(3)
    back, column = np.argsort(folds), np.argsort(inner)
    left_out = np.where(repeat.left_out >= 0, column[repeat.left_out], -1)
    moved = CrossfitInfluence(
        repeat.value, repeat.ensemble[rows], back[repeat.fold[rows]], repeat.inner[rows][:, inner],
        left_out[folds][:, rows],
    )  # fmt: skip
    before, after = (crossfit_variance([r], difference=True) for r in (repeat, moved))
    assert after.variance == pytest.approx(before.variance, **CLOSED)
    assert after.p == pytest.approx(before.p, **CLOSED)


def test_patients_that_were_not_scored_change_nothing(rng):
    repeat = simulated(rng)
    grown = CrossfitInfluence(
        repeat.value,
        np.append(repeat.ensemble, 0.0),
        np.append(repeat.fold, -1),
        np.vstack([repeat.inner, np.full(3, np.nan)]),
        np.column_stack([repeat.left_out, np.zeros(4, dtype=int)]),
    )
    assert crossfit_variance([grown], difference=True) == crossfit_variance(
        [repeat], difference=True
    )


def test_folds_may_have_fewer_inner_models(rng):
    repeat = simulated(rng)
    cut = np.array(repeat.inner)
    two = repeat.fold == 0
    cut[two, 2] = np.nan
    left_out = np.array(repeat.left_out)
    left_out[0] = np.where(left_out[0] == 2, 0, left_out[0])
    found = CrossfitInfluence(repeat.value, repeat.ensemble, repeat.fold, cut, left_out)
    pair = cut[two][:, :2] - cut[two][:, :2].mean(1, keepdims=True)
    three = repeat.deviations[~two]
    expected = (pair**2).sum() / 2 + 2 * (three**2).sum() / 3
    assert training_variance(found) == pytest.approx(expected, **CLOSED)


def test_inner_models_that_agree_leave_the_fixed_variance(rng):
    one = simulated(rng)
    same = np.repeat(one.ensemble[:, None], 3, axis=1)
    repeat = CrossfitInfluence(one.value, one.ensemble, one.fold, same, one.left_out)
    for difference in (False, True):
        found = crossfit_variance([repeat], difference=difference)
        assert found.variance == pytest.approx(found.v0, **CLOSED)


def test_training_counts_at_most_as_much_as_testing(rng):
    one = simulated(rng)
    wild = CrossfitInfluence(one.value, one.ensemble, one.fold, 9 * one.inner, one.left_out)
    found = crossfit_variance([wild])
    assert found.variance == pytest.approx(2 * found.v0, **CLOSED)
    assert found.j > found.v0


def test_without_inner_scores_the_variance_is_doubled(rng):
    one = simulated(rng)
    found = crossfit_variance([CrossfitInfluence(one.value, one.ensemble, one.fold)])
    assert found.variance == pytest.approx(2 * found.v0, **CLOSED)
    assert found.source == "twice the fixed-model variance"


def test_one_inner_model_tells_nothing_of_training(rng):
    one = simulated(rng)
    single = CrossfitInfluence(
        one.value, one.ensemble, one.fold, one.inner[:, :1], np.minimum(one.left_out, 0)
    )
    assert crossfit_variance([single]).source == "twice the fixed-model variance"


def test_one_test_set_has_the_fixed_variance(rng):
    influence = rng.normal(size=30) / 30
    held_out = CrossfitInfluence(0.6, influence, np.zeros(30, dtype=int))
    found = crossfit_variance([held_out])
    assert (found.variance, found.source) == (found.v0, "fixed models")


def test_the_mean_of_several_test_sets_varies_no_more_than_one_of_them(rng):
    repeats = []
    for r in range(4):
        fold = np.where(np.arange(40) // 10 == r, 0, -1)
        influence = np.where(fold == 0, rng.normal(size=40), 0.0)
        repeats.append(CrossfitInfluence(0.6, influence, fold))
    found = crossfit_variance(repeats)
    single = np.mean([r.fixed_variance for r in repeats])
    assert found.v0 < found.variance <= single


def test_three_repeats_take_the_pairs_alone(rng):
    repeats = [simulated(rng) for _ in range(3)]
    found = crossfit_variance(repeats, difference=True)
    two = crossfit_variance(repeats[:2], difference=True)
    assert found.variance == pytest.approx(found.v0 + found.q, **CLOSED)
    single = np.mean([r.fixed_variance for r in repeats[:2]])
    assert two.variance == pytest.approx(two.v0 + (min(two.j, single) + two.q) / 2, **CLOSED)


def test_combinations_are_linear(rng):
    one = simulated(rng)
    other = CrossfitInfluence(0.5, one.ensemble**2, one.fold, one.inner**2, one.left_out)
    mixed = linear_combination([one, other], [0.25, 0.75])
    assert mixed.value == pytest.approx(0.525)
    np.testing.assert_allclose(mixed.inner, 0.25 * one.inner + 0.75 * one.inner**2)
    doubled = linear_combination([one], [2.0])
    assert crossfit_variance([doubled]).variance == pytest.approx(
        4 * crossfit_variance([one]).variance, **CLOSED
    )


def test_an_arm_less_itself_has_p_1(rng):
    one = simulated(rng)
    assert t_test(crossfit_variance([one - one], difference=True)) == 1.0


def test_a_difference_drops_inner_scores_that_only_one_arm_has(rng):
    one = simulated(rng)
    bare = CrossfitInfluence(one.value, one.ensemble / 2, one.fold)
    assert (one - bare).inner is None


def test_arms_of_other_folds_are_refused(rng):
    one, other = simulated(rng), simulated(rng)
    with pytest.raises(InputError, match="outer folds"):
        one - other


def test_few_patients_that_carry_the_variance_give_few_degrees_of_freedom():
    fold = np.arange(100) % 2
    even = CrossfitInfluence(0.6, np.where(fold, 0.01, -0.01), fold)
    few = CrossfitInfluence(0.6, np.where(np.arange(100) < 1, 0.05, 0.0), fold)
    assert crossfit_variance([even]).df > 1e6
    found = crossfit_variance([few])
    assert found.df == 3.0
    low, high = t_interval(found, 0.9)
    assert high - low == pytest.approx(2 * student.ppf(0.95, 3) * found.se)
