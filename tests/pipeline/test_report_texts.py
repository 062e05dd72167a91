"""Studies that name report texts, and the command that makes vectors of them."""

import logging
import pickle
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from outcome import Study, run
from outcome.dataset.study_data import prepare
from outcome.errors import CohortError
from outcome.training.fold_data import fold_data

WORDS = (
    "ductal",
    "lobular",
    "grade",
    "margin",
    "node",
    "positive",
    "negative",
    "tumor",
    "left",
    "right",
)

LETTERS = '''
import numpy as np


class Letters:
    """Counts letters, and how often it was asked to."""

    limit, unit, asked = 40, "words", []

    def lengths(self, texts):
        return [len(t.split()) for t in texts]

    def encode(self, texts):
        Letters.asked += texts
        return np.array([[t.count(c) for c in "aeiou"] for t in texts], dtype=np.float32)

    def about(self):
        return {"encoder": "letters", "version": "1", "normalisation": "none"}
'''


@pytest.fixture
def texts(fresh):
    """The small study with texts instead of report vectors; returns study file and table."""
    rng = np.random.default_rng(4)
    patients = sorted(set(pd.read_csv(fresh.parent / "cohort.csv", dtype=str)["patient_id"]))
    table = fresh.parent / "texts.csv"
    rows = [(p, " ".join(rng.choice(WORDS, 30)) + ".") for p in patients[:-2]]
    pd.DataFrame(rows, columns=["who", "report"]).to_csv(table, index=False)
    entry = {
        "texts": "texts.csv",
        "columns": {"patient": "who", "text": "report"},
        "components": 6,
    }
    return name_reports(fresh, entry), table


def name_reports(path, entry):
    data = yaml.safe_load(path.read_text())
    data["embeddings"]["reports"] = entry
    linear = {"name": "linear", "inputs": ["report"], "aggregator": "linear"}
    data |= {"arms": ["report", linear], "baseline": "report"}
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.fixture
def letters(tmp_path, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "letters_encoder.py").write_text(LETTERS)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield "letters_encoder:Letters"
    sys.modules.pop("letters_encoder", None)


def change(table, row, text):
    frame = pd.read_csv(table, dtype=str)
    frame.loc[row, "report"] = text
    frame.to_csv(table, index=False)


@pytest.mark.usefixtures("unreported")
def test_a_study_of_texts_runs_resumes_and_refits_what_a_changed_text_touches(texts, tmp_path):
    path, table = texts
    study, out = Study.read(path), tmp_path / "run"
    first = run(study, out=out, jobs=1)
    fits = {f.name: (f / "done").stat().st_mtime_ns for f in (out / "fits").iterdir()}
    assert len(fits) == 3 * 2
    assert first.manifest["cohort"]["reports"]["encoder"] == "tfidf-svd"
    assert first.manifest["cohort"]["reports"]["without"] == 2
    assert "texts.csv" in first.manifest["inputs"]
    again = run(study, out=out, jobs=1)
    pd.testing.assert_frame_equal(first.predictions, again.predictions)
    assert fits == {f.name: (f / "done").stat().st_mtime_ns for f in (out / "fits").iterdir()}
    change(table, 5, "Quite another report of the left tumor, node positive.")
    run(study, out=out, jobs=1)
    # A development patient of two of the three folds: their fits are made anew, the third's kept.
    assert len({f.name for f in (out / "fits").iterdir()} - set(fits)) == 2 * 2


def test_vectors_learned_in_one_fold_never_serve_another(texts, tmp_path):
    study = Study.read(texts[0])
    study_data = prepare(study, tmp_path / "cache")
    first, second = study_data.folds[:2]
    patient = next(p for p in first.development if p in study_data.reports.rows)
    one, other = (study_data.of_fold(fold) for fold in (first, second))
    assert one.content(patient, ["report"]) != other.content(patient, ["report"])
    fold_data(study_data, first, ["report"], study, tmp_path / "shared")
    after = fold_data(study_data, second, ["report"], study, tmp_path / "shared")
    alone = fold_data(study_data, second, ["report"], study, tmp_path / "own")
    assert torch.equal(after.projections["report"].mean, alone.projections["report"].mean)
    assert torch.equal(after.projections["report"].matrix, alone.projections["report"].matrix)
    inputs = [data.vectors["report"].inputs.matrix for data in (after, alone)]
    assert torch.equal(*inputs)
    # Another process, which has the study's data as a copy, learns the same.
    there = fold_data(pickle.loads(pickle.dumps(study_data)), second, ["report"], study, tmp_path)
    assert torch.equal(there.projections["report"].matrix, alone.projections["report"].matrix)


def test_vectors_of_an_encoder_are_made_on_first_use_and_kept(texts, letters, tmp_path):
    path, table = texts
    data = yaml.safe_load(path.read_text())["embeddings"]["reports"]
    study = Study.read(name_reports(path, {**data, "encoder": letters}))
    study_data = prepare(study, tmp_path / "cache")
    asked = sys.modules["letters_encoder"].Letters.asked
    assert len(asked) == len(study_data.reports.rows) == 58
    assert study_data.reports.dimension == 5
    first = pd.read_csv(table, dtype=str).iloc[0]
    expected = [[first["report"].count(c) for c in "aeiou"]]
    np.testing.assert_array_equal(study_data.reports.vectors(first["who"]), expected)
    prepare(study, tmp_path / "cache")
    assert len(asked) == 58
    change(table, 0, "and so too")
    assert prepare(study, tmp_path / "cache").reports.vectors(first["who"]).sum() == 4
    assert len(asked) > 58


def test_what_is_wrong_with_texts_is_told_with_the_rest(texts):
    path, table = texts
    table.unlink()
    cohort = path.parent / "cohort.csv"
    frame = pd.read_csv(cohort, dtype=str)
    frame.loc[0, "os_days"] = "-4"
    frame.to_csv(cohort, index=False)
    with pytest.raises(CohortError) as error:
        prepare(Study.read(path), path.parent / "cache")
    assert "there is no table of report texts" in str(error.value)
    assert "zero or negative" in str(error.value)


def test_reports_of_strangers_are_counted_and_texts_of_nobody_refused(texts, tmp_path):
    path, table = texts
    frame = pd.read_csv(table, dtype=str)
    frame.loc[len(frame)] = ["somebody else", "A text."]
    frame.to_csv(table, index=False)
    study_data = prepare(Study.read(path), tmp_path / "cache")
    assert any(n.startswith("1 report without a patient") for n in study_data.notes)
    frame.assign(who="x").to_csv(table, index=False)
    with pytest.raises(CohortError, match="no report of the 60 patients"):
        prepare(Study.read(path), tmp_path / "cache")


class Recorder(logging.Handler):
    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def emit(self, record):
        self.seen.append(record.getMessage())


def test_check_shows_the_leak_and_run_warns_of_it_before_training(texts, outcome, tmp_path):
    path, table = texts
    frame = pd.read_csv(table, dtype=str)
    frame["report"] += " vital status: Dead."
    frame.to_csv(table, index=False)
    found = outcome("check", path, "--out", tmp_path / "check")
    assert found.code == 0
    assert "Leak probes (C-index" in found.out
    assert "warning: Leak scan, severe: 58 of 58 reports (58 sentences)" in found.out
    probes = pd.read_csv(tmp_path / "check" / "leak_probes.csv")
    assert {"covariate age", "the site"} <= set(probes["probe"])
    refused = outcome("run", path, "--out", tmp_path / "strict", "--strict")
    assert refused.code == 2
    assert "severe findings, so nothing was trained: 58 of 58 reports" in refused.err
    assert not (tmp_path / "strict").exists()
    seen = []
    logging.getLogger("outcome").addHandler(handler := Recorder(seen))
    results = run(
        Study.read(path), out=tmp_path / "run", jobs=1, progress=lambda what, *_: seen.append(what)
    )
    logging.getLogger("outcome").removeHandler(handler)
    (first,) = [i for i, s in enumerate(seen) if "severe: 58 of 58 reports" in s]
    assert first < seen.index("training")
    assert any("severe: 58 of 58 reports" in w for w in results.warnings)
    assert "severe: 58 of 58 reports" in results.report.read_text()
    redacted = outcome("check", path, "--set", "embeddings.reports.redact=true")
    assert "note: 58 sentences that state the outcome were removed" in redacted.out
    assert "severe" not in redacted.out.split("Leak probes")[1].split("\n", 1)[1]


def test_embed_reports(texts, letters, outcome, tmp_path):
    path, table = texts
    change(table, 3, "Grade two. Patient died in 2014.")
    words = (
        "embed-reports", table, "--encoder", letters, "--out", tmp_path / "reports.h5",
        "--patient-column", "who", "--text-column", "report",
    )  # fmt: skip
    told = outcome(*words)
    assert told.code == 0
    assert "warning: warning: 1 of 58 reports (1 sentences) state" not in told.out
    assert "warning: 1 of 58 reports (1 sentences) state the outcome of the patient" in told.out
    assert "58 patients, 58 chunks of 5 numbers (58 patients encoded now)" in told.out
    with h5py.File(tmp_path / "reports.h5") as file:
        assert len(file) == 58
        assert dict(file.attrs)["encoder"] == "letters"
    assert "(0 patients encoded now)" in outcome(*words).out
    redacted = outcome(*words, "--redact", "--out", tmp_path / "redacted.h5")
    assert "1 sentences that state the outcome were removed from the reports of 1" in redacted.out
    # The file serves a study as any other does.
    study = Study.read(name_reports(path, str(tmp_path / "redacted.h5")))
    assert prepare(study, tmp_path / "cache").reports.encoder == "letters"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--encoder", "tfidf-svd"], "learned from the development patients of each fold"),
        (["--encoder", "nonsense"], "there is no encoder"),
        (["--encoder", "sentence-transformers:/no/such/folder"], "sentence-transformers"),
        (["--encoder", "json:JSONDecoder", "--text-column", "words"], "no column 'words'"),
    ],
)
def test_embed_reports_says_what_is_wrong(texts, outcome, tmp_path, words, message):
    out = tmp_path / "reports.h5"
    columns = ["--patient-column", "who", "--text-column", "report"]
    told = outcome("embed-reports", texts[1], "--out", out, *columns, *words)
    assert told.code == 2
    assert message in told.err
    assert "Traceback" not in told.err
    assert not out.exists()
    assert not list(Path(tmp_path).glob(".reports*"))
