"""Attention maps that come with a run."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from outcome import Study, run
from tests.conftest import edit

SETTINGS = ["arms=[image]", "training.epochs=2", "split.folds=2", "report.attention=3"]


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention") / "run"
    return run(Study.read(small, SETTINGS), out=folder, jobs=1)


def test_patients_of_highest_and_lowest_risk_of_the_first_fold(made):
    examples = pd.read_csv(made.folder / "attention" / "examples.csv", dtype=str)
    first = made.predictions[made.predictions["fold"].astype(str) == "0"]
    ranked = first.sort_values("risk")["patient_id"].tolist()
    assert examples["patient_id"].tolist() == [ranked[-1], ranked[-2], ranked[0]]
    assert examples["title"].tolist() == [
        "High risk, example 1", "High risk, example 2", "Low risk, example 1",
    ]  # fmt: skip
    for name in examples["file"]:
        assert (made.folder / "attention" / name).stat().st_size > 1000


def test_the_models_are_those_that_scored_the_patients(made):
    shares = pd.read_csv(made.folder / "attention" / "modalities.csv", dtype={"patient_id": str})
    scored = made.predictions.set_index("patient_id")["risk"]
    assert shares["risk"].to_numpy() == pytest.approx(scored[shares["patient_id"]], abs=1e-5)


def test_the_page_shows_them_without_ids(made):
    html = made.report.read_text(encoding="utf-8")
    assert html.count("Attention map of one slide.") == 3
    assert "SIM-00" not in html


def test_none_are_drawn_where_none_are_asked_for_and_pictures_of_others_stay(made, small, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(made.folder, folder)
    none = [*SETTINGS[:-1], "report.attention=0"]
    run(Study.read(small, none), out=folder, jobs=1)
    assert not (folder / "attention").exists()
    (folder / "attention").mkdir()
    (folder / "attention" / "own.png").write_bytes(b"a picture")
    run(Study.read(small, SETTINGS), out=folder, jobs=1)
    assert [p.name for p in (folder / "attention").iterdir()] == ["own.png"]


def test_patches_that_cannot_be_read_are_a_note(make_study, tmp_path, monkeypatch):
    study = make_study(tmp_path / "cohort", patients=40, patches=5, dimension=16)

    def gone(*_, **__):
        raise FileNotFoundError("slide.h5")

    monkeypatch.setattr("outcome.bundle.new_patients.NewPatients.bag", gone)
    found = run(Study.read(study, SETTINGS), out=tmp_path / "run", jobs=1)
    assert any(n.startswith("no attention maps: slide.h5") for n in found.notes)
    assert not (tmp_path / "run" / "attention").exists()
    assert found.report.is_file()


def test_follow_up_from_dates_and_report_texts_that_are_learned_in_each_fold(make_study, tmp_path):
    study = make_study(tmp_path / "cohort", patients=40, patches=5, dimension=16)
    cohort = pd.read_csv(study.parent / "cohort.csv", dtype=str)
    start = pd.Timestamp("2010-01-01")
    cohort["diagnosed"] = str(start.date())
    days = pd.to_timedelta(cohort["os_days"].astype(float).round() + 1, unit="D")
    cohort["last seen"] = (start + days).dt.date.astype(str)
    cohort.to_csv(study.parent / "cohort.csv", index=False)
    words = {p: f"Tumour of grade {i % 3}, margin {'free' if i % 2 else 'involved'}"
             for i, p in enumerate(cohort["patient_id"].unique())}  # fmt: skip
    texts = pd.DataFrame({"patient_id": words.keys(), "text": words.values()})
    texts.to_csv(study.parent / "texts.csv", index=False)
    endpoint = {"time": {"from": "diagnosed", "to": "last seen"}}
    edit(study, endpoint=endpoint, embeddings={"reports": {"texts": "texts.csv"}})
    settings = [*SETTINGS[1:-1], "arms=[image, image+report]", "report.attention=1"]
    found = run(Study.read(study, settings), out=tmp_path / "run", jobs=1)
    assert (tmp_path / "run" / "attention" / "examples.csv").is_file()
    assert found.manifest["endpoint"]["time"] == "diagnosed to last seen"
    assert found.predictions["risk"].abs().max() < 20


def test_a_fault_of_the_maps_loses_no_result(made, small, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(made.folder / "fits", folder / "fits")

    def broken(*_, **__):
        raise RuntimeError("a fault")

    monkeypatch.setattr("outcome.bundle.fit.fit_bundle", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        run(Study.read(small, SETTINGS), out=folder, jobs=1)
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "metrics.csv"), pd.read_csv(made.folder / "metrics.csv")
    )
