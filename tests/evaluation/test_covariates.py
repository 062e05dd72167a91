import numpy as np
import pandas as pd
import pytest

from outcome.errors import InputError, PredictionsError
from outcome.evaluation.added_value import added_value
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.covariates import design, levels
from outcome.evaluation.decision_curve import decision_curves
from outcome.evaluation.effects import effects
from outcome.evaluation.subgroups import subgroups
from outcome.evaluation.survival_curves import best_cuts, restricted_means, survival_curves
from outcome.predictions import Predictions
from outcome.statistics.cox import fit_cox

X = ["x1", "x2", "x3", "x4"]


def single_fold(table, score="lp1"):
    rows = pd.DataFrame({"patient_id": [f"p{i:04}" for i in range(len(table))]})
    rows["arm"], rows["repeat"], rows["fold"], rows["risk"] = "a", 0, 0, table[score]
    return Predictions(rows.assign(time=table["time"], event=table["event"]))


def covariates_of(table, names):
    ids = [f"p{i:04}" for i in range(len(table))]
    return table[names].assign(patient_id=ids)


def test_effects_are_those_of_r(case):
    table, r = case
    if "cox_fit" not in r:
        pytest.skip("too small for a model of four covariates")
    # the score is x1, so that the model of score and covariates is the one in R
    found = effects(*read_arms(single_fold(table, "x1")), covariates_of(table, X[1:]))
    multi = found[found["model"] == "multivariable"].set_index("term")
    expected = r["cox_fit"]["efron_plain"]
    for x in X[1:]:
        row = multi.loc[x, ["ratio", "lower", "upper", "p_value"]].tolist()
        want = [expected[k][x] for k in ("hr", "lo", "hi", "p")]
        assert row == pytest.approx(want, rel=1e-6, abs=1e-12)
        assert multi.loc[x, "ph_p"] == pytest.approx(r["cox_zph"]["efron_km"][x]["p"], rel=1e-5)
    spread = table["x1"].std()
    assert multi.loc["risk", "ratio"] == pytest.approx(expected["hr"]["x1"] ** spread, rel=1e-6)


def test_added_value_is_the_likelihood_ratio(oracle, tables):
    table = tables["lung"]
    found = added_value(*read_arms(single_fold(table, "x1")), covariates_of(table, X[1:])).iloc[0]
    full = fit_cox(table["time"], table["event"], table[X])
    part = fit_cox(table["time"], table["event"], table[X[1:]])
    assert full.loglik == pytest.approx(oracle["lung"]["cox_fit"]["efron_plain"]["loglik"][1])
    assert found["chi_square"] == pytest.approx(2 * (full.loglik - part.loglik))
    assert found["c_difference"] == pytest.approx(found["c_both"] - found["c_covariates"])
    assert found["lower"] < found["c_difference"] < found["upper"]


def test_a_useless_score_adds_nothing_and_a_binary_one_has_brier(tables, rng):
    table = tables["binary"]
    rows = pd.DataFrame({"patient_id": [f"p{i:04}" for i in range(len(table))], "arm": "noise"})
    rows["repeat"], rows["fold"], rows["label"] = 0, np.arange(len(rows)) % 2, table["y"]
    rows["risk"] = rng.normal(size=len(rows))
    covariates = covariates_of(table, ["p1"])
    noise = added_value(*read_arms(Predictions(rows)), covariates).iloc[0]
    assert noise["p_value"] > 0.01
    good = added_value(
        *read_arms(Predictions(rows.assign(risk=table["score_a"]))), covariates
    ).iloc[0]
    assert good["p_value"] < 0.05
    assert good["brier_difference"] < 0
    table_of_effects = effects(*read_arms(Predictions(rows)), covariates)
    assert table_of_effects["ph_p"].isna().all()


def test_models_without_covariates_or_events(tables):
    table = tables["tiny"]
    only = added_value(
        *read_arms(single_fold(table)), pd.DataFrame({"patient_id": ["p0000", "p0001"]})
    )
    assert only["df"].iloc[0] == 1
    quiet = single_fold(table.assign(event=0))
    assert (
        added_value(*read_arms(quiet), covariates_of(table, ["x2"]))["note"]
        .iloc[0]
        .endswith("converge")
    )
    assert effects(*read_arms(quiet))["note"].iloc[0] == "the model did not converge"


def test_folds_of_other_scales_have_the_same_ratio(rng):
    """A fold whose scores spread ten times as far does not decide the ratio alone."""
    rows, covariates = staged(rng)
    stretched = rows["risk"] * np.where(rows["fold"] == 0, 0.05, 7.0) + rows["fold"]
    for made in (effects, added_value):
        before = made(*read_arms(Predictions(rows)), covariates)
        after = made(*read_arms(Predictions(rows.assign(risk=stretched))), covariates)
        pd.testing.assert_frame_equal(after, before)
    risk = effects(*read_arms(Predictions(rows))).iloc[0]
    scaled = rows.groupby("fold")["risk"].transform(lambda r: (r - r.mean()) / r.std())
    fit = fit_cox(rows["time"], rows["event"], scaled.to_numpy()[:, None], strata=rows["fold"])
    assert risk["ratio"] == pytest.approx(np.exp(fit.coef[0]))


def test_a_fold_without_spread_leaves_the_others_their_ratio(rng):
    rows, _ = staged(rng)
    flat = rows.assign(risk=rows["risk"].where(rows["fold"] == 1, 0.3))
    alone = effects(*read_arms(Predictions(rows[rows["fold"] == 1]))).iloc[0]
    assert effects(*read_arms(Predictions(flat)))["ratio"].iloc[0] == pytest.approx(alone["ratio"])


def test_a_score_made_of_the_covariates_has_no_model_with_them(rng):
    rows, covariates = staged(rng)
    found = effects(*read_arms(Predictions(rows)), covariates, made_of_covariates=["a"])
    assert set(found["model"]) == {"univariable"}


def staged(rng, n=400):
    """A score in two folds, and a stage of four levels."""
    stage = rng.choice(["I", "II", "III", "IV"], n)
    risk = pd.Series(stage).map({"I": 0, "II": 0.3, "III": 0.8, "IV": 1.5}).to_numpy()
    time, end = rng.exponential(np.exp(-risk)), rng.exponential(1.5, n)
    rows = pd.DataFrame({"patient_id": [f"p{i:04}" for i in range(n)], "arm": "a", "repeat": 0})
    rows["fold"], rows["risk"] = np.arange(n) % 2, risk + rng.normal(size=n)
    rows["time"], rows["event"] = np.minimum(time, end), (time <= end).astype(int)
    return rows, rows[["patient_id"]].assign(stage=stage)


def test_indicators_of_a_variable_are_against_its_first_level(rng):
    lifelines = pytest.importorskip("lifelines")
    rows, covariates = staged(rng)
    found = effects(*read_arms(Predictions(rows)), covariates)
    found = found[found["model"] == "univariable"].set_index("term")
    assert found.index.tolist() == ["risk", "stage=II", "stage=III", "stage=IV"]
    table = rows[["time", "event", "fold"]].join(
        pd.get_dummies(covariates["stage"], prefix="stage", prefix_sep="=").iloc[:, 1:].astype(int)
    )
    fit = lifelines.CoxPHFitter().fit(table, "time", "event", strata=["fold"])
    wanted = fit.summary[["exp(coef)", "exp(coef) lower 95%", "exp(coef) upper 95%", "p"]]
    mine = found.loc[wanted.index, ["ratio", "lower", "upper", "p_value"]].to_numpy()
    assert mine == pytest.approx(wanted.to_numpy(), rel=1e-4)


@pytest.mark.parametrize("binary", [False, True])
def test_a_level_without_event_does_not_take_the_others_away(rng, binary):
    rows, covariates = staged(rng)
    rows.loc[covariates["stage"] == "III", "event"] = 0
    if binary:
        rows = rows.rename(columns={"event": "label"}).drop(columns="time")
    found = effects(*read_arms(Predictions(rows)), covariates)
    found = found[found["model"] == "univariable"].set_index("term")
    assert found["ratio"].isna().tolist() == [False, False, True, False]
    assert found.loc["stage=III", "note"].startswith("no finite ratio")
    kept = covariates["stage"] != "III"
    alone = effects(*read_arms(Predictions(rows[kept])), covariates[kept]).set_index("term")[
        "ratio"
    ]
    assert found.loc["stage=IV", "ratio"] == pytest.approx(alone["stage=IV"].iloc[0])


def test_covariates_become_numbers():
    table = pd.DataFrame(
        {"age": [50.0, np.nan, 70], "sex": ["f", "m", None], "same": ["a", "a", "a"]}
    )
    matrix, names, variables = design(table)
    assert names == ["age", "sex=m"]
    assert variables == ["age", "sex"]
    assert matrix.tolist() == pytest.approx(
        np.array([[50, 0], [np.nan, 1], [70, np.nan]]), nan_ok=True
    )
    assert design(table[["same"]])[0].shape == (3, 0)
    assert levels(pd.Series([1, 2, 3, 4, 5, 60])).tolist() == ["<= 3.5"] * 3 + ["> 3.5"] * 3
    assert levels(pd.Series([0, 1, 1])).tolist() == ["0", "1", "1"]


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        (pd.DataFrame({"age": [1]}), "'patient_id' is missing"),
        (pd.DataFrame({"patient_id": ["p0000", "p0000"]}), "several rows: 1, e.g. p0000"),
        (pd.DataFrame({"patient_id": ["stranger"]}), "no patient"),
    ],
)
def test_bad_covariates_are_refused(tables, covariates, message):
    with pytest.raises(PredictionsError, match=message):
        added_value(*read_arms(single_fold(tables["tiny"])), covariates)


def test_subgroups(tables):
    table = tables["lung"]
    predictions = single_fold(table)
    covariates = covariates_of(table, ["strata", "x1"]).assign(site="one")
    covariates.loc[:4, "site"] = None
    found = subgroups(*read_arms(predictions, n_resamples=100), covariates).set_index(
        ["covariate", "level"]
    )
    assert found.loc[("strata", "1"), "n"] == (table["strata"] == 1).sum()
    from outcome.statistics.concordance import harrell

    rows = table[table["strata"] == 1]
    expected = harrell(rows["time"], rows["event"], rows["lp1"]).c
    assert found.loc[("strata", "1"), "estimate"] == pytest.approx(expected)
    assert found.loc[("strata", "1"), "lower"] < expected < found.loc[("strata", "1"), "upper"]
    assert 0 <= found.loc[("strata", "1"), "interaction_p"] <= 1
    assert np.isnan(found.loc[("site", "one"), "interaction_p"])
    assert found.loc[("site", "missing"), "n"] == 5
    assert "fewer than 10 events" in found.loc[("site", "missing"), "note"]
    assert np.isnan(found.loc[("site", "missing"), "estimate"])
    assert set(found.index.get_level_values(0)) == {"strata", "x1", "site"}


def test_an_interaction_is_found(rng):
    n = 600
    half = np.arange(n) < n // 2
    risk = rng.normal(size=n)
    time = rng.exponential(np.exp(-2 * risk * half))
    rows = pd.DataFrame({"patient_id": [str(i) for i in range(n)], "arm": "a", "repeat": 0})
    rows = rows.assign(fold=np.arange(n) % 3, risk=risk, time=time, event=1, survival_1=0.5)
    covariates = pd.DataFrame({"patient_id": rows["patient_id"], "half": half})
    found = subgroups(*read_arms(Predictions(rows), n_resamples=20), covariates, horizon=1)
    assert (found["interaction_p"] < 1e-6).all()
    assert found["estimate"].tolist() == pytest.approx([0.5, 0.85], abs=0.06)
    assert found["calibration_ratio"].notna().all()
    labels = rows.drop(columns=["time", "event"]).assign(label=(time < 0.5).astype(int))
    for favourable in (False, True):
        found = subgroups(
            *read_arms(Predictions(labels), n_resamples=20), covariates, favourable=favourable
        )
        high = 0.1 if favourable else 0.9
        assert found["estimate"].tolist() == pytest.approx([0.5, high], abs=0.1)
        assert (found["interaction_p"] < 1e-6).all()


def test_what_curves_refuse(tables):
    labels = pd.DataFrame({"patient_id": ["a"], "arm": "a", "repeat": 0, "fold": 0, "risk": 1.0})
    with pytest.raises(PredictionsError, match="no survival curve"):
        survival_curves(read_arms(Predictions(labels.assign(label=1)))[1])
    predictions = single_fold(tables["tiny"])
    with pytest.raises(PredictionsError, match="positive time"):
        restricted_means(read_arms(predictions)[1], 0)
    split = predictions.table.assign(fold=[0, 1] * 5)
    with pytest.raises(PredictionsError, match="a common scale of risk"):
        best_cuts(read_arms(Predictions(split))[1])
    with pytest.raises(InputError, match="between 0 and 1"):
        decision_curves(read_arms(predictions)[1], [3], thresholds=[1.0])
    assert decision_curves(read_arms(predictions)[1], [3]).empty
