import itertools

import numpy as np
import pandas as pd
import pytest

from outcome.cohort import sites as module
from outcome.cohort.sites import site_folds


def hospital(n, n_sites, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.pareto(1.5, n_sites) + 0.3
    index = [f"p{i}" for i in range(n)]
    site = pd.Series(rng.choice(n_sites, n, p=weight / weight.sum()).astype(str), index)
    return pd.Series((rng.random(n) < 0.3).astype(int), index), site


def unevenness(outcome, folds):
    per_fold = np.array([[(1 - outcome[f]).sum(), outcome[f].sum()] for f in folds])
    return float(((per_fold / per_fold.sum(axis=0) * len(folds) - 1) ** 2).sum())


def test_sites_stay_whole_and_everybody_is_in_one_fold():
    outcome, site = hospital(300, 25)
    folds, notes = site_folds(outcome, site, 5, 0)
    assert sorted(p for f in folds for p in f) == sorted(outcome.index)
    assert all(folds)
    where = pd.Series({p: k for k, f in enumerate(folds) for p in f})
    assert (where.groupby(site).nunique() == 1).all()
    sizes = [len(f) for f in folds]
    assert f"folds hold {min(sizes)} to {max(sizes)} patients (60 if even)" in notes[0]


@pytest.mark.parametrize("seed", range(4))
def test_no_other_division_is_more_even(seed):
    """Against every division of seven sites into three folds."""
    outcome, site = hospital(120, 7, seed)
    counts = pd.crosstab(site, outcome).to_numpy() / np.bincount(outcome)
    best = min(
        sum(float(((counts[np.array(a) == k].sum(axis=0) * 3 - 1) ** 2).sum()) for k in range(3))
        for a in itertools.product(range(3), repeat=len(counts))
        if len(set(a)) == 3
    )
    found = unevenness(outcome, site_folds(outcome, site, 3, seed)[0])
    assert found <= best * 1.05 + 0.01


def test_the_same_seed_gives_the_same_folds_and_time_is_kept():
    outcome, site = hospital(600, 60)
    first = site_folds(outcome, site, 5, 3)
    module._solve.cache_clear()
    assert site_folds(outcome, site, 5, 3) == first


def test_without_a_solution_in_time_sites_are_dealt_out_one_by_one(monkeypatch):
    outcome, site = hospital(300, 25)
    even = unevenness(outcome, site_folds(outcome, site, 5, 0)[0])
    monkeypatch.setattr(module, "SECONDS", 0.0)
    module._solve.cache_clear()
    folds, notes = site_folds(outcome, site, 5, 0)
    module._solve.cache_clear()
    assert all(folds)
    assert "dealt out one by one" in notes[1]
    assert unevenness(outcome, folds) < 1.1 * even + 0.5
