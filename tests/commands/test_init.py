"""From a bare folder of features and somebody's table to a report."""

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

QUICK = "training={epochs: 3, components: 8, attention_width: 4}"


@pytest.fixture
def bare(tmp_path, make_study):
    """A TRIDENT job folder, and a clinical table with columns of its own."""
    path = make_study(tmp_path / "simulated")
    table = pd.read_csv(path.parent / "cohort.csv", dtype=str)
    (path.parent / "20x_384px_0px_overlap").rename(tmp_path / "trident")
    table = table.drop_duplicates("patient_id")
    clinic = pd.DataFrame(
        {
            "Fall-Nr": table["patient_id"],
            "Klinik": table["site"],
            "Age at Dx": table["age"],
            "pT-Stage": table["stage"],
            "FollowUp_Months": (table["os_days"].astype(float) / 30.44).round(2),
            "Vital Status": table["os_event"].map({"1": "verstorben", "0": "lebt"}),
        }
    )
    clinic.to_csv(tmp_path / "klinik.csv", sep=";", decimal=",", index=False, encoding="utf-8-sig")
    return tmp_path


def test_init_check_run(bare, outcome, monkeypatch):
    monkeypatch.chdir(bare)
    first = outcome("init", "klinik.csv", "trident")
    assert first.code == 0, first.err
    for guess in (
        "guess: patient: Fall-Nr", "guess: time: FollowUp_Months", "guess: event: Vital Status",
        "guess: unit: months", "guess: site: Klinik", "encoder simulated",
        "to do: codes of the outcome (lebt, verstorben) are not declared",
    ):  # fmt: skip
        assert guess in first.out, first.out
    told = outcome("check", "study.yaml")
    assert told.code == 2
    assert "code 'lebt' must mean 0, 1 or 2" in told.err
    text = (bare / "study.yaml").read_text()
    assert "GUESSED" in text
    (bare / "study.yaml").write_text(
        text.replace("lebt: '?'", "lebt: 0").replace("verstorben: '?'", "verstorben: 1")
    )
    done = outcome("check", "study.yaml")
    assert done.code == 0, done.err
    assert "layout: trident" in done.out
    few = ("--set", "split.folds=2", "--set", "split.inner_folds=2")
    done = outcome("run", "study.yaml", "--jobs", 1, "--set", QUICK, *few)
    assert done.code == 0, done.err
    assert (bare / "reports" / "klinik" / "report.html").is_file()
    fits = list((bare / "reports" / "klinik" / "fits").iterdir())
    # The study file in the run folder can be run, and finds everything done.
    again = outcome("run", "reports/klinik/study.yaml", "--out", "reports/klinik", "--jobs", 1)
    assert again.code == 0, again.err
    assert sorted(fits) == sorted((bare / "reports" / "klinik" / "fits").iterdir())


def test_codes_can_be_given(bare, outcome):
    words = ("init", bare / "klinik.csv", bare / "trident", "--out", bare / "s" / "study.yaml")
    wrong = outcome(*words, "--event-codes", "lebt=0")
    assert wrong.code == 2
    assert "also contains verstorben" in wrong.err
    assert not (bare / "s").exists()
    done = outcome(*words, "--event-codes", "lebt=0,verstorben=1")
    assert done.code == 0, done.err
    assert "cohort: 60 patients" in done.out
    assert outcome("check", bare / "s" / "study.yaml").code == 0


def test_numeric_codes_of_one_and_two_are_not_assumed(tmp_path, outcome):
    table = pd.DataFrame({"ID": ["a", "b", "c", "d"], "days": [5, 6, 7, 9], "status": [1, 2, 1, 2]})
    table.to_csv(tmp_path / "t.csv", index=False)
    done = outcome("init", tmp_path / "t.csv", "--out", tmp_path / "study.yaml")
    assert done.code == 0, done.err
    study = yaml.safe_load((tmp_path / "study.yaml").read_text())
    assert study["endpoint"]["event_codes"] == {"1": "?", "2": "?"}


def test_a_column_of_censoring_is_read_the_other_way_round(tmp_path, outcome):
    table = pd.DataFrame(
        {"case_id": list("abcd"), "os_days": [5, 6, 7, 9], "os_censored": [1, 0, 1, 0]}
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    done = outcome("init", tmp_path / "t.csv", "--out", tmp_path / "study.yaml")
    assert "1 in os_censored means censored" in done.out
    assert yaml.safe_load((tmp_path / "study.yaml").read_text())["endpoint"]["censored"]


def test_one_file_per_patient(tmp_path, outcome):
    (tmp_path / "features").mkdir()
    for name in "abcd":
        with h5py.File(tmp_path / "features" / f"{name}.h5", "w") as file:
            file["feats"] = np.ones(6, np.float32)
    table = pd.DataFrame({"Patient": list("abcd"), "days": [5, 6, 7, 9], "dead": [1, 0, 1, 0]})
    table.to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "study.yaml"
    done = outcome("init", tmp_path / "t.csv", tmp_path / "features", "--out", out)
    assert done.code == 0, done.err
    study = yaml.safe_load(out.read_text())
    assert study["columns"] == {"patient": "Patient", "slide": "Patient"}
    assert study["cohort"] == "t.csv"


def test_a_table_without_an_outcome(tmp_path, outcome):
    pd.DataFrame({"x": ["a", "b"], "y": ["c", "d"]}).to_csv(tmp_path / "t.csv", index=False)
    done = outcome("init", tmp_path / "t.csv", "--out", tmp_path / "study.yaml")
    assert done.code == 2
    assert "no column looks like an outcome" in done.err
    assert not (tmp_path / "study.yaml").exists()


FOLLOWED = pd.DataFrame(
    {
        "Patient ID": [f"P{i}" for i in range(8)],
        "Date of diagnosis": ["2012-01-01"] * 8,
        "Date of death": ["2013-01-01", ""] * 4,
        "Date of last follow-up": ["2012-12-01", "2014-01-01"] * 4,
        "Vital status": ["Dead", "Alive"] * 4,
    }
)
DATES = {
    "from": "Date of diagnosis",
    "to": ["Date of death", "Date of last follow-up"],
}


def drafted(folder, outcome, table, *words):
    table.to_csv(folder / "t.csv", index=False)
    done = outcome("init", folder / "t.csv", "--out", folder / "study.yaml", *words)
    assert done.code == 0, done.err
    return yaml.safe_load((folder / "study.yaml").read_text()), done


def test_dates_and_a_vital_status_are_survival(tmp_path, outcome):
    study, done = drafted(tmp_path, outcome, FOLLOWED, "--event-codes", "Alive=0,Dead=1")
    assert study["endpoint"] == {
        "kind": "survival", "time": DATES, "event": "Vital status",
        "event_codes": {"Alive": 0, "Dead": 1}, "unit": "days",
    }  # fmt: skip
    assert "cohort: 8 patients, 8 slides, 4 events" in done.out
    assert "guess: time: from Date of diagnosis to Date of death or Date of last" in done.out


@pytest.mark.parametrize(
    ("form", "order"), [("%d.%m.%Y", "day-first"), ("%m/%d/%Y", "month-first")]
)
def test_the_order_of_day_and_month_is_taken_from_the_cells(tmp_path, outcome, form, order):
    table = FOLLOWED.assign(**{"Date of diagnosis": ["2012-01-31"] * 8})
    for column in ("Date of diagnosis", "Date of death", "Date of last follow-up"):
        days = pd.to_datetime(table[column])
        table[column] = days.dt.strftime(form).fillna("")
    study, _ = drafted(tmp_path, outcome, table)
    assert study["endpoint"]["time"] == {**DATES, "dates": order}


def test_an_order_that_the_cells_leave_open_is_for_the_user_to_say(tmp_path, outcome):
    table = FOLLOWED.assign(**{"Date of diagnosis": ["03/04/2012"] * 8})
    study, done = drafted(tmp_path, outcome, table, "--event-codes", "Alive=0,Dead=1")
    assert study["endpoint"]["time"]["dates"] == "?"
    assert "to do: dates such as 03/04/2015 can be read in two ways" in done.out
    told = outcome("check", tmp_path / "study.yaml")
    assert told.code == 2
    assert "endpoint.time" in told.err


def test_times_in_two_columns_are_one_follow_up(tmp_path, outcome):
    table = pd.DataFrame(
        {
            "case_id": [f"P{i}" for i in range(8)],
            "vital_status": ["Dead", "Alive"] * 4,
            "days_to_death": [str(100 + i) if i % 2 == 0 else "'--" for i in range(8)],
            "days_to_last_follow_up": [str(900 + i) if i % 2 else "'--" for i in range(8)],
        }
    )
    study, done = drafted(tmp_path, outcome, table, "--event-codes", "Alive=0,Dead=1")
    assert study["endpoint"]["time"] == {"to": ["days_to_death", "days_to_last_follow_up"]}
    assert "cohort: 8 patients, 8 slides, 4 events" in done.out


@pytest.mark.parametrize(
    ("columns", "time", "event"),
    [
        ({"OS": [1, 0] * 4, "OS.time": range(10, 18)}, "OS.time", "OS"),
        ({"time": [-5, *range(10, 27)], "event": [1, 0] * 9}, "time", "event"),
        ({"last_seen_days": range(10, 18), "days_to_relapse": [5, "", "", ""] * 2,
          "relapse": [1, 0, 0, 0] * 2}, "last_seen_days", "relapse"),
        ({"pfs_months": ["1,5", "2"] * 3 + ["3,5", "4"], "progressed": ["True", "False"] * 4},
         "pfs_months", "progressed"),
    ],
)  # fmt: skip
def test_follow_up_is_recognised(tmp_path, outcome, columns, time, event):
    made = pd.DataFrame(columns)
    made.insert(0, "case_id", [f"P{i}" for i in range(len(made))])
    study, _ = drafted(tmp_path, outcome, made)
    assert (study["endpoint"]["time"], study["endpoint"]["event"]) == (time, event)


def test_a_status_is_no_label_where_times_cannot_be_read(tmp_path, outcome):
    table = pd.DataFrame({"case_id": list("abcd"), "os": ["5 days", "6 days", "70 days", "8 days"]})
    table.assign(dead=[1, 0, 1, 0]).to_csv(tmp_path / "t.csv", index=False)
    done = outcome("init", tmp_path / "t.csv", "--out", tmp_path / "study.yaml")
    assert done.code == 2
    assert "column 'os' looks like follow-up, but 4 of its cells" in done.err


def test_lines_of_comments_above_the_header(tmp_path, outcome):
    rows = "\n".join(f"P{i}\t{i + 0.5}\t{'1:DECEASED' if i % 2 else '0:LIVING'}" for i in range(8))
    (tmp_path / "t.txt").write_text(
        "#Patient\tMonths\tStatus\n#STRING\tNUMBER\tSTRING\n#1\t1\t1\n"
        f"PATIENT_ID\tOS_MONTHS\tOS_STATUS\n{rows}\n"
    )
    done = outcome(
        "init", tmp_path / "t.txt", "--out", tmp_path / "study.yaml",
        "--event-codes", "0:LIVING=0,1:DECEASED=1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "note: t.txt: skipped 3 comment lines above the header" in done.out
    assert "cohort: 8 patients, 8 slides, 4 events" in done.out
    assert yaml.safe_load((tmp_path / "study.yaml").read_text())["endpoint"]["unit"] == "months"


def test_the_contrast_asks_whether_the_image_adds_to_the_clinical_data(tmp_path, outcome):
    table = FOLLOWED.assign(Sex=["F", "M", "M", "F"] * 2)
    study, _ = drafted(tmp_path, outcome, table)
    assert study["arms"] == ["image", "clinical", "image+clinical"]
    assert study["contrasts"] == [["image+clinical", "clinical"]]


def test_a_folder_that_is_used_already(tmp_path, outcome):
    """A cohort.csv that lies there is the user's own, and stays."""
    (tmp_path / "features").mkdir()
    for i in range(8):
        with h5py.File(tmp_path / "features" / f"P{i}_S1.h5", "w") as file:
            file["feats"] = np.ones((2, 6), np.float32)
    FOLLOWED.to_csv(tmp_path / "cohort.csv", index=False)
    before = (tmp_path / "cohort.csv").read_bytes()
    words = ("init", tmp_path / "cohort.csv", tmp_path / "features", "--out", tmp_path)
    done = outcome(*words)
    assert done.code == 0, done.err
    study = yaml.safe_load((tmp_path / "study.yaml").read_text())
    assert study["cohort"] == "study-cohort.csv"
    assert len(pd.read_csv(tmp_path / "study-cohort.csv")) == 8
    assert (tmp_path / "cohort.csv").read_bytes() == before
    again = outcome(*words)
    assert again.code == 2
    assert "already exists" in again.err


def test_a_folder_is_no_study_file(tmp_path, outcome):
    drafted(tmp_path, outcome, FOLLOWED)
    done = outcome("run", tmp_path)
    assert done.code == 2
    assert f"give {tmp_path / 'study.yaml'}" in done.err
    (tmp_path / "manifest.json").write_text("{}")
    assert "an earlier run" in outcome("run", tmp_path).err


def test_an_incomplete_date_does_not_hide_a_column_of_dates(tmp_path, outcome):
    table = pd.concat([FOLLOWED] * 2, ignore_index=True)
    table["Patient ID"] = [f"P{i}" for i in range(16)]
    table.loc[1, "Date of last follow-up"] = "2015"
    table["pT"], table["Sex"] = ["T1", "T2"] * 8, ["m", "M", "f", "f"] * 4
    study, done = drafted(tmp_path, outcome, table, "--event-codes", "Alive=0,Dead=1")
    assert study["endpoint"]["time"] == DATES
    assert "'Date of last follow-up' is not a complete date: 1, e.g. P1 in line 3 ('2015')" in (
        done.out
    )
    assert "note: not used: pT. Add a column" in done.out
    assert "column 'Sex': 'M' and 'm' are different levels" in done.out


def test_an_event_without_a_time_is_refused(tmp_path, outcome):
    pd.DataFrame({"case_id": list("abcd"), "Alive?": ["yes", "no"] * 2}).to_csv(
        tmp_path / "t.csv", index=False
    )
    out = tmp_path / "study.yaml"
    done = outcome(
        "init", tmp_path / "t.csv", "--out", out, "--event", "Alive?", "--event-codes", "yes=0,no=1"
    )
    assert done.code == 2
    assert "`time: {from: diagnosis_date, to: [death_date, last_contact_date]}`" in done.err
    assert not out.exists()


def test_a_folder_of_report_texts(tmp_path, outcome):
    (tmp_path / "reports").mkdir()
    for i in range(8):
        (tmp_path / "reports" / f"P{i}.txt").write_text("margins free")
    study, _ = drafted(tmp_path, outcome, FOLLOWED, "--reports", tmp_path / "reports")
    assert study["embeddings"] == {"reports": {"texts": "reports"}}


def test_the_header_names_the_table_that_the_study_reads(tmp_path, outcome):
    (tmp_path / "features").mkdir()
    for i in range(8):
        with h5py.File(tmp_path / "features" / f"P{i}_1.h5", "w") as file:
            file["features"] = np.ones((2, 6), np.float32)
    drafted(tmp_path, outcome, FOLLOWED.assign(x=1), tmp_path / "features")
    text = (tmp_path / "study.yaml").read_text()
    assert "# The study reads cohort.csv, a copy of t.csv made by `outcome init`. Correct" in text
