"""Report vectors learned from the texts of a development set: TF-IDF and truncated SVD.

Nothing is downloaded, and any language with spaces between words is supported. Vocabulary, document
frequencies and SVD are fitted on the development patients of an outer fold only, so the vectors of
a patient differ between folds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from outcome.embeddings.reports.chunking import chunks
from outcome.embeddings.reports.study_texts import StudyTexts, study_texts
from outcome.errors import EmbeddingError
from outcome.study import ReportTexts

__all__ = ["FittedReports", "TextReports", "TfidfSvd", "report_chunks"]

WORDS_PER_CHUNK = 98
FEWEST_REPORTS = 3
MOST_TERMS = 20_000
WORD = r"(?u)\b\w+\b"
SMALLEST = 1e-3
"""Smallest singular value that is kept, relative to the largest.

Texts from a template span fewer dimensions than were asked for. The other components are rounding
errors in the development texts, but not in others, and standardisation would inflate them.
"""
FORMAT = 2


@dataclass(frozen=True)
class TfidfSvd:
    """Maps a chunk of text to a vector.

    Parameters
    ----------
    terms : tuple of str
        Words and pairs of neighbouring words.
    idf : array, shape (terms,)
    components : array, shape (d, terms)
    """

    terms: tuple[str, ...]
    idf: NDArray[np.float64]
    components: NDArray[np.float64]

    @classmethod
    def fit(cls, reports: Sequence[Sequence[str]], components: int) -> TfidfSvd:
        """Learn from the chunks of some reports.

        Parameters
        ----------
        reports : sequence of sequence of str
            Chunks of each report.
        components : int
            Length of a vector; shorter if there are fewer terms or chunks, or if the chunks
            span fewer dimensions.

        Notes
        -----
        Terms in fewer than 3 reports are dropped, and beyond 20,000 terms the rarest ones. A report
        counts once for a term, whatever its length. Term counts are transformed to 1 + log(count);
        chunks have unit length before the SVD.

        Raises
        ------
        EmbeddingError
            The reports have hardly any words in common.
        """
        flat = [chunk for report in reports for chunk in report]
        # Imported here: it takes a second and is not needed for predictions.
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(token_pattern=WORD, ngram_range=(1, 2), dtype=np.int32)
        try:
            counts = counter.fit_transform(flat).tocsr()
        except ValueError:
            raise EmbeddingError("the report texts contain no words") from None
        owner = np.repeat(np.arange(len(reports)), [len(r) for r in reports])
        frequency = _reports_with(counts, owner, len(reports))
        names = counter.get_feature_names_out()
        known = np.flatnonzero(frequency >= min(FEWEST_REPORTS, len(reports)))
        # Among equally frequent terms the alphabetically first is kept.
        known = np.sort(known[np.argsort(-frequency[known], kind="stable")][:MOST_TERMS])
        if len(known) < 2:
            raise EmbeddingError(
                f"the reports of {len(reports)} development patients have hardly any words in "
                "common; use an encoder for the language of the reports"
            )
        idf = np.log((1 + len(reports)) / (1 + frequency[known])) + 1
        weights = _weigh(counts[:, known], idf)
        d = max(1, min(components, len(known) - 1, len(flat) - 1))
        svd = TruncatedSVD(d, n_iter=7, random_state=0)
        # One thread, because another order of sums would make results depend on the number of jobs.
        with threadpool_limits(1):
            svd.fit(weights)
        values = np.asarray(svd.singular_values_)
        rank = max(1, int((values > SMALLEST * values[0]).sum()))
        return cls(tuple(names[known].tolist()), idf, np.asarray(svd.components_)[:rank])

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector per chunk, shape (n, d)."""
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(
            token_pattern=WORD, ngram_range=(1, 2), vocabulary=list(self.terms), dtype=np.int32
        )
        weights = _weigh(counter.transform(texts).tocsr(), self.idf)
        with threadpool_limits(1):
            return np.asarray(weights @ self.components.T, dtype=np.float32)


def _reports_with(counts: sparse.csr_matrix, owner: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Count the reports with each term."""
    belongs = sparse.csr_matrix(
        (np.ones(len(owner)), (owner, np.arange(len(owner)))), (n, len(owner))
    )
    return np.asarray(((belongs @ counts) > 0).sum(axis=0)).ravel().astype(np.int64)


def _weigh(counts: sparse.csr_matrix, idf: NDArray[np.float64]) -> sparse.csr_matrix:
    weights = counts.astype(np.float64)
    weights.data = 1 + np.log(weights.data)
    weights = (weights @ sparse.diags(idf)).tocsr()
    length = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    return (sparse.diags(1 / np.where(length > 0, length, 1)) @ weights).tocsr()


@dataclass(frozen=True)
class FittedReports:
    """Vectors of the chunks of all patients, as learned from the development patients of a fold."""

    rows: Mapping[str, NDArray[np.float32]]
    dimension: int
    encoder: str
    unmatched: int

    def only(self, patients: Collection[str]) -> FittedReports:
        """Return the reports of some patients."""
        return replace(self, rows={p: r for p, r in self.rows.items() if p in patients})

    def vectors(self, patient: str) -> NDArray[np.float32] | None:
        """Chunks of one patient, shape (chunks, d); None without a report."""
        return self.rows.get(patient)

    def content(self, patient: str) -> bytes:
        """Return what a fit depends on."""
        return self.rows[patient].tobytes() if patient in self.rows else b""

    def fitted(self, development: Sequence[str]) -> FittedReports:
        """Return itself."""
        return self


@dataclass(frozen=True)
class TextReports:
    """Report texts whose vectors are learned from the development patients of each fold.

    Parameters
    ----------
    source : ReportTexts
        The texts are read when needed and not stored elsewhere.
    patient_column : str
    rows : mapping of patient to str
        A hash of the patient's chunks and of the settings.
    unmatched : int
        Texts of patients who are not in the cohort.
    """

    source: ReportTexts
    patient_column: str
    rows: Mapping[str, str]
    unmatched: int

    @property
    def dimension(self) -> int:
        """Maximum length of a vector."""
        return self.source.components

    @property
    def encoder(self) -> str:
        """For the manifest."""
        return self.source.encoder

    def only(self, patients: Collection[str]) -> TextReports:
        """Return the reports of some patients."""
        return replace(self, rows={p: r for p, r in self.rows.items() if p in patients})

    def vectors(self, patient: str) -> NDArray[np.float32] | None:
        """Raise an error: vectors exist only for a given development set (see `fitted`)."""
        raise RuntimeError("these report vectors depend on the fold; use StudyData.of_fold")

    def content(self, patient: str) -> bytes:
        """Return what a fit depends on, with the texts of the other development patients."""
        return self.rows.get(patient, "").encode()

    def fitted(self, development: Sequence[str]) -> FittedReports:
        """Learn from the development patients, and return the vectors of all patients."""
        known = [p for p in development if p in self.rows]
        about = [known, sorted(self.rows.items())]
        key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        return _remembered(_Fitting(self, tuple(known), key))


@dataclass(frozen=True, eq=False)
class _Fitting:
    """Inputs of a fit; compared by their key, for caching in a process."""

    reports: TextReports
    development: tuple[str, ...]
    key: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fitting) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=2)
def _remembered(fitting: _Fitting) -> FittedReports:
    reports = fitting.reports
    found = report_chunks(reports.source, reports.patient_column)
    changed = [p for p, digest in reports.rows.items() if found.get(p, ("", ()))[0] != digest]
    if changed:
        raise EmbeddingError(f"{reports.source.texts} has changed since the study was read")
    learn = [found[p][1] for p in fitting.development]
    model = TfidfSvd.fit(learn, reports.source.components)
    patients = list(reports.rows)
    vectors = model([chunk for p in patients for chunk in found[p][1]])
    ends = np.cumsum([len(found[p][1]) for p in patients])
    rows = dict(zip(patients, np.split(vectors, ends[:-1]), strict=True))
    return FittedReports(rows, vectors.shape[1], reports.encoder, reports.unmatched)


def report_chunks(
    source: ReportTexts, patient_column: str
) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Return patient -> (hash, chunks), redacted if requested in the study.

    Raises
    ------
    EmbeddingError
        See `read_report_texts`.
    """
    words = source.chunk_length or WORDS_PER_CHUNK
    about = json.dumps([FORMAT, source.encoder, source.components, words])
    return _cut(study_texts(source, patient_column), about, words)


@lru_cache(maxsize=1)
def _cut(texts: StudyTexts, about: str, words: int) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    found = {}
    for patient, text in texts.texts.items():
        if parts := tuple(chunks(text, words)):
            digest = hashlib.sha256(json.dumps([about, parts]).encode()).hexdigest()
            found[patient] = (digest, parts)
    return found
