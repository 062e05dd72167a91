"""Networks with clinical data begin as the ridge model of the clinical data."""

import numpy as np
import pytest
import torch

from outcome.models.heads import CoxHead, LogisticHead, Target
from outcome.models.network import Inputs
from outcome.models.ridge import PENALTIES, fit_linear
from outcome.study import Training
from outcome.training.arm_members import Member
from outcome.training.batching import Patients
from outcome.training.clinical_initialization import chosen_penalty, start_from_clinical
from outcome.training.trainer import build, fit_network

CPU = torch.device("cpu")
MEMBER = Member(("clinical", "image"), "attention")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def cohort(rng):
    """200 patients; two of three clinical columns matter, the image does not."""
    x = rng.normal(size=(200, 3)) * [1, 2, 5] + [0, 3, 60]
    hazard = np.exp(x[:, 0] + 0.5 * (x[:, 1] - 3))
    time = rng.exponential(1 / hazard)
    event = rng.random(200) < 0.7
    bags = {
        "clinical": [torch.from_numpy(row[None]).float() for row in x],
        "image": [torch.from_numpy(rng.normal(size=(6, 8))).float() for _ in range(200)],
    }
    return x, bags, Target(torch.from_numpy(time), torch.from_numpy(event))


def outputs(network, bags):
    network.eval()
    widths = {"clinical": 3, "image": 8}
    with torch.no_grad():
        return network({k: Inputs.join(bags[k], widths[k], CPU) for k in bags}).numpy()


@pytest.mark.parametrize(("fusion", "hidden"), [("early", 0), ("gated", 0), ("early", 0.5)])
@pytest.mark.parametrize("head", [CoxHead(), LogisticHead()])
def test_the_untrained_network_is_the_ridge_model(cohort, head, fusion, hidden):
    x, bags, target = cohort
    if isinstance(head, LogisticHead):
        target = Target(None, target.time < target.time.median())
    member, settings = Member(MEMBER.inputs, "attention", fusion), Training(hidden_inputs=hidden)
    network = build({"clinical": 3, "image": 8}, settings, member)
    start_from_clinical(network, Inputs.join(bags["clinical"]), target, head)
    row = chosen_penalty(x, target, head)
    expected = fit_linear(x, target, head)(x)[row]
    np.testing.assert_allclose(outputs(network, bags), expected, atol=1e-3)
    assert abs(np.corrcoef(expected, x[:, 0] + 0.5 * x[:, 1])[0, 1]) > 0.95


def test_training_keeps_what_the_clinical_data_say(cohort):
    x, bags, target = cohort
    half = [range(0, 200, 2), range(1, 200, 2)]
    seen, held_out = (Patients(bags, target).take(rows) for rows in half)
    raw = fit_network(seen, held_out, CoxHead(), Training(epochs=3), MEMBER, seed=0, device=CPU)
    said = (x[:, 0] + 0.5 * x[:, 1])[1::2]
    assert np.corrcoef(raw.tune_raw[0], said)[0, 1] > 0.95


def test_the_penalty_does_not_depend_on_the_order_of_patients(cohort, rng):
    x, _, target = cohort
    order = rng.permutation(200)
    mixed = chosen_penalty(x[order], target[torch.from_numpy(order)], CoxHead())
    assert mixed == chosen_penalty(x, target, CoxHead())


def test_noise_gets_a_strong_penalty_and_no_event_the_middle_one(rng):
    x = rng.normal(size=(200, 20))
    time = torch.from_numpy(rng.exponential(size=200))
    noise = Target(time, torch.from_numpy(rng.random(200) < 0.3))
    assert PENALTIES[chosen_penalty(x, noise, CoxHead())] >= 0.1
    alone = Target(time, torch.arange(200) == 7)
    assert chosen_penalty(x, alone, CoxHead()) == len(PENALTIES) // 2
