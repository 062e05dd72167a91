"""Readers of embeddings, one module per format. `read_file` and `read_table` find the right one.

One file (or folder) per slide:

| files | written by | module |
|---|---|---|
| `.h5 .hdf5` | TRIDENT, CLAM, PANTHER, STAMP, MOOZY | `hdf5` |
| `.pt .pth` | CLAM, PANTHER, slideflow, slide2vec | `torch_files` |
| `.npy .npz` | own scripts, slide2vec | `numpy_files` |
| `.zarr` | LazySlide | `lazyslide` |

Companion files are read by `slideflow` and `slide2vec`; one file for all slides by `h5ad`,
`text_vectors` and `stamp_vectors` (see `vectors`). A format is added by a module and a line in
`SUFFIXES`, `SIDECARS` or `TABLES`.

No code in a file is ever run, and nothing outside the file (and its companion files) is opened. The
size of an array is compared with the size of the file before memory is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from outcome.embeddings.patches.readers.content import (
    Names,
    Raw,
    SlidePatches,
    as_patches,
)
from outcome.embeddings.patches.readers.h5ad import read_h5ad
from outcome.embeddings.patches.readers.hdf5 import read_hdf5
from outcome.embeddings.patches.readers.lazyslide import is_store, read_lazyslide
from outcome.embeddings.patches.readers.numpy_files import read_arrays
from outcome.embeddings.patches.readers.sidecars import Sidecar
from outcome.embeddings.patches.readers.slide2vec import SLIDE2VEC
from outcome.embeddings.patches.readers.slideflow import SLIDEFLOW
from outcome.embeddings.patches.readers.stamp_vectors import read_stamp_vectors
from outcome.embeddings.patches.readers.text_vectors import read_text_vectors
from outcome.embeddings.patches.readers.torch_files import read_torch
from outcome.embeddings.patches.readers.vector_table import PICKLES, VectorTable, refuse_pickle
from outcome.errors import EmbeddingError, InputError
from outcome.tables.read_table import DAMAGED

__all__ = [
    "SIDECARS", "SUFFIXES", "TABLES", "Names", "SlidePatches", "VectorTable", "read_file",
    "read_row", "read_table_of_vectors",
]  # fmt: skip

SUFFIXES: Mapping[str, Callable[[Path, Names], Raw]] = {
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".pt": read_torch,
    ".pth": read_torch,
    ".npz": read_arrays,
    ".npy": read_arrays,
    ".zarr": read_lazyslide,
}
SIDECARS: tuple[Sidecar, ...] = (SLIDEFLOW, SLIDE2VEC)
TABLES: Mapping[str, Callable[[Path, Names], VectorTable]] = {
    ".h5ad": read_h5ad,
    ".parquet": read_text_vectors,
    ".pq": read_text_vectors,
    ".csv": read_text_vectors,
    ".tsv": read_text_vectors,
    ".h5": read_stamp_vectors,
    ".hdf5": read_stamp_vectors,
}
KINDS = {
    ".h5": "HDF5", ".hdf5": "HDF5", ".h5ad": "AnnData", ".pt": "a tensor", ".pth": "a tensor",
    ".zarr": "a zarr store", ".npy": "numpy", ".npz": "numpy",
}  # fmt: skip
TABLES_KEPT = 2
Found = TypeVar("Found")


def read_file(path: Path, names: Names | None = None, layout: str = "") -> SlidePatches:
    """Read one file of patch embeddings of any supported tool.

    Parameters
    ----------
    path : Path
        One of `SUFFIXES`.
    names : Names, optional
        Names of the arrays inside; by default those of the tools.
    layout : str
        Layout declared by the user; empty if it is to be detected.

    Raises
    ------
    EmbeddingError
        The file is empty, truncated, has an unknown layout, declares more data than it contains,
        refers to other files, or contains values that are not finite numbers.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise EmbeddingError(
            f"{path.name} is not a known kind of file (known: {', '.join(SUFFIXES)})"
        )

    def read() -> SlidePatches:
        raw = SUFFIXES[suffix](path, names or Names())
        for tool in SIDECARS:
            if tool.files(path):
                raw = tool.complete(path, raw)
        return as_patches(raw, path.name, layout)

    return _readable(path, read)


def read_table_of_vectors(path: Path, names: Names | None = None) -> VectorTable:
    """Read a file with one vector per slide or patient; the last files are kept in memory.

    Parameters
    ----------
    path : Path
        One of `TABLES`.
    names : Names, optional
        `features`: the array or the columns of the vectors, if there are several.

    Raises
    ------
    EmbeddingError
        As for `read_file`, or the file is a pickle, which is never read.
    """
    status = path.stat()
    return _read_table(path.absolute(), status.st_size, status.st_mtime_ns, names or Names())


@lru_cache(maxsize=TABLES_KEPT)
def _read_table(path: Path, size: int, changed: int, names: Names) -> VectorTable:
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise refuse_pickle(path.name)
    if suffix not in TABLES:
        raise EmbeddingError(
            f"{path.name} is a single file, but not a table of slide vectors "
            f"({', '.join(TABLES)}). To do: give the folder with one file per slide"
        )
    return _readable(path, lambda: TABLES[suffix](path, names))


def read_row(path: Path, row: str, names: Names | None = None, layout: str = "") -> SlidePatches:
    """Return the vector of one slide or patient, a bag of one, from a table of vectors.

    Parameters
    ----------
    path, names
        As for `read_table_of_vectors`.
    row : str
        The slide or patient.
    layout : str
        Layout declared by the user.
    """
    table = read_table_of_vectors(path, names)
    if row not in table.rows:
        raise EmbeddingError(f"{path.name} has no row {row!r}")
    raw = Raw(table.features[table.rows[row]], None, table.encoder, table.layout)
    return as_patches(raw, f"{path.name}, {row}", layout)


def _readable(path: Path, read: Callable[[], Found]) -> Found:
    """Call a reader; exceptions of libraries are converted to errors about the file."""
    try:
        if not is_store(path) and path.stat().st_size == 0:
            raise EmbeddingError(f"{path.name} is empty (0 bytes)")
        return read()
    except EmbeddingError:
        raise
    except InputError as error:
        raise EmbeddingError(str(error)) from None
    except DAMAGED as error:
        kind = KINDS.get(path.suffix.lower(), "a table")
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise EmbeddingError(f"{path.name} is damaged or not {kind} ({reason})") from None
