import numpy as np
import pytest
import torch

from outcome.crossval.epoch_loss import (
    combine,
    epoch_losses,
)
from outcome.models.heads import CoxHead, LogisticHead, Target
from outcome.training.batching import MIN_STEPS, batches
from outcome.training.projection import Projection


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def survival(rng, risk):
    time = rng.exponential(np.exp(-risk))
    return Target(torch.tensor(time), torch.ones(len(risk), dtype=torch.bool))


def test_the_epoch_that_ranks_best_is_chosen_even_if_overconfident(rng):
    truth = [rng.normal(size=80) for _ in range(3)]
    targets = [survival(rng, t) for t in truth]
    noise = [rng.normal(size=80) for _ in range(3)]
    raw = [
        np.stack([0 * t, 0.3 * t + n, 40 * t + 4 * n, 5 * n])
        for t, n in zip(truth, noise, strict=True)
    ]
    assert epoch_losses(raw, targets, CoxHead()).argmin() == 2


def test_a_shift_of_one_inner_model_changes_no_choice(rng):
    truth = [rng.normal(size=50) for _ in range(2)]
    targets = [survival(rng, t) for t in truth]
    raw = [np.stack([rng.normal(size=50), t]) for t in truth]
    shifted = [raw[0] + 100.0, raw[1]]
    losses = epoch_losses(raw, targets, CoxHead())
    np.testing.assert_allclose(epoch_losses(shifted, targets, CoxHead()), losses)
    assert losses.argmin() == 1


def test_inner_folds_without_events_do_not_count(rng):
    good = rng.normal(size=50)
    target = survival(rng, good)
    empty = Target(torch.ones(5), torch.zeros(5, dtype=torch.bool))
    raw = [np.stack([rng.normal(size=50), good]), np.zeros((2, 5))]
    assert epoch_losses(raw, [target, empty], CoxHead()).argmin() == 1


def test_binary_epochs(rng):
    logit = rng.normal(size=300) * 2
    target = Target(None, torch.tensor(rng.random(300) < 1 / (1 + np.exp(-logit))))
    raw = [np.stack([rng.normal(size=300), logit, -logit])]
    assert epoch_losses(raw, [target], LogisticHead()).argmin() == 1


def test_equal_epochs_the_earliest():
    target = Target(torch.tensor([1.0, 2.0]), torch.tensor([True, True]))
    assert epoch_losses([np.zeros((4, 2))], [target], CoxHead()).argmin() == 0


def test_inner_models_are_centred_but_never_scaled(rng):
    tune = [rng.normal(10, 1, 20), rng.normal(-5, 0.01, 30)]
    test = [rng.normal(10, 1, 7), rng.normal(-5, 0.01, 7)]
    centred, by_inner = combine(tune, test)
    assert [abs(c.mean()) < 1e-12 for c in centred] == [True, True]
    expected = (test[0] - tune[0].mean() + test[1] - tune[1].mean()) / 2
    assert by_inner.shape == (2, 7)
    np.testing.assert_allclose(by_inner.mean(0), expected)


@pytest.mark.parametrize(("n", "steps"), [(20, 2), (60, 3), (200, 3), (640, 10)])
def test_batches_are_even_and_small_cohorts_get_their_steps(n, steps):
    found = batches(np.arange(n), 64)
    assert len(found) == steps
    assert sorted(i for b in found for i in b) == list(range(n))
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert MIN_STEPS == 3


def test_a_risk_set_of_the_whole_development_set_is_one_batch():
    assert batches(np.arange(700), "all") == [list(range(700))]


def test_projection_keeps_the_directions_of_most_variance():
    generator = torch.Generator().manual_seed(1)
    loud = torch.randn(40, 50, 2, generator=generator) @ torch.randn(2, 10, generator=generator)
    bags = list(3 * loud + 0.1 * torch.randn(40, 50, 10, generator=generator) + 1000)
    projection = Projection.fit(bags, 2)
    assert projection.components == 2
    z = torch.cat([projection(b) for b in bags])
    assert z.mean(0).abs().max() < 1e-3
    assert z.var(0).mean() == pytest.approx(1, abs=0.01)
    # Two components hold all but the noise.
    x = torch.cat(bags)
    standard = (x - x.mean(0)) / x.std(0)
    back = torch.linalg.lstsq(z, standard).solution
    assert (standard - z @ back).var() < 0.02


def test_projection_survives_constant_and_wild_features():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(30, 20, 4, generator=generator) * torch.tensor([1e4, 1.0, 1e-3, 0.0])
    x = x + torch.tensor([1e4, 0.0, 0.0, 7.0])
    whole = Projection.fit(list(x), 0)
    z = whole(x.reshape(-1, 4))
    torch.testing.assert_close(z.std(0), torch.tensor([1.0, 1, 1, 0]), atol=0.05, rtol=0)


def test_projection_counts_every_patient_the_same():
    small, large = torch.zeros(2, 1), torch.ones(200, 1)
    small[0], large[0] = 0.1, 0.9
    assert Projection.fit([small, large], 0).mean == pytest.approx(
        float((small.mean() + large.mean()) / 2), abs=1e-6
    )
