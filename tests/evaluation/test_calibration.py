"""Calibration in the presence of competing events, fixed horizons and short follow-up."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from outcome.endpoint import Landmark
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.calibration import calibration_points
from outcome.evaluation.decision_curve import decision_curves
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.subgroups import subgroups
from outcome.evaluation.survival_curves import incidence_at
from outcome.predictions import Predictions
from outcome.statistics.logistic import fit_logistic


def one_fold(time, event, survival, **columns):
    """Predictions of a single arm and fold at horizon 2."""
    return pd.DataFrame(
        {
            "arm": "a",
            "patient_id": [f"p{i:05}" for i in range(len(time))],
            "repeat": 0,
            "fold": "x",
            "time": time,
            "event": event,
            "risk": 1 - survival,
            "survival_2": survival,
            **columns,
        }
    )


def measured(table, **options):
    """Metrics of the only arm at horizon 2, by name."""
    options = {"horizons": [2.0], "n_resamples": 0, "cross_validated": False} | options
    return evaluate(Predictions(table), unit="years", **options).metrics.set_index("metric")


def test_perfect_incidences_have_no_slope_that_blames_them(rng):
    score = rng.normal(size=2000)
    hazard, other = 0.3 * np.exp(score), 0.5 * np.exp(score)
    both = hazard + other
    time, end = rng.exponential(1 / both), rng.uniform(0, 6, 2000)
    kind = np.where(rng.random(2000) < hazard / both, 1, 2)
    incidence = hazard / both * -np.expm1(-2 * both)
    table = one_fold(np.minimum(time, end), np.where(time <= end, kind, 0), 1 - incidence)
    found = measured(table)
    assert np.isnan(found.loc["calibration_slope", "estimate"])
    assert "competing" in found.loc["calibration_slope", "note"]
    assert 0.9 < found.loc["calibration_ratio_2", "estimate"] < 1.1


def crossing(rng, n=3000):
    """Exact probabilities of the event by 2; the hazard ratio is reversed thereafter."""
    score = rng.normal(size=n)
    early, late = rng.exponential(5 * np.exp(-score)), rng.exponential(5 * np.exp(score))
    time, end = np.where(early <= 2, early, 2 + late), rng.uniform(0, 8, n)
    survival = np.exp(-0.4 * np.exp(score))
    return one_fold(np.minimum(time, end), np.where(time <= end, 1, 0), survival)


def test_what_comes_after_a_fixed_horizon_does_not_count(rng):
    table = crossing(rng)
    found = measured(table, landmark=2.0)
    slope, intercept = found.loc["calibration_slope"], found.loc["calibration_intercept"]
    assert slope["lower"] < 1 < slope["upper"]
    assert slope["upper"] - slope["lower"] < 0.4
    assert intercept["lower"] < 0 < intercept["upper"]
    assert found.loc["ici_2", "estimate"] < 0.04
    curve = calibration_points(
        read_arms(Predictions(table))[1], landmark=2.0, cross_validated=False
    )
    curve = curve[curve["kind"] == "smooth"]
    assert (curve["predicted"] - curve["observed"]).abs().mean() < 0.05
    assert set(curve["events"]) == {int(((table["event"] == 1) & (table["time"] <= 2)).sum())}
    # the first follow-up beyond the horizon is as good as any other
    cut = table.assign(time=table["time"].clip(upper=2.5))
    cut["event"] = table["event"].where(table["time"] <= 2.5, 0)
    again = measured(cut, landmark=2.0)
    for metric in ("calibration_slope", "calibration_intercept", "ici_2"):
        assert np.isclose(again.loc[metric, "estimate"], found.loc[metric, "estimate"])


def test_events_after_a_fixed_horizon_do_not_make_a_smooth_curve(rng):
    table = crossing(rng, n=220)
    early = (table["event"] == 1) & (table["time"] <= 2)
    assert early.sum() < 100 <= (table["event"] == 1).sum()
    found = measured(table, landmark=2.0)
    assert "fewer than 100 events by the horizon" in found.loc["ici_2", "note"]
    assert set(calibration_points(read_arms(Predictions(table))[1], landmark=2.0)["kind"]) == {
        "group"
    }


def test_a_competing_event_is_a_known_no_at_a_fixed_horizon(rng):
    table = crossing(rng)
    dies = rng.random(len(table)) < 0.3  # whoever dies first has no event by the horizon
    first = rng.uniform(0, 2, len(table))
    before = dies & (first < table["time"])
    table.loc[before, "time"], table.loc[before, "event"] = first[before], 2
    found = measured(table, landmark=2.0)
    assert np.isfinite(found.loc["calibration_slope", "estimate"])
    assert found.loc["calibration_intercept", "upper"] < 0


def test_weights_of_a_fixed_horizon_make_a_sandwich(rng):
    x, weight = rng.normal(size=300), rng.uniform(1, 5, 300)
    y = rng.random(300) < expit(x)
    plain, robust = (fit_logistic(y, x, weight=weight, robust=r) for r in (False, True))
    assert robust.coef == pytest.approx(plain.coef)
    design = np.column_stack([np.ones(300), x])
    score = design * (weight * (y - expit(design @ plain.coef)))[:, None]
    wanted = plain.covariance @ score.T @ score @ plain.covariance
    assert robust.covariance == pytest.approx(wanted)
    # doubling every weight tells nothing new
    twice = fit_logistic(y, x, weight=2 * weight, robust=True)
    assert twice.covariance == pytest.approx(robust.covariance)


@pytest.fixture
def short(rng):
    """Patients of whom the highest fifth of risks is not followed to the horizon, 2."""
    score = rng.normal(size=500)
    time, end = rng.exponential(2 * np.exp(-0.5 * score)), rng.uniform(0, 5, 500)
    high = score > np.quantile(score, 0.8)
    end[high] = rng.uniform(0, 0.8, high.sum())
    group = np.where(high, "high", "low")
    return one_fold(
        np.minimum(time, end),
        (time <= end).astype(int),
        np.exp(-np.exp(0.5 * score)),
        risk_group=group,
    )


@pytest.mark.parametrize("competing", [False, True])
def test_nothing_is_observed_beyond_a_groups_own_follow_up(short, competing):
    if competing:
        short.loc[(short.index % 9 == 0) & (short["event"] == 0), "event"] = 2
    predictions = Predictions(short)
    panel, arms = read_arms(predictions)
    groups = calibration_points(arms, [2.0]).query("kind == 'group'")
    assert groups["observed"].isna().tolist() == [False] * 4 + [True]
    assert groups[["lower", "upper"]].isna().iloc[4].all()
    curve = decision_curves(arms, [2.0], thresholds=[0.1, 0.8]).set_index("arm")
    assert curve.loc["a", "net_benefit"].isna().tolist() == [False, True]
    assert curve.loc["treat all", "net_benefit"].notna().all()
    centre = short[["patient_id"]].assign(centre=short["risk_group"])
    found = subgroups(panel, arms, centre, horizon=2.0).set_index("level")
    assert np.isnan(found.loc["high", "calibration_ratio"])
    assert "no patient is followed to the horizon" in found.loc["high", "note"]
    assert 0.7 < found.loc["low", "calibration_ratio"] < 1.3


def test_incidence_is_unknown_beyond_a_groups_follow_up_unless_nobody_is_left(short):
    short.loc[short.index % 9 == 0, "event"] = 2
    high = short["risk_group"] == "high"
    short.loc[short[high]["time"].idxmax(), "event"] = 0
    found = incidence_at(read_arms(Predictions(short))[1], [0.3, 2.0]).set_index(
        ["group", "cause", "horizon"]
    )
    columns = ["incidence", "lower", "upper"]
    assert found.loc[("high", 1, 2.0), columns].isna().all()
    assert found.loc[("high", 1, 0.3), columns].notna().all()
    assert found.loc[("low", 1, 2.0), columns].notna().all()
    short.loc[short[high]["time"].idxmax(), "event"] = 2
    found = incidence_at(read_arms(Predictions(short))[1], [2.0]).set_index(["group", "cause"])
    assert found.loc[("high", 1), "incidence"] + found.loc[("high", 2), "incidence"] == (
        pytest.approx(1)
    )


def test_predictions_of_short_follow_up_alone_have_no_ratio(short):
    short.loc[short["risk_group"] == "low", "survival_2"] = np.nan
    found = measured(short)
    assert "no patient with a prediction is followed" in found.loc["calibration_ratio_2", "note"]


def test_follow_up_that_ends_at_a_fixed_horizon_is_known_there(rng):
    table = crossing(rng)
    found = measured(table, landmark=2.0)
    ended = table.assign(time=table["time"].clip(upper=2.0))
    ended["event"] = table["event"].where(table["time"] <= 2, 0)
    again = measured(ended, landmark=2.0)
    assert again["estimate"].notna().all()
    names = ["auroc", "brier", "calibration_slope", "calibration_intercept", "ici_2"]
    names.append("calibration_ratio_2")
    same = [again.loc[n, "estimate"] for n in names]
    assert same == pytest.approx([found.loc[n, "estimate"] for n in names])
    # with time to event, the definitions are those of R and scikit-survival
    assert "not before the last follow-up" in measured(ended).loc["brier_2", "note"]
    late = measured(ended.assign(survival_3=ended["survival_2"]), landmark=3.0, horizons=[3.0])
    assert "beyond the last follow-up (2)" in late.loc["calibration_slope", "note"]
    assert late["estimate"].isna().all()


def test_who_is_followed_to_a_fixed_horizon_is_counted_as_known():
    endpoint = Landmark(kind="landmark", time="t", event="e", horizon=4)
    patients = pd.DataFrame({"time": [1.0, 2, 4, 4, 4, 3], "event": [0.0, 1, 0, 0, 1, 0]})
    assert endpoint.rarer(patients) == 2
