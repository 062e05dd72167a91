import numpy as np
import pytest
import torch

from outcome.models.aggregators import ABMIL, abmil
from outcome.models.aggregators.abmil import ROWS
from outcome.models.aggregators.abmil_blocks import CompiledBlocks, TorchBlocks, blocks_for
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


def test_a_bag_of_one_is_its_embedding_and_the_same_alone_as_among_others(case):
    module, features, _ = case
    among = module(features, LENGTHS)[1]
    alone = module(features[5:6], [1])[0]
    assert torch.equal(among, alone)
    torch.testing.assert_close(alone, torch.relu(module.embed(features[5])))


@pytest.mark.parametrize("blocks", [TorchBlocks, CompiledBlocks])
def test_low_precision_is_close_and_returns_float32(case, blocks, monkeypatch):
    module, features, weights = case
    expected = module(features, LENGTHS)
    monkeypatch.setattr(abmil, "blocks_for", lambda *_: blocks)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = module(features, LENGTHS)
    assert pooled.dtype == torch.float32
    assert (pooled - expected).norm() < 0.01 * expected.norm()
    exact = gradients(module, features, expected, weights)
    for name, gradient in gradients(module, features, pooled, weights).items():
        assert gradient.dtype == torch.float32
        assert (gradient - exact[name]).norm() < 0.05 * exact[name].norm(), name


@pytest.mark.parametrize("blocks", [TorchBlocks, CompiledBlocks])
def test_going_back_twice_gives_the_same_gradients(case, blocks, monkeypatch):
    module, features, weights = case
    monkeypatch.setattr(abmil, "blocks_for", lambda *_: blocks)
    with torch.autocast("cpu", torch.bfloat16):
        loss = (module(features, LENGTHS) * weights).sum()
    once, twice = (
        torch.autograd.grad(loss, list(module.parameters()), retain_graph=True) for _ in range(2)
    )
    for first, second in zip(once, twice, strict=True):
        assert torch.equal(first, second)


def test_compiled_where_it_pays(monkeypatch):
    low, cpu = torch.bfloat16, torch.device("cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert blocks_for(cpu, low) is CompiledBlocks
    assert blocks_for(cpu, torch.float32) is TorchBlocks
    assert blocks_for(torch.device("cuda"), low) is TorchBlocks
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert blocks_for(cpu, low) is TorchBlocks


def test_compiled_functions_round_as_bfloat16_does():
    kernels = pytest.importorskip("outcome.models.aggregators.kernels")
    x = torch.linspace(-12, 12, 40_001)
    units = torch.stack([x, x]).bfloat16()
    exact, raw = units.double(), torch.zeros(len(x))
    zeros = np.zeros(2, np.float32)
    kernels.attend(units.view(torch.uint16).numpy(), zeros, np.ones(1, np.float32), raw.numpy())
    # Half a unit in the last place near 1, and 1e-4 of the tangent's own.
    expected = torch.stack([exact[0].tanh(), exact[1].sigmoid()])
    assert (units.double() - expected).abs().max() < 2**-9 + 1e-4
    assert torch.equal(raw, units[0].float() * units[1].float())
    small = exact[0].abs() < 1
    ratio = units[0].double()[small] / expected[0][small]
    assert (ratio[exact[0][small] != 0] - 1).abs().max() < 2**-8


@pytest.mark.parametrize("place", [0, 37, 100])
def test_compiled_functions_let_a_nan_through(place):
    kernels = pytest.importorskip("outcome.models.aggregators.kernels")
    units = torch.ones(2, 101).bfloat16()
    units[0, place] = float("nan")
    bits = units.view(torch.uint16).numpy()
    raw, zeros = np.zeros(101, np.float32), np.zeros(2, np.float32)
    kernels.rectify(bits, zeros, 101)
    assert units.isnan().sum() == 1
    kernels.attend(bits, zeros, np.ones(1, np.float32), raw)
    assert np.flatnonzero(np.isnan(raw)).tolist() == [place]
