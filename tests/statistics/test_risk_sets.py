"""Statistics with delayed entry, against R's survival (Surv(entry, time, event)) and by hand."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome.errors import InputError
from outcome.models.losses import cox_nll
from outcome.statistics.aalen_johansen import cumulative_incidence
from outcome.statistics.concordance import harrell
from outcome.statistics.cox import event_terms, fit_cox, proportional_hazards_test
from outcome.statistics.edge_intervals import disjoint_pairs
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.logrank import logrank, logrank_influence
from outcome.statistics.resampling import concordance_draws
from outcome.statistics.risk_sets import RiskSets, number_at_risk
from tests.conftest import REFERENCE

CLOSED = {"rel": 1e-9, "abs": 1e-12}
FITTED = {"rel": 1e-6, "abs": 1e-9}


@pytest.fixture(scope="module", params=["lung", "veteran", "colon"])
def late(request, tables):
    """A data set of R with times of entry, and R's values."""
    r = json.loads((REFERENCE / "entry.json").read_text())[request.param]
    table = tables[request.param]
    columns = {c: table[c].to_numpy() for c in ("time", "event", "lp1", "lp2", "lp3", "strata")}
    columns["x"] = table[["x1", "x2", "x3", "x4"]].to_numpy(dtype=float)
    return {**columns, "entry": np.array(r["entry"], dtype=float), "r": r}


def test_kaplan_meier_and_numbers_at_risk_are_those_of_r(late):
    r = late["r"]["km"]
    curve = kaplan_meier(late["time"], late["event"], late["entry"])
    assert curve.at(r["time"]) == pytest.approx(r["surv"], **CLOSED)
    lower, upper = curve.interval(r["time"])
    assert lower == pytest.approx(r["lower"], **CLOSED)
    assert upper == pytest.approx(r["upper"], **CLOSED)
    # Between two times of the curve R gives the number at risk at the later one.
    following = curve.time[np.searchsorted(curve.time, r["time"])]
    assert number_at_risk(late["time"], following, late["entry"]).tolist() == r["n_risk"]
    assert curve.n_risk[np.searchsorted(curve.time, r["time"])].tolist() == r["n_risk"]


def test_cox_is_that_of_r(late):
    r = late["r"]["cox"]
    fit = fit_cox(late["time"], late["event"], late["x"], entry=late["entry"])
    assert fit.coef == pytest.approx(r["coef"], **FITTED)
    assert fit.se == pytest.approx(r["se"], **FITTED)
    assert [fit.loglik_null, fit.loglik] == pytest.approx(r["loglik"], **CLOSED)


@pytest.mark.parametrize("which", ["lp1", "lp2", "lp3", "lp1_strata"])
def test_partial_likelihood_is_that_of_r(late, which):
    score, stratified = which.removesuffix("_strata"), which.endswith("_strata")
    strata = np.unique(late["strata"], return_inverse=True)[1] if stratified else None
    time, event, entry = (torch.tensor(late[k]).double() for k in ("time", "event", "entry"))
    raw = torch.tensor(late[score], dtype=torch.float64)
    groups = None if strata is None else torch.from_numpy(strata)
    loss = cox_nll(raw, time, event.bool(), groups, entry)
    total = -float(loss) * late["event"].sum()
    assert total == pytest.approx(late["r"]["loglik_fixed"][which], **CLOSED)
    same = np.zeros(len(raw), dtype=int) if strata is None else strata
    terms = event_terms(
        late["time"], late["event"] == 1, late["x"], late[score], same, late["entry"]
    )
    assert float((late[score][terms.row] - terms.log_risk).sum()) == pytest.approx(total, **CLOSED)


def test_concordance_is_that_of_r(late):
    r = late["r"]["concordance"]
    found = harrell(late["time"], late["event"], late["lp1"], entry=late["entry"])
    assert found.c == pytest.approx(r["c"], **CLOSED)
    assert found.variance == pytest.approx(r["var"], **CLOSED)
    counts = [r["counts"][k] for k in ("concordant", "discordant", "tied.x", "tied.y", "tied.xy")]
    assert [
        found.concordant, found.discordant, found.tied_risk, found.tied_time, found.tied_both,
    ] == counts  # fmt: skip


def test_resamples_count_the_same_pairs(late):
    time, event = late["time"].astype(float), late["event"] == 1
    counts = np.random.default_rng(0).integers(0, 3, (3, len(time))).astype(np.int16)
    counts[0] = 1
    once, pairs = concordance_draws(
        time, event, late["lp1"], counts, np.ones((1, len(time))), entry=late["entry"]
    )
    assert once[0, 0] / pairs[0, 0] == pytest.approx(late["r"]["concordance"]["c"], **CLOSED)
    rows = np.repeat(np.arange(len(time)), counts[1])
    # Copies of a patient are no pair: their times tie, and both had the event or neither.
    drawn = harrell(time[rows], event[rows], late["lp1"][rows], entry=late["entry"][rows])
    assert pairs[0, 1] == drawn.comparable
    assert once[0, 1] == drawn.agreeing


times = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 6), st.booleans(), st.floats(-3, 3)),
    min_size=2,
    max_size=12,
)


@given(times)
@settings(max_examples=60, deadline=None)
def test_risk_sets_hold_those_who_entered_before(rows):
    entry, length, event, hazard = (np.array(c) for c in zip(*rows, strict=True))
    entry, time = entry.astype(float), (entry + length).astype(float)
    when = np.sort(time[event])[::-1]
    member = (entry[None, :] < when[:, None]) & (when[:, None] <= time[None, :])
    sets = RiskSets(time, when, entry)
    assert sets.sums(np.exp(hazard)) == pytest.approx(member @ np.exp(hazard))
    assert np.exp(sets.log_sums(hazard)) == pytest.approx(member @ np.exp(hazard))
    over = np.exp(sets.log_sums_over_time(-when))
    assert over == pytest.approx(np.exp(-when) @ member)
    assert number_at_risk(time, when, entry).tolist() == member.sum(1).tolist()


def test_entry_at_the_origin_changes_nothing(late):
    time, event, zero = late["time"], late["event"], np.zeros(len(late["time"]))
    group = (late["lp1"] > np.median(late["lp1"])).astype(int)
    for one, two in (
        (kaplan_meier(time, event).survival, kaplan_meier(time, event, zero).survival),
        (harrell(time, event, late["lp1"]).influence,
         harrell(time, event, late["lp1"], entry=zero).influence),
        (logrank_influence(time, event, group), logrank_influence(time, event, group, entry=zero)),
        (cumulative_incidence(time, event).standard_error(time[:5]),
         cumulative_incidence(time, event, entry=zero).standard_error(time[:5])),
        (fit_cox(time, event, late["x"]).coef, fit_cox(time, event, late["x"], entry=zero).coef),
    ):  # fmt: skip
        assert two == pytest.approx(one, rel=1e-9, abs=1e-10)


def test_log_rank_is_the_score_test_of_the_cox_model(late):
    group = (late["lp1"] > np.median(late["lp1"])).astype(float)
    time, event, entry = late["time"].astype(float), late["event"] == 1, late["entry"]
    found = logrank(time, event, group, entry=entry)
    influence = logrank_influence(time, event, group, entry=entry)
    terms = event_terms(
        time, event, group[:, None], np.zeros(len(time)), np.zeros(len(time), dtype=int), entry
    )
    u = found.observed[1] - found.expected[1]
    assert influence.sum(0)[1] == pytest.approx(u)
    # Efron's shares of ties leave the score at 0 near that of the log-rank test.
    assert float((group[terms.row] - terms.mean[:, 0]).sum()) == pytest.approx(u, rel=0.05)
    ph = proportional_hazards_test(
        time, event, late["x"], fit_cox(time, event, late["x"], entry=entry), entry=entry
    )
    assert 0 < ph.global_p < 1


def test_a_patient_cut_in_two_is_the_same_patient():
    """(0, 10] is (0, 4] and then (4, 10]: risk sets do not see the cut."""
    time, event = np.array([3.0, 5.0, 7.0, 10.0]), np.array([1, 1, 0, 1])
    x = np.array([1.0, 0.0, 2.0, 0.5])
    split = (np.array([3.0, 5, 7, 4, 10]), np.array([1, 1, 0, 0, 1]), np.array([0.0, 0, 0, 0, 4]))
    halves = np.array([1.0, 0, 2, 0.5, 0.5])
    whole, cut = fit_cox(time, event, x), fit_cox(split[0], split[1], halves, entry=split[2])
    assert cut.coef == pytest.approx(whole.coef)
    curve, other = kaplan_meier(time, event), kaplan_meier(*split)
    assert other.at(time) == pytest.approx(curve.at(time))
    incidence = cumulative_incidence(split[0], split[1], entry=split[2])
    assert 1 - incidence.at(time) == pytest.approx(curve.at(time))
    group = (halves > 0.7).astype(int)
    assert logrank(*split[:2], group, entry=split[2]).chi_square == pytest.approx(
        logrank(time, event, (x > 0.7).astype(int)).chi_square
    )


def test_loss_and_gradient_bear_hazards_of_any_size():
    time = torch.tensor([2.0, 4.0, 6.0, 9.0], dtype=torch.float64)
    entry = torch.tensor([0.0, 1.0, 5.0, 0.0], dtype=torch.float64)
    event = torch.tensor([True, True, False, True])
    raw = torch.tensor([0.0, 0.5, 800.0, -0.5], dtype=torch.float64, requires_grad=True)
    loss = cox_nll(raw, time, event, None, entry)
    loss.backward()
    # The third patient has a vast hazard, and is at risk at no event.
    kept = torch.tensor([0, 1, 3])
    small = raw.detach()[kept].requires_grad_()
    without = cox_nll(small, time[kept], event[kept], None, entry[kept])
    without.backward()
    assert loss.item() == pytest.approx(without.item(), **CLOSED)
    assert raw.grad[kept].tolist() == pytest.approx(small.grad.tolist(), **CLOSED)
    assert raw.grad[2] == 0
    assert torch.autograd.gradcheck(lambda r: cox_nll(r, time, event, None, entry), small_raw())


def small_raw():
    return torch.tensor([0.3, -0.2, 0.1, 0.7], dtype=torch.float64, requires_grad=True)


def test_incidence_error_is_the_infinitesimal_jackknife():
    rng = np.random.default_rng(4)
    entry = rng.integers(0, 4, 14).astype(float)
    time = entry + rng.integers(1, 7, 14)
    code = rng.integers(0, 3, 14)

    def weighted(weight, at):
        free, found = 1.0, 0.0
        for t in np.unique(time[code > 0]):
            risk = weight[(entry < t) & (t <= time)].sum()
            if t <= at:
                found += free * weight[(time == t) & (code == 1)].sum() / risk
            free *= 1 - weight[(time == t) & (code > 0)].sum() / risk
        return found

    curve = cumulative_incidence(time, code, entry=entry)
    for at in (4.0, 6.0):
        one = np.ones(14)
        assert float(curve.at(at)) == pytest.approx(weighted(one, at))
        step = 1e-6 * np.eye(14)
        influence = [(weighted(one + e, at) - weighted(one - e, at)) / 2e-6 for e in step]
        assert curve.standard_error(at)[0] == pytest.approx(np.linalg.norm(influence), rel=1e-6)


def test_disjoint_pairs_are_of_patients_under_observation():
    assert disjoint_pairs([1, 2, 3, 4], [1, 1, 0, 0], entry=[0, 0, 0, 0]) == 2
    assert disjoint_pairs([1, 2, 3, 4], [1, 1, 0, 0], entry=[0, 0, 2, 2]) == 1


def test_entry_must_precede_the_end_of_follow_up():
    with pytest.raises(InputError, match="not before the end of follow-up in 1 row"):
        kaplan_meier([3, 5], [1, 1], [3, 0])
    with pytest.raises(InputError, match="negative in 1"):
        harrell([3, 5], [1, 1], [0, 1], entry=[-1, 0])
