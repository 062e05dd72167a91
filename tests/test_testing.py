import pytest
import torch
from torch import nn

from outcome.models.aggregators import AGGREGATORS, GatedAttention, make_aggregator
from outcome.testing import check_aggregator


@pytest.mark.parametrize("name", AGGREGATORS)
def test_every_aggregator_keeps_the_contract(name):
    check_aggregator(lambda d: make_aggregator(name, d, {}))


def test_several_heads_do_too():
    check_aggregator(lambda d: GatedAttention(d, heads=3))


class Mean(nn.Module):
    def __init__(self, dimension):
        super().__init__()
        self.width = dimension

    def forward(self, features, lengths):
        return torch.stack([b.mean(0) for b in torch.split(features, lengths)])


class NoWidth(Mean):
    def __init__(self, dimension):
        super().__init__(dimension)
        del self.width


class First(Mean):
    def forward(self, features, lengths):
        return torch.stack([b[0] + 0 * b.sum(0) for b in torch.split(features, lengths)])


class Together(Mean):
    def forward(self, features, lengths):
        return super().forward(features - features.mean(0), lengths)


class Chance(Mean):
    def forward(self, features, lengths):
        return super().forward(features + torch.rand_like(features), lengths)


class Detached(Mean):
    def forward(self, features, lengths):
        return super().forward(features.detach(), lengths) + 0 * features.sum()


class Deviation(Mean):
    def forward(self, features, lengths):
        return torch.stack([b.std(0) for b in torch.split(features, lengths)])


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (NoWidth, "width"),
        (First, "order of its patches"),
        (Together, "other bags"),
        (Chance, "two evaluations"),
        (Detached, "gradient"),
        (Deviation, "not finite"),
    ],
)
def test_what_is_broken_is_named(broken, what):
    check_aggregator(Mean)
    with pytest.raises(AssertionError, match=what):
        check_aggregator(broken)
