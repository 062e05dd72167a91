"""What happens to vectors before a network sees them: standardised, and rotated to few components.

Fitted on development patients only, without outcomes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from outcome.dataset.study_data import StudyData

__all__ = ["SCRATCH", "Projection", "Vectors", "development_vectors", "raw_vectors", "test_vectors"]

VECTORS_PER_PATIENT = 256


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
        """Standardise each feature; keep the directions along which vectors vary most.

        Parameters
        ----------
        bags : iterable of Tensor, shape (n, d)
            One per patient; every patient counts the same, so large slides do not dominate. At
            most 256 vectors of each are used: the first, since the store's order is random.
        components : int
            Number of directions; 0 keeps the features, standardised.

        Notes
        -----
        A constant feature is left at 0. All components are divided by one number, so that the
        vectors have unit variance on average; the components are not whitened, which would make
        noise as loud as tissue.
        """
        n, total, outer = 0, torch.zeros(0), torch.zeros(0)
        for bag in bags:
            x = bag[:VECTORS_PER_PATIENT].double()
            if n == 0:
                # Shifted by the first mean, or features of large mean would lose their variance.
                shift = x.mean(0)
                total, outer = torch.zeros_like(shift), torch.zeros(len(shift), len(shift))
                outer = outer.double()
            x = x - shift
            total += x.mean(0)
            half = x.float()
            outer += (half.T @ half).double() / len(x)
            n += 1
        if n == 0:
            raise ValueError("a projection needs at least one bag")
        mean = total / n
        covariance = outer / n - torch.outer(mean, mean)
        variance = covariance.diagonal().clamp(min=0)
        known = variance > 1e-12 * ((mean + shift) ** 2 + mean**2 + 1e-30)
        scale = torch.where(known, variance.clamp(min=1e-300).rsqrt(), 0.0)
        if components == 0 or components >= int(known.sum()):
            matrix = torch.diag(scale)
        else:
            correlation = covariance * torch.outer(scale, scale)
            values, vectors = torch.linalg.eigh(correlation)
            top = vectors[:, -components:].flip(1)
            # The sign of an eigenvector is arbitrary; fix it, or machines would differ.
            top = top * torch.sign(top.gather(0, top.abs().argmax(0, keepdim=True)))
            unit = values[-components:].clamp(min=0).mean().rsqrt()
            matrix = scale[:, None] * top * unit
        return cls((mean + shift).float(), matrix.float())

    @property
    def components(self) -> int:
        """Length of a projected vector."""
        return int(self.matrix.shape[1])

    def __call__(self, features: Tensor) -> Tensor:
        """Project vectors of shape (n, d) to (n, k), float32."""
        return (features.float() - self.mean) @ self.matrix


FORMAT = 1


ATTEMPTS = 3


SCRATCH = "projected"


Vectors = Mapping[str, Tensor | None]


def development_vectors(
    study_data: StudyData,
    name: str,
    patients: Sequence[str],
    *,
    components: int,
    low_precision: bool,
    scratch: Path,
) -> tuple[Projection, Vectors]:
    """Fit a projection on development patients and apply it to them, or find both on disk.

    Parameters
    ----------
    study_data : StudyData
    name : {"image", "report"}
    patients : sequence of str
        The development patients of an outer fold.
    components : int
        See `Projection.fit`.
    low_precision : bool
        Keep the vectors in bfloat16, as a network that computes in it reads them.
    scratch : Path
        Where the vectors lie while a run lasts.

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
    """Vectors of one patient as they are stored; None without this input."""
    sample = study_data.sample(patient)
    array = sample.patches if name == "image" else sample.report
    # A copy: the store is mapped read-only, and torch wants memory that it may write to.
    return None if array is None else torch.from_numpy(np.array(array))


def _key(study_data: StudyData, name: str, patients: Sequence[str], *settings: Any) -> str:
    rows = [[p, study_data.content(p, [name])] for p in patients]
    about = [FORMAT, torch.__version__, torch.get_num_threads(), name, *settings, rows]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]


def _obtain(folder: Path, *how: Any) -> tuple[Projection, Vectors]:
    """Read the vectors, writing them first where they are not there."""
    for _ in range(ATTEMPTS):
        _write_once(folder, *how)
        try:
            return _read(folder)
        except FileNotFoundError:
            continue  # another run of the same study has finished, and has removed them just now
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
    """Write patient after patient; plain writes, since a full disk must be an error, no signal."""
    lengths: list[tuple[str, int]] = []
    kind = np.dtype(np.uint16 if low_precision else np.float32)
    with path.open("wb") as out:
        _header(out, 0, projection.components, kind)
        for patient in patients:
            raw = raw_vectors(study_data, name, patient)
            lengths.append((patient, 0 if raw is None else len(raw)))
            if raw is not None:
                vectors = projection(raw)
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
    # Copy on write: torch wants memory that it may write to, and nothing ever does.
    array = np.load(folder / "vectors.npy", mmap_mode="c", allow_pickle=False)
    mapped = torch.from_numpy(array) if array.size else torch.zeros(array.shape)
    if array.dtype == np.uint16:
        mapped = mapped.view(torch.bfloat16)
    vectors: dict[str, Tensor | None] = {}
    start = 0
    for patient, n in json.loads((folder / "index.json").read_text()):
        vectors[patient] = mapped[start : start + n] if n else None
        start += n
    return projection, vectors
