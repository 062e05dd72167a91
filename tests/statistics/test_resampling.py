import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome.statistics import resampling
from outcome.statistics.concordance import concordance
from outcome.statistics.resampling import (
    concordance_draws,
    draw_counts,
    percentile_interval,
    ratio,
    roc_area_draws,
)
from outcome.statistics.roc import roc_area


def sample(seed, n):
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 8, n).astype(float),
        rng.random(n) < 0.6,
        rng.integers(-2, 3, n).astype(float),
        rng.integers(0, 2, n),
        rng,
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(3, 25))
def test_a_resample_is_the_concordance_of_the_drawn_rows(seed, n):
    time, event, risk, group, rng = sample(seed, n)
    counts = draw_counts(group, 6, rng)
    weights = np.vstack([np.ones(n), rng.random(n)])
    agree, pairs = concordance_draws(time, event, risk, counts, weights, group)
    for r, count in enumerate(counts):
        rows = np.repeat(np.arange(n), count)
        for k in range(2):
            drawn = concordance(
                time[rows], event[rows], risk[rows], weight=weights[k][rows], group=group[rows]
            )
            # a patient drawn twice is never paired with the copy, and neither are tied copies
            assert pairs[k, r] == pytest.approx(drawn.comparable, rel=1e-6)
            assert agree[k, r] == pytest.approx(drawn.agreeing, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(3, 25))
def test_a_resample_is_the_roc_area_of_the_drawn_rows(seed, n):
    _, event, risk, group, rng = sample(seed, n)
    case, control = rng.random(n) * event, rng.random(n) * ~event
    counts = draw_counts(np.zeros(n), 6, rng)
    draws = roc_area_draws(risk, case, control, counts, group)
    for count, value in zip(counts, draws, strict=True):
        rows = np.repeat(np.arange(n), count)
        expected = roc_area(risk[rows], case[rows], control[rows], group=group[rows]).area
        assert value == pytest.approx(expected, nan_ok=True)


def test_groups_keep_their_size_and_seeds_repeat():
    group = np.array(["a"] * 5 + ["b"] * 9)
    counts = draw_counts(group, 50, np.random.default_rng(3))
    assert (counts[:, :5].sum(1) == 5).all()
    assert (counts[:, 5:].sum(1) == 9).all()
    again = draw_counts(group, 50, np.random.default_rng(3))
    assert (counts == again).all()
    assert draw_counts(group, 0, np.random.default_rng(3)).shape == (0, 14)


def test_blocks_and_parts_do_not_change_the_result(monkeypatch):
    time, event, risk, group, rng = sample(1, 60)
    counts, weights = draw_counts(group, 40, rng), np.ones((1, 60))
    whole = concordance_draws(time, event, risk, counts, weights)
    areas = roc_area_draws(risk, event * 1.0, ~event * 1.0, counts)
    monkeypatch.setattr(resampling, "_BLOCK", 200)
    monkeypatch.setattr(resampling, "_CELLS", 500)
    parts = concordance_draws(time, event, risk, counts, weights)
    assert parts[0] == pytest.approx(whole[0])
    assert parts[1] == pytest.approx(whole[1])
    assert roc_area_draws(risk, event * 1.0, ~event * 1.0, counts) == pytest.approx(areas)


def test_the_spread_of_resamples_is_the_influence_standard_error():
    rng = np.random.default_rng(5)
    n = 400
    risk = rng.normal(size=n)
    time, event = rng.exponential(np.exp(-risk)), rng.random(n) < 0.6
    counts = draw_counts(np.zeros(n), 2000, rng)
    agree, pairs = concordance_draws(time, event, risk, counts, np.ones((1, n)))
    assert np.std(agree / pairs) == pytest.approx(concordance(time, event, risk).se, rel=0.07)


def test_no_events_no_pairs():
    counts = draw_counts(np.zeros(3), 4, np.random.default_rng(0))
    agree, pairs = concordance_draws(
        np.arange(3.0), np.zeros(3, dtype=bool), np.arange(3.0), counts, np.ones((2, 3))
    )
    assert agree.shape == pairs.shape == (2, 4)
    assert np.isnan(ratio(agree, pairs)).all()


def test_percentiles_need_half_of_the_draws():
    assert percentile_interval([1.0, 2.0, 3.0], 0.5) == (1.5, 2.5)
    assert percentile_interval([1.0, np.nan]) == (1.0, 1.0)
    assert np.isnan(percentile_interval([1.0, np.nan, np.nan])).all()
    assert np.isnan(percentile_interval([])).all()
