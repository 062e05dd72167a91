"""Embeddings for a table that exists: the table stays, the vectors know what they should."""

import h5py
import numpy as np
import pandas as pd
import pytest

from outcome import Study
from outcome.dataset.study_data import prepare
from outcome.errors import InputError
from outcome.simulation.rehearsal import rehearse
from outcome.simulation.simulate import Simulation

SMALL = Simulation(patches=30, dimension=16, informative=0.4, missing_reports=0.0)


@pytest.fixture(scope="module")
def study(small):
    """Any study will do as a table to rehearse; here a simulated one."""
    return Study.read(small)


def test_vectors_carry_as_much_as_is_asked_for(study, tmp_path):
    weak = rehearse(tmp_path / "weak", study, SMALL, image_c=0.5, report_c=0.6)
    strong = rehearse(tmp_path / "strong", study, SMALL, image_c=0.9, report_c=0.6)
    assert weak.carried["report"] == pytest.approx(0.6, abs=0.005)
    # What the patches show is less than the latent, and not nothing.
    assert 0.38 < weak.carried["image"] < 0.62
    assert 0.7 < strong.carried["image"] <= 0.91


def test_the_result_is_a_study_that_can_be_run(study, small, tmp_path):
    made = rehearse(tmp_path / "out", study, SMALL)
    again = Study.read(made.study)
    assert again.cohort.read_bytes() == study.cohort.read_bytes()
    assert again.name == study.name
    assert again.arms == study.arms
    study_data = prepare(again, tmp_path / "cache")
    assert len(study_data.cohort.patients) == made.patients == 60
    assert study_data.facts()["encoder"] == "simulated"
    assert "SIMULATED" in made.study.read_text().splitlines()[0]


def test_same_seed_same_files(study, tmp_path):
    for name in ("a", "b"):
        rehearse(tmp_path / name, study, SMALL)
    files = [
        {p.relative_to(tmp_path / n): p for p in (tmp_path / n).rglob("*") if p.is_file()}
        for n in ("a", "b")
    ]
    assert [p.name for p in files[0].values()] == [p.name for p in files[1].values()]
    assert (tmp_path / "a/truth.csv").read_bytes() == (tmp_path / "b/truth.csv").read_bytes()
    slide = next((tmp_path / "a").rglob("SIM-*.h5")).relative_to(tmp_path / "a")
    with h5py.File(tmp_path / "a" / slide) as one, h5py.File(tmp_path / "b" / slide) as other:
        np.testing.assert_array_equal(one["features"], other["features"])


def test_a_better_outcome_is_not_a_worse_standing(make_study, tmp_path):
    """Of a response: responders have the lower score."""
    study = Study.read(make_study(tmp_path / "table", endpoint="response"))
    made = rehearse(tmp_path / "out", study, SMALL, image_c=0.9, report_c=0.9)
    truth = pd.read_csv(made.study.parent / "truth.csv").set_index("patient_id")
    table = pd.read_csv(study.cohort).drop_duplicates("patient_id").set_index("patient_id")
    mean = truth.groupby(table["response"])[["image", "report"]].mean()
    assert (mean.loc["responder"] < mean.loc["non-responder"]).all()


def test_what_is_there_is_never_overwritten(study, tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="not empty"):
        rehearse(tmp_path, study, SMALL)
    with pytest.raises(InputError, match="image_c"):
        rehearse(tmp_path / "new", study, SMALL, image_c=0.99)
    assert not (tmp_path / "new").exists()


def test_command(outcome, small, tmp_path):
    done = outcome("simulate", tmp_path / "x", "--study", small, "--patches", 10,
                   "--dimension", 16)  # fmt: skip
    assert done.code == 0, done.err
    assert "true score of the images" in done.out
    assert "next: outcome run" in done.out


def test_a_table_without_slides_and_folds_in_files(study, tmp_path):
    """One file per patient; what the study says of its folds is still found."""
    table = pd.read_csv(study.cohort, dtype=str).drop(columns="slide_id")
    table = table.drop_duplicates("patient_id")
    table.to_csv(tmp_path / "table.csv", index=False)
    ids = table["patient_id"].tolist()
    for k in range(3):
        test = ids[k::3]
        parts = {"train": pd.Series([i for i in ids if i not in test]), "val": pd.Series(test)}
        (tmp_path / "splits").mkdir(exist_ok=True)
        pd.DataFrame(parts).to_csv(tmp_path / "splits" / f"splits_{k}.csv")
    data = {
        "name": "apart", "cohort": "table.csv",
        "endpoint": {"kind": "survival", "time": "os_days", "event": "os_event"},
        "embeddings": {"patches": "none"}, "arms": ["image"],
        "split": {"files": "splits", "inner_folds": 2},
    }  # fmt: skip
    made = rehearse(tmp_path / "out", Study.parse(data, folder=tmp_path), SMALL)
    study_data = prepare(Study.read(made.study), tmp_path / "cache")
    assert len(study_data.cohort.patients) == 60
    assert len(study_data.folds) == 3
