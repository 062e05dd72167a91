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
    assert "say what 'lebt' means: 0, 1 or 2" in told.err
    text = (bare / "study.yaml").read_text()
    assert "GUESSED" in text
    (bare / "study.yaml").write_text(
        text.replace("lebt: '?'", "lebt: 0").replace("verstorben: '?'", "verstorben: 1")
    )
    done = outcome("check", "study.yaml")
    assert done.code == 0, done.err
    assert "layout: trident" in done.out
    done = outcome("run", "study.yaml", "--jobs", 1, "--set", QUICK, "--set", "split.folds=2")
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
    assert "also holds verstorben" in wrong.err
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
