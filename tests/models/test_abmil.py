import pytest
import torch

from outcome.models.aggregators import ABMIL
from outcome.models.aggregators.abmil import ROWS
from outcome.testing import check_aggregator

LENGTHS = [5, 1, ROWS + 40]


def by_operations(module, features, lengths):
    """The same, operation by operation, by autograd."""
    pooled = []
    for bag in torch.split(features, lengths):
        attention = torch.softmax(module.scores(bag), 0)
        pooled.append((attention.T @ torch.relu(module.embed(bag)))[0])
    return torch.stack(pooled)


@pytest.fixture
def case():
    with torch.random.fork_rng():
        torch.manual_seed(2)  # noqa: TID251
        module = ABMIL(24, embedding=20, attention_width=12)
        module.score.data *= 8
        features = torch.randn(sum(LENGTHS), 24, requires_grad=True)
        weights = torch.randn(len(LENGTHS), 20)
    return module, features, weights


def gradients(module, features, pooled, weights):
    found = torch.autograd.grad((pooled * weights).sum(), [features, *module.parameters()])
    return dict(zip(["features", *dict(module.named_parameters())], found, strict=True))


def test_keeps_to_the_contract_of_aggregators():
    check_aggregator(ABMIL)
    check_aggregator(lambda d: ABMIL(d, embedding=7, attention_width=3))


def test_values_and_gradients_are_those_of_autograd(case):
    module, features, weights = case
    pooled, expected = module(features, LENGTHS), by_operations(module, features, LENGTHS)
    torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=1e-6)
    found = gradients(module, features, pooled, weights)
    for name, gradient in gradients(module, features, expected, weights).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_low_precision_is_close_and_returns_float32(case):
    module, features, weights = case
    expected = module(features, LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = module(features, LENGTHS)
    assert pooled.dtype == torch.float32
    assert (pooled - expected).norm() < 0.01 * expected.norm()
    exact = gradients(module, features, expected, weights)
    for name, gradient in gradients(module, features, pooled, weights).items():
        assert gradient.dtype == torch.float32
        assert (gradient - exact[name]).norm() < 0.05 * exact[name].norm(), name
