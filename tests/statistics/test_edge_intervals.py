import itertools

import numpy as np
import pytest

from outcome.errors import InputError
from outcome.statistics.concordance import harrell
from outcome.statistics.edge_intervals import disjoint_pairs, lowest_mean


def most_pairs(time, event):
    """The same by trying every set of pairs."""
    n = len(time)
    usable = [
        (i, j)
        for i, j in itertools.permutations(range(n), 2)
        if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j]))
    ]
    for size in range(n // 2, 0, -1):
        for chosen in itertools.combinations(usable, size):
            if len({p for pair in chosen for p in pair}) == 2 * size:
                return size
    return 0


@pytest.mark.parametrize("seed", range(25))
def test_no_choice_of_pairs_is_larger(seed):
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 5, 6).astype(float), rng.random(6) < 0.6
    assert disjoint_pairs(time, event) == most_pairs(time, event)


def test_pairs_within_groups_and_up_to_tau():
    time, event = np.array([1.0, 2, 3, 4, 5, 6]), np.array([1, 1, 1, 0, 0, 0])
    assert disjoint_pairs(time, event) == 3
    assert disjoint_pairs(time, event, tau=2.0) == 2
    assert disjoint_pairs(time, event, group=[0, 0, 0, 1, 1, 1]) == 1


def test_one_fold_has_the_limit_of_clopper_and_pearson():
    assert lowest_mean([12], 0.9) == pytest.approx(0.05 ** (1 / 12))


def test_folds_of_one_size_count_together():
    assert lowest_mean([4, 4, 4]) == pytest.approx(lowest_mean([12]))


def test_no_other_folds_of_this_mean_are_more_likely(rng):
    pairs, bound = np.array([2.0, 5.0, 9.0]), lowest_mean([2, 5, 9])
    for _ in range(2000):
        c = rng.random(3)
        c = np.minimum(c * bound / c.mean(), 1)
        if c.mean() < bound - 1e-9:
            continue
        assert float(pairs @ np.log(c)) <= np.log(0.025) + 1e-9


def test_the_bound_covers_a_true_concordance_near_1(rng):
    """Cohorts without a discordant pair have a bound above the truth at most in 2.5%."""
    missed, n_cohorts, truth = 0, 2000, 0.9
    shift = 1.8123876  # Phi(shift / sqrt 2) = 0.9
    for _ in range(n_cohorts):
        event = np.arange(12) < 6
        risk = rng.normal(size=12) + shift * event
        time = np.where(event, 1.0, 2.0)
        if harrell(time, event, risk).c == 1.0:
            missed += lowest_mean([disjoint_pairs(time, event)]) > truth
    assert missed / n_cohorts <= 0.025


def test_a_fold_without_pairs_is_refused():
    with pytest.raises(InputError, match="comparable pair"):
        lowest_mean([3, 0])
