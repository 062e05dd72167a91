"""STAMP 2.0 slide and patient encoders: one HDF5 file with a dataset for each slide or patient.

The file names its encoder (`encoder`) and release (`version`). Since STAMP 2.1 every slide has a
separate file, with `feats` of shape (d,) or (1, d), which `hdf5` reads. Written from STAMP's source
of both releases.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from outcome.embeddings.patches.readers.content import Names
from outcome.embeddings.patches.readers.hdf5 import read_dataset, text_attribute
from outcome.embeddings.patches.readers.hdf5_heaps import Heaps
from outcome.embeddings.patches.readers.vector_table import VectorTable
from outcome.errors import EmbeddingError

__all__ = ["read_stamp_vectors"]

MOST_SLIDES = 200_000


def read_stamp_vectors(path: Path, names: Names) -> VectorTable:
    """Read the vectors of all slides; names cannot be declared.

    Raises
    ------
    EmbeddingError
        The file contains one slide, or its vectors differ in length.
    """
    heaps = Heaps(path)
    with h5py.File(path, "r") as file:
        encoder = text_attribute(file.attrs, heaps, "encoder")
        ids = list(file)[:MOST_SLIDES]
        datasets = [
            file[one]
            for one in ids
            if isinstance(file.get(one, getlink=True), h5py.HardLink)
            and isinstance(file[one], h5py.Dataset)
        ]
        shapes = {d.shape[-1] for d in datasets if d.shape and np.prod(d.shape) == d.shape[-1]}
        if not encoder or names.features or len(datasets) < len(ids) or len(shapes) != 1:
            raise EmbeddingError(
                f"{path.name} is not a table of slide vectors (one dataset of shape (d,) for "
                "each slide, and the attribute 'encoder'). To do: give the folder with one file "
                "per slide"
            )
        size = path.stat().st_size
        vectors = [read_dataset(d, path.name, size).reshape(-1) for d in datasets]
    if len({len(v) for v in vectors}) != 1:
        raise EmbeddingError(f"{path.name}: the vectors of slides differ in length")
    return VectorTable(ids, np.stack(vectors), encoder, "stamp", path.name)
