import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crossfit_tables import HORIZONS, run_tables

from outcome.errors import InputError, PredictionsError
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.censoring_weights import censoring_weights, fixed_horizon_weights
from outcome.evaluation.crossfit_estimates import (
    crossfit_difference,
    crossfit_estimate,
    read_inner_scores,
    weighted_sum,
)
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.fold_metrics import (
    area_at_horizon,
    area_of_labels,
    brier_at_horizon,
    brier_of_labels,
    harrell_in_fold,
    pairs_in_fold,
    uno_in_fold,
)
from outcome.predictions import Predictions

PATH = Path(__file__).parents[1] / "reference" / "crossfit_variance.json"
REFERENCE = json.loads(PATH.read_text())
CLOSED = {"rel": 1e-9, "abs": 1e-12}


def read(tables):
    panel, arms = read_arms(Predictions(tables[0]))
    return panel, arms, read_inner_scores(tables[1], tables[2], panel)


def reference_tables(case):
    n = len(case["time"])
    ids = [f"p{i:02}" for i in range(n)]
    predictions, scores, splits = [], [], []
    for repeat, one in enumerate(case["repeats"]):
        for arm, by_model in one["scores"].items():
            where = {"arm": arm, "patient_id": ids, "repeat": repeat, "fold": one["fold"]}
            risk = np.array(by_model)
            outcome = {"time": case["time"], "event": case["event"]}
            predictions.append(pd.DataFrame({**where, **outcome, "risk": risk.mean(1)}))
            for a, column in enumerate(risk.T):
                scores.append(pd.DataFrame({**where, "inner_fold": a, "risk": column}))
        for k, inner in enumerate(one["inner"]):
            role = ["development" if a >= 0 else "test" for a in inner]
            rows = {"patient_id": ids, "repeat": repeat, "outer_fold": k, "role": role}
            splits.append(pd.DataFrame({**rows, "inner_fold": inner}))
    return tuple(pd.concat(t, ignore_index=True) for t in (predictions, scores, splits))


@pytest.mark.parametrize("name", list(REFERENCE))
def test_tables_of_a_run_give_the_reference_values(name):
    panel, arms, inner = read(reference_tables(REFERENCE[name]))
    found = {a.name: crossfit_estimate(panel, a, harrell_in_fold, inner[a.name]) for a in arms}
    found["B-A"] = crossfit_difference(found["B"], found["A"])
    for what, expected in REFERENCE[name]["expected"].items():
        got = found[what]
        lower, upper = got.interval()
        numbers = [got.value, got.se, got.found.df, lower, upper, got.found.v0, got.found.j]
        keys = ["estimate", "se", "df", "lower", "upper", "v0", "j_uncapped"]
        assert numbers == pytest.approx([expected[k] for k in keys], **CLOSED)
    assert found["B-A"].p_value == pytest.approx(expected["p"], **CLOSED)


def test_values_are_those_of_evaluate():
    tables = run_tables(repeats=2, strata=True)
    panel, arms, inner = read(tables)
    weights = censoring_weights(arms, HORIZONS, cross_validated=True)
    table = evaluate(Predictions(tables[0]), horizons=HORIZONS, n_resamples=0).metrics
    expected = table.set_index(["arm", "metric"])["estimate"]
    for arm in arms:
        briers = [
            crossfit_estimate(panel, arm, brier_at_horizon(weights, h), inner[arm.name])
            for h in HORIZONS
        ]
        metrics = {
            "harrell_c": harrell_in_fold, "harrell_c_pairs": pairs_in_fold,
            "uno_c": uno_in_fold(weights), "auc_500": area_at_horizon(weights, 500),
        }  # fmt: skip
        found = {
            name: crossfit_estimate(panel, arm, metric, inner[arm.name])
            for name, metric in metrics.items()
        }
        found |= {"brier_500": briers[1], "ibs": weighted_sum(briers, [0.5, 0.5])}
        for name, one in found.items():
            assert one.value == pytest.approx(expected[arm.name, name], **CLOSED)
            assert one.found.source == "inner models"
            assert one.found.v0 < one.found.variance <= 2 * one.found.v0 + 1e-12
            assert len(one.by_repeat) == 2


def test_values_of_labels_and_of_a_landmark_are_those_of_evaluate():
    tables = run_tables(binary=True)
    panel, arms, inner = read(tables)
    table = evaluate(Predictions(tables[0]), n_resamples=0).metrics
    expected = table.set_index(["arm", "metric"])["estimate"]
    for name, metric in (("auroc", area_of_labels()), ("brier", brier_of_labels)):
        found = crossfit_estimate(panel, arms[1], metric, inner["arm1"])
        assert found.value == pytest.approx(expected["arm1", name], **CLOSED)
    tables = run_tables()
    panel, arms, inner = read(tables)
    table = evaluate(Predictions(tables[0]), n_resamples=0, landmark=200).metrics
    expected = table.set_index(["arm", "metric"])["estimate"]
    weights = fixed_horizon_weights(arms, 200, cross_validated=True)
    for name, metric in (
        ("auroc", area_at_horizon(weights, 200)),
        ("brier", brier_at_horizon(weights, 200)),
    ):
        found = crossfit_estimate(panel, arms[1], metric, inner["arm1"])
        assert found.value == pytest.approx(expected["arm1", name], **CLOSED)


def test_the_influence_of_pooled_metrics_is_their_derivative():
    """The derivative by one patient's weight, with the small-sample factors divided out."""
    tables = run_tables(n=60, binary=True)
    panel, arms, _ = read(tables)
    found = crossfit_estimate(panel, arms[0], brier_of_labels)
    rows = tables[0][tables[0]["arm"] == "arm0"].sort_values("patient_id")
    loss = (rows["probability"] - rows["label"]).to_numpy() ** 2
    sizes = rows.groupby("fold")["fold"].transform("size").to_numpy()
    expected = (loss - loss.mean()) / 60 * np.sqrt(sizes / (sizes - 1))
    np.testing.assert_allclose(found.repeats[0].ensemble, expected, atol=1e-12)


def test_a_metric_that_inner_models_agree_on_has_the_fixed_variance():
    panel, arms, inner = read(run_tables(noise=0.0))
    weights = censoring_weights(arms, HORIZONS, cross_validated=True)
    for metric in (harrell_in_fold, brier_at_horizon(weights, 500), pairs_in_fold):
        found = crossfit_estimate(panel, arms[0], metric, inner["arm0"]).found
        assert found.variance == pytest.approx(found.v0, rel=1e-9)


def test_without_inner_scores_the_variance_is_doubled_and_says_so():
    panel, arms, inner = read(run_tables())
    plain = crossfit_estimate(panel, arms[0], harrell_in_fold)
    assert plain.found.source == "twice the fixed-model variance"
    mixed = crossfit_difference(
        crossfit_estimate(panel, arms[1], harrell_in_fold, inner["arm1"]), plain
    )
    assert mixed.found.source == "twice the fixed-model variance"
    assert mixed.found.variance == pytest.approx(2 * mixed.found.v0)


def test_a_fold_without_inner_scores_doubles_the_variance():
    panel, arms, inner = read(run_tables())
    some = {key: scores for key, scores in inner["arm0"].items() if key[1] != "1"}
    found = crossfit_estimate(panel, arms[0], harrell_in_fold, some)
    assert found.found.source == "twice the fixed-model variance"


def test_only_common_patients_count():
    tables = run_tables()
    lost = tables[0]["arm"].eq("arm1") & tables[0]["patient_id"].isin(["p0003", "p0050"])
    panel, arms, inner = read((tables[0][~lost], *tables[1:]))
    common = arms[0].rows() & arms[1].rows()
    cut = [
        crossfit_estimate(panel, a.restrict(common), harrell_in_fold, inner[a.name]) for a in arms
    ]
    found = crossfit_difference(*cut)
    kept = [t[~t["patient_id"].isin(["p0003", "p0050"])] for t in tables]
    panel, arms, inner = read(kept)
    alone = [crossfit_estimate(panel, a, harrell_in_fold, inner[a.name]) for a in arms]
    expected = crossfit_difference(*alone).found
    assert found.found.variance == pytest.approx(expected.variance, **CLOSED)
    assert found.found.df == pytest.approx(expected.df, **CLOSED)
    assert found.found.p == pytest.approx(expected.p, **CLOSED)


def test_arms_with_other_patients_are_refused():
    tables = run_tables()
    lost = tables[0]["arm"].eq("arm1") & tables[0]["patient_id"].isin(["p0003"])
    panel, arms, inner = read((tables[0][~lost], *tables[1:]))
    pair = [crossfit_estimate(panel, a, harrell_in_fold, inner[a.name]) for a in arms]
    with pytest.raises(InputError, match="restrict"):
        crossfit_difference(*pair)


def test_names_of_folds_do_not_matter():
    tables = run_tables()
    panel, arms, inner = read(tables)
    renamed = [t.copy() for t in tables]
    for table, column in ((0, "fold"), (1, "fold"), (2, "outer_fold")):
        renamed[table][column] = renamed[table][column].map({"0": "2", "1": "0", "2": "1"})
    _, others, inner_too = read(renamed)
    first = crossfit_estimate(panel, arms[1], harrell_in_fold, inner["arm1"])
    before = crossfit_difference(
        first, crossfit_estimate(panel, arms[0], harrell_in_fold, inner["arm0"])
    )
    after = crossfit_difference(
        first, crossfit_estimate(panel, others[0], harrell_in_fold, inner_too["arm0"])
    )
    assert after.found.variance == pytest.approx(before.found.variance, **CLOSED)


def test_an_arm_against_itself():
    panel, arms, inner = read(run_tables())
    one = crossfit_estimate(panel, arms[0], harrell_in_fold, inner["arm0"])
    found = crossfit_difference(one, one)
    assert (found.value, found.se, found.p_value) == (0.0, 0.0, 1.0)


def test_folds_without_pairs_are_skipped_and_counted():
    tables = run_tables()
    none = tables[0]["fold"] == "1"
    tables[0].loc[none, "event"] = 0
    panel, arms, inner = read(tables)
    found = crossfit_estimate(panel, arms[0], harrell_in_fold, inner["arm0"])
    assert found.note == "1 of 3 folds skipped"
    idle = np.searchsorted(panel.ids, tables[0]["patient_id"][none].to_numpy(dtype=str))
    assert not found.repeats[0].ensemble[idle].any()
    assert not found.repeats[0].inner[idle].any()
    assert found.found.source == "inner models"


def test_nothing_is_known_without_events():
    tables = run_tables()
    tables[0]["event"] = 0
    panel, arms, inner = read(tables)
    one = crossfit_estimate(panel, arms[0], harrell_in_fold, inner["arm0"])
    assert np.isnan([one.value, one.se, *one.interval(), one.p_value]).all()
    assert "fewer than 2 comparable pairs" in crossfit_difference(one, one).note


def test_one_test_set_has_the_variance_of_fixed_models():
    tables = run_tables()
    held_out = tables[0][tables[0]["fold"] == "0"]
    panel, arms = read_arms(Predictions(held_out))
    found = crossfit_estimate(panel, arms[0], harrell_in_fold)
    assert (found.found.source, found.found.variance) == ("fixed models", found.found.v0)


def test_an_interval_stays_within_the_scale():
    tables = run_tables(n=30)
    tables[0]["risk"] = -tables[0]["time"] + (tables[0].index % 7 == 0) * 50
    panel, arms = read_arms(Predictions(tables[0]))
    low, high = crossfit_estimate(panel, arms[0], harrell_in_fold).interval()
    assert 0 <= low < high <= 1


def test_all_problems_of_the_tables_at_once():
    tables = run_tables()
    panel, _ = read_arms(Predictions(tables[0]))
    scores = tables[1].drop(index=tables[1].index[[5, 6]])
    scores.loc[scores["arm"] == "arm1", "inner_fold"] = "x"
    with pytest.raises(PredictionsError) as caught:
        read_inner_scores(scores, tables[2], panel)
    assert "there must be one score by each inner model" in str(caught.value)
    assert "no patient of the inner fold" in str(caught.value)
    with pytest.raises(PredictionsError, match=r"no column: 1, e[.]g[.] inner_fold"):
        read_inner_scores(tables[1].drop(columns="inner_fold"), tables[2], panel)
    wrong = tables[1].astype({"risk": object})
    wrong.loc[0, "risk"] = "high"
    with pytest.raises(PredictionsError, match="risk is not a number"):
        read_inner_scores(wrong, tables[2], panel)
