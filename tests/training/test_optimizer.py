import copy

import torch
from torch import nn

from outcome.training.optimizer import ClippedAdamW


def test_steps_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    ours = nn.ParameterList(
        nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (4,), (2,))
    )
    theirs = copy.deepcopy(ours)
    one = ClippedAdamW(ours.parameters(), lr=0.01, weight_decay=0.1)
    other = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for step in range(6):
        one.zero_grad()
        other.zero_grad()
        for a, b in zip(ours[: 2 + step % 2], theirs, strict=False):  # the last, every other time
            a.grad = (0.2 if step < 3 else 5.0) * torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        one.step()
        other.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_nothing_to_learn_from_changes_nothing():
    weight = nn.Parameter(torch.ones(2))
    ClippedAdamW([weight], lr=0.1, weight_decay=0.1).step()
    assert (weight == 1).all()
