import copy

import numpy as np
import pytest
import torch

from outcome.models.aggregators import abmil
from outcome.models.aggregators.abmil_blocks import CompiledBlocks, TorchBlocks
from outcome.models.heads import CoxHead, Target
from outcome.models.network import Inputs
from outcome.study import Arm, Training
from outcome.training.arm_members import Member, members
from outcome.training.batching import Patients, ahead, sampled, vectors_of
from outcome.training.trainer import build, fit_network, predict, score

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
        ("image+report", ["image attention", "report attention", "image+report attention"]),
        ({"inputs": ["image", "report"], "fusion": "early"}, ["image+report attention"]),
        ({"inputs": ["image", "report"], "aggregator": "linear"}, ["image+report linear"]),
        (
            {"inputs": ["image", "clinical"], "fusion": "ensemble"},
            ["clinical linear", "image attention", "clinical+image attention"],
        ),
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


def test_groups_are_read_ahead_in_order():
    read = []

    def slow(group):
        read.append(group[0])
        return group[0] * 10

    groups = [[k] for k in range(5)]
    taken = []
    for found in ahead(slow, groups):
        taken.append(found)
    assert taken == [0, 10, 20, 30, 40]
    assert read == [0, 1, 2, 3, 4]


def test_sampled_patches_are_spread_evenly_and_drawn_anew(patients):
    rng = np.random.default_rng(1)
    seen = [sampled(patients, 10, rng, range(8)) for _ in range(2)]
    for bags in (s.bags["image"] for s in seen):
        assert [len(b) for b in bags] == [min(len(b), 10) for b in patients.bags["image"]]
    whole = patients.bags["image"][1]  # 40 patches: every fourth
    rows = [[int((whole == row).all(1).nonzero()) for row in s.bags["image"][1]] for s in seen]
    assert set(np.diff(sorted(rows[0]))) == {4}
    assert sorted(rows[0]) != sorted(rows[1])
    assert sampled(patients, None, rng, range(8)) is patients


def test_sampling_changes_training_and_never_evaluation(patients):
    member = Member(("image",), "attention")
    found = [
        fit_network(
            patients, patients, CoxHead(), Training(epochs=3, patches_per_epoch=limit), member,
            seed=1, device=CPU,
        )
        for limit in (None, 5)
    ]  # fmt: skip
    assert found[0].history[-1].train_loss != found[1].history[-1].train_loss
    network = build(patients.dimensions, Training(), member)
    network.load_state_dict(found[1].states[-1])
    np.testing.assert_array_equal(predict(network, patients, CPU), found[1].tune_raw[-1])


@pytest.mark.parametrize("blocks", [TorchBlocks, CompiledBlocks])
def test_more_patches_than_a_step_keeps_give_the_same_gradient_in_low_precision(
    patients, blocks, monkeypatch
):
    monkeypatch.setattr(abmil, "blocks_for", lambda *_: blocks)
    member = Member(("image",), "abmil", options=(("attention_width", 6), ("embedding", 10)))
    settings = Training(components=0, precision="bfloat16")
    bags = [b.bfloat16() for b in patients.bags["image"]]
    low = Patients({"image": bags}, patients.target)
    with torch.random.fork_rng():
        network = build(low.dimensions, settings, member)
        network.readout.weight.data.normal_()
    found = []
    for limit in (10**9, 1):
        copied = copy.deepcopy(network)
        raw = score(copied, low, range(8), CPU, limit)
        assert raw.dtype == torch.float32
        CoxHead().loss(raw, low.target).backward()
        gradients = [p.grad for p in copied.parameters() if p.grad is not None]
        found.append(torch.cat([g.flatten() for g in gradients]))
    assert found[0].abs().max() > 0.001
    assert (found[0] - found[1]).norm() < 0.02 * found[0].norm()


def test_a_patient_counts_by_the_patches_that_an_epoch_sees(patients):
    assert vectors_of(patients).tolist() == [5, 40, 1, 17, 30, 9, 22, 3]
    assert vectors_of(patients, 10).tolist() == [5, 10, 1, 10, 10, 9, 10, 3]


@pytest.mark.parametrize("aggregator", ["attention", "mean", "abmil", "transformer", "prototypes"])
@pytest.mark.parametrize("inputs", [("image",), ("image", "report", "clinical")])
@pytest.mark.parametrize("sizes", [(1,) * 40, (8,) * 40, (1, 8, 1000, 0, 3, 260, 1, 40)])
def test_a_patient_alone_is_predicted_as_among_others_to_the_byte(aggregator, inputs, sizes):
    if aggregator in ("abmil", "transformer"):
        sizes = tuple(n for n in sizes if n < 1000)
    generator = torch.Generator().manual_seed(2)
    n, widths = len(sizes), {"image": 64, "report": 24, "clinical": 3}
    bags = {
        "image": [torch.randn(k, 64, generator=generator) if k else None for k in sizes],
        "report": [torch.randn(1 + i % 4, 24, generator=generator) for i in range(n)],
        "clinical": [torch.randn(1, 3, generator=generator) for _ in range(n)],
    }
    target = Target(torch.arange(n).double(), torch.ones(n, dtype=torch.bool))
    everybody = Patients({name: bags[name] for name in inputs}, target)
    for fusion in ("early", "gated") if len(inputs) > 1 else ("early",):
        with torch.random.fork_rng():
            member = Member(inputs, aggregator, fusion)
            network = build({name: widths[name] for name in inputs}, Training(), member)
            for parameter in network.parameters():
                parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
        together = predict(network, everybody, CPU)
        alone = [
            predict(network, Patients(dict(zip(inputs, own, strict=True)), target[[i]]), CPU)
            for i, own in enumerate(
                [Inputs.join([bags[name][i]], widths[name]) for name in inputs] for i in range(n)
            )
        ]
        np.testing.assert_array_equal(np.concatenate(alone), together)
        order = np.random.default_rng(0).permutation(n)
        mixed = predict(network, everybody.take(order), CPU)
        np.testing.assert_array_equal(mixed, together[order])
