import tracemalloc

import numpy as np
import pandas as pd
import pytest
from crossfit_tables import HORIZONS, run_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome.errors import PredictionsError
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.crossfit_estimates import (
    InnerModelTables,
    crossfit_difference,
    crossfit_estimate,
    inner_scores_by_arm,
)
from outcome.evaluation.evaluation import METRIC_COLUMNS, evaluate
from outcome.evaluation.fold_metrics import harrell_in_fold
from outcome.evaluation.horizon_columns import horizon_columns, horizon_name
from outcome.predictions import Predictions
from outcome.statistics.concordance import harrell


def simulated(n=120, arms=2, folds=3, repeats=1, seed=0, binary=False):
    """Scores of falling quality; the same patients, folds and outcomes for every arm."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    time, censor = rng.exponential(np.exp(-z) * 500), rng.exponential(800, n)
    tables = []
    for repeat in range(repeats):
        fold = rng.permutation(np.arange(n) % folds)
        for a in range(arms):
            rows = pd.DataFrame(
                {"arm": f"arm{a}", "patient_id": [f"p{i:04}" for i in range(n)], "repeat": repeat}
            )
            rows["fold"] = fold
            rows["risk"] = z + (a + 0.5) * rng.normal(size=n)
            if binary:
                rows["label"] = (time < 300).astype(int)
                rows["probability"] = 1 / (1 + np.exp(-rows["risk"]))
            else:
                rows["time"] = np.ceil(np.minimum(time, censor))
                rows["event"] = (time <= censor).astype(int)
                for h in (200, 500):
                    rows[f"survival_{h}"] = np.exp(-h / 500 * np.exp(rows["risk"]))
            tables.append(rows)
    return pd.concat(tables, ignore_index=True)


def value(found, arm, metric, column="estimate"):
    return found.metrics.set_index(["arm", "metric"]).loc[(arm, metric), column]


def test_harrell_c_is_the_mean_over_folds_then_repeats():
    table = simulated(repeats=2)
    found = evaluate(Predictions(table), n_resamples=20)
    rows = table[table["arm"] == "arm0"]
    means = [
        np.mean([harrell(f["time"], f["event"], f["risk"]).c for _, f in r.groupby("fold")])
        for _, r in rows.groupby("repeat")
    ]
    assert value(found, "arm0", "harrell_c") == pytest.approx(np.mean(means), rel=1e-12)
    assert value(found, "arm0", "harrell_c", "repeat_sd") == pytest.approx(np.std(means, ddof=1))
    pooled = [
        harrell(r["time"], r["event"], r["risk"], group=r["fold"]).c
        for _, r in rows.groupby("repeat")
    ]
    assert value(found, "arm0", "harrell_c_pairs") == pytest.approx(np.mean(pooled), rel=1e-12)
    assert value(found, "arm0", "harrell_c", "n") == 120  # patients, not rows


def test_repeats_do_not_make_intervals_narrower_by_their_number():
    one = simulated(folds=2)
    many = pd.concat([one.assign(repeat=k) for k in range(5)], ignore_index=True)
    a, b = (evaluate(Predictions(t), n_resamples=100, baseline="arm0") for t in (one, many))
    for column in ("estimate", "lower", "upper", "se"):
        assert value(b, "arm1", "harrell_c", column) == pytest.approx(
            value(a, "arm1", "harrell_c", column)
        )
    assert b.comparisons["p_value"].to_numpy() == pytest.approx(a.comparisons["p_value"].to_numpy())
    assert b.risk_groups["n"].tolist() == a.risk_groups["n"].tolist()
    assert any("first repeat" in w for w in b.warnings)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000), st.booleans())
def test_row_order_shift_and_monotone_transform_do_not_matter(seed, binary):
    table = simulated(n=60, seed=seed, binary=binary)
    first = evaluate(
        Predictions(table), baseline="arm1", n_resamples=30, horizons=() if binary else [200]
    )
    shuffled = table.sample(frac=1, random_state=seed)
    moved = shuffled.assign(risk=np.arctan(shuffled["risk"]) * 3 + shuffled["fold"] * 100)
    order = ["arm", "metric"]
    second = evaluate(
        Predictions(moved), baseline="arm1", n_resamples=30, horizons=() if binary else [200]
    )
    for a, b, key in [
        (first.metrics, second.metrics, order),
        (first.comparisons, second.comparisons, order),
        (first.risk_groups, second.risk_groups, ["arm", "group"]),
    ]:
        pd.testing.assert_frame_equal(
            a.sort_values(key, ignore_index=True), b.sort_values(key, ignore_index=True)
        )


def test_same_seed_same_numbers_other_seed_other_interval():
    predictions = Predictions(simulated())
    a, b, c = (evaluate(predictions, n_resamples=50, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(a.metrics, b.metrics)
    assert (a.metrics["estimate"] == c.metrics["estimate"]).all()
    assert value(a, "arm0", "harrell_c", "lower") == value(c, "arm0", "harrell_c", "lower")
    fixed = [value(found, "arm0", "harrell_c", "lower_fixed") for found in (a, c)]
    assert fixed[0] != fixed[1]


def test_columns_and_names():
    found = evaluate(Predictions(simulated()), baseline="arm0", horizons=[200, 500], n_resamples=50)
    assert list(found.metrics) == METRIC_COLUMNS
    names = "harrell_c harrell_c_pairs uno_c auc_200 auc_500 mean_auc brier_200 brier_500 ibs"
    names += " calibration_slope calibration_ratio_200 ici_200 calibration_ratio_500 ici_500"
    assert found.metrics["metric"].tolist() == 2 * names.split()
    assert set(found.comparisons["metric"]) == set(names.split()[:9])
    assert found.comparisons["p_adjusted"].notna().sum() == 1  # one arm, the primary metric
    assert (
        found.metrics.loc[found.metrics["metric"] == "ici_200", "note"].iloc[0].startswith("fewer")
    )
    known = found.metrics.dropna(subset=["lower"])
    assert (known["lower"] <= known["estimate"]).all()
    assert (known["estimate"] <= known["upper"]).all()
    assert any("tau = 500 days" in w and "other folds" in w for w in found.notes)
    assert any("exploratory" in w for w in found.notes)


def test_holm_is_over_arms():
    found = evaluate(Predictions(simulated(arms=4)), baseline="arm0", n_resamples=20)
    primary = found.comparisons[found.comparisons["metric"] == "harrell_c"]
    assert len(primary) == 3
    assert (primary["p_adjusted"] >= primary["p_value"]).all()
    assert primary["p_adjusted"].min() == pytest.approx(min(1, 3 * primary["p_value"].min()))


def test_contrasts_beside_the_baseline():
    predictions = Predictions(simulated(arms=3))
    pairs = [("arm1", "arm2"), ("arm1", "arm0")]  # the second is there already
    found = evaluate(predictions, baseline="arm0", contrasts=pairs, n_resamples=20).comparisons
    primary = found[found["metric"] == "harrell_c"].set_index(["arm", "baseline"])
    assert list(primary.index) == [("arm1", "arm0"), ("arm2", "arm0"), ("arm1", "arm2")]
    steps = primary["difference"]
    assert steps["arm2", "arm0"] + steps["arm1", "arm2"] == pytest.approx(steps["arm1", "arm0"])
    assert primary["p_adjusted"].notna().all()


def test_few_followed_to_a_horizon_is_said():
    table = simulated(arms=1, folds=1)
    table["time"] = np.minimum(table["time"], 600 + np.arange(120) / 100)
    table.loc[table["time"] >= 600, "event"] = 0
    late = float(table["time"].nlargest(3).iloc[-1])
    found = evaluate(Predictions(table.assign(survival_600=0.5)), horizons=[late], n_resamples=5)
    assert "few patients are followed" in value(found, "arm0", f"auc_{horizon_name(late)}", "note")


def test_identical_arms_do_not_differ():
    table = simulated(arms=1)
    both = pd.concat([table, table.assign(arm="copy", risk=2 * table["risk"])], ignore_index=True)
    row = evaluate(Predictions(both), baseline="arm0", n_resamples=20).comparisons.iloc[0]
    assert (row["difference"], row["p_value"], row["lower_fixed"]) == (0, 1, 0)
    assert -0.2 < row["lower"] == -row["upper"] < 0
    assert "both arms rank all pairs identically" in row["note"]


def test_arms_are_compared_on_common_patients():
    table = simulated()
    lost = (table["arm"] == "arm1") & table["patient_id"].isin(["p0001", "p0002", "p0003"])
    found = evaluate(Predictions(table[~lost]), baseline="arm0", n_resamples=20)
    row = found.comparisons.iloc[0]
    assert row["n_patients_common"] == 117
    assert "120" in row["note"]
    common = table[~table["patient_id"].isin(["p0001", "p0002", "p0003"])]
    expected = evaluate(Predictions(common), baseline="arm0", n_resamples=0).comparisons.iloc[0]
    assert row["difference"] == pytest.approx(expected["difference"], rel=1e-12)
    assert row["p_value"] == pytest.approx(expected["p_value"], rel=1e-9)
    assert any("3 patients are not scored, e.g. p0001, p0002, p0003" in w for w in found.warnings)


def test_arms_without_common_patients():
    table = simulated()
    first = table["patient_id"] < "p0060"
    apart = table[((table["arm"] == "arm0") & first) | ((table["arm"] == "arm1") & ~first)]
    found = evaluate(Predictions(apart), baseline="arm0", n_resamples=20).comparisons
    assert found["n_patients_common"].tolist() == [0]
    assert found["note"].tolist() == ["no patient in common"]


def test_constant_risk_is_one_half_one_group_and_a_warning():
    table = simulated(arms=1).assign(risk=0.25)
    found = evaluate(Predictions(table), horizons=[200], n_resamples=50)
    for metric in ("harrell_c", "uno_c", "auc_200"):
        fixed = ("estimate", "lower_fixed", "upper_fixed", "se_fixed")
        row = [value(found, "arm0", metric, c) for c in fixed]
        assert row == pytest.approx([0.5, 0.5, 0.5, 0], abs=1e-12)
        assert np.isnan([value(found, "arm0", metric, c) for c in ("lower", "upper", "se")]).all()
        assert "does not depend on any single patient" in value(found, "arm0", metric, "note")
    assert found.risk_groups["group"].tolist() == ["low"]
    assert "only one risk group" in found.risk_groups["note"].iloc[0]
    assert np.isnan(found.risk_groups["logrank_p"].iloc[0])
    assert any("risk is constant" in w for w in found.warnings)


def test_a_fold_without_events_is_skipped_and_named():
    table = simulated()
    table.loc[table["fold"] == 1, "event"] = 0
    found = evaluate(Predictions(table), baseline="arm0", n_resamples=20)
    assert value(found, "arm0", "harrell_c", "note") == "1 of 3 folds skipped"
    assert any("fold 1 of 3: no event" in w for w in found.warnings)
    without = evaluate(Predictions(table[table["fold"] != 1]), n_resamples=0)
    assert value(found, "arm0", "harrell_c") == value(without, "arm0", "harrell_c")


def test_nobody_had_an_event():
    table = simulated(arms=2).assign(event=0)
    found = evaluate(Predictions(table), baseline="arm0", horizons=[200], n_resamples=20)
    assert (
        found.metrics["estimate"]
        .drop(found.metrics.index[found.metrics["metric"].str.startswith("brier")])
        .isna()
        .all()
    )
    assert found.comparisons["p_value"].isna().sum() >= 3
    assert found.risk_groups["hazard_ratio"].tolist()[1::2] == pytest.approx(
        [np.nan] * 2, nan_ok=True
    )
    assert "tau = none could be chosen" in evaluate(Predictions(table), n_resamples=0).notes[0]


def test_tiny_folds():
    table = simulated(n=12, folds=6)
    found = evaluate(Predictions(table), baseline="arm0", horizons=[200], n_resamples=20)
    assert np.isnan(value(found, "arm0", "harrell_c"))  # two patients make one pair at most
    assert "fewer than 2 comparable pairs" in value(found, "arm0", "harrell_c", "note")
    assert not np.isnan(value(found, "arm0", "harrell_c_pairs"))


def test_an_empty_group_and_a_group_without_events():
    table = simulated(arms=1)
    table["risk_group"] = np.where(table["event"] == 0, "low", "high")
    table.loc[table["patient_id"] == "p0000", "risk_group"] = "intermediate"
    found = evaluate(Predictions(table), n_resamples=0).risk_groups
    assert found["group"].tolist() == ["low", "intermediate", "high"]
    assert found["hazard_ratio"].iloc[0] == 1
    assert found["hazard_ratio"].iloc[1:].isna().all()
    assert "no hazard ratio" in found["note"].iloc[2]
    assert "exploratory" not in found["note"].iloc[0]


def test_one_fold_uses_the_table_for_censoring_weights():
    found = evaluate(Predictions(simulated(folds=1)), horizons=[200], n_resamples=20)
    assert "the patients of the table" in found.notes[0]
    assert not any("exploratory" in w for w in found.notes)


def test_strata_are_never_compared_with_each_other():
    table = simulated(arms=1, n=200)
    table["strata"] = np.where(table["patient_id"] < "p0100", "luad", "gbm")
    moved = table.assign(risk=table["risk"] + 1000 * (table["strata"] == "gbm"))
    a, b = (evaluate(Predictions(t), horizons=[200, 500], n_resamples=50) for t in (table, moved))
    pd.testing.assert_frame_equal(a.metrics, b.metrics)
    pd.testing.assert_frame_equal(a.risk_groups, b.risk_groups)


def test_a_horizon_beyond_follow_up_is_unknown_with_the_reason():
    found = evaluate(Predictions(simulated()), horizons=[200, 9000], n_resamples=20)
    assert np.isnan(value(found, "arm0", "auc_9000"))
    assert "last follow-up" in value(found, "arm0", "auc_9000", "note")
    assert value(found, "arm0", "mean_auc") == pytest.approx(value(found, "arm0", "auc_200"))
    assert "1 of 2 horizons skipped" in value(found, "arm0", "mean_auc", "note")
    assert any("no auc_9000" in w for w in found.warnings)


def test_missing_survival_predictions_are_counted():
    table = simulated(arms=1)
    table.loc[:9, "survival_200"] = np.nan
    found = evaluate(Predictions(table), horizons=[200], n_resamples=20)
    assert value(found, "arm0", "brier_200", "note") == "10 predictions are missing"
    table["survival_200"] = ""  # as read from a file with empty cells
    found = evaluate(Predictions(table), horizons=[200], n_resamples=20)
    assert np.isnan(value(found, "arm0", "brier_200"))
    assert np.isnan(value(found, "arm0", "calibration_slope"))


def test_no_resamples_leave_the_intervals_of_fixed_models_empty():
    found = evaluate(Predictions(simulated()), baseline="arm0", n_resamples=0)
    assert found.metrics["lower_fixed"].isna().all()
    assert found.metrics["lower"].notna().all()
    assert found.metrics["se"].notna().all()
    assert found.comparisons["p_value"].notna().all()


def test_metrics_and_comparisons_have_the_variance_of_the_inner_models():
    tables = run_tables(n=60, folds=2, repeats=2)
    predictions, inner = Predictions(tables[0]), [InnerModelTables(tables[1], tables[2])]
    options = {"baseline": "arm0", "horizons": HORIZONS, "n_resamples": 20}
    found = evaluate(predictions, inner=inner, **options)
    plain = evaluate(predictions, **options)
    fixed = ["arm", "metric", "estimate", "lower_fixed", "upper_fixed", "se_fixed"]
    pd.testing.assert_frame_equal(found.metrics[fixed], plain.metrics[fixed])
    panel, arms = read_arms(predictions)
    scores = inner_scores_by_arm(inner, panel)
    expected = [crossfit_estimate(panel, a, harrell_in_fold, scores[a.name]) for a in arms]
    row = found.metrics.set_index(["arm", "metric"]).loc[("arm1", "harrell_c")]
    assert (row["lower"], row["upper"]) == pytest.approx(expected[1].interval())
    assert (row["se"], row["df"]) == pytest.approx((expected[1].se, expected[1].found.df))
    row = found.comparisons.set_index("metric").loc["harrell_c"]
    assert row["p_value"] == pytest.approx(crossfit_difference(*expected).p_value)
    by_source = found.metrics.groupby("metric")["variance"].first()
    moved = ["harrell_c", "harrell_c_pairs", "uno_c", "auc_200", "mean_auc", "brier_500", "ibs"]
    assert set(by_source[moved]) == {"inner models"}
    assert by_source["calibration_ratio_200"] == "fixed models"
    assert set(plain.metrics.set_index("metric").loc[moved, "variance"]) == {
        "twice the fixed-model variance"
    }
    wider = (plain.metrics["se"] - found.metrics["se"])[found.metrics["metric"].isin(moved)]
    assert (wider >= -1e-12).all()
    assert "as estimated from the inner models" in " ".join(found.notes)
    assert "no scores of inner models" in " ".join(plain.notes)


def test_labels_have_the_variance_of_the_inner_models():
    tables = run_tables(n=60, folds=2, binary=True)
    inner = [InnerModelTables(tables[1], tables[2])]
    found = evaluate(Predictions(tables[0]), inner=inner, n_resamples=20).metrics
    found = found[found["arm"] == "arm0"].set_index("metric")
    assert found.loc[["auroc", "brier"], "variance"].tolist() == ["inner models"] * 2
    assert found.loc["auprc", "variance"] == "fixed models"
    assert found.loc["auprc", "lower"] == found.loc["auprc", "lower_fixed"]


@pytest.mark.parametrize("binary", [False, True])
def test_five_patients_in_order_give_no_verdict(binary):
    rows = pd.DataFrame({"patient_id": list("abcde"), "arm": "a", "repeat": 0, "fold": 0})
    rows = rows.assign(risk=[5.0, 4, 3, 2, 1])
    outcome = {"label": [1, 1, 1, 0, 0]} if binary else {"event": 1, "time": [1.0, 2, 3, 4, 5]}
    found = evaluate(Predictions(rows.assign(**outcome)), n_resamples=20)
    row = found.metrics.iloc[0]
    assert (row["estimate"], row["upper"]) == (1, 1)
    assert row["lower"] < 0.2
    assert np.isnan([row["se"], row["df"]]).all()
    assert "no discordant pair" in row["note"]
    assert "a verdict needs 10" in row["no_verdict"]
    assert "at least 25 events" in row["untested"]
    assert any("no verdict" in w for w in found.warnings)
    assert any("at least 25 events" in w for w in found.warnings)


def test_binary_metrics():
    table = simulated(binary=True, n=200)
    found = evaluate(Predictions(table), baseline="arm1", n_resamples=100)
    names = "auroc auprc sensitivity_at_90_specificity specificity_at_90_sensitivity brier"
    names += " calibration_slope calibration_intercept"
    assert found.metrics["metric"].tolist() == 2 * names.split()
    assert "optimistic" in value(found, "arm0", "sensitivity_at_90_specificity", "note")
    assert list(found.risk_groups)[:5] == ["arm", "group", "n", "events", "event_rate"]
    compared = found.comparisons.set_index("metric")
    assert compared.loc["auroc", "difference"] > 0
    assert compared.loc["auprc", "note"].startswith("standard error from the resamples")
    no_probability = evaluate(Predictions(table.drop(columns="probability")), n_resamples=20)
    assert "brier" not in set(no_probability.metrics["metric"])


def test_a_favourable_label_is_found_by_low_risk():
    table = simulated(binary=True, arms=1)
    good = table.assign(label=1 - table["label"], probability=1 - table["probability"])
    a = evaluate(Predictions(table), n_resamples=50)
    b = evaluate(Predictions(good), n_resamples=50, favourable=True)
    for metric in ("auroc", "brier", "calibration_slope"):
        assert value(a, "arm0", metric) == pytest.approx(value(b, "arm0", metric))
    for low, high in [("sensitivity", "specificity"), ("specificity", "sensitivity")]:
        first = value(a, "arm0", f"{low}_at_90_{high}")
        second = value(b, "arm0", f"{high}_at_90_{low}")
        assert first == pytest.approx(second)


def test_the_development_threshold_is_used_where_the_table_has_it():
    table = simulated(binary=True, arms=1).assign(threshold=0.5)
    found = evaluate(Predictions(table), n_resamples=20)
    positives = table[table["label"] == 1]
    metric = "sensitivity_at_90_specificity"
    assert value(found, "arm0", metric) == pytest.approx((positives["risk"] > 0.5).mean())
    negatives = table[table["label"] == 0]
    reached = (negatives["risk"] <= 0.5).mean()
    assert f"specificity reached {reached:.3f}" in value(found, "arm0", metric, "note")


def test_weights_of_a_fixed_horizon_leave_out_the_censored():
    table = simulated(binary=True, arms=1, folds=1)
    weighted = table.assign(weight=np.where(table.index < 30, 0.0, 1.0))
    found = evaluate(Predictions(weighted), n_resamples=20)
    alone = evaluate(Predictions(table.iloc[30:]), n_resamples=20)
    for metric in ("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept"):
        assert value(found, "arm0", metric) == pytest.approx(value(alone, "arm0", metric))


def test_d_calibration_where_the_table_has_survival_at_the_own_time():
    table = simulated(n=400, arms=1)
    table["survival_at_time"] = np.exp(-table["time"] / 500 * np.exp(table["risk"]))
    found = evaluate(Predictions(table), n_resamples=0)
    assert 0 <= value(found, "arm0", "dcal_p") <= 1


def test_d_calibration_ends_where_the_model_does():
    table = simulated(n=600, arms=1, folds=1)
    last = table["time"].quantile(0.6)
    within = np.minimum(table["time"], last)
    cut = {"event_at_time": table["event"].where(table["time"] <= last, 0)}
    cut["survival_at_time"] = np.exp(-within / 500 * np.exp(table["risk"]))
    shorter = table.assign(time=within, event=cut["event_at_time"])
    found = evaluate(Predictions(table.assign(**cut)), n_resamples=0)
    alone = evaluate(Predictions(shorter.assign(**cut)), n_resamples=0)
    assert value(found, "arm0", "dcal_p") == value(alone, "arm0", "dcal_p")


def test_arms_of_other_folds_are_not_compared_and_other_names_do_not_matter():
    table = simulated(n=120, arms=2, folds=3)
    second = table["arm"] == "arm1"
    named = table.assign(
        fold=table["fold"].astype(str).where(~second, "x" + table["fold"].astype(str))
    )
    same = evaluate(Predictions(named), baseline="arm0", n_resamples=0).comparisons
    assert np.isfinite(same["difference"].iloc[0])
    shuffled = table.copy()
    shuffled.loc[second, "fold"] = np.roll(table.loc[second, "fold"].to_numpy(), 1)
    other = evaluate(Predictions(shuffled), baseline="arm0", n_resamples=0).comparisons
    assert len(other) == 1
    assert other["difference"].isna().all()
    assert "different folds" in other["note"].iloc[0]
    assert "To do: score both arms in the same folds" in other["note"].iloc[0]


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_fixed_score_is_compared_within_the_folds_of_the_other_arm(repeats):
    table = simulated(n=120, arms=2, folds=3, repeats=repeats)
    table["risk"] = table.groupby(["arm", "patient_id"])["risk"].transform("first")
    fixed = table[(table["arm"] == "arm0") & (table["repeat"] == 0)].assign(fold="all", repeat=7)
    mixed = pd.concat([fixed, table[table["arm"] == "arm1"]])
    both = evaluate(Predictions(table), baseline="arm0", n_resamples=0).comparisons
    found = evaluate(Predictions(mixed), baseline="arm0", n_resamples=0).comparisons
    # The same numbers as if the folds had been written into the table of the fixed score.
    columns = ["metric", "difference", "lower", "upper", "p_value", "variance", "n_patients_common"]
    pd.testing.assert_frame_equal(found[columns], both[columns])
    assert found["variance"].iloc[0] == "twice the fixed-model variance"
    assert found["note"].str.contains("arm0 has no folds: it is compared as a fixed score").all()
    turned = evaluate(Predictions(mixed), baseline="arm1", n_resamples=0).comparisons
    assert np.allclose(turned["difference"], -found["difference"])
    part = mixed[mixed["patient_id"] < "p0060"]
    assert set(
        evaluate(
            Predictions(pd.concat([fixed, part[part["arm"] == "arm1"]])),
            baseline="arm0",
            n_resamples=0,
        ).comparisons["n_patients_common"]
    ) == {60}


def test_an_arm_of_one_test_fold_is_not_called_a_fixed_score():
    table = simulated(n=120, arms=2, folds=3)
    part = table[(table["arm"] == "arm0") | (table["fold"] == 1)]
    found = evaluate(Predictions(part), baseline="arm0", n_resamples=0).comparisons
    assert np.isfinite(found["difference"].iloc[0])
    assert not found["note"].str.contains("fixed score").any()


def test_probabilities_are_compared_on_patients_who_have_both():
    table = simulated(n=300, arms=2)
    first = table["arm"] == "arm0"
    table.loc[~first, "risk"] = table.loc[first, "risk"].to_numpy()
    table["survival_200"] = np.exp(-0.4 * np.exp(table["risk"]))
    table.loc[~first & (table["risk"] > 0), "survival_200"] = np.nan
    found = evaluate(Predictions(table), baseline="arm0", horizons=[200], n_resamples=50)
    row = found.comparisons.set_index("metric").loc["brier_200"]
    assert row["difference"] == 0
    assert "survival_200: computed in patients with a value in both arms" in row["note"]


def test_probabilities_that_a_whole_fold_lacks_are_not_compared_with_others():
    table = simulated(n=300, arms=2)
    first = table["arm"] == "arm0"
    table.loc[~first, "risk"] = table.loc[first, "risk"].to_numpy()
    table["survival_200"] = np.exp(-0.4 * np.exp(table["risk"]))
    table.loc[~first & (table["fold"] == table["fold"].iloc[0]), "survival_200"] = np.nan
    found = evaluate(Predictions(table), baseline="arm0", horizons=[200], n_resamples=50)
    row = found.comparisons.set_index("metric").loc["brier_200"]
    assert row["difference"] == 0
    assert "computed in patients with a value in both arms" in row["note"]


def test_a_threshold_of_the_same_patients_has_no_interval():
    found = evaluate(Predictions(simulated(binary=True, arms=1)), n_resamples=50)
    for metric in ("specificity_at_90_sensitivity", "sensitivity_at_90_specificity"):
        assert value(found, "arm0", metric) > 0
        assert np.isnan(value(found, "arm0", metric, "lower"))
        assert "optimistic, and without an interval" in value(found, "arm0", metric, "note")


def test_several_divisions_with_one_test_set_each_are_exploratory():
    table = simulated(arms=1, folds=1, repeats=3)
    notes = evaluate(Predictions(table), n_resamples=0).notes
    assert any("exploratory" in note for note in notes)
    one = evaluate(Predictions(simulated(arms=1, folds=1)), n_resamples=0).notes
    assert not any("exploratory" in note for note in one)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"horizons": [500, 200]}, "must be ascending"),
        ({}, {"horizons": [200, 200]}, "must be ascending"),
        ({}, {"horizons": [-1]}, "positive numbers"),
        ({}, {"baseline": "nobody"}, "'nobody' is not an arm"),
        ({}, {"n_resamples": -1}, "n_resamples"),
        ({}, {"contrasts": [("arm0", "arm0")]}, "contrasts must be pairs of arms"),
        ({}, {"contrasts": [("arm0", "x")]}, "contrasts must be pairs of arms"),
        ({}, {"unit": "weeks"}, "unit 'weeks' is unknown"),
        ({}, {"unit": "years"}, "more than 130 years"),
        ({"time": -1.0}, {}, "time is missing or negative: 240"),
        ({"event": 3}, {}, "event is not 0"),
        ({"event": "dead"}, {}, "event is not a number"),
        ({"survival_200": 1.2}, {}, r"survival_200 is outside \[0, 1\]"),
        ({"label": 2}, {}, "label is neither 0 nor 1"),
        ({"probability": -0.1}, {}, r"probability is outside \[0, 1\]"),
        ({"weight": -1.0}, {}, "weight is below 0"),
    ],
)
def test_bad_input_is_refused_in_words(change, options, message):
    with pytest.raises(PredictionsError, match=message):
        evaluate(Predictions(simulated().assign(**change)), **{"n_resamples": 5, **options})


def test_all_problems_are_told_at_once():
    table = simulated().assign(time=-1.0, survival_200=2.0)
    table.loc[0, "event"] = 1 - table.loc[0, "event"]
    with pytest.raises(PredictionsError) as error:
        evaluate(Predictions(table), n_resamples=5)
    text = str(error.value)
    assert "3 problems" in text
    assert "different outcomes" in text
    assert "p0000" in text


def test_names_of_horizons():
    assert [horizon_name(h) for h in (365.0, 2.5, 1e6)] == ["365", "2.5", "1000000"]
    columns = ["survival_365", "survival_1.5", "survival_at_time", "x"]
    assert horizon_columns(pd.DataFrame(columns=columns)) == {
        1.5: "survival_1.5",
        365: "survival_365",
    }


def test_memory_does_not_grow_with_the_square_of_patients():
    n = 6_000  # a pair matrix of float64 would take 288 MB
    table = simulated(n=n, arms=1, folds=1)
    tracemalloc.start()
    evaluate(Predictions(table), n_resamples=40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6


def test_events_coded_1_and_2_are_refused():
    table = simulated(arms=1)
    with pytest.raises(PredictionsError, match="event contains 1 and 2 but no 0"):
        evaluate(Predictions(table.assign(event=table["event"] + 1)))


def same_times(computed, written, **options):
    """Whether every table of two evaluations is the same up to rounding."""
    for name in ("metrics", "comparisons", "risk_groups"):
        first, second = (
            getattr(evaluate(Predictions(t), n_resamples=30, **options), name)
            for t in (computed, written)
        )
        pd.testing.assert_frame_equal(first, second, rtol=1e-12, atol=1e-12)


def tenths(seed=1):
    """Times in tenths, and the same as sums of 0.1."""
    written = simulated(seed=seed)
    steps = (written["time"] // 100 + 1).astype(int)
    written["time"] = steps / 10
    for h in (200, 500):
        written = written.rename(columns={f"survival_{h}": f"survival_{h / 1000}"})
    computed = written.assign(time=np.cumsum(np.full(200, 0.1))[steps - 1])
    assert computed["time"].nunique() == written["time"].nunique()
    assert (computed["time"] != written["time"]).any()
    return written, computed


@pytest.mark.parametrize(
    "options", [{"horizons": [0.2, 0.5]}, {"landmark": 0.3}, {"horizons": [0.3, 0.6, 0.7]}]
)
def test_times_that_differ_by_rounding_are_ties(options):
    written, computed = tenths()
    same_times(computed, written, unit="years", baseline="arm1", **options)
    some = computed.assign(
        time=np.where(computed["patient_id"] < "p0050", computed["time"], written["time"])
    )
    before = some.copy()
    same_times(some, written, unit="years", baseline="arm1", **options)
    pd.testing.assert_frame_equal(some, before)


def test_two_arms_may_write_the_same_time_differently():
    written, computed = tenths()
    mixed = computed.assign(
        time=np.where(computed["arm"] == "arm0", computed["time"], written["time"])
    )
    same_times(mixed, written, unit="years", baseline="arm1", horizons=[0.3])
