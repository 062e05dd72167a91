"""Table 1, AUC over time, folds, nuisance baselines: what a report adds to the metrics."""

import numpy as np
import pandas as pd
import pytest

from outcome.evaluation.acquisition_baselines import nuisance_baselines
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.over_time_and_folds import auc_over_time, fold_scores
from outcome.evaluation.report_tables import FURTHER, Question, further_tables
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
    found = auc_over_time(predictions, [365, 1000]).set_index(["arm", "time"])
    metrics = evaluate(predictions, horizons=[365, 1000], n_resamples=0).metrics
    metrics = metrics.set_index(["arm", "metric"])
    for arm in ("image", "report"):
        for h in (365, 1000):
            row = found.loc[arm, h]
            assert row["auc"] == pytest.approx(metrics.loc[(arm, f"auc_{h}"), "estimate"])
            half = 1.959963984540054 * metrics.loc[(arm, f"auc_{h}"), "se"]
            assert row["upper"] - row["auc"] == pytest.approx(half)
    assert found.loc["image"]["events"].is_monotonic_increasing


def test_scores_of_the_folds_average_to_the_metric(rng):
    for table, options, name in (
        (timed(rng, repeats=2), {}, "harrell_c"),
        (timed(rng), {"landmark": 700.0}, "auroc"),
        (labelled(rng, favourable=True), {"favourable": True}, "auroc"),
    ):
        predictions = Predictions(table)
        found = fold_scores(predictions, **options)
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
    found = nuisance_baselines(Predictions(table), gathered, n_resamples=50).set_index("variable")
    assert found.loc["site", "estimate"] > 0.7
    assert found.loc["patches", "estimate"] > 0.85
    assert found.loc["patches", "lower"] < found.loc["patches", "estimate"]
    assert abs(found.loc["noise", "estimate"] - 0.5) < 0.1
    assert found.loc["slides", "note"] == "the same for everybody"
    assert np.isnan(found.loc["slides", "estimate"])


@pytest.mark.parametrize("favourable", [False, True])
def test_nuisance_baselines_of_a_label(rng, favourable):
    table = labelled(rng, favourable=favourable)
    once = table.drop_duplicates("patient_id")
    gathered = pd.DataFrame(
        {"patient_id": once["patient_id"], "site": once["label"].map({0: "x", 1: "y"})}
    )
    found = nuisance_baselines(
        Predictions(table), gathered, favourable=favourable, n_resamples=20
    ).iloc[0]
    assert found["metric"] == "auroc"
    assert found["estimate"] == 1.0


def test_one_fold_has_no_nuisance_baselines(rng):
    table = timed(rng, folds=1)
    gathered = table[["patient_id"]].drop_duplicates().assign(site="a")
    assert nuisance_baselines(Predictions(table), gathered).empty


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
    found = subgroups(Predictions(table), part, n_resamples=0).set_index(["arm", "level"])
    assert np.isnan(found.loc[("image", "rare"), "estimate"])
    assert "suppressed" in found.loc[("image", "rare"), "note"]
    row = found.loc["image", "common"]
    share = once.loc[~once["patient_id"].isin(few), "label"].mean()
    assert row["calibration_ratio"] == pytest.approx(share / 0.5)
    assert row["lower"] < row["estimate"] < row["upper"]


@pytest.mark.parametrize("kind", ["plain", "one fold", "competing", "landmark", "strata", "label"])
def test_further_tables_of_every_kind(rng, kind):
    table = timed(rng, folds=1 if kind == "one fold" else 4, competing=9 * (kind == "competing"))
    question = Question(horizons=(365.0, 1000.0), n_resamples=20)
    if kind == "landmark":
        question = Question(horizons=(700.0,), landmark=700.0, n_resamples=20)
    if kind == "strata":
        table["strata"] = np.where(table["patient_id"] < "p100", "brca", "stad")
    if kind == "label":
        table, question = labelled(rng), Question(n_resamples=20)
    ids = table["patient_id"].drop_duplicates()
    covariates = pd.DataFrame({"patient_id": ids, "age": rng.normal(60, 10, len(ids))})
    gathered = pd.DataFrame({"patient_id": ids, "patches": rng.integers(9, 99, len(ids))})
    found = further_tables(
        Predictions(table), question, covariates=covariates, acquisition=gathered
    )
    assert set(found) <= set(FURTHER)
    assert {"fold_scores", "effects", "subgroups", "added_value"} <= set(found)
    assert ("nuisance" in found) == (kind != "one fold")
    assert ("incidence" in found) == (kind == "competing")
    assert ("auc_over_time" in found) == (kind not in ("landmark", "label"))
    assert ("follow_up" in found) == (kind != "label")
    assert ("best_cuts" in found) == (kind == "one fold")
