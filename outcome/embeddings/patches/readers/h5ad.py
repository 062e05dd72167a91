"""AnnData in HDF5 (`.h5ad`): vectors in `X`, or in `obsm`; ids are the names of `obs`.

Read with h5py, in the format of anndata 0.8 to 0.12 (`encoding-type: anndata`), so that the checks
of other HDF5 files apply. `uns["encoder"]`, a text, names the encoder.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from outcome.embeddings.patches.readers.content import Names
from outcome.embeddings.patches.readers.hdf5 import read_dataset, text_attribute
from outcome.embeddings.patches.readers.hdf5_heaps import Heaps
from outcome.embeddings.patches.readers.hdf5_texts import read_texts
from outcome.embeddings.patches.readers.vector_table import VectorTable
from outcome.errors import EmbeddingError

__all__ = ["read_h5ad"]


def read_h5ad(path: Path, names: Names) -> VectorTable:
    """Read a table of vectors; `names.features` is a key of `obsm`.

    Raises
    ------
    EmbeddingError
        It is not an AnnData file, its vectors are sparse, or it has no array with this name.
    """
    heaps = Heaps(path)
    with h5py.File(path, "r") as file:
        wanted = f"obsm/{names.features}" if names.features else "X"
        features = _member(file, wanted, path.name)
        if isinstance(features, h5py.Group):
            raise EmbeddingError(
                f"{path.name}: {wanted} is stored as a sparse array. To do: store it as a dense "
                "array"
            )
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
        array = read_dataset(features, path.name, path.stat().st_size)
        return VectorTable(ids, array, encoder, "h5ad", path.name)


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
