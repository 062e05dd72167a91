import numpy as np
import pytest
import torch

from outcome.models.aggregators import (
    GatedAttention,
    InducedTransformer,
    PrototypePool,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(4)


def tissues(generator, shares, n=200):
    """Bags that hold two well separated tissues, the first with the given share."""
    centres = torch.tensor([[4.0, 0.0, 0.0], [0.0, -4.0, 0.0]])
    bags = []
    for share in shares:
        kind = (torch.arange(n) >= round(share * n)).long()
        bags.append(centres[kind] + 0.3 * torch.randn(n, 3, generator=generator))
    # The order of a bag is random in the store; here too.
    return [bag[torch.randperm(n, generator=generator)] for bag in bags]


def test_prototypes_count_tissues(generator):
    shares = np.linspace(0.1, 0.9, 12)
    bags = tissues(generator, shares)
    pool = PrototypePool(3, prototypes=2)
    pool.fit_bags(bags, seed=0)
    vectors = pool(torch.cat(bags), [len(b) for b in bags])
    # Standardised over the training patients, and a straight line in the share of the tissue.
    torch.testing.assert_close(vectors.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(vectors.std(0, unbiased=False), torch.ones(2), atol=1e-3, rtol=0)
    r = np.corrcoef(vectors.detach().numpy().T, shares)[-1, :-1]
    np.testing.assert_allclose(np.sort(r), [-1, 1], atol=1e-3)


def test_prototypes_are_found_again_from_the_same_seed_and_kept_with_the_weights(generator):
    bags = tissues(generator, [0.2, 0.5, 0.7])
    one, again, loaded = (PrototypePool(3, prototypes=4) for _ in range(3))
    one.fit_bags(bags, seed=7)
    again.fit_bags(bags, seed=7)
    loaded.load_state_dict(one.state_dict())
    lengths = [len(b) for b in bags]
    for other in (again, loaded):
        torch.testing.assert_close(
            other(torch.cat(bags), lengths), one(torch.cat(bags), lengths), rtol=0, atol=0
        )


def test_more_prototypes_than_different_patches(generator):
    bags = [torch.ones(3, 5), torch.ones(2, 5), torch.zeros(1, 5)]
    pool = PrototypePool(5, prototypes=16)
    pool.fit_bags(bags, seed=0)
    assert pool(torch.cat(bags), [3, 2, 1]).isfinite().all()


def test_a_transformer_starts_as_the_plain_mean(generator):
    features, lengths = torch.randn(30, 12, generator=generator), [7, 1, 22]
    pooled = InducedTransformer(12, layers=2)(features, lengths)
    means = torch.stack([b.mean(0) for b in torch.split(features, lengths)])
    torch.testing.assert_close(pooled, means)


def test_a_transformer_takes_vectors_of_any_length(generator):
    features = torch.randn(9, 7, generator=generator)
    assert InducedTransformer(7, heads=4)(features, [4, 5]).shape == (2, 7)


def test_a_transformer_s_patches_learn_from_each_other(generator):
    """With equal pooling weights, what one patch adds depends on the others of its bag."""
    pool = InducedTransformer(8)
    for parameter in pool.layers.parameters():
        parameter.data = parameter.data + 0.5 * torch.randn(parameter.shape, generator=generator)
    a, b, c = torch.randn(3, 1, 8, generator=generator)
    both = pool(torch.cat([a, b, a, c]), [2, 2])
    alone = pool(torch.cat([a, b, c]), [1, 1, 1])
    sums = torch.stack([alone[[0, 1]].mean(0), alone[[0, 2]].mean(0)])
    assert (both - sums).abs().max() > 0.01


def test_a_large_slide_costs_no_square_of_its_patches(generator):
    """60,000 patches: a matrix of all pairs would take 14 GB."""
    pool = InducedTransformer(16)
    with torch.no_grad():
        assert pool(torch.randn(60_000, 16, generator=generator), [60_000]).isfinite().all()


def test_heads_look_at_different_patches(generator):
    pool = GatedAttention(4, 3, heads=2)
    pool.score.weight.data = torch.tensor([[9.0, 0, 0], [-9.0, 0, 0]])
    first, second = pool(torch.randn(50, 4, generator=generator), [50])[0].split(4)
    assert (first - second).abs().max() > 0.5
