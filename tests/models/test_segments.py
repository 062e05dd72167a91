import numpy as np
import pytest
import torch

from outcome.models.aggregators.segments import Segments, gated_scores, row_product

CPU = torch.device("cpu")
LENGTHS = [1, 8, 3, 300, 1, 256, 40, 700]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(11)


def attention(d, width, heads, generator):
    shapes = [(width, d), (width,), (width, d), (width,), (heads, width)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("heads", [1, 3])
def test_pooling_and_its_gradient_are_those_of_a_loop_over_bags(generator, heads):
    n, d = sum(LENGTHS), 7
    weights = attention(d, 5, heads, generator)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    direction = torch.randn(len(LENGTHS), heads * d, generator=generator, dtype=torch.float64)

    def loop(x, content, content_bias, gate, gate_bias, score):
        units = torch.tanh(x @ content.T + content_bias) * torch.sigmoid(x @ gate.T + gate_bias)
        parts = zip(torch.split(units @ score.T, LENGTHS), torch.split(x, LENGTHS), strict=True)
        return torch.stack([(torch.softmax(s, 0).T @ part).flatten() for s, part in parts])

    def segments(x, *rest):
        bags = Segments(LENGTHS, CPU)
        return bags.weighted_sums(bags.softmax(gated_scores(x, *rest)), x)

    expected = [t.requires_grad_() for t in (x, *weights)]
    found = [t.detach().float().requires_grad_() for t in (x, *weights)]
    one, other = loop(*expected), segments(*found)
    torch.testing.assert_close(other.double(), one, atol=1e-5, rtol=1e-4)
    (one * direction).sum().backward()
    (other * direction.float()).sum().backward()
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("d", [1, 16, 64, 100, 768])
@pytest.mark.parametrize("heads", [1, 2])
def test_a_bag_alone_is_pooled_as_among_others_to_the_byte(generator, d, heads):
    weights = [w.float() for w in attention(d, 16, heads, generator)]
    x = torch.randn(sum(LENGTHS), d, generator=generator)

    def pooled(x, lengths):
        bags = Segments(lengths, CPU)
        return bags.weighted_sums(bags.softmax(gated_scores(x, *weights)), x)

    together = pooled(x, LENGTHS)
    order = np.random.default_rng(0).permutation(len(LENGTHS))
    bags = torch.split(x, LENGTHS)
    mixed = pooled(torch.cat([bags[i] for i in order]), [LENGTHS[i] for i in order])
    assert (mixed == together[order]).all()
    for i, bag in enumerate(bags):
        assert (pooled(bag, [len(bag)])[0] == together[i]).all()
        assert (Segments([len(bag)], CPU).means(bag)[0] == Segments(LENGTHS, CPU).means(x)[i]).all()


@pytest.mark.parametrize(("d", "k"), [(64, 1), (768, 64), (1024, 32), (33, 5)])
def test_a_row_s_product_does_not_depend_on_the_other_rows(generator, d, k):
    x, weight = (torch.randn(n, d, generator=generator) for n in (1100, k))
    together = row_product(x, weight)
    torch.testing.assert_close(together, x @ weight.T)
    for rows in (slice(0, 1), slice(3, 11), slice(500, 530), slice(1099, 1100)):
        assert (row_product(x[rows], weight) == together[rows]).all()


def test_a_product_s_gradient_is_that_of_autograd(generator):
    x, weight = (torch.randn(n, 6, generator=generator, requires_grad=True) for n in (9, 4))
    direction = torch.randn(9, 4, generator=generator)
    found = torch.autograd.grad((row_product(x, weight) * direction).sum(), (x, weight))
    expected = torch.autograd.grad((x @ weight.T * direction).sum(), (x, weight))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_weights_add_up_to_one_however_large_the_scores(generator):
    bags = Segments([1, 5, 40_000], CPU)
    scores = 1e4 * torch.randn(40_006, 1, generator=generator)
    torch.testing.assert_close(bags.sums(bags.softmax(scores)), torch.ones(3, 1))
    even = bags.softmax(torch.full((40_006, 1), -3.0))
    torch.testing.assert_close(even[-1], torch.tensor([1 / 40_000]), rtol=1e-6, atol=0)


def test_no_bags_at_all():
    bags = Segments([], CPU)
    assert bags.means(torch.zeros(0, 4)).shape == (0, 4)
    assert row_product(torch.zeros(0, 4), torch.ones(2, 4)).shape == (0, 2)
