"""Vectors learned from texts: from development patients alone, the same everywhere."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from outcome.embeddings.reports.tfidf import TextReports, TfidfSvd, report_chunks
from outcome.errors import EmbeddingError
from outcome.study import ReportTexts

WORDS = (
    "ductal",
    "lobular",
    "grade",
    "margin",
    "node",
    "positive",
    "negative",
    "free",
    "tumor",
    "size",
    "left",
    "right",
)


@pytest.fixture
def table(tmp_path):
    """Write a table of texts; returns the study's entry for it."""

    def write(texts, **settings):
        path = tmp_path / "texts.csv"
        rows = [f'{p},"{t}"' for p, t in texts.items()]
        path.write_text("\n".join(["patient_id,text", *rows]) + "\n")
        return ReportTexts(texts=path, components=5, **settings)

    return write


def texts(n=30, seed=0):
    rng = np.random.default_rng(seed)
    return {f"P{i:02d}": " ".join(rng.choice(WORDS, 20)) + "." for i in range(n)}


def reports(source):
    rows = {p: digest for p, (digest, _) in report_chunks(source, "patient_id").items()}
    return TextReports(source, "patient_id", rows, 0)


def test_weights_are_those_of_scikit_learn():
    """One chunk a report: then terms, frequencies and weights are the usual ones."""
    found = list(texts().values())
    model = TfidfSvd.fit([[t] for t in found], 4)
    usual = TfidfVectorizer(
        sublinear_tf=True, min_df=3, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b"
    )
    weights = usual.fit_transform(found)
    assert list(model.terms) == usual.get_feature_names_out().tolist()
    np.testing.assert_allclose(model.idf, usual.idf_)
    np.testing.assert_allclose(model(found), weights @ model.components.T, atol=1e-6)
    # The directions are orthonormal, and keep more of the weights than any four terms.
    np.testing.assert_allclose(model.components @ model.components.T, np.eye(4), atol=1e-8)
    kept = np.square(model(found)).sum()
    assert kept > np.sort(np.square(weights.toarray()).sum(axis=0))[-4:].sum()


def test_test_patients_shape_nothing(table):
    written = texts()
    development = list(written)[:20]
    before = reports(table(written)).fitted(development)
    written["P25"] = " ".join(["unheard-of words of a test patient"] * 5)
    after = reports(table(written)).fitted(development)
    for patient in development:
        np.testing.assert_array_equal(before.vectors(patient), after.vectors(patient))
    assert not np.array_equal(before.vectors("P25"), after.vectors("P25"))


def test_other_development_patients_give_other_vectors(table):
    source = reports(table(texts()))
    one, other = source.fitted(list(source.rows)[:20]), source.fitted(list(source.rows)[10:])
    assert one.dimension == other.dimension == 5
    assert not np.allclose(one.vectors("P15"), other.vectors("P15"))


def test_a_patient_without_text_has_no_vector(table):
    source = reports(table({**texts(), "P03": " "}))
    assert "P03" not in source.rows
    assert source.fitted(["P01", "P02", "P03", "P04"]).vectors("P03") is None


def test_content_changes_with_text_and_settings(table):
    written = texts()
    plain = reports(table(written)).rows
    changed = reports(table({**written, "P01": written["P01"] + " Died."})).rows
    assert {p for p in plain if plain[p] != changed[p]} == {"P01"}
    redacted = reports(table({**written, "P01": written["P01"] + " Died."}, redact=True)).rows
    assert redacted == plain
    assert set(reports(table(written, chunk_length=10)).rows.values()).isdisjoint(plain.values())


def test_a_file_that_changes_under_a_run_is_refused(table):
    source = reports(table(texts()))
    table(texts(seed=1))
    with pytest.raises(EmbeddingError, match="has changed"):
        source.fitted(list(source.rows)[:20])


def test_vectors_need_a_fold(table):
    with pytest.raises(RuntimeError, match="of_fold"):
        reports(table(texts())).vectors("P01")


@pytest.mark.parametrize("words", [["..."] * 5, ["alpha", "beta", "gamma", "delta", "epsilon"]])
def test_texts_without_a_common_word_are_refused(words):
    with pytest.raises(EmbeddingError, match="word"):
        TfidfSvd.fit([[w] for w in words], 4)


def test_texts_of_one_template_give_no_component_without_variation():
    """Such components are rounding errors in the development texts, but not in other texts."""
    rng = np.random.default_rng(0)
    kinds = [
        f"Adenocarcinoma, {grade} differentiated. Margins are {margin}."
        for grade in ("well", "poorly")
        for margin in ("free", "involved")
    ]
    development = [[kinds[i]] for i in rng.integers(4, size=40)]
    model = TfidfSvd.fit(development, 30)
    vectors = model([chunk for report in development for chunk in report])
    assert vectors.shape[1] < 6
    assert np.linalg.norm(vectors, axis=0).min() > 1e-3 * np.linalg.norm(vectors, axis=0).max()
