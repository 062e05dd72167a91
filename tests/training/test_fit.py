import copy

import numpy as np
import pytest
import torch

from outcome.models.heads import CoxHead, Target
from outcome.study import Arm, Training
from outcome.training.fit import Patients, build, fit_network, predict, score
from outcome.training.members import Member, members

CPU = torch.device("cpu")


@pytest.fixture
def patients():
    generator = torch.Generator().manual_seed(3)
    bags = [torch.randn(n, 8, generator=generator) for n in (5, 40, 1, 17, 30, 9, 22, 3)]
    time = torch.rand(8, generator=generator).double()
    return Patients({"image": bags}, Target(time, torch.tensor([True, False] * 4)))


def test_gradient_by_bags_is_that_of_one_graph(patients):
    with torch.random.fork_rng():
        network = build(patients.dimensions, Training(), Member(("image",), "attention"))
        for parameter in network.parameters():
            parameter.data = torch.randn_like(parameter)
    found = []
    for limit in (10**9, 1):
        copied = copy.deepcopy(network)
        raw = score(copied, patients, range(8), CPU, limit)
        CoxHead().loss(raw, patients.target).backward()
        gradients = [p.grad for p in copied.parameters() if p.grad is not None]
        found.append(torch.cat([g.flatten() for g in gradients]))
    assert found[0].abs().max() > 0.01
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-6)


def test_a_network_with_all_inputs_and_an_outside_aggregator_learns(patients):
    member = Member(("image",), "outcome.models.aggregators.mean:MeanPool")
    trained = fit_network(
        patients, patients, CoxHead(), Training(epochs=3), member, seed=1, device=CPU
    )
    assert trained.tune_raw.shape == (3, 8)
    network = build(patients.dimensions, Training(), member)
    network.load_state_dict(trained.states[-1])
    np.testing.assert_array_equal(predict(network, patients, CPU), trained.tune_raw[-1])


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("image", ["image attention"]),
        ("clinical", ["clinical linear"]),
        ("image+report", ["image+report attention"]),
        (
            {"inputs": ["image", "clinical"], "fusion": "late"},
            ["clinical linear", "image attention"],
        ),
        (
            {"inputs": ["image", "report"], "fusion": "late", "aggregator": "attention+linear"},
            ["image attention", "image linear", "report attention", "report linear"],
        ),
    ],
)
def test_members_of_an_arm(arm, expected):
    made = Arm.model_validate(arm if isinstance(arm, str) else {"name": "x", **arm})
    assert [m.name for m in members(made)] == expected
