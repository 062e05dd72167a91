"""Texts to a file of vectors: whole or not there, resumed, brought up to date."""

import h5py
import numpy as np
import pytest
from stand_in import LetterCounts

from outcome.embeddings.reports.embed import embed_texts
from outcome.embeddings.reports.text_table import read_report_texts
from outcome.errors import EmbeddingError

TEXTS = {f"P{i:03d}": f"Report number {'x' * i}. " * 5 for i in range(150)}


@pytest.fixture(autouse=True)
def _fresh():
    LetterCounts.encoded = []


def contents(path):
    with h5py.File(path) as file:
        return {p: file[p][()] for p in file}, dict(file.attrs)


def test_one_dataset_per_patient_and_how_it_was_made(tmp_path):
    out, told = tmp_path / "sub" / "reports.h5", []
    done = embed_texts(TEXTS, LetterCounts(), out, progress=lambda a, b: told.append((a, b)))
    found, about = contents(out)
    assert list(found) == sorted(TEXTS)
    assert all(v.shape == (2, 26) for v in found.values())  # 15 words, 12 a chunk
    assert about["encoder"] == "letters"
    assert about["normalisation"] == "none"
    assert "12 words" in about["chunking"]
    assert (done.patients, done.chunks, done.dimension, done.encoded) == (150, 300, 26, 150)
    assert told[0] == (0, 150)
    assert told[-1] == (150, 150)
    assert not list(out.parent.glob(".*"))


def test_the_order_of_the_texts_changes_nothing(tmp_path):
    embed_texts(TEXTS, LetterCounts(), tmp_path / "a.h5")
    embed_texts(dict(reversed(TEXTS.items())), LetterCounts(), tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_an_interrupted_run_goes_on_and_leaves_nothing_half_written(tmp_path):
    out = tmp_path / "reports.h5"

    def stop(done, total):
        if done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_texts(TEXTS, LetterCounts(), out, progress=stop)
    assert not out.exists()
    LetterCounts.encoded = []
    assert embed_texts(TEXTS, LetterCounts(), out).encoded == 22
    assert len(LetterCounts.encoded) == 2 * 22
    embed_texts(TEXTS, LetterCounts(), tmp_path / "whole.h5")
    for (p, a), (q, b) in zip(
        contents(out)[0].items(), contents(tmp_path / "whole.h5")[0].items(), strict=True
    ):
        assert p == q
        np.testing.assert_array_equal(a, b)


def test_a_damaged_part_is_begun_again(tmp_path):
    (tmp_path / ".reports.h5.part").write_bytes(b"rubbish")
    assert embed_texts(TEXTS, LetterCounts(), tmp_path / "reports.h5").encoded == 150


def test_new_and_changed_texts_are_taken_up_and_gone_patients_left_out(tmp_path):
    out = tmp_path / "reports.h5"
    embed_texts(TEXTS, LetterCounts(), out)
    changed = {**TEXTS, "P000": "Another text.", "Q": "New."}
    del changed["P149"]
    done = embed_texts(changed, LetterCounts(), out)
    assert done.encoded == 2
    found, _ = contents(out)
    assert sorted(found) == sorted(changed)
    assert found["P000"].shape == (1, 26)
    assert embed_texts(changed, LetterCounts(), out).encoded == 0


def test_a_file_made_otherwise_is_not_overwritten(tmp_path):
    out = tmp_path / "reports.h5"
    embed_texts(TEXTS, LetterCounts(), out)
    before = out.read_bytes()
    with pytest.raises(EmbeddingError, match="chunking"):
        embed_texts(TEXTS, LetterCounts(), out, limit=8)
    out.with_name("foreign.h5").write_text("mine")
    with pytest.raises(EmbeddingError, match="not a file of vectors"):
        embed_texts(TEXTS, LetterCounts(), out.with_name("foreign.h5"))
    assert out.read_bytes() == before


def test_numbers_that_are_none_are_refused(tmp_path):
    class Broken(LetterCounts):
        def encode(self, texts):
            return super().encode(texts) * np.nan

    with pytest.raises(EmbeddingError, match="NaN"):
        embed_texts(TEXTS, Broken(), tmp_path / "reports.h5")
    assert not (tmp_path / "reports.h5").exists()


def test_ids_that_cannot_name_a_dataset(tmp_path):
    with pytest.raises(EmbeddingError, match="a/b"):
        embed_texts({"a/b": "Text."}, LetterCounts(), tmp_path / "reports.h5")


def test_several_rows_of_a_patient_are_one_text_and_ids_stay_text(tmp_path):
    path = tmp_path / "texts.tsv"
    path.write_text(
        "case\treport\tseen\n00123\tFirst.\t2014-01-05\n00123\tSecond.\t2014-03-01\n"
        "00123\tFirst.\t2014-01-05\nQ\t \t\n"
    )
    table = read_report_texts(path, patient="case", text="report", when="seen")
    assert table.texts == {"00123": "First.\n\nSecond."}
    assert str(table.dates["00123"]) == "2014-03-01"
    assert table.empty == ("Q",)


def test_a_folder_of_text_files(tmp_path):
    (tmp_path / "TCGA-A1.x.txt").write_text("Some text.")
    assert read_report_texts(tmp_path).texts == {"TCGA-A1.x": "Some text."}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no table"),
        (b"patient_id,words\nA,b\n", "no column 'text'.*'words'"),
        (b"patient_id,text\n,b\nA,c\n", "is empty.*line 2"),
        (b"patient_id,text\nA,\n", "has no text"),
        (b"patient_id,text\nA,b\0\n", "NUL"),
        (b"patient_id,text\nA,\x81\x02\n", "not UTF-8 text"),
        (b"patient_id,text,seen\nA,b,soon\n", "not a date.*soon"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "texts.csv"
    if content is not None:
        path.write_bytes(content)
    when = "seen" if content and b"seen" in content else None
    with pytest.raises(EmbeddingError) as error:
        read_report_texts(path, when=when)
    pattern = message.split(".*")
    assert all(part in str(error.value) for part in pattern)
