"""Patch embeddings on disk: find the files of a cohort, and read each layout that tools write.

TRIDENT (`features`, attributes on the dataset), CLAM (`features`, no attributes), PANTHER
(`features` of shape (1, n, d)) and STAMP (`feats`, attributes on the file), all HDF5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from outcome.cohort import slide_name
from outcome.errors import EmbeddingError

__all__ = ["SlidePatches", "find_slide_files", "read_slide"]

FILE_SUFFIX = re.compile(r"\.h5$", re.IGNORECASE)


@dataclass(frozen=True)
class SlidePatches:
    """What one file holds.

    Parameters
    ----------
    features : array, shape (n, d)
        d is 0 where an empty file does not say.
    coords : array, shape (n, 2)
        NaN where the file has none.
    encoder : str
        As the file names it; empty where it does not.
    layout : str
        `trident`, `clam` or `stamp`.
    """

    features: NDArray[Any]
    coords: NDArray[np.float64]
    encoder: str
    layout: str


def find_slide_files(folder: Path) -> dict[str, list[Path]]:
    """Return slide name -> its files in this folder.

    Raises
    ------
    EmbeddingError
        The folder is missing or holds no feature file.
    """
    if not folder.is_dir():
        raise EmbeddingError(f"embeddings.patches: there is no folder {folder}")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if FILE_SUFFIX.search(path.name) and path.is_file():
            found.setdefault(slide_name(FILE_SUFFIX.sub("", path.name)), []).append(path)
    if not found:
        inside = ", ".join(sorted(p.name for p in folder.iterdir())[:3]) or "nothing"
        raise EmbeddingError(
            f"embeddings.patches: {folder} holds no .h5 file (it holds {inside}). To do: point to"
            " the folder with one file per slide"
        )
    return found


def read_slide(path: Path) -> SlidePatches:
    """Read one file of patch embeddings, whatever tool wrote it.

    Raises
    ------
    EmbeddingError
        The file is empty, cut short, not HDF5, of unknown layout, or holds values that are not
        finite numbers.
    """
    if path.stat().st_size == 0:
        raise EmbeddingError(f"{path.name} is empty (0 bytes)")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path.name)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, EmbeddingError):
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise EmbeddingError(f"{path.name} is damaged or not HDF5 ({reason})") from None


def _read(file: h5py.File, name: str) -> SlidePatches:
    key = next((k for k in ("features", "feats") if isinstance(file.get(k), h5py.Dataset)), None)
    if key is None:
        raise EmbeddingError(
            f"{name} has no dataset 'features' or 'feats' (it has {', '.join(file) or 'nothing'})"
        )
    data = file[key]
    if data.dtype.kind not in "fiu":
        raise EmbeddingError(f"{name}: {key!r} holds {data.dtype}, not numbers")
    shape = data.shape[1:] if data.ndim == 3 and data.shape[0] == 1 else data.shape
    if data.size == 0:
        width = shape[1] if len(shape) == 2 else 0
        features = np.empty((0, width), dtype=np.float16)
    elif len(shape) != 2:
        raise EmbeddingError(f"{name}: {key!r} has shape {data.shape}, and (n, d) is needed")
    else:
        features = np.asarray(data[()]).reshape(shape)
        if features.dtype.itemsize > 4 or features.dtype.kind != "f":
            with np.errstate(over="ignore"):
                features = features.astype(np.float32)
        if not _all_finite(features):
            bad = np.asarray(~np.isfinite(features).all(axis=1))
            raise EmbeddingError(f"{name}: {bad.sum()} of {len(bad)} patches hold NaN or infinity")
    encoder = data.attrs.get("encoder", file.attrs.get("encoder", file.attrs.get("extractor", "")))
    encoder = encoder.decode() if isinstance(encoder, bytes) else str(encoder)
    layout = "stamp" if key == "feats" else "trident" if "encoder" in data.attrs else "clam"
    return SlidePatches(features, _coords(file, len(features), name), encoder, layout)


def _all_finite(features: NDArray[Any]) -> bool:
    if (
        features.dtype == np.float16
    ):  # numpy has no fast way: look for the exponent of NaN, infinity
        return not ((features.view(np.uint16) & 0x7C00) == 0x7C00).any()
    return bool(np.isfinite(features).all())


def _coords(file: h5py.File, n: int, name: str) -> NDArray[np.float64]:
    if not isinstance(file.get("coords"), h5py.Dataset):
        return np.full((n, 2), np.nan)
    if file["coords"].dtype.kind not in "fiu":
        raise EmbeddingError(f"{name}: 'coords' holds {file['coords'].dtype}, not numbers")
    coords = np.asarray(file["coords"][()], dtype=np.float64)
    if n == 0:
        return np.empty((0, 2))
    coords = coords.reshape(-1, coords.shape[-1]) if coords.ndim == 3 else coords
    if coords.shape != (n, 2):
        raise EmbeddingError(f"{name}: {n} patches, but coords of shape {coords.shape}")
    return coords
