import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome.models.heads import Target
from outcome.models.losses import cox_nll
from outcome.outcomes import Outcomes

REFERENCE = Path(__file__).parents[1] / "reference" / "r"
ORACLE = json.loads((REFERENCE / "oracle.json").read_text())
GRADIENT = json.loads((REFERENCE.parent / "cox_gradient.json").read_text())


def case(name, lp="lp1", strata=False):
    table = pd.read_csv(REFERENCE / f"{name}.csv")
    return (
        torch.tensor(table[lp].to_numpy(dtype=float), requires_grad=True),
        torch.tensor(table["time"].to_numpy(dtype=float)),
        torch.tensor(table["event"].to_numpy() == 1),
        torch.tensor(table["strata"].to_numpy()) if strata else None,
    )


@pytest.mark.parametrize("strata", [False, True], ids=["plain", "strata"])
@pytest.mark.parametrize("lp", ["lp1", "lp2", "lp3"])
@pytest.mark.parametrize("name", ["tiny", "ties", "veteran", "lung", "colon", "rotterdam"])
def test_loss_is_r_efron_log_likelihood(name, lp, strata):
    log_hazard, time, event, groups = case(name, lp, strata)
    loss = cox_nll(log_hazard, time, event, groups)
    expected = ORACLE[name]["cox_loglik"][f"efron_{lp}_{'strata' if strata else 'plain'}"]
    assert -loss.item() * int(event.sum()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("strata", [False, True], ids=["plain", "strata"])
@pytest.mark.parametrize("name", ["tiny", "ties", "veteran", "lung"])
def test_gradient_is_r_martingale_residuals(name, strata):
    log_hazard, time, event, groups = case(name, strata=strata)
    cox_nll(log_hazard, time, event, groups).backward()
    expected = GRADIENT[name][f"efron_{'strata' if strata else 'plain'}"]
    found = -log_hazard.grad * int(event.sum())
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), atol=1e-10, rtol=0
    )


@settings(deadline=None)
@given(shift=st.floats(-1e6, 1e6))
def test_a_common_shift_changes_nothing(shift):
    log_hazard, time, event, _ = case("tiny")
    base = cox_nll(log_hazard, time, event).item()
    assert cox_nll(log_hazard + shift, time, event).item() == pytest.approx(base, abs=1e-8)


@pytest.mark.parametrize("size", [95.0, 500.0, 1e4])
def test_finite_at_extreme_log_hazards(size):
    _, time, event, _ = case("ties")
    sign = torch.arange(len(time)) % 2 * 2.0 - 1
    log_hazard = (size * sign).double().requires_grad_()
    loss = cox_nll(log_hazard, time, event)
    loss.backward()
    assert loss.isfinite()
    assert log_hazard.grad.isfinite().all()


def test_order_of_patients_changes_nothing():
    log_hazard, time, event, groups = case("lung", strata=True)
    order = torch.randperm(len(time), generator=torch.Generator().manual_seed(0))
    one = cox_nll(log_hazard, time, event, groups)
    other = cox_nll(log_hazard[order], time[order], event[order], groups[order])
    torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_a_stratum_without_events_adds_nothing():
    log_hazard, time, event, _ = case("tiny")
    more = torch.cat([log_hazard, torch.tensor([3.0, -2.0])])
    loss = cox_nll(
        more,
        torch.cat([time, torch.tensor([1.0, 2.0])]),
        torch.cat([event, torch.tensor([False, False])]),
        torch.tensor([0] * len(time) + [1, 1]),
    )
    torch.testing.assert_close(loss, cox_nll(log_hazard, time, event))


def test_without_events_says_so():
    with pytest.raises(ValueError, match="needs an event, got 3 censored"):
        cox_nll(torch.zeros(3), torch.arange(3.0), torch.zeros(3, dtype=torch.bool))


def test_times_that_differ_by_rounding_are_ties_as_in_r():
    expected = json.loads((REFERENCE / "timefix.json").read_text())
    event = np.array(expected["event"]) == 1
    risk = torch.tensor(expected["risk"], dtype=torch.float64)
    written = np.array(expected["time"], dtype=float)
    for time in (written, written + np.array([0, 5e-17, 0, 1e-16, 0, 2e-16, 0])):
        target = Target.of(Outcomes(event, time))
        loss = cox_nll(risk, target.time, target.event)
        assert float(loss) * event.sum() == pytest.approx(-expected["loglik"], abs=1e-12)
