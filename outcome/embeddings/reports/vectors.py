"""Report embeddings: vectors from an HDF5 file, or from the texts of a study.

The file has one dataset per patient, of shape (d,) or (chunks, d).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from outcome.cohort import Cohort
from outcome.counting import plural
from outcome.embeddings.patches.packed_store import PackedStore
from outcome.embeddings.reports.tfidf import TextReports, report_chunks
from outcome.errors import EmbeddingError, Problems
from outcome.progress import CountProgress, no_progress
from outcome.study import ReportTexts, Study
from outcome.tables.ids import join_ids, why_ids_differ

__all__ = ["Reports", "VectorReports", "pack_reports", "read_reports", "report_vectors"]


class Reports(Protocol):
    """Reports of the patients who have one; their vectors may depend on the fold."""

    @property
    def rows(self) -> Mapping[str, Any]:
        """An entry for each patient with a report."""

    @property
    def dimension(self) -> int:
        """Length of a vector (before a fold is known: at most)."""

    @property
    def encoder(self) -> str:
        """Encoder of the vectors; empty if unknown."""

    @property
    def unmatched(self) -> int:
        """Reports in the source of patients who are not in the cohort."""

    def only(self, patients: Collection[str]) -> Reports:
        """Return the reports of some patients."""

    def content(self, patient: str) -> bytes:
        """Return a hash of a patient's report, on which fits depend; empty without one."""

    def fitted(self, development: Sequence[str]) -> Reports:
        """Return reports with vectors, which may be learned from the development patients."""

    def vectors(self, patient: str) -> NDArray[np.float32] | None:
        """Chunks of one patient, shape (chunks, d); None without a report."""


@dataclass(frozen=True)
class VectorReports:
    """Report vectors of the patients who have one, in the packed store.

    Parameters
    ----------
    path : Path
        A numpy file, shape (all chunks, d), float32.
    rows : mapping of patient to (start, stop)
        Rows of each patient.
    dimension : int
    encoder : str
        Encoder named in the source; empty if it does not name it.
    unmatched : int
        Datasets in the source of patients who are not in the cohort.
    """

    path: Path
    rows: Mapping[str, tuple[int, int]]
    dimension: int
    encoder: str
    unmatched: int

    def only(self, patients: Collection[str]) -> VectorReports:
        """Return the reports of some patients."""
        return replace(self, rows={p: r for p, r in self.rows.items() if p in patients})

    def vectors(self, patient: str) -> NDArray[np.float32] | None:
        """Chunks of one patient, shape (chunks, d); None without a report."""
        if patient not in self.rows:
            return None
        start, stop = self.rows[patient]
        vectors: NDArray[np.float32] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return vectors[start:stop]

    def content(self, patient: str) -> bytes:
        """Return a hash of the report of a patient, on which fits depend."""
        vectors = self.vectors(patient)
        return b"" if vectors is None else vectors.tobytes()

    def fitted(self, development: Sequence[str]) -> VectorReports:
        """Return the same object, because the vectors are the same in every fold."""
        return self


def read_reports(
    study: Study,
    cohort: Cohort,
    store: PackedStore,
    problems: Problems,
    progress: CountProgress = no_progress,
) -> Reports | None:
    """Read the reports of a study, as vectors or as texts.

    Texts are encoded on first use, and the vectors are kept with the packed store; those of
    `tfidf-svd` are learned in each fold.

    Returns
    -------
    Reports or None
        None if they cannot be used; `problems` then contains the reason.
    """
    source = study.embeddings.reports
    if not isinstance(source, ReportTexts):
        return None if source is None else _read_vectors(source, cohort, store, problems)
    try:
        if source.learned:
            return _texts(source, study, cohort)
        # Imported here, because encoding of texts needs torch, unlike a study of vectors.
        from outcome.embeddings.reports.embed import cached_vectors

        path = cached_vectors(source, study.columns.patient, store.folder / "reports", progress)
    except EmbeddingError as error:
        problems.extend([f"embeddings.reports: {error}"])
        return None
    return _read_vectors(path, cohort, store, problems)


def _texts(source: ReportTexts, study: Study, cohort: Cohort) -> TextReports:
    found = report_chunks(source, study.columns.patient)
    rows = {p: found[p][0] for p in cohort.patients.index if p in found}
    if not rows:
        reason = why_ids_differ(found.keys(), cohort.patients.index.tolist())
        raise EmbeddingError(
            f"{source.texts.name} contains no report of the {len(cohort.patients)} patients"
            + (f" ({reason})" if reason else "")
        )
    unmatched = sum(p not in cohort.named for p in found)
    return TextReports(source, study.columns.patient, rows, unmatched)


def _not_a_file(path: Path) -> str:
    """Return why a path is not a file; empty if it is one."""
    if path.is_file():
        return ""
    if not path.is_dir():
        return f"there is no file {path}"
    if texts := sum(p.suffix.lower() == ".txt" for p in path.iterdir()):
        return (
            f"{path.name} is a folder of {plural(texts, '.txt file')}. To do: write `reports: "
            f"{{texts: {path.name}}}`"
        )
    return f"{path} is a folder, not an HDF5 file of vectors"


def _read_vectors(
    path: Path, cohort: Cohort, store: PackedStore, problems: Problems
) -> VectorReports | None:
    """Read the reports of a cohort's patients into the store.

    Returns
    -------
    Reports or None
        None if the file cannot be used; `problems` then contains the reason.

    Notes
    -----
    A patient without a dataset, or with an empty dataset, has no report.
    """
    if reason := _not_a_file(path):
        problems.add(f"embeddings.reports: {reason}")
        return None
    wanted = frozenset(cohort.patients.index)
    vectors: dict[str, NDArray[np.float32]] = {}
    bad: dict[str, list[str]] = {}
    try:
        with h5py.File(path, "r") as file:
            called = {p: key for key, p in join_ids(file, wanted).items()}
            unmatched = len(file) - len(join_ids(file, cohort.named | wanted))
            keys = sorted(file)
            encoder = str(file.attrs.get("encoder", ""))
            for patient in sorted(called):
                try:
                    chunks = _chunks(file, called[patient])
                except EmbeddingError as error:
                    bad.setdefault(str(error), []).append(patient)
                    continue
                if len(chunks):
                    vectors[patient] = chunks
    except (OSError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        problems.add(f"{path.name} is damaged or not HDF5 ({reason})")
        return None
    for what, who in bad.items():
        problems.add(f"{path.name}: {what}", who, "embed these reports again")
    if not _one_dimension(path.name, vectors, problems) or bad:
        return None
    if not vectors:
        problems.add(
            f"{path.name} contains no report of the {len(wanted)} patients"
            + (f" ({reason})" if (reason := why_ids_differ(keys, wanted)) else ""),
            remedy="name each dataset by the patient id of the cohort table",
        )
        return None
    return _packed(vectors, store, encoder, unmatched)


def pack_reports(
    given: Mapping[str, NDArray[Any]], store: PackedStore, problems: Problems
) -> VectorReports | None:
    """Put report vectors in memory into the store.

    Parameters
    ----------
    given : mapping of patient to array, shape (d,) or (chunks, d)
    store : PackedStore
    problems : Problems
        Receives vectors that cannot be used.

    Returns
    -------
    VectorReports or None
        None if they cannot be used.
    """
    vectors: dict[str, NDArray[np.float32]] = {}
    bad: dict[str, list[str]] = {}
    for patient in sorted(given):
        try:
            chunks = report_vectors(given[patient])
        except EmbeddingError as error:
            bad.setdefault(str(error), []).append(patient)
            continue
        if len(chunks):
            vectors[patient] = chunks
    for what, who in bad.items():
        problems.add(f"`reports`: {what}", who, "embed these reports again")
    if not _one_dimension("`reports`", vectors, problems) or bad:
        return None
    if not vectors:
        problems.add(
            "`reports` contains no vectors", remedy="give a vector per patient, or omit `reports`"
        )
        return None
    return _packed(vectors, store, "", 0)


def _packed(
    vectors: Mapping[str, NDArray[np.float32]], store: PackedStore, encoder: str, unmatched: int
) -> VectorReports:
    ends = np.cumsum([len(v) for v in vectors.values()]).tolist()
    starts = [0, *ends[:-1]]
    rows = {p: (a, b) for p, a, b in zip(vectors, starts, ends, strict=True)}
    packed = store.add_array(np.concatenate(list(vectors.values())))
    return VectorReports(packed, rows, next(iter(vectors.values())).shape[1], encoder, unmatched)


def _one_dimension(
    where: str, vectors: Mapping[str, NDArray[np.float32]], problems: Problems
) -> bool:
    example = {v.shape[1]: p for p, v in vectors.items()}
    if len(example) > 1:
        problems.add(
            f"{where} mixes dimensions",
            [f"{p} has {d}" for d, p in sorted(example.items())],
            "embed every report with one encoder",
        )
    return len(example) <= 1


def _chunks(file: h5py.File, patient: str) -> NDArray[np.float32]:
    if not isinstance(file.get(patient, getlink=True), h5py.HardLink):
        raise EmbeddingError("a link to another place, but a dataset is needed")
    data = file[patient]
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "fiu":
        raise EmbeddingError("not a dataset of numbers")
    return report_vectors(data)


def report_vectors(data: Any) -> NDArray[np.float32]:
    """Return the vectors of one report, shape (chunks, d).

    Parameters
    ----------
    data : array or HDF5 dataset of numbers, shape (d,) or (chunks, d)

    Raises
    ------
    EmbeddingError
        It has another shape, or values that are not finite numbers.
    """
    if data.dtype.kind not in "fiu":
        raise EmbeddingError(f"vectors of {data.dtype}, not of numbers")
    if data.ndim not in (1, 2):
        raise EmbeddingError(f"shape {data.shape}, but (d,) or (chunks, d) is needed")
    with np.errstate(over="ignore"):
        values = np.asarray(data[()], dtype=np.float32)
    if not np.isfinite(values).all():
        raise EmbeddingError("NaN or infinite values in the vectors")
    if not values.size:
        return np.empty((0, 0), dtype=np.float32)
    return values.reshape(-1, values.shape[-1])
