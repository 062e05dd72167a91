"""Projection of vectors for networks: standardisation and principal components.

Fitted on development patients only, without outcomes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor

from outcome.dataset.study_data import StudyData
from outcome.models.aggregators.segments import row_product
from outcome.models.network import Inputs

__all__ = [
    "SCRATCH",
    "Projection",
    "Vectors",
    "development_vectors",
    "raw_vectors",
    "test_vectors",
]

VECTORS_PER_PATIENT = 256
BLOCK = 1024
SMALL = 8192
"""Largest image that a process caches, in numbers; 4,096 such images take at most 128 MB."""

Array = NDArray[np.float64]


def _mean_and_covariance(bags: Iterable[Tensor]) -> tuple[Array, Array]:
    """Mean and covariance of the vectors of some patients, with equal weight of patients.

    A block of vectors at a time, in the order of the patients.
    """
    blocks = _blocks(bag[:VECTORS_PER_PATIENT] for bag in bags)
    first = next(blocks, None)
    if first is None:
        raise ValueError("a projection needs at least one bag")
    # Shifted by the first mean, because features with a large mean would lose precision of their
    # variance.
    n, shift = 0, first[0].double().mean(0)
    total, products = torch.zeros_like(shift), torch.zeros(len(shift), len(shift)).double()
    for block in chain([first], blocks):
        lengths = torch.tensor([bag.shape[0] for bag in block])
        weight = (1 / lengths.double()).repeat_interleave(lengths)[:, None]
        x = torch.cat(block).double() - shift
        total += (weight * x).sum(0)
        half = (weight.sqrt() * x).float()
        products += (half.T @ half).double()
        n += len(block)
    mean = total / n
    return (mean + shift).numpy(), (products / n - torch.outer(mean, mean)).numpy()


def _blocks(bags: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Yield whole bags, at most 1024 vectors at a time or one bag."""
    block: list[Tensor] = []
    size = 0
    for bag in bags:
        n = bag.shape[0]
        if block and size + n > BLOCK:
            yield block
            block, size = [], 0
        block.append(bag)
        size += n
    if block:
        yield block


@dataclass(frozen=True)
class Projection:
    """Maps x to `(x - mean) @ matrix`.

    Parameters
    ----------
    mean : Tensor, shape (d,)
    matrix : Tensor, shape (d, k)
    """

    mean: Tensor
    matrix: Tensor

    @classmethod
    def fit(cls, bags: Iterable[Tensor], components: int) -> Projection:
        """Standardise each feature; keep the directions with the largest variance.

        Parameters
        ----------
        bags : iterable of Tensor, shape (n, d)
            One per patient. At most the first 256 vectors of each are used; the order in the store
            is random.
        components : int
            Number of directions; 0 keeps the features, standardised.

        Notes
        -----
        A constant feature is left at 0. All components are divided by the same number, so that the
        vectors have unit variance on average. The components are not whitened, because this would
        amplify noise to the size of signal.

        Raises
        ------
        ValueError
            There is no bag.
        """
        centre, covariance = _mean_and_covariance(bags)
        variance = covariance.diagonal().clip(min=0)
        known = variance > 1e-12 * (centre**2 + 1e-30)
        scale = np.where(known, 1 / np.sqrt(variance.clip(min=1e-300)), 0.0)
        mean = torch.from_numpy(centre).float()
        if components == 0 or components >= int(known.sum()):
            return cls(mean, torch.from_numpy(np.diag(scale)).float())
        correlation = covariance * np.outer(scale, scale)
        d = len(scale)
        values, top = eigh(correlation, subset_by_index=[d - components, d - 1], driver="evr")
        top = top[:, ::-1]
        # The sign of an eigenvector is arbitrary; it is fixed so that machines agree.
        top = top * np.sign(np.take_along_axis(top, np.abs(top).argmax(0)[None], 0))
        unit = 1 / np.sqrt(values.clip(min=0).mean())
        return cls(mean, torch.from_numpy(scale[:, None] * top * unit).float())

    @property
    def components(self) -> int:
        """Length of a projected vector."""
        return int(self.matrix.shape[1])

    @cached_property
    def scale(self) -> Tensor | None:
        """Factor of each feature if the matrix is diagonal, else None."""
        if self.matrix.shape[0] != self.matrix.shape[1]:
            return None
        scale = self.matrix.diagonal()
        return scale.clone() if bool((self.matrix == torch.diag(scale)).all()) else None

    def __call__(self, features: Tensor) -> Tensor:
        """Project vectors of shape (n, d) to (n, k), float32, independently of each other."""
        x = features.float() - self.mean
        return row_product(x, self.matrix.T) if self.scale is None else x * self.scale


class Vectors(Mapping[str, "Tensor | None"]):
    """Vectors of some patients, concatenated in one matrix.

    Parameters
    ----------
    matrix : Tensor, shape (m, d)
    lengths : mapping of patient to int
        Vectors per patient, in the order of the matrix; 0 if a patient lacks the input.
    """

    def __init__(self, matrix: Tensor, lengths: Mapping[str, int]) -> None:
        self.places = {patient: row for row, patient in enumerate(lengths)}
        n = np.array(list(lengths.values()), dtype=np.int64)
        self.inputs = Inputs(matrix, n.cumsum() - n, n)

    def __getitem__(self, patient: str) -> Tensor | None:
        found: Tensor | None = self.inputs[self.places[patient]]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def of(self, patients: Sequence[str]) -> Inputs:
        """Return the vectors of these patients as views."""
        return self.inputs.take([self.places[p] for p in patients])


FORMAT = 2
ATTEMPTS = 3
SCRATCH = "projected"


def development_vectors(
    study_data: StudyData,
    name: str,
    patients: Sequence[str],
    *,
    components: int,
    low_precision: bool,
    scratch: Path,
) -> tuple[Projection, Vectors]:
    """Fit a projection on development patients and apply it, or read both from disk.

    Parameters
    ----------
    study_data : StudyData
    name : {"image", "report"}
    patients : sequence of str
        The development patients of an outer fold.
    components : int
        See `Projection.fit`.
    low_precision : bool
        Store the vectors in bfloat16, for a network that computes in it.
    scratch : Path
        Folder of the vectors during a run.

    Returns
    -------
    projection : Projection
    vectors : mapping of patient to Tensor, shape (n, k)
        Mapped from disk; None for a patient without this input.
    """
    folder = scratch / _key(study_data, name, patients, components, low_precision)

    def fit() -> Projection:
        bags = (raw_vectors(study_data, name, p) for p in patients)
        return Projection.fit((b for b in bags if b is not None), components)

    return _obtain(folder, study_data, name, patients, fit, low_precision)


def test_vectors(
    study_data: StudyData,
    name: str,
    patients: Sequence[str],
    projection: Projection,
    *,
    low_precision: bool,
    scratch: Path,
) -> Vectors:
    """Apply a projection to other patients; see `development_vectors`."""
    matrix = projection.matrix.numpy().tobytes() + projection.mean.numpy().tobytes()
    fitted = hashlib.sha256(matrix).hexdigest()
    folder = scratch / _key(study_data, name, patients, fitted, low_precision)
    return _obtain(folder, study_data, name, patients, lambda: projection, low_precision)[1]


def raw_vectors(study_data: StudyData, name: str, patient: str) -> Tensor | None:
    """Return the stored vectors of one patient; None without this input."""
    slides = study_data.slides.get(patient, ()) if name == "image" else ()
    if slides and sum(slide.n for slide in slides) * slides[0].dimension <= SMALL:
        return _small_image(
            _Stored(study_data, patient, tuple(study_data.content(patient, [name])))
        )
    return _read_vectors(study_data, name, patient)


def _read_vectors(study_data: StudyData, name: str, patient: str) -> Tensor | None:
    sample = study_data.sample(patient)
    array = sample.patches if name == "image" else sample.report
    # A copy, because the store is mapped read-only and torch needs writable memory.
    return None if array is None else torch.from_numpy(np.array(array))


@dataclass(frozen=True, eq=False)
class _Stored:
    """An image in the store, compared by content, for caching in a process."""

    study_data: StudyData
    patient: str
    content: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Stored) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)


@lru_cache(maxsize=4096)
def _small_image(image: _Stored) -> Tensor | None:
    """Read a small file once for all outer folds, because opening takes longer than reading."""
    return _read_vectors(image.study_data, "image", image.patient)


def _key(study_data: StudyData, name: str, patients: Sequence[str], *settings: Any) -> str:
    rows = [" ".join([p, *study_data.content(p, [name])]) for p in patients]
    about = [FORMAT, torch.__version__, torch.get_num_threads(), name, *settings, rows]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]


def _obtain(folder: Path, *how: Any) -> tuple[Projection, Vectors]:
    """Read the vectors; they are written first if they do not exist."""
    for _ in range(ATTEMPTS):
        _write_once(folder, *how)
        try:
            return _read(folder)
        except FileNotFoundError:
            continue  # another run of the same study has just finished and removed them
    return _read(folder)


def _write_once(
    folder: Path,
    study_data: StudyData,
    name: str,
    patients: Sequence[str],
    fit: Callable[[], Projection],
    low_precision: bool,
) -> None:
    if folder.is_dir():
        return
    building = folder.with_name(f".{folder.name}.{uuid4().hex}")
    building.mkdir(parents=True)
    try:
        projection = fit()
        lengths = _write_vectors(
            building / "vectors.npy", study_data, name, patients, projection, low_precision
        )
        np.savez(
            building / "projection.npz",
            mean=projection.mean.numpy(),
            matrix=projection.matrix.numpy(),
        )
        (building / "index.json").write_text(json.dumps(lengths))
        try:
            building.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_vectors(
    path: Path,
    study_data: StudyData,
    name: str,
    patients: Sequence[str],
    projection: Projection,
    low_precision: bool,
) -> list[tuple[str, int]]:
    """Write with ordinary writes, because a full disk must raise an error instead of a signal."""
    lengths: list[tuple[str, int]] = []
    kind = np.dtype(np.uint16 if low_precision else np.float32)

    def bags() -> Iterator[Tensor]:
        for patient in patients:
            raw = raw_vectors(study_data, name, patient)
            lengths.append((patient, 0 if raw is None else len(raw)))
            if raw is not None:
                yield raw

    with path.open("wb") as out:
        _header(out, 0, projection.components, kind)
        for block in _blocks(bags()):
            vectors = projection(torch.cat(block))  # float32, whatever the store holds
            stored = vectors.bfloat16().view(torch.uint16) if low_precision else vectors
            out.write(np.ascontiguousarray(stored.numpy()).data)
        out.seek(0)
        _header(out, sum(n for _, n in lengths), projection.components, kind)
    return lengths


def _header(out: Any, n: int, width: int, kind: np.dtype[Any]) -> None:
    """Write a header of numpy's format, of one size whatever n is."""
    descr = np.lib.format.dtype_to_descr(kind)
    # numpy pads a header so that its first axis may grow in place to 21 digits.
    np.lib.format.write_array_header_1_0(
        out, {"descr": descr, "fortran_order": False, "shape": (n, width)}
    )


def _read(folder: Path) -> tuple[Projection, Vectors]:
    with np.load(folder / "projection.npz", allow_pickle=False) as stored:
        projection = Projection(*(torch.from_numpy(stored[part]) for part in ("mean", "matrix")))
    # Copy on write: torch needs writable memory, but nothing is written.
    array = np.load(folder / "vectors.npy", mmap_mode="c", allow_pickle=False)
    mapped = torch.from_numpy(array) if array.size else torch.zeros(array.shape)
    if array.dtype == np.uint16:
        mapped = mapped.view(torch.bfloat16)
    lengths = json.loads((folder / "index.json").read_text())
    return projection, Vectors(mapped, dict(lengths))
