"""Tables of predictions as people make them: one meaning, or a message."""

import numpy as np
import pandas as pd
import pytest

from outcome.errors import PredictionsError
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.covariates import align, without_many_levels
from outcome.evaluation.effects import effects
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.risk_groups import risk_group_table
from outcome.predictions import (
    DeclaredColumns,
    Predictions,
    arm_names,
    check_common_patients,
    read_covariates,
    read_external,
    read_predictions,
)

N = 40


def table(seed=0, **columns):
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=N)
    made = pd.DataFrame(
        {
            "case_id": [str(i) for i in range(N)],
            "fold": [str(i % 2) for i in range(N)],
            "time_months": (rng.exponential(size=N) * np.exp(-risk) * 20 + 0.1).round(2),
            "event": (rng.random(N) < 0.7).astype(int),
            "risk": risk,
        }
    )
    return made.assign(**columns)


def put(folder, frame, name="p.csv", **how):
    frame.to_csv(folder / name, index=False, **how)
    return folder / name


def c_index(path):
    found = evaluate(read_external([path]).predictions, n_resamples=0).metrics
    return float(found.loc[found["metric"] == "harrell_c", "estimate"].iloc[0])


FORMS = {
    "semicolon.csv": {"sep": ";", "decimal": ","},
    "utf16.csv": {"encoding": "utf-16"},
    "tab.tsv": {"sep": "\t"},
    "bar.txt": {"sep": "|"},
    "mark.csv": {"encoding": "utf-8-sig", "lineterminator": "\r\n"},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_numbers(tmp_path, name):
    frame = table()
    expected = c_index(put(tmp_path, frame))
    assert c_index(put(tmp_path, frame, name, **FORMS[name])) == expected


def test_excel_is_read_too(tmp_path):
    frame = table()
    frame.to_excel(tmp_path / "p.xlsx", index=False)
    assert c_index(tmp_path / "p.xlsx") == c_index(put(tmp_path, frame))


def test_what_was_written_is_read_to_the_last_digit(tmp_path):
    rows = table().rename(columns={"case_id": "patient_id", "time_months": "time"})
    made = Predictions(rows.assign(arm="a", repeat=0, extra=["x", None] * (N // 2)))
    made.write(tmp_path / "w.csv")
    again = read_predictions(tmp_path / "w.csv").table
    assert (again["risk"] == made.table["risk"]).all()
    assert again["event"].dtype == again["repeat"].dtype == int
    assert again["extra"].isna().sum() == N // 2


@pytest.mark.parametrize(
    "spelled", [lambda i: f"{i} ", lambda i: f" {i}", lambda i: f"{i}.0", lambda i: f"\u00a0{i}"]
)
def test_ids_of_two_tables_join(tmp_path, spelled):
    one = put(tmp_path, table(), "one.csv")
    frame = table(risk=np.random.default_rng(1).normal(size=N))
    plain = put(tmp_path, frame, "two.csv")
    other = put(
        tmp_path,
        frame.assign(case_id=[spelled(i) if i % 3 else i for i in frame["case_id"].astype(int)]),
        "three.csv",
    )
    compared = [
        evaluate(
            read_external([one, path]).predictions, baseline="one", n_resamples=0
        ).comparisons.iloc[0]
        for path in (plain, other)
    ]
    assert compared[1]["n_patients_common"] == N
    assert compared[1]["difference"] == compared[0]["difference"]


def test_two_unicode_forms_are_one_patient(tmp_path):
    one = put(tmp_path, table(case_id=[f"Ko\u0308ln {i}" for i in range(N)]), "one.csv")
    two = put(tmp_path, table(case_id=[f"K\u00f6ln {i}" for i in range(N)]), "two.csv")
    assert read_external([one, two]).predictions.table["patient_id"].nunique() == N


def test_arms_without_a_common_patient_are_refused_with_the_reason(tmp_path):
    one = put(tmp_path, table(case_id=[f"TCGA-A0-{i:04d}" for i in range(N)]), "one.csv")
    two = put(tmp_path, table(case_id=[f"TCGA-A0-{i:04d}-01A" for i in range(N)]), "two.csv")
    both = read_external([one, two]).predictions
    with pytest.raises(PredictionsError, match=r"no patient in common .* sample barcode of TCGA"):
        check_common_patients(both, "one")
    assert check_common_patients(both, None) == []


def test_arms_with_few_common_patients_are_reported(tmp_path):
    one = put(tmp_path, table(), "one.csv")
    ids = [str(i) if i < 5 else f"00{i}" for i in range(N)]
    both = read_external([one, put(tmp_path, table(case_id=ids), "two.csv")]).predictions
    (warning,) = check_common_patients(both, "one")
    assert "have 5 patients in common, of 40 and 40" in warning
    assert "leading zeros" in warning


def test_files_of_one_name_are_arms_named_by_their_folders(tmp_path):
    paths = []
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
        paths.append(put(tmp_path / folder, table()))
    assert read_external(paths).predictions.arms == ["ours", "theirs"]
    assert list(arm_names([tmp_path / "a.csv", tmp_path / "b.csv"]).values()) == ["a", "b"]
    deeper = [tmp_path / a / "x" / "p.csv" for a in ("one", "two")]
    assert list(arm_names(deeper).values()) == ["one/x", "two/x"]


@pytest.mark.parametrize("mark", ["", "NA", "[Not Available]", "'--", "unknown"])
def test_one_missing_age_leaves_age_a_number(tmp_path, mark):
    ages = [mark, *(str(50 + i) for i in range(1, N))]
    read = read_external([put(tmp_path, table(age=ages))], covariates=["age"])
    assert read.covariates["age"].isna().sum() == 1
    assert read.covariates["age"].dtype == float
    rows = effects(*read_arms(read.predictions), read.covariates)
    assert set(rows.loc[rows["term"] == "age", "n"]) == {N - 1}
    said = " ".join(read.notes)
    assert "covariate age: missing for 1 of 40 patients" in said
    assert "use the 39 patients" in said
    assert (f"{mark!r} 1" in said or f'"{mark}" 1' in said) == bool(mark)


def test_a_mistyped_number_among_numbers_is_refused(tmp_path):
    ages = ["5O", *(str(50 + i) for i in range(1, N))]
    with pytest.raises(
        PredictionsError, match=r"'age' contains numbers, except for: 1, e.g. line 2 .*5O"
    ):
        read_external([put(tmp_path, table(age=ages))], covariates=["age"])


def test_text_with_many_values_is_named():
    frame = pd.DataFrame({"patient_id": range(30), "note": map(str, range(30)), "age": range(30)})
    frame["note"] = "n" + frame["note"]
    assert without_many_levels(frame)[1] == ["note"]


def test_covariates_that_differ_between_arms_are_refused(tmp_path):
    one = put(tmp_path, table(age=50), "one.csv")
    two = put(tmp_path, table(age=51), "two.csv")
    with pytest.raises(PredictionsError, match="covariate 'age' differs"):
        read_external([one, two], covariates=["age"])


def test_a_covariate_is_taken_from_the_table_that_has_it(tmp_path):
    one = put(tmp_path, table(age=""), "one.csv")
    two = put(tmp_path, table(age=51), "two.csv")
    assert (read_external([one, two], covariates=["age"]).covariates["age"] == 51).all()


def test_covariates_of_a_run_keep_levels_and_numbers(tmp_path):
    (tmp_path / "c.csv").write_text("patient_id,age,margin\n007,50,None\n8,,R0\n")
    found = read_covariates(tmp_path / "c.csv")
    assert found["patient_id"].tolist() == ["007", "8"]
    assert found["margin"].tolist() == ["None", "R0"]
    assert found["age"].isna().tolist() == [False, True]


def test_covariates_join_as_arms_do(tmp_path):
    panel, _ = read_arms(read_external([put(tmp_path, table())]).predictions)
    ids = [f"{i}.0" for i in range(N)]
    assert align(pd.DataFrame({"patient_id": ids, "age": range(N)}), panel)["age"].notna().all()
    barcodes = pd.DataFrame({"patient_id": [f"{i}-01A" for i in range(100, 140)], "age": range(N)})
    with pytest.raises(PredictionsError, match="no patient of the predictions"):
        align(barcodes, panel)


@pytest.mark.parametrize(
    ("low", "high"), [("Low", "High"), ("LOW", "HIGH"), ("low risk", "high risk"), ("Z", "A")]
)
def test_the_lowest_group_is_the_reference(tmp_path, low, high):
    frame = table()
    groups = np.where(frame["risk"] > 0, high, low)
    read = read_external([put(tmp_path, frame.assign(risk_group=groups))])
    rows = risk_group_table(read_arms(read.predictions)[1])
    assert rows["group"].tolist() == [low, high]
    assert rows["hazard_ratio"].iloc[0] == 1
    assert rows["hazard_ratio"].iloc[1] > 1


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"risk": "survival_probability"}, "write risk = -survival_probability"),
        ({"risk": "risk_score"}, "call it risk"),
        ({"event": "censorship"}, "event = 1 - censorship"),
        ({"time_months": "os_months"}, "call it time_months"),
        ({"case_id": "PatientID"}, "call it patient_id"),
        ({"risk": "risk_A", "repeat": "risk_B"}, "one table for each model with a column risk"),
    ],
)
def test_columns_that_are_named_otherwise(tmp_path, rename, message):
    with pytest.raises(PredictionsError, match=message) as refused:
        read_external([put(tmp_path, table(repeat=0).rename(columns=rename))])
    assert "`patient=`" not in str(refused.value)  # a DataFrame has no declared columns


def test_columns_that_may_be_declared_are_said_to_be(tmp_path):
    path = put(tmp_path, table(slide_id="s").rename(columns={"case_id": "subject", "event": "os"}))
    with pytest.raises(PredictionsError) as refused:
        read_external([path], declared=DeclaredColumns())
    assert "if 'subject' contains the patient ids, name it with `patient=`" in str(refused.value)
    assert "if another column contains the events, name it with `event=`" in str(refused.value)
    path = put(tmp_path, table(event="Dead"))
    with pytest.raises(PredictionsError, match="declare what the codes mean with `event_codes=`"):
        read_external([path], declared=DeclaredColumns())


@pytest.mark.parametrize("name", ["arm", "Arm", "fold", "strata", "risk_group", "repeat", "weight"])
def test_a_column_declared_as_treatment_has_no_other_role(tmp_path, name):
    """The treatment of a trial is often called `arm`."""
    given = np.where(np.arange(N) % 2, "drug", "control")
    read = read_external([put(tmp_path, table(**{name: given}), "m.csv")], treatment=name)
    assert read.predictions.arms == ["m"]
    roles = read.predictions.table.drop(columns="arm")
    assert not roles.map(lambda value: value in ("drug", "control")).any(axis=None)
    assert read.covariates[name].tolist() == given.tolist()
    assert any(f"column {name!r} is read as the covariate or treatment" in n for n in read.notes)


def test_the_treatment_of_a_run_may_be_called_as_our_columns(tmp_path):
    path = put(tmp_path, table(arm="image").rename(columns={"case_id": "patient_id"}))
    known = pd.DataFrame({"patient_id": table()["case_id"], "arm": ["a", "b"] * (N // 2)})
    read = read_external([path], covariates=["arm"], of_runs={path: known})
    assert read.predictions.arms == ["image"]
    assert read.covariates["arm"].tolist() == known["arm"].tolist()


def test_a_covariate_that_is_not_there_is_looked_up_among_the_columns(tmp_path):
    with pytest.raises(PredictionsError) as refused:
        read_external([put(tmp_path, table(age=60))], covariates=["Age"], treatment="given")
    said = (
        "column: 2, e.g. Age, given. To do: it has case_id, fold, time_months, event, risk, age; "
    )
    assert said + "correct `treatment=` and `covariates=`" in str(refused.value)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1.801", "1801"], "can be read in two ways"),
        (["1,5", "2.5"], "can be read in two ways"),
        (["NA", "2,5"], "column 'time_months' is empty"),
    ],
)
def test_times_that_cannot_be_used(tmp_path, cells, message):
    frame = table(time_months=cells * (N // 2)).astype(str)
    # Whole numbers elsewhere, so that nothing else in the table shows its decimal mark.
    frame["risk"] = [str(i) for i in range(N)]
    with pytest.raises(PredictionsError, match=message):
        read_external([put(tmp_path, frame, sep=";")])


def test_names_of_columns_in_capitals(tmp_path):
    frame = table()
    expected = c_index(put(tmp_path, frame))
    path = put(tmp_path, frame.rename(columns=str.upper), "capitals.csv")
    assert c_index(path) == expected
    assert read_external([path]).unit == "months"
    broken = put(tmp_path, table(risk="x").rename(columns=str.upper), "broken.csv")
    with pytest.raises(
        PredictionsError, match="column 'RISK' contains values that are not numbers"
    ):
        read_external([broken])


def test_a_table_without_folds_is_said_to_be_of_a_fixed_score(tmp_path):
    said = "p.csv: without the column fold the score counts as fixed before these patients"
    without = read_external([put(tmp_path, table().drop(columns="fold"))]).notes
    assert any(note.startswith(said) for note in without)
    assert not any("column fold" in note for note in read_external([put(tmp_path, table())]).notes)
