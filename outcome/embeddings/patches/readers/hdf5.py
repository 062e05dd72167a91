"""HDF5: TRIDENT and CLAM (`features`), PANTHER (the same, (1, n, d)), STAMP (`feats`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.readers.content import (
    Names,
    Raw,
    check_claim,
    read_coords_with,
)
from outcome.embeddings.patches.readers.hdf5_heaps import Heaps
from outcome.errors import EmbeddingError

__all__ = ["read_coords", "read_hdf5"]

LONGEST_TEXT = 1000


def read_hdf5(path: Path, names: Names) -> Raw:
    """Read the arrays of one HDF5 file; links and data kept elsewhere are not followed."""
    size = path.stat().st_size
    heaps = Heaps(path)
    with h5py.File(path, "r") as file:
        key = _named(file, names.features_tried, path.name)
        if key is None:
            tried = " or ".join(map(repr, names.features_tried))
            inside = ", ".join(list(file)[:8]) or "nothing"
            raise EmbeddingError(
                f"{path.name} has no dataset {tried} (it has {inside}). To do: name the dataset:"
                " `layout: {features: ..., coords: ...}` under `embeddings`"
            )
        data = file[key]
        features = _read(data, path.name, size)
        encoder = _text(data.attrs, heaps, "encoder")
        encoder = encoder or _text(file.attrs, heaps, "encoder", "extractor")
        coords, problem = read_coords_with(lambda: _coords(file, names.coords_tried, path))
        layout = "trident" if "encoder" in data.attrs else "clam"
        if key == "feats":
            layout = "stamp"
        layout = "hdf5" if names.features else layout
        return Raw(features, coords, encoder, layout, problem)


def read_coords(path: Path) -> NDArray[Any] | None:
    """Return the coordinates that a file holds, None where it has none."""
    with h5py.File(path, "r") as file:
        return _coords(file, ("coords",), path)


def _coords(file: h5py.File, tried: Sequence[str], path: Path) -> NDArray[Any] | None:
    where = _named(file, tried, path.name)
    return None if where is None else _read(file[where], path.name, path.stat().st_size)


def _named(file: h5py.File, tried: Sequence[str], name: str) -> str | None:
    for key in tried:
        link = file.get(key, getlink=True) if key in list(file) else None
        if link is None:
            continue
        if not isinstance(link, h5py.HardLink):
            raise EmbeddingError(f"{name}: {key!r} is a link to somewhere else, not a dataset")
        if isinstance(file[key], h5py.Dataset):
            return key
    return None


def _read(data: h5py.Dataset, name: str, size: int) -> NDArray[Any]:
    if data.is_virtual or data.external:
        raise EmbeddingError(f"{name}: {data.name!r} keeps its numbers in another file")
    if data.shape is None or data.dtype.kind not in "fiu":
        raise EmbeddingError(f"{name}: {data.name!r} holds {data.dtype}, not numbers")
    if any(length > 1 << 40 for length in data.shape):
        check_claim(math.prod(data.shape), size, name)
    if 0 in data.shape:
        return np.empty(data.shape, data.dtype)
    check_claim(math.prod(data.shape) * data.dtype.itemsize, size, name)
    # A dataset can be stored in larger chunks than it has rows, and each is unpacked whole.
    check_claim(math.prod(data.chunks or (0,)) * data.dtype.itemsize, size, name)
    return np.asarray(data[()])


def _text(attributes: h5py.AttributeManager, heaps: Heaps, *names: str) -> str:
    """Return the first of these attributes that is a short text; empty where none is."""
    for key in names:
        if key not in attributes:
            continue
        found = attributes.get_id(key)
        if found.shape != () or found.dtype.kind not in "SO" or found.dtype.itemsize > LONGEST_TEXT:
            continue
        if found.dtype.kind == "O" and not heaps.holds(key):
            raise EmbeddingError(f"{heaps.path.name} is damaged (the text of {key!r} is lost)")
        value = attributes[key]
        return value.decode() if isinstance(value, bytes) else str(value)
    return ""
