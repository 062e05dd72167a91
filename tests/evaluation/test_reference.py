"""Evaluation of a held-out cohort against R: one arm per model, one fold."""

import numpy as np
import pandas as pd
import pytest

from outcome.evaluation.arrays import read_arms
from outcome.evaluation.calibration import calibration_points
from outcome.evaluation.decision_curve import decision_curves
from outcome.evaluation.effects import effects
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.subdistribution import subdistribution_ratios
from outcome.evaluation.survival_curves import (
    best_cuts,
    follow_up,
    incidence_at,
    pairwise_tests,
    restricted_means,
    survival_at,
    survival_curves,
)
from outcome.predictions import Predictions

HORIZONS = [1095, 1825, 3650]


@pytest.fixture(scope="module")
def held_out(tables):
    test, arms = tables["horizon_test"], []
    for k in (1, 2):
        rows = pd.DataFrame({"patient_id": [f"p{i}" for i in range(len(test))]})
        rows["arm"], rows["repeat"], rows["fold"] = f"m{k}", 0, 0
        rows["time"], rows["event"], rows["risk"] = test["time"], test["event"], test[f"lp{k}"]
        for h in HORIZONS:
            rows[f"survival_{h}"] = 1 - test[f"m{k}_risk_{h}"]
        arms.append(rows)
    return Predictions(pd.concat(arms, ignore_index=True))


@pytest.fixture(scope="module")
def evaluation(held_out):
    return evaluate(
        held_out, baseline="m1", horizons=HORIZONS, n_resamples=400, cross_validated=False
    )


@pytest.fixture(scope="module")
def metrics(evaluation):
    return evaluation.metrics.set_index(["arm", "metric"])


@pytest.mark.parametrize("k", [1, 2])
def test_concordance(oracle, metrics, k):
    r = oracle["horizon"]
    for metric, expected in [
        ("harrell_c", r["harrell"][f"lp{k}"]),
        ("harrell_c_pairs", r["harrell"][f"lp{k}"]),
        ("uno_c", r["uno_tau3650"][f"lp{k}"]),
    ]:
        row = metrics.loc[(f"m{k}", metric)]
        assert row["estimate"] == pytest.approx(expected["c"], rel=1e-9)
        assert row["se_fixed"] == pytest.approx(expected["se"], rel=1e-9)
        assert row["se"] == pytest.approx(expected["se"], rel=0.01)  # a small-sample factor
        assert row["upper"] - row["lower"] == pytest.approx(3.92 * expected["se"], rel=0.2)


def test_auc_and_brier_over_time(oracle, metrics, evaluation):
    r = oracle["horizon"]["riskRegression"]
    compared = evaluation.comparisons.set_index("metric")
    for name, table, contrast in [
        ("auc", r["auc"], "auc_diff"),
        ("brier", r["brier"], "brier_diff"),
    ]:
        column = {"auc": "AUC", "brier": "Brier"}[name]
        for model, h, value, se in zip(
            table["model"], table["times"], table[column], table["se"], strict=True
        ):
            if model != "Null model":
                row = metrics.loc[(model, f"{name}_{h}")]
                assert row["estimate"] == pytest.approx(value, rel=1e-9)
                # R lets the censoring weights vary, ours are taken as known
                assert row["se"] == pytest.approx(se, rel=0.15)
        d = pd.DataFrame(r[contrast])
        d = d[(d["model"] == "m2") & (d["reference"] == "m1")].set_index("times")
        for h in HORIZONS:
            row = compared.loc[f"{name}_{h}"]
            assert row["difference"] == pytest.approx(d.loc[h, f"delta.{column}"], rel=1e-9)
            assert row["se"] == pytest.approx(d.loc[h, "se"], rel=0.1)
            assert row["lower"] == pytest.approx(d.loc[h, "lower"], abs=0.3 * d.loc[h, "se"] * 2)


@pytest.mark.parametrize("model", ["m1", "m2"])
def test_calibration(oracle, metrics, model):
    for h in HORIZONS:
        r = oracle["horizon"]["calibration"][f"{model}_{h}"]
        row = metrics.loc[(model, f"calibration_ratio_{h}")]
        assert row["estimate"] == pytest.approx(r["OE"], rel=1e-9)
        assert np.log(row["upper"] / row["estimate"]) == pytest.approx(1.96 * r["log_OE_se"], 1e-4)
        assert metrics.loc[(model, f"ici_{h}"), "estimate"] == pytest.approx(r["ICI"], rel=1e-6)
    slope = metrics.loc[(model, "calibration_slope")]
    assert slope["estimate"] == pytest.approx(r["slope"], rel=1e-6)
    width = 2 * 1.959964 * r["slope_se"][0][0]
    assert slope["upper"] - slope["lower"] == pytest.approx(width, rel=1e-5)


def test_mean_auc_and_ibs_lie_between_their_parts(metrics):
    for mean, part in [("mean_auc", "auc"), ("ibs", "brier")]:
        parts = [metrics.loc[("m1", f"{part}_{h}"), "estimate"] for h in HORIZONS]
        assert min(parts) < metrics.loc[("m1", mean), "estimate"] < max(parts)


def test_ibs_is_the_trapezoid_over_the_horizons(metrics):
    briers = [metrics.loc[("m1", f"brier_{h}"), "estimate"] for h in HORIZONS]
    wanted = np.trapezoid(briers, HORIZONS) / (HORIZONS[-1] - HORIZONS[0])
    assert metrics.loc[("m1", "ibs"), "estimate"] == pytest.approx(wanted, rel=1e-12)


def test_metrics_agree_with_scikit_survival(tables, metrics):
    from sksurv.metrics import cumulative_dynamic_auc, integrated_brier_score
    from sksurv.util import Surv

    test = tables["horizon_test"]
    y = Surv.from_arrays(test["event"] == 1, test["time"])
    # both integrate between the horizons; weights there use G(t), here G(t-)
    risks = test[[f"m1_risk_{h}" for h in HORIZONS]].to_numpy()
    _, mean = cumulative_dynamic_auc(y, y, test["lp1"], HORIZONS)
    assert metrics.loc[("m1", "mean_auc"), "estimate"] == pytest.approx(mean, abs=0.002)
    ibs = integrated_brier_score(y, y, 1 - risks, HORIZONS)
    assert metrics.loc[("m1", "ibs"), "estimate"] == pytest.approx(ibs, abs=0.001)


def test_the_paired_test_is_that_of_r(evaluation):
    row = evaluation.comparisons.set_index("metric").loc["harrell_c"]
    assert row["p_value"] == row["p_adjusted"] < 1e-6
    assert row["difference"] == pytest.approx(0.589909229900415 - 0.710189942287296, rel=1e-9)
    assert row["n_patients_common"] == 500


def test_survival_decision_curve(oracle, held_out):
    r = oracle["horizon"]["decision_curve_1825"]
    table = decision_curves(read_arms(held_out)[1], [1825], thresholds=r["threshold"])
    for model in ("m1", "m2"):
        found = table.loc[table["arm"] == model, "net_benefit"].tolist()
        assert found == pytest.approx(r[model], abs=1e-12)
    everybody = table.loc[table["arm"] == "treat all", "net_benefit"]
    assert everybody.iloc[0] == pytest.approx(0.244575054106098 - 0.755424945893902 * 5 / 95)


def binary_predictions(table):
    scores = []
    for name in ("p1", "p2"):
        rows = pd.DataFrame({"patient_id": [f"p{i:03}" for i in range(len(table))]})
        rows["arm"], rows["repeat"], rows["fold"], rows["label"] = name, 0, 0, table["y"]
        scores.append(rows.assign(risk=table[name], probability=table[name]))
    return Predictions(pd.concat(scores, ignore_index=True))


def test_binary_outcome(oracle, tables):
    predictions = binary_predictions(tables["binary"])
    found = evaluate(predictions, baseline="p1", n_resamples=300)
    metrics = found.metrics.set_index(["arm", "metric"])
    for name in ("p1", "p2"):
        r = oracle["delong"]["single"][name]
        row = metrics.loc[(name, "auroc")]
        assert row["estimate"] == pytest.approx(r["auc"], rel=1e-12)
        assert row["se_fixed"] == pytest.approx(np.sqrt(r["var"]), rel=0.02)
        assert row["se"] == pytest.approx(np.sqrt(r["var"]), rel=1e-9)  # with its factors, DeLong's
        # fitted probabilities of a logistic model are calibrated where they were fitted
        assert metrics.loc[(name, "calibration_slope"), "estimate"] == pytest.approx(1, abs=1e-3)
        intercept = metrics.loc[(name, "calibration_intercept"), "estimate"]
        assert intercept == pytest.approx(0, abs=1e-3)
    row = found.comparisons.set_index("metric").loc["auroc"]
    p = oracle["delong"]["paired"]["p2_vs_p1"]["p"]
    assert row["p_value_fixed"] == pytest.approx(p, rel=0.1)
    assert p < row["p_value"] < 2 * p  # by the quantiles of t
    y, p = tables["binary"]["y"], tables["binary"]["p1"]
    assert metrics.loc[("p1", "brier"), "estimate"] == pytest.approx(((y - p) ** 2).mean())


def test_binary_curves_agree_with_scikit_learn(tables):
    from sklearn.metrics import average_precision_score, roc_curve

    table = tables["binary"]
    found = evaluate(binary_predictions(table), n_resamples=50).metrics
    values = found.set_index(["arm", "metric"])["estimate"]
    y, p = table["y"], table["p2"]
    assert values["p2", "auprc"] == pytest.approx(average_precision_score(y, p))
    fpr, tpr, _ = roc_curve(y, p, drop_intermediate=False)
    assert values["p2", "sensitivity_at_90_specificity"] == pytest.approx(tpr[fpr <= 0.1].max())
    expected = 1 - fpr[tpr >= 0.9].min()
    assert values["p2", "specificity_at_90_sensitivity"] == pytest.approx(expected)


def test_binary_decision_curve(oracle, tables):
    r = oracle["decision_curve_binary"]
    table = decision_curves(
        read_arms(binary_predictions(tables["binary"]))[1], thresholds=r["threshold"]
    )
    for arm, key in [("p1", "p1"), ("p2", "p2"), ("treat all", "all")]:
        found = table.loc[table["arm"] == arm, "net_benefit"].tolist()
        assert found == pytest.approx(r[key], abs=1e-12)


def grouped(table, event="event", risk="group"):
    """Predictions with the groups of the table, which are in order of their mean risk."""
    rows = pd.DataFrame({"patient_id": [f"p{i:04}" for i in range(len(table))]})
    rows["arm"], rows["repeat"], rows["fold"], rows["risk"] = "a", 0, 0, table[risk] * 1.0
    rows["time"], rows["event"] = table["time"], table[event]
    rows["risk_group"] = table["group"].astype(str)
    return Predictions(rows)


def test_risk_groups_are_those_of_r(case):
    table, r = case
    predictions = grouped(table)
    groups = evaluate(predictions, n_resamples=0, cross_validated=False).risk_groups
    expected = r["km_group"]["table"]
    assert groups["n"].tolist() == expected["records"]
    assert groups["events"].tolist() == expected["events"]
    for ours, theirs in [("median_survival", "median"), ("lower", "0.95LCL"), ("upper", "0.95UCL")]:
        want = [np.nan if v is None else v for v in expected[theirs]]
        assert groups[ours].to_numpy() == pytest.approx(np.array(want, float), nan_ok=True)
    assert groups["logrank_p"].iloc[0] == pytest.approx(r["logrank"]["plain"]["p"], rel=1e-7)
    if "logrank_pairwise" in r:
        pairs = pairwise_tests(read_arms(predictions)[1])
        keys = pairs["group_a"] + "_vs_" + pairs["group_b"]
        want = [r["logrank_pairwise"]["holm"][k] for k in keys]
        assert pairs["p_adjusted"].tolist() == pytest.approx(want, rel=1e-7)


def test_survival_of_groups_at_horizons_is_that_of_r(oracle, tables):
    r = oracle["gbsg"]["km_group"]
    found = survival_at(read_arms(grouped(tables["gbsg"]))[1], [365, 1095, 1825, 2200])
    assert found["survival"].tolist() == pytest.approx(r["surv"], rel=1e-9)
    assert found["n_risk"].tolist() == r["n_risk"]
    curve = survival_curves(read_arms(grouped(tables["gbsg"]))[1])
    assert (curve.groupby("group")["survival"].diff().dropna() <= 0).all()
    beyond = survival_at(read_arms(grouped(tables["gbsg"]))[1], [1e5])
    assert beyond["survival"].isna().all()


def test_follow_up_and_restricted_means_are_those_of_r(case):
    table, r = case
    predictions = grouped(table)
    found = follow_up(read_arms(predictions)[1], [table["time"].median()]).iloc[0]
    median = r["followup_reverse_km"]["median"]
    assert found["median_follow_up"] == pytest.approx(
        np.nan if median is None else median, nan_ok=True
    )
    assert found["events"] == r["events"]
    for tau, expected in r["rmst"].items():
        means = restricted_means(read_arms(predictions)[1], float(tau))
        if means["restricted_mean"].head(2).isna().any():
            continue  # R goes on beyond the end of a group
        row = means.iloc[1]
        want = [expected[k] for k in ("diff_g2_minus_g1", "se", "p", "lo", "hi")]
        low = means["se"].iloc[0]
        got = [
            row["difference"],
            np.hypot(low, row["se"]),
            row["p_value"],
            row["lower"],
            row["upper"],
        ]
        assert got == pytest.approx(want, rel=1e-8)


def test_competing_risks_by_group(oracle, tables):
    r = oracle["competing"]
    predictions = grouped(tables["pbc"], "status3")
    # the events of interest are the transplants (1), deaths compete (2)
    found = incidence_at(read_arms(predictions)[1], r["times"])
    p = found.groupby("cause")["gray_p"].first()
    assert p.tolist() == pytest.approx(r["gray_by_trt"]["pv"], rel=1e-9)
    evaluated = evaluate(predictions, n_resamples=0)
    assert any("competing events" in n for n in evaluated.warnings)
    # What the tables of groups hold is 1 less the incidence of the event of interest.
    arms = read_arms(predictions)[1]
    free = survival_at(arms, r["times"])
    mine = found[found["cause"] == 1].reset_index(drop=True)
    for ours, theirs in (("survival", "incidence"), ("lower", "upper"), ("upper", "lower")):
        assert free[ours].to_numpy() == pytest.approx(1 - mine[theirs].to_numpy(), nan_ok=True)
    last = survival_curves(arms).groupby("group")["survival"].last()
    groups = evaluated.risk_groups.set_index("group")
    assert (groups["median_survival"].notna() == (last.reindex(groups.index) <= 0.5)).all()
    assert groups["note"].str.contains("cumulative incidence of 50%").all()


def test_subdistribution_ratios_are_next_to_the_cause_specific_ones(oracle, tables):
    r, table = oracle["competing"], tables["pbc"].assign(patient_id=lambda t: t.index.astype(str))
    rows = pd.DataFrame({"patient_id": table["patient_id"], "arm": "a", "repeat": 0, "fold": 0})
    code = table["status3"].map({0: 0, 1: 2, 2: 1})  # here, deaths are the events of interest
    high = np.where(table["x1"] > 1, "high", "low")
    rows = rows.assign(time=table["time"], event=code, risk=table["x1"], risk_group=high)
    arms, covariates = read_arms(Predictions(rows)), table[["patient_id", "x2", "x3", "x4"]]
    known = effects(*arms, covariates)
    found = subdistribution_ratios(*arms, known, covariates).set_index(["model", "term"])
    joint = found.loc["multivariable"]
    scale = np.array([table["x1"].std(ddof=1), 1, 1, 1])  # the score is per SD
    want = np.array(list(r["finegray_survival"]["coef"].values())) * scale
    assert np.log(joint["ratio"]).to_numpy() == pytest.approx(want, rel=1e-8)
    half = np.log(joint["upper"] / joint["lower"]) / 2 / 1.959963985
    errors = np.array(list(r["finegray_cmprsk"]["se"].values())) * scale
    assert half.to_numpy() == pytest.approx(errors, rel=2e-5)
    want = np.array(list(r["cause_specific_death"]["coef"].values())) * scale
    assert np.log(joint["cause_specific"]).to_numpy() == pytest.approx(want, rel=1e-8)
    assert set(found.loc["univariable"].index) == {"risk", "x2", "x3", "x4"}
    group = found.loc[("risk groups", "high")]
    assert group["lower"] > 1
    assert group["cause_specific"] > 1
    assert (found["competing"] == (code == 2).sum()).all()


def test_the_median_under_competing_risks_is_where_half_had_the_event():
    rows = pd.DataFrame({"patient_id": list("abcdefgh"), "arm": "a", "repeat": 0, "fold": 0})
    rows = rows.assign(risk=1.0, risk_group="all", time=range(1, 9), event=[1, 2, 1, 1, 2, 1, 1, 0])
    row = evaluate(Predictions(rows), n_resamples=0).risk_groups.iloc[0]
    assert row["median_survival"] == 6.5  # by 6, 4 of 8; a Kaplan-Meier curve says 4
    assert row["lower"] < 6.5


def test_best_cut(oracle, tables):
    found = best_cuts(read_arms(grouped(tables["gbsg"], risk="lp1"))[1], n_permutations=0).iloc[0]
    assert found["cut"] == oracle["maxstat"]["gbsg_lp1"]["cutpoint"]


def test_calibration_points(held_out):
    table = calibration_points(read_arms(held_out)[1], HORIZONS, n_groups=4)
    groups = table[table["kind"] == "group"]
    assert groups.groupby(["arm", "horizon"])["n"].sum().eq(500).all()
    assert (groups["lower"] <= groups["observed"]).all()
    assert (groups["observed"] <= groups["upper"]).all()
    smooth = table[(table["kind"] == "smooth") & (table["arm"] == "m1")]
    assert (smooth["predicted"] - smooth["observed"]).abs().max() < 0.06
