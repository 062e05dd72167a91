import itertools
from time import monotonic

import numpy as np
import pandas as pd
import pytest
import scipy.optimize

from outcome.cohort import sites as module
from outcome.cohort.sites import site_folds
from outcome.errors import CohortError


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
    assert f"folds contain {min(sizes)} to {max(sizes)} patients (60 if even)" in notes[0]


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


def test_the_same_seed_gives_the_same_folds():
    outcome, site = hospital(600, 60)
    first = site_folds(outcome, site, 5, 3)
    module.divide_sites.cache_clear()
    assert site_folds(outcome, site, 5, 3) == first


def test_a_slow_machine_finds_the_same_division(monkeypatch):
    """On a machine of a fiftieth of the speed, limits of time are reached so much earlier."""
    outcome, site = hospital(1000, 40)
    first = site_folds(outcome, site, 10, 0)
    solve = scipy.optimize.milp

    def slow(*args, options, **more):
        limit = options.get("time_limit", np.inf) / 50
        return solve(*args, options={**options, "time_limit": limit}, **more)

    monkeypatch.setattr(scipy.optimize, "milp", slow)
    monkeypatch.setattr(module, "monotonic", lambda: 50 * monotonic())
    module.divide_sites.cache_clear()
    assert site_folds(outcome, site, 10, 0) == first


def test_a_machine_that_stands_still_is_an_error_and_no_other_division(monkeypatch):
    outcome, site = hospital(300, 25)
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    module.divide_sites.cache_clear()
    with pytest.raises(CohortError, match="22 sites could not be divided into 5 folds"):
        site_folds(outcome, site, 5, 0)


def test_hard_divisions_are_limited_in_work(monkeypatch):
    """Forty sites of about the same size in ten folds: the tree has no end."""
    solved = []
    solve = scipy.optimize.milp

    def milp(*args, **options):
        solved.append(solve(*args, **options))
        return solved[-1]

    monkeypatch.setattr(scipy.optimize, "milp", milp)
    index = [f"p{i}" for i in range(1000)]
    rng = np.random.default_rng(0)
    site = pd.Series(rng.choice(40, 1000).astype(str), index)
    outcome = pd.Series((rng.random(1000) < 0.3).astype(int), index)
    module.divide_sites.cache_clear()
    folds, notes = site_folds(outcome, site, 10, 0)
    assert [s.mip_node_count for s in solved] == [module.STEPS // 400]
    assert len(notes) == 1
    # What the programme alone found was 0.03.
    assert unevenness(outcome, folds) < 0.01


def test_too_many_sites_and_folds_are_dealt_out_one_by_one_and_exchanged():
    outcome, site = hospital(2000, 100)
    folds, notes = site_folds(outcome, site, 10, 0)
    assert all(folds)
    assert "assigned one by one" in notes[1]
    counts = pd.crosstab(site, outcome).to_numpy()
    share = counts / counts.sum(axis=0)
    dealt = module.deal_sites(share, 10, np.random.default_rng(0))
    assert unevenness(outcome, folds) <= module.division_unevenness(share, dealt, 10)
    names = sorted(set(site))
    where = pd.Series({p: k for k, f in enumerate(folds) for p in f}).groupby(site).first()
    found = where[names].to_numpy()
    best = module.division_unevenness(share, found, 10)
    for i, j in itertools.combinations(range(len(names)), 2):
        swapped = found.copy()
        swapped[[i, j]] = swapped[[j, i]]
        assert module.division_unevenness(share, swapped, 10) >= best - 1e-9
