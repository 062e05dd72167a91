import numpy as np
import pandas as pd
import pytest

from outcome.crossval.late_fusion import MemberScores, fuse, held_out_loss
from outcome.models.heads import CoxHead, LogisticHead
from outcome.risk.recalibration import Outcomes


def member(rng, signal, n_models=3):
    tune = [s + rng.normal(size=len(s)) for s in np.array_split(signal, n_models)]
    by_inner = rng.normal(size=(n_models, 11))
    return MemberScores([t - t.mean() for t in tune], by_inner, pd.DataFrame())


@pytest.mark.parametrize("learned", [False, True])
def test_every_inner_score_has_the_weights_of_the_members(learned):
    rng = np.random.default_rng(4)
    signal = rng.normal(size=90)
    time = rng.exponential(np.exp(-signal))
    outcomes = Outcomes(
        np.ones(90, bool), time, np.ones(90, dtype=np.int64), np.full(90, ""), np.ones(90)
    )
    scores = [member(rng, signal), member(rng, 0 * signal)]
    _, test, by_inner, weights = fuse(
        scores, outcomes, CoxHead(), learned=learned, fixed_slope=False
    )
    expected = sum(w * s.test_by_inner for w, s in zip(weights, scores, strict=True))
    np.testing.assert_allclose(by_inner, expected)
    np.testing.assert_allclose(by_inner.mean(0), test, atol=1e-12)


def test_a_single_member_keeps_its_scores():
    rng = np.random.default_rng(4)
    one = member(rng, rng.normal(size=90))
    none = Outcomes(np.ones(0, bool), None, np.zeros(0, np.int64), np.full(0, ""), np.ones(0))
    _, test, by_inner, weights = fuse([one], none, CoxHead(), learned=False, fixed_slope=False)
    np.testing.assert_array_equal(by_inner, one.test_by_inner)
    np.testing.assert_array_equal(test, one.test_by_inner.mean(0))
    assert weights == [1.0]


@pytest.mark.parametrize("kind", ["survival", "binary", "response"])
def test_a_member_that_says_nothing_has_no_weight_and_one_that_adds_is_kept(kind):
    rng = np.random.default_rng(8)
    first, second, noise = rng.normal(size=(3, 300))
    hazard = first + second
    favourable = kind == "response"
    if kind == "survival":
        outcomes = Outcomes(rng.random(300) < 0.8, rng.exponential(np.exp(-hazard)))
        head = CoxHead()
    else:
        event = rng.random(300) < 1 / (1 + np.exp(-hazard if not favourable else hazard))
        outcomes, head = Outcomes(event, favourable=favourable), LogisticHead(favourable)
    scores = [
        MemberScores(list(np.array_split(risk, 3)), rng.normal(size=(3, 5)), pd.DataFrame())
        for risk in (first, 3 * noise, second)
    ]
    weights = fuse(scores, outcomes, head, learned=True, fixed_slope=False)[3]
    assert weights[1] == 0
    assert min(weights[0], weights[2]) > 0.3
    few = fuse(scores, outcomes, head, learned=True, fixed_slope=True)[3]
    np.testing.assert_allclose(few, 1 / 3)
    best = held_out_loss([scores[0], scores[2]], outcomes, head)
    assert best < held_out_loss(scores, outcomes, head)
    assert best < held_out_loss([scores[0]], outcomes, head)
