import pytest
import torch

from outcome.models.aggregators import GatedAttention
from outcome.models.fusion import CrossAttention
from outcome.models.heads import CoxHead, LogisticHead, Target
from outcome.models.network import Inputs, OutcomeNetwork, Spread, moments

DIMENSIONS = {"image": 6, "report": 4}
CPU = torch.device("cpu")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=["early", "gated", "cross"])
def network(request, generator):
    with torch.random.fork_rng():
        pools = {name: GatedAttention(d, 3, heads=2) for name, d in DIMENSIONS.items()}
        if request.param == "cross":
            pools["image"] = CrossAttention(6, pools["report"].width, 3)
        made = OutcomeNetwork(pools, DIMENSIONS, dropout=0.5, fusion=request.param)
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return made.eval()


def bags(generator, d, *lengths):
    return [torch.randn(n, d, generator=generator) if n else None for n in lengths]


def join(image, report):
    return {"image": Inputs.join(image, 6, CPU), "report": Inputs.join(report, 4, CPU)}


def test_bags_of_any_size_are_scored_as_if_alone(network, generator):
    image, report = bags(generator, 6, 3, 1, 50), bags(generator, 4, 2, 0, 1)
    together = network(join(image, report))
    alone = torch.cat([network(join([i], [r])) for i, r in zip(image, report, strict=True)])
    torch.testing.assert_close(together, alone)


def test_order_of_patches_changes_nothing(network, generator):
    image, report = bags(generator, 6, 30), bags(generator, 4, 5)
    order = torch.randperm(30, generator=generator)
    torch.testing.assert_close(
        network(join(image, report)), network(join([image[0][order]], report))
    )


def test_a_patch_twice_as_often_weighs_twice(network, generator):
    """Attention is a mean over patches: repeating every patch changes nothing."""
    image, report = bags(generator, 6, 7), bags(generator, 4, 2)
    twice = [image[0].repeat(2, 1)]
    torch.testing.assert_close(network(join(image, report)), network(join(twice, report)))


def test_a_missing_report_is_scored_by_a_learned_vector(network, generator):
    image = bags(generator, 6, 4, 4)
    network.train()
    network.dropout.p = 0.0
    raw = network(join(image, [None, None]))
    raw.sum().backward()
    assert raw.isfinite().all()
    assert network.absent["report"].grad.abs().sum() > 0


def test_untrained_network_pools_by_the_mean_and_says_the_same_of_all():
    network = OutcomeNetwork({"image": GatedAttention(6, 3)}, {"image": 6}, start=0.3)
    image = [torch.randn(5, 6), torch.randn(9, 6)]
    inputs = {"image": Inputs.join(image, 6, CPU)}
    means = torch.stack([b.mean(0) for b in image])
    torch.testing.assert_close(network.vectors(inputs), means)
    torch.testing.assert_close(network(inputs), torch.full((2,), 0.3))


def test_spread_standardises_what_truly_differs_and_only_that(generator):
    level = torch.randn(200, 1, generator=generator)
    many = [
        torch.cat([0.1 * v + 0.1 * torch.randn(500, 1, generator=generator),
                   3 * torch.randn(500, 1, generator=generator)], dim=1)
        for v in level
    ]  # fmt: skip
    spread = Spread.of(moments(Inputs.join(many)))
    signal, _ = spread.gain * torch.stack([b.mean(0) for b in many]).std(0)
    assert signal == pytest.approx(1, abs=0.05)
    # Pure noise is not scaled up to the size of signal: it keeps at most its own share.
    unscaled = torch.stack([b.mean(0) for b in many]).var(0).mean().rsqrt()
    assert spread.gain[1] == pytest.approx(float(unscaled), rel=1e-5)


@pytest.mark.parametrize(
    ("head", "target"),
    [
        (CoxHead(), Target(torch.tensor([1.0, 2.0]), torch.tensor([True, False]))),
        (LogisticHead(), Target(None, torch.tensor([True, False]))),
        (LogisticHead(favourable=True), Target(None, torch.tensor([True, False]))),
    ],
)
def test_every_head_pushes_the_event_up(head, target):
    raw = torch.zeros(2, requires_grad=True)
    head.loss(raw, target).backward()
    assert raw.grad[0] < 0
    assert head.usable(target)


def test_favourable_label_means_low_risk():
    assert LogisticHead(favourable=True).risk(torch.tensor([2.0]).numpy())[0] == -2
    assert LogisticHead().risk(torch.tensor([2.0]).numpy())[0] == 2


def test_logistic_head_starts_at_the_share_of_positives():
    target = Target(None, torch.tensor([True] * 3 + [False] * 9))
    assert torch.sigmoid(torch.tensor(LogisticHead().start(target))) == pytest.approx(
        3.5 / 13, rel=1e-6
    )


def test_a_gated_network_starts_as_an_early_one(generator):
    image, report = bags(generator, 6, 3, 5), bags(generator, 4, 2, 1)
    raw = []
    for fusion in ("early", "gated"):
        pools = {name: GatedAttention(d, 3) for name, d in DIMENSIONS.items()}
        network = OutcomeNetwork(pools, DIMENSIONS, fusion=fusion)
        network.readout.weight.data.fill_(0.7)
        raw.append(network(join(image, report)))
    torch.testing.assert_close(raw[0], raw[1])


def test_hidden_inputs_are_hidden_in_training_only(generator):
    pools = {name: GatedAttention(d, 3) for name, d in DIMENSIONS.items()}
    network = OutcomeNetwork(pools, DIMENSIONS, absent=0.999999)
    for name in DIMENSIONS:
        network.absent[name].data.fill_(2.0)
    inputs = join(bags(generator, 6, 3, 5), bags(generator, 4, 2, 1))
    assert (network.vectors(inputs) == 2.0).all()
    assert not (network.eval().vectors(inputs) == 2.0).any()


def test_weights_of_unknown_outcomes_are_zero_in_the_loss():
    raw = torch.tensor([0.3, -2.0, 5.0])
    target = Target(
        None, torch.tensor([True, False, False]), None, torch.tensor([2.0, 1.0, 0.0]).double()
    )
    known = Target(None, target.event[:2], None, target.weight[:2])
    head = LogisticHead()
    assert head.loss(raw, target) == head.loss(raw[:2], known)
    assert head.weight(target) == 3
    assert not head.usable(Target(None, target.event, None, torch.zeros(3).double()))


def crossed(generator):
    pools = {"image": CrossAttention(6, 4, 3), "report": GatedAttention(4, 3)}
    return OutcomeNetwork(pools, DIMENSIONS, fusion="cross").eval()


def test_cross_attention_starts_as_an_early_network(generator):
    image, report = bags(generator, 6, 3, 5), bags(generator, 4, 2, 1)
    network = crossed(generator)
    means = torch.stack([b.mean(0) for b in image])
    torch.testing.assert_close(network.vectors(join(image, report))[:, :6], means)


def test_a_report_says_where_to_look(generator):
    """The bilinear form alone: a report of one kind finds one patch, the other kind the other."""
    network = crossed(generator)
    pool = network.pools["image"]
    pool.key.weight.data = torch.eye(3, 6)
    pool.query.weight.data = 60 * torch.eye(3, 4)
    patches, kinds = torch.eye(6)[:3], 3 * torch.eye(4)[:2]
    inputs = join([patches, patches], [kinds[:1], kinds[1:]])
    found = network.vectors(inputs)[:, :6]
    torch.testing.assert_close(found, patches[:2], atol=1e-3, rtol=0)
    # A missing report asks with the learned vector, and so does a slide on its own.
    network.absent["report"].data = kinds[1]
    missing = network.vectors(join([patches, patches], [None, None]))[:, :6]
    torch.testing.assert_close(missing, patches[[1, 1]], atol=1e-3, rtol=0)
    alone = network.branches({"image": inputs["image"]})["image"]
    torch.testing.assert_close(alone, missing)
