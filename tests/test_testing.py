import pytest
import torch
from torch import nn

from outcome import InputError
from outcome.models.aggregators import (
    AGGREGATORS,
    GatedAttention,
    make_aggregator,
    try_aggregator,
)
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


def test_a_class_is_given_by_name_and_an_instance_is_refused():
    check_aggregator("attention")
    check_aggregator("outcome.models.aggregators:MeanPool")
    with pytest.raises(InputError, match="give the class Mean, not an instance"):
        check_aggregator(Mean(12))
    with pytest.raises(InputError, match=r"no class 'MeanPol'; it defines .*MeanPool.*spelling"):
        check_aggregator("outcome.models.aggregators:MeanPol")
    with pytest.raises(InputError, match="No module named 'nothing_here'"):
        check_aggregator("nothing_here:Pool")


class Raising(Mean):
    def forward(self, features, lengths):
        raise RuntimeError("no such operation")


class Transposed(Mean):
    def forward(self, features, lengths):
        return super().forward(features, lengths).T


def test_a_call_that_fails_is_found_before_training():
    try_aggregator("own:Mean", Mean(4), 4)
    with pytest.raises(InputError, match="'own:Raising' fails on two small bags: RuntimeError: no"):
        try_aggregator("own:Raising", Raising(4), 4)
    with pytest.raises(InputError, match=r"returns \(4, 2\) for two bags, not \(2, 4\)"):
        try_aggregator("own:Transposed", Transposed(4), 4)


def test_an_unknown_option_is_named_with_those_that_exist():
    with pytest.raises(InputError, match="'attention' has no option 'foo'; its options are "):
        make_aggregator("attention", 4, {"foo": 1, "attention_width": 16})


class Centres(Mean):
    """Learns 64 centres, for which that many vectors are needed."""

    def fit_bags(self, bags, seed):
        assert torch.cat(bags).unique(dim=0).shape[0] >= 64


def test_the_call_has_vectors_enough_for_what_is_learned_from_them():
    try_aggregator("own:Centres", Centres(4), 4)
