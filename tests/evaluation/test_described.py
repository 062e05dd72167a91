"""Table 1, AUC over time, folds, nuisance baselines: what a report adds to the metrics."""

import numpy as np
import pandas as pd
import pytest

from outcome.evaluation.acquisition_baselines import nuisance_baselines
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.auc_over_time import auc_over_time
from outcome.evaluation.evaluation import PatientTables, evaluate, evaluate_study
from outcome.evaluation.fold_scores import fold_scores, fold_spread, risk_range
from outcome.evaluation.outcome_kinds import described_outcome, table_outcome
from outcome.evaluation.roc_curves import roc_curves, score_distribution
from outcome.evaluation.study_tables import STUDY_TABLES
from outcome.evaluation.subgroups import subgroups
from outcome.evaluation.table_one import characteristics
from outcome.predictions import Predictions


def timed(rng, n=200, folds=4, repeats=1, competing=0):
    truth = rng.normal(size=n)
    time = rng.exponential(900 * np.exp(-0.8 * truth)).round() + 1
    end = rng.uniform(200, 2600, n).round()
    event = (time <= end).astype(int)
    event[np.flatnonzero(event == 0)[:competing]] = 2
    rows = [
        pd.DataFrame(
            {
                "arm": arm,
                "patient_id": [f"p{i:03}" for i in range(n)],
                "repeat": repeat,
                "fold": (np.arange(n) + repeat) % folds,
                "time": np.minimum(time, end),
                "event": event,
                "risk": truth + rng.normal(size=n),
                "risk_group": np.where(truth > 0, "high", "low"),
            }
        )
        for arm in ("image", "report")
        for repeat in range(repeats)
    ]
    return pd.concat(rows, ignore_index=True)


def labelled(rng, n=120, favourable=False):
    table = timed(rng, n).drop(columns=["time", "event"])
    truth = table.groupby("patient_id")["risk"].transform("mean")
    label = (truth + rng.normal(size=n).repeat(1)[table.index % n] > 0).astype(int)
    label = label.groupby(table["patient_id"]).transform("first")
    return table.assign(label=1 - label if favourable else label)


def acquired(table, gathered, n_resamples=0, **options):
    predictions = Predictions(table)
    panel, arms = read_arms(predictions, n_resamples=n_resamples)
    return nuisance_baselines(panel, arms[0], table_outcome(predictions, **options), gathered)


def test_table_one_counts_and_quartiles():
    people = pd.DataFrame(
        {"age": [50.0, 60, 70, np.nan], "stage": ["I", "II", None, "I"]}, index=list("abcd")
    )
    group = pd.Series({"d": "event", "a": "event", "b": "censored", "c": "censored"})
    table = characteristics(people, group, order=["event", "censored", "nobody"], numeric=["age"])
    row = table.set_index(["variable", "level", "group"])
    assert row.loc[("age", "", ""), ["n", "median", "lower", "upper"]].tolist() == [3, 60, 55, 65]
    assert row.loc[("age", "missing", "event"), ["count", "share"]].tolist() == [1, 0.5]
    # Shares are of those with a value; who lacks one is a line of its own.
    assert row.loc[("stage", "I", ""), ["n", "count"]].tolist() == [3, 2]
    assert row.loc[("stage", "II", "censored"), ["n", "count", "share"]].tolist() == [1, 1, 1]
    assert row.loc[("stage", "missing", "censored"), "count"] == 1
    assert list(dict.fromkeys(table["group"])) == ["", "event", "censored"]


def test_rare_levels_are_put_together():
    people = pd.DataFrame({"site": [f"s{i}" for i in range(30)] + ["s0"] * 5})
    table = characteristics(people, pd.Series("x", index=people.index))
    mine = table[table["group"] == ""]
    assert len(mine) == 12
    assert mine["level"].tolist()[-1] == "others"
    assert mine["count"].sum() == 35


def test_auc_over_time_is_the_auc_at_the_horizons(rng):
    predictions = Predictions(timed(rng, repeats=2))
    found = auc_over_time(*read_arms(predictions), [365, 1000]).set_index(["arm", "time"])
    metrics = evaluate(predictions, horizons=[365, 1000], n_resamples=0).metrics
    metrics = metrics.set_index(["arm", "metric"])
    for arm in ("image", "report"):
        for h in (365, 1000):
            row = found.loc[arm, h]
            assert row["auc"] == pytest.approx(metrics.loc[(arm, f"auc_{h}"), "estimate"])
            for bound in ("lower", "upper", "variance"):
                assert row[bound] == metrics.loc[(arm, f"auc_{h}"), bound]
    assert found.loc["image"]["events"].is_monotonic_increasing


def test_auc_over_time_begins_at_the_tenth_event(rng):
    predictions = Predictions(timed(rng))
    panel, arms = read_arms(predictions)
    once = predictions.table.drop_duplicates("patient_id")
    tenth = np.sort(once.loc[once["event"] == 1, "time"])[9]
    found = auc_over_time(panel, arms, [tenth / 2])
    assert found["time"].min() >= tenth
    assert (found["events"] >= 10).all()
    assert set(found["variance"]) == {"twice the fixed-model variance"}


def test_scores_of_the_folds_average_to_the_metric(rng):
    for table, options, name in (
        (timed(rng, repeats=2), {}, "harrell_c"),
        (timed(rng), {"landmark": 700.0}, "auroc"),
        (labelled(rng, favourable=True), {"favourable": True}, "auroc"),
    ):
        predictions = Predictions(table)
        found = fold_scores(*read_arms(predictions), table_outcome(predictions, **options))
        metrics = evaluate(predictions, n_resamples=0, **options).metrics.set_index(
            ["arm", "metric"]
        )
        assert set(found["metric"]) == {name}
        for arm, rows in found.groupby("arm"):
            mean = rows.groupby("repeat")["estimate"].mean().mean()
            assert mean == pytest.approx(metrics.loc[(arm, name), "estimate"])


def test_events_of_a_landmark_are_those_by_then(rng):
    table = timed(rng)
    once = table.drop_duplicates("patient_id")
    by_then = int(((once["event"] == 1) & (once["time"] <= 400)).sum())
    metrics = evaluate(Predictions(table), landmark=400.0, n_resamples=0).metrics
    assert set(metrics["events"]) == {by_then}
    assert by_then < (once["event"] == 1).sum()


def test_a_telling_site_is_found_and_a_silent_one_is_not(rng):
    table = timed(rng, n=300)
    once = table.drop_duplicates("patient_id")
    early = once["time"] < once["time"].median()
    gathered = pd.DataFrame(
        {
            "patient_id": once["patient_id"],
            "site": np.where(early, "bad hospital", "good hospital"),
            "slides": 1,
            # More patches, longer life: the direction is learned from the other folds.
            "patches": once["time"] + rng.normal(0, 100, len(once)),
            "noise": rng.choice(list("abc"), len(once)),
        }
    )
    found = acquired(table, gathered, n_resamples=50).set_index("variable")
    assert found.loc["site", "estimate"] > 0.7
    assert found.loc["patches", "estimate"] > 0.85
    assert found.loc["patches", "lower"] < found.loc["patches", "estimate"]
    assert abs(found.loc["noise", "estimate"] - 0.5) < 0.1
    assert found.loc["slides", "note"] == "the same for all patients"
    assert np.isnan(found.loc["slides", "estimate"])


@pytest.mark.parametrize("favourable", [False, True])
def test_nuisance_baselines_of_a_label(rng, favourable):
    table = labelled(rng, favourable=favourable)
    once = table.drop_duplicates("patient_id")
    gathered = pd.DataFrame(
        {"patient_id": once["patient_id"], "site": once["label"].map({0: "x", 1: "y"})}
    )
    found = acquired(table, gathered, favourable=favourable, n_resamples=20).iloc[0]
    assert found["metric"] == "auroc"
    assert found["estimate"] == 1.0


def test_one_fold_has_no_nuisance_baselines(rng):
    table = timed(rng, folds=1)
    gathered = table[["patient_id"]].drop_duplicates().assign(site="a")
    assert acquired(table, gathered).empty


def test_subgroups_of_a_label_need_both_classes(rng):
    table = labelled(rng, n=200).assign(probability=0.5)
    once = table.drop_duplicates("patient_id")
    few = once["patient_id"].where(once["label"] == 1).dropna().tolist()[:15]
    few += once["patient_id"].where(once["label"] == 0).dropna().tolist()[:4]
    part = pd.DataFrame(
        {
            "patient_id": once["patient_id"],
            "race": np.where(once["patient_id"].isin(few), "rare", "common"),
        }
    )
    found = subgroups(*read_arms(Predictions(table)), part).set_index(["arm", "level"])
    assert np.isnan(found.loc[("image", "rare"), "estimate"])
    assert "suppressed" in found.loc[("image", "rare"), "note"]
    row = found.loc["image", "common"]
    share = once.loc[~once["patient_id"].isin(few), "label"].mean()
    assert row["calibration_ratio"] == pytest.approx(share / 0.5)
    assert row["lower"] < row["estimate"] < row["upper"]


@pytest.mark.parametrize("kind", ["plain", "one fold", "competing", "landmark", "strata", "label"])
def test_an_evaluation_holds_every_table_of_its_kind_of_outcome(rng, kind):
    table = timed(rng, folds=1 if kind == "one fold" else 4, competing=9 * (kind == "competing"))
    spec = {"kind": "survival", "unit": "days", "horizons": [365.0, 1000.0]}
    if kind == "landmark":
        spec = {"kind": "landmark", "unit": "days", "horizons": [700.0]}
    if kind == "strata":
        table["strata"] = np.where(table["patient_id"] < "p100", "brca", "stad")
    if kind == "label":
        table, spec = labelled(rng), {"kind": "binary"}
    ids = table["patient_id"].drop_duplicates()
    patients = PatientTables(
        pd.DataFrame({"patient_id": ids, "age": rng.normal(60, 10, len(ids))}),
        pd.DataFrame({"patient_id": ids, "patches": rng.integers(9, 99, len(ids))}),
    )
    predictions = Predictions(table)
    outcome = described_outcome(spec, predictions)
    found = evaluate_study(predictions, outcome, patients=patients, n_resamples=20)
    assert set(found.further) <= set(STUDY_TABLES)
    assert set(found.tables) == {"metrics", "comparisons", "risk_groups", *found.further}
    assert {"characteristics", "fold_scores", "effects", "subgroups", "added_value"} <= set(
        found.further
    )
    assert ("nuisance" in found.further) == (kind != "one fold")
    assert ("incidence" in found.further) == (kind == "competing")
    assert ("subdistribution" in found.further) == (kind == "competing")
    assert ("auc_over_time" in found.further) == (kind not in ("landmark", "label"))
    assert ("roc_curves" in found.further) == (kind in ("landmark", "label"))
    assert ("follow_up" in found.further) == (kind != "label")
    assert ("best_cuts" in found.further) == (kind == "one fold")


def test_a_covariate_of_many_levels_is_left_out_with_a_warning(rng):
    table = timed(rng, n=60)
    ids = table["patient_id"].drop_duplicates()
    patients = PatientTables(pd.DataFrame({"patient_id": ids, "text": ids, "age": 1.0 * ids.index}))
    predictions = Predictions(table)
    outcome = described_outcome({"unit": "days"}, predictions)
    found = evaluate_study(predictions, outcome, patients=patients, n_resamples=0)
    assert any("covariate text has more than 20 levels" in w for w in found.warnings)
    assert set(found.further["effects"]["term"]) == {"risk", "age"}


@pytest.mark.parametrize("favourable", [False, True])
def test_roc_curves_have_the_area_of_the_metric(rng, favourable):
    table = labelled(rng, favourable=favourable)
    predictions = Predictions(table)
    arms = read_arms(predictions)[1]
    outcome = table_outcome(predictions, favourable=favourable)
    curves = roc_curves(arms, outcome)
    metrics = evaluate(predictions, n_resamples=0, favourable=favourable).metrics
    metrics = metrics.set_index(["arm", "metric"])["estimate"]
    for arm, rows in curves[curves["fold"] != "mean"].groupby("arm"):
        areas = [np.trapezoid(f["tpr"], f["fpr"]) for _, f in rows.groupby("fold")]
        assert np.mean(areas) == pytest.approx(metrics[arm, "auroc"])
    mean = curves[(curves["fold"] == "mean") & (curves["arm"] == "image")]
    assert mean["fpr"].tolist() == pytest.approx(np.linspace(0, 1, 201))
    assert mean["tpr"].iloc[[0, -1]].tolist() == [0, 1]


def test_folds_with_one_class_have_no_roc_curve():
    table = pd.DataFrame(
        {"arm": "image", "patient_id": list("abcdef"), "repeat": 0, "fold": [0, 0, 0, 0, 1, 1],
         "label": [0, 1, 0, 1, 1, 1], "risk": [0.1, 0.9, 0.2, 0.8, 0.3, 0.4]}
    )  # fmt: skip
    predictions = Predictions(table)
    curves = roc_curves(read_arms(predictions)[1], table_outcome(predictions))
    assert set(curves["fold"]) == {"0", "mean"}


def test_score_distributions_are_ranks_unless_there_are_probabilities(rng):
    table = labelled(rng)
    for given, scale in ((table, "rank"), (table.assign(probability=0.25), "probability")):
        predictions = Predictions(given)
        found = score_distribution(read_arms(predictions)[1], table_outcome(predictions))
        assert set(found["scale"]) == {scale}
        shares = found.groupby(["arm", "outcome"])["share"].sum()
        assert shares.to_numpy() == pytest.approx(np.ones(4))
    assert found.loc[found["share"] > 0, "lower"].tolist() == pytest.approx([0.2] * 4)


def test_the_spread_over_folds_and_the_range_of_risks(rng):
    predictions = Predictions(timed(rng).assign(risk=lambda t: t["risk"] * (t["arm"] == "image")))
    panel, arms = read_arms(predictions)
    scores = fold_scores(panel, arms, table_outcome(predictions))
    spread = fold_spread(scores).set_index("arm")
    mine = scores.loc[scores["arm"] == "image", "estimate"]
    assert spread.loc["image", "mean"] == pytest.approx(mine.mean())
    assert spread.loc["image", "sd"] == pytest.approx(mine.std())
    span = risk_range(arms).assign(width=lambda t: t["highest"] - t["lowest"])
    assert (span.groupby("arm")["width"].max() == 0).to_dict() == {"image": False, "report": True}
