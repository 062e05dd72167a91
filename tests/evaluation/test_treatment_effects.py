"""Tables of a study with two treatments: a trial with a known interaction, and what is left out."""

import numpy as np
import pandas as pd
import pytest

import outcome
from outcome.errors import InputError, PredictionsError, Problems
from outcome.statistics.interaction import treatment_interaction
from outcome.tables.treatment import TreatmentAssignment, check_treatment

RANDOMISED = {"column": "arm_given", "reference": "control", "randomised": True}


def trial(n=240, seed=0):
    """Hazard ratio of the drug 0.67 at the mean score, 0.55 of that per SD above it."""
    rng = np.random.default_rng(seed)
    score, treated = rng.normal(size=n), rng.integers(0, 2, n)
    age = rng.normal(60, 10, n) + 6 * treated
    time = 24 * rng.exponential(np.exp(-(0.5 * score - 0.4 * treated - 0.6 * score * treated)))
    end = rng.uniform(2, 60, n)
    return pd.DataFrame(
        {
            "patient_id": [f"p{i:03}" for i in range(n)],
            "time_months": np.minimum(time, end) + 0.1,
            "event": (time <= end).astype(int),
            "risk": score,
            "arm_given": np.where(treated == 1, "drug", "control"),
            "age": age,
            "stage": rng.choice(["I", "II", ""], n),
            "fold": rng.integers(0, 2, n),
        }
    )


def evaluated(table, treatment=RANDOMISED, **options):
    return outcome.evaluate(table, treatment=treatment, n_resamples=0, **options)


@pytest.fixture(scope="module")
def table():
    made = trial()
    made.loc[:4, "arm_given"] = None
    return made


@pytest.fixture(scope="module")
def found(table):
    return evaluated(table, horizons=[12, 24])


@pytest.fixture(scope="module")
def observational(table):
    return evaluated(
        table, {**RANDOMISED, "randomised": False}, covariates=["age", "stage"], horizons=[24]
    )


def terms(evaluation, model="unadjusted"):
    rows = evaluation.treatment_interaction
    return rows[rows["model"] == model].set_index("term")


def test_the_interaction_is_that_of_the_model_on_scaled_scores(table, found):
    kept = table.dropna(subset="arm_given")
    by_fold = table.groupby("fold")["risk"]
    scaled = ((table["risk"] - by_fold.transform("mean")) / by_fold.transform("std"))[kept.index]
    expected = treatment_interaction(
        kept["arm_given"] == "drug", scaled, kept["event"], time=kept["time_months"],
        strata=kept["fold"],
    )  # fmt: skip
    row = terms(found).loc["score x treatment"]
    assert row["coef"] == pytest.approx(expected.coef[2], rel=1e-6)
    assert row["p_value"] == pytest.approx(expected.p, rel=1e-6)
    assert row["p_adjusted"] == row["p_value"]  # one arm
    assert row["ratio"] < row["upper"] < 1  # the drug helps the more, the higher the score


def test_ratios_of_the_score_with_either_treatment_differ_by_the_interaction(found):
    rows = terms(found)["coef"]
    assert rows["score, treated"] == pytest.approx(rows["score"] + rows["score x treatment"])


def test_unknown_treatments_are_counted_and_left_out_of_this_alone(table, found):
    rows = found.treatment_interaction
    assert set(rows["unknown"]) == {5}
    assert (rows["n_reference"] + rows["n_treated"]).unique().tolist() == [len(table) - 5]
    assert found.metrics["n"].unique().tolist() == [len(table)]
    assert any("5 without a known treatment" in note for note in found.notes)


def test_groups_make_up_all_patients(found):
    rows = found.treatment_effects.set_index("group")
    assert list(rows.index) == ["all patients", "low", "high"]
    for name in ("n_reference", "n_treated", "events_reference", "events_treated"):
        assert rows.loc[["low", "high"], name].sum() == rows.loc["all patients", name]
    assert rows.loc["high", "ratio"] < rows.loc["low", "ratio"]


def test_differences_are_those_of_the_curves(found):
    rows = found.treatment_differences
    at = rows[rows["measure"] == "survival"].set_index(["group", "horizon"])
    curves = found.treatment_curves
    for group in ("low", "high"):
        for column, treatment in (("reference", "control"), ("treated", "drug")):
            mine = curves[(curves["group"] == group) & (curves["treatment"] == treatment)]
            last = mine[mine["time"] <= 12]["survival"].iloc[-1]
            assert at.loc[(group, 12), column] == pytest.approx(last)
    gap = at.loc[("high", 12), "difference"] - at.loc[("low", 12), "difference"]
    assert at.loc[("high minus low", 12), "difference"] == pytest.approx(gap)
    means = rows[rows["measure"] == "restricted_mean"]
    assert set(means["horizon"]) == {24}
    known = means.dropna(subset="treated")
    assert ((known["treated"] > 0) & (known["treated"] < 24)).all()


def test_the_smooth_effect_falls_as_it_was_simulated(found):
    rows = found.treatment_effect_by_score
    assert rows["ratio"].iloc[0] > 1 > rows["ratio"].iloc[-1]
    assert ((rows["lower"] < rows["ratio"]) & (rows["ratio"] < rows["upper"])).all()


def test_order_of_rows_changes_nothing(table, found):
    again = evaluated(table.sample(frac=1, random_state=1), horizons=[12, 24])
    for name in ("treatment_interaction", "treatment_effects", "treatment_differences"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(again, name))


def test_not_randomised_is_weighted_and_balanced(observational):
    balance = observational.treatment_balance.set_index("covariate")
    assert balance.loc["age", "difference"] > 0.4
    assert abs(balance.loc["age", "difference_weighted"]) < 0.15
    summary = observational.treatment_weights
    assert (summary["effective_n"] < summary["n"]).all()
    assert list(dict.fromkeys(observational.treatment_interaction["model"])) == [
        "unadjusted",
        "weighted",
    ]
    row = terms(observational, "weighted").loc["score x treatment"]
    assert np.isnan(row["p_value"])  # no likelihood ratio of weighted patients
    assert row["wald_p"] == row["p_adjusted"] < 0.05
    assert any("confounding" in w for w in observational.warnings)


def test_randomised_is_not_weighted(found):
    assert "treatment_balance" not in found.tables
    assert set(found.treatment_interaction["model"]) == {"unadjusted"}
    assert not any("confounding" in w for w in found.warnings)


def test_without_covariates_nothing_is_adjusted(table):
    plain = evaluated(table, {**RANDOMISED, "randomised": False})
    assert "treatment_balance" not in plain.tables
    assert any("not adjusted" in w for w in plain.warnings)


def test_the_treatment_is_no_covariate(table, observational):
    assert not observational.effects["term"].str.contains("arm_given").any()
    assert not any("arm_given: missing" in note for note in observational.notes)


def test_labels_have_odds_ratios_and_rates():
    table = trial(160).drop(columns=["time_months", "event"])
    table["label"] = (np.arange(160) * 7 % 5 < 2).astype(int)
    found = evaluated(table)
    rows = found.treatment_differences.set_index("group")
    assert set(rows["measure"]) == {"event_rate"}
    kept = table[table["arm_given"] == "drug"]
    assert rows.loc["all patients", "treated"] == pytest.approx(kept["label"].mean())
    assert "treatment_curves" not in found.tables
    assert np.isfinite(terms(found).loc["score x treatment", "p_value"])


def test_competing_events_are_censored_in_ratios():
    """Ratios with code 2 are those where these patients are censored; curves are not."""
    table = trial(160)
    table.loc[table.index % 4 == 0, "event"] *= 2
    competing = evaluated(table, horizons=[12])
    censored = evaluated(table.assign(event=(table["event"] == 1).astype(int)), horizons=[12])
    pd.testing.assert_frame_equal(competing.treatment_effects, censored.treatment_effects)
    theirs = [t.treatment_curves["survival"].min() for t in (competing, censored)]
    assert theirs[0] > theirs[1]


def test_a_constant_score_is_no_crash():
    found = evaluated(trial(80).assign(risk=0.0), horizons=[12])
    rows = found.treatment_interaction
    assert rows["p_value"].isna().all()
    assert (rows["note"] == "the score is constant").any()


@pytest.mark.parametrize(
    ("values", "reference", "said"),
    [
        (["drug", "placebo"], "control", "does not contain the reference 'control'"),
        (["control", "control"], "control", "contains only one value, control (120 patients)"),
        (["control", "drug", "other"], "control", "contains more than two values"),
        (["", ""], "control", "is empty"),
    ],
)
def test_what_is_no_pair_of_treatments_is_refused(values, reference, said):
    table = trial(120)
    table["arm_given"] = (values * 120)[:120]
    with pytest.raises(PredictionsError) as error:
        evaluated(table, {**RANDOMISED, "reference": reference})
    assert said in str(error.value)
    assert "To do" in str(error.value)
    assert "'arm_given'" in str(error.value)


def test_numbers_are_codes():
    problems = Problems("table")
    values = pd.Series(["1.0", "0", "1", ""])
    check_treatment(values, "arm", "0", problems)
    assert not problems
    patients = ["a", "b", "c", "d"]
    table = pd.DataFrame({"patient_id": patients, "treatment": values})
    given = TreatmentAssignment(table, "arm", "0", randomised=True)
    assert given.other == "1"
    assert given.of(patients)[:3].tolist() == [1, 0, 1]
    assert np.isnan(given.of(["d", "e"])).all()


def test_a_reference_called_none_is_a_treatment():
    problems = Problems("table")
    check_treatment(pd.Series(["none", "drug", ""]), "arm", "none", problems)
    assert not problems


def test_half_a_declaration_is_refused(table):
    with pytest.raises(InputError, match="`randomised`"):
        evaluated(table, {"column": "arm_given", "reference": "control"})
