"""AnnData in HDF5 (`.h5ad`): vectors in `X`, or in `obsm`; ids are the names of `obs`.

Read with h5py, in the format of anndata 0.8 to 0.12 (`encoding-type: anndata`), so that the checks
of other HDF5 files apply. Sparse vectors (`csr_matrix`, `csc_matrix`) become dense.
`uns["encoder"]`, a text, names the encoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from outcome.embeddings.patches.readers.content import EXPANSION, ROOM, Names
from outcome.embeddings.patches.readers.hdf5 import read_dataset, text_attribute
from outcome.embeddings.patches.readers.hdf5_heaps import Heaps
from outcome.embeddings.patches.readers.hdf5_texts import read_texts
from outcome.embeddings.patches.readers.vector_table import VectorTable
from outcome.errors import EmbeddingError

__all__ = ["read_h5ad"]

SPARSE = {"csr_matrix": sparse.csr_matrix, "csc_matrix": sparse.csc_matrix}


def read_h5ad(path: Path, names: Names) -> VectorTable:
    """Read a table of vectors; `names.features` is a key of `obsm`.

    Raises
    ------
    EmbeddingError
        It is not an AnnData file, or it has no array with this name.
    """
    heaps = Heaps(path)
    with h5py.File(path, "r") as file:
        wanted = f"obsm/{names.features}" if names.features else "X"
        features = _member(file, wanted, path.name)
        obs = _member(file, "obs", path.name)
        key = text_attribute(obs.attrs, heaps, "_index") if isinstance(obs, h5py.Group) else ""
        if not key:
            raise EmbeddingError(
                f"{path.name}: obs has no index as anndata 0.8 and later write it. To do: read and"
                " write it with a current anndata"
            )
        ids = read_texts(_member(obs, key, path.name), heaps)
        stated = file.get("uns/encoder", getlink=True)
        encoder = (
            "".join(read_texts(file["uns/encoder"], heaps))
            if isinstance(stated, h5py.HardLink)
            and isinstance(file["uns/encoder"], h5py.Dataset)
            and file["uns/encoder"].shape == ()
            else ""
        )
        if isinstance(features, h5py.Group):
            array = _dense(features, wanted, heaps)
        else:
            array = read_dataset(features, path.name, path.stat().st_size)
        return VectorTable(ids, array, encoder, "h5ad", path.name)


def _dense(group: h5py.Group, key: str, heaps: Heaps) -> NDArray[Any]:
    """Return a sparse matrix as a dense array.

    Raises
    ------
    EmbeddingError
        It is not a sparse matrix, is damaged, or is much larger as a dense array than the file.
    """
    name, size = heaps.path.name, heaps.path.stat().st_size
    kind = SPARSE.get(text_attribute(group.attrs, heaps, "encoding-type"))
    stated = group.attrs.get_id("shape") if "shape" in group.attrs else None
    if kind is None or stated is None or stated.shape != (2,) or stated.dtype.kind not in "iu":
        raise EmbeddingError(
            f"{name}: {key!r} is neither an array nor a sparse matrix. To do: store it as a dense"
            " array"
        )
    rows, columns = (int(length) for length in group.attrs["shape"])
    values, indices, starts = (
        read_dataset(_member(group, part, name), name, size)
        for part in ("data", "indices", "indptr")
    )
    if rows < 0 or columns < 0 or rows * columns * values.itemsize > ROOM + EXPANSION * size:
        raise EmbeddingError(
            f"{name}: {key!r} is sparse, and too large as a dense array ({rows:,} x {columns:,})"
            f" for a file of {size:,} bytes. To do: store it as a dense array"
        )
    if any(part.ndim != 1 or part.dtype.kind not in "iu" for part in (indices, starts)):
        raise EmbeddingError(f"{name}: the sparse matrix {key!r} is damaged")
    matrix = kind((values, indices, starts), shape=(rows, columns))
    matrix.check_format(full_check=True)
    return np.asarray(matrix.toarray())


def _member(group: h5py.Group, key: str, name: str) -> h5py.Dataset | h5py.Group:
    """Return the object of a group under a path, if no part of the path is an external link."""
    found = group
    for part in key.split("/"):
        inside = list(found) if isinstance(found, h5py.Group) else []
        if part not in inside or not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise EmbeddingError(
                f"{name} has no array {key!r} (there is {', '.join(inside[:8]) or 'nothing'})"
            )
        found = found[part]
    return found
