"""HDF5: TRIDENT and CLAM (`features`), PANTHER (the same, (1, n, d)), STAMP (`feats`).

A vector per slide or patient has the shape (d,) or (1, d): TRIDENT 0.3 writes `features` with the
coordinates of the patches into `slide_features_<encoder>/`, STAMP 2 `feats` with the attributes
`encoder` and `feat_type`, MOOZY `features` of a case with the attribute `num_slides` of `coords`.
"""

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

__all__ = ["read_coords", "read_dataset", "read_hdf5", "text_attribute"]

LONGEST_TEXT = 1000
OF_SLIDES = "slide_features_"
"""Prefix of TRIDENT's folders of slide-level vectors, before the name of the encoder."""


def read_hdf5(path: Path, names: Names) -> Raw:
    """Read the arrays of one HDF5 file; links and external data are not followed."""
    size = path.stat().st_size
    heaps = Heaps(path)
    with h5py.File(path, "r") as file:
        key = _named(file, names.features_tried, path.name)
        if key is None:
            tried = " or ".join(map(repr, names.features_tried))
            inside = ", ".join(list(file)[:8]) or "nothing"
            raise EmbeddingError(
                f"{path.name} has no dataset {tried} (it has {inside}). To do: give the dataset: "
                "`layout: {features: ..., coords: ...}` under `embeddings`"
            )
        data = file[key]
        features = read_dataset(data, path.name, size)
        encoder = text_attribute(data.attrs, heaps, "encoder")
        encoder = encoder or text_attribute(file.attrs, heaps, "encoder", "extractor")
        coords, problem = read_coords_with(lambda: _coords(file, names.coords_tried, path))
        layout, named = _tool(file, key, path)
        layout = "hdf5" if names.features else layout
        return Raw(features, coords, encoder or named, layout, problem)


def _tool(file: h5py.File, key: str, path: Path) -> tuple[str, str]:
    """Return the tool that wrote a file, and the encoder in the name of its folder."""
    if key == "feats":
        return "stamp", ""
    data, one_vector = file[key], len(file[key].shape) == 1
    link = file.get("coords", getlink=True)
    where = file["coords"].attrs if isinstance(link, h5py.HardLink) else {}
    if one_vector and "num_slides" in where:
        return "moozy", "moozy"
    if one_vector and "savetodir" in data.attrs:
        folder = path.absolute().parent.name
        return "trident", folder.removeprefix(OF_SLIDES) if folder.startswith(OF_SLIDES) else ""
    return ("trident" if "encoder" in data.attrs else "clam"), ""


def read_coords(path: Path) -> NDArray[Any] | None:
    """Return the coordinates of a file; None if it has none."""
    with h5py.File(path, "r") as file:
        return _coords(file, ("coords",), path)


def _coords(file: h5py.File, tried: Sequence[str], path: Path) -> NDArray[Any] | None:
    where = _named(file, tried, path.name)
    return None if where is None else read_dataset(file[where], path.name, path.stat().st_size)


def _named(file: h5py.File, tried: Sequence[str], name: str) -> str | None:
    for key in tried:
        link = file.get(key, getlink=True) if key in list(file) else None
        if link is None:
            continue
        if not isinstance(link, h5py.HardLink):
            raise EmbeddingError(f"{name}: {key!r} is a link to another place, not a dataset")
        if isinstance(file[key], h5py.Dataset):
            return key
    return None


def read_dataset(data: h5py.Dataset, name: str, size: int) -> NDArray[Any]:
    """Return the numbers of a dataset without external storage.

    Raises
    ------
    EmbeddingError
        It does not contain numbers, or declares more than a file of `size` bytes can contain.
    """
    if data.is_virtual or data.external:
        raise EmbeddingError(f"{name}: {data.name!r} stores its numbers in another file")
    if data.shape is None or data.dtype.kind not in "fiu":
        raise EmbeddingError(f"{name}: {data.name!r} contains {data.dtype}, not numbers")
    if any(length > 1 << 40 for length in data.shape):
        check_claim(math.prod(data.shape), size, name)
    if 0 in data.shape:
        return np.empty(data.shape, data.dtype)
    check_claim(math.prod(data.shape) * data.dtype.itemsize, size, name)
    # Chunks of a dataset can be larger than its number of rows, and are always unpacked completely.
    check_claim(math.prod(data.chunks or (0,)) * data.dtype.itemsize, size, name)
    return np.asarray(data[()])


def text_attribute(attributes: h5py.AttributeManager, heaps: Heaps, *names: str) -> str:
    """Return the first of these attributes that is a short text; empty if there is none."""
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
