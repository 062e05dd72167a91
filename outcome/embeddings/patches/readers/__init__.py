"""Readers of patch embeddings, one module per kind of file; `read_file` finds the right one.

| files | written by | module |
|---|---|---|
| `.h5 .hdf5` | TRIDENT, CLAM, PANTHER, STAMP | `hdf5` |
| `.pt .pth` | CLAM, PANTHER, slideflow (with `.index.npz`) | `torch_files` |
| `.npy .npz` | own scripts | `numpy_files` |

No code in a file is ever run, nothing outside the file (and its companions) is opened, and no array
is made before its size has been compared with the size of the file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from outcome.embeddings.patches.readers.content import (
    Names,
    Raw,
    SlidePatches,
    as_patches,
    read_coords_with,
)
from outcome.embeddings.patches.readers.hdf5 import read_hdf5
from outcome.embeddings.patches.readers.numpy_files import read_arrays
from outcome.embeddings.patches.readers.torch_files import read_torch
from outcome.errors import EmbeddingError
from outcome.tables.read_table import DAMAGED

__all__ = ["SUFFIXES", "Names", "SlidePatches", "read_file"]

SUFFIXES = {
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".pt": read_torch,
    ".pth": read_torch,
    ".npz": read_arrays,
    ".npy": read_arrays,
}
KINDS = {".h5": "HDF5", ".hdf5": "HDF5", ".pt": "a tensor", ".pth": "a tensor"}


def read_file(path: Path, names: Names | None = None, layout: str = "") -> SlidePatches:
    """Read one file of patch embeddings, whatever tool wrote it.

    Parameters
    ----------
    path : Path
        `.h5`, `.hdf5`, `.pt`, `.pth`, `.npy` or `.npz`.
    names : Names, optional
        Of the arrays inside; by default those that the tools use.
    layout : str
        What the user declared; empty where it is to be detected.

    Raises
    ------
    EmbeddingError
        The file is empty, cut short, of unknown layout, claims more than it can hold, reaches
        outside itself, or holds values that are not finite numbers.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise EmbeddingError(f"{path.name} is of no known kind ({', '.join(SUFFIXES)} are)")
    try:
        if path.stat().st_size == 0:
            raise EmbeddingError(f"{path.name} is empty (0 bytes)")
        raw = _with_companions(path, SUFFIXES[suffix](path, names or Names()))
        return as_patches(raw, path.name, layout)
    except EmbeddingError:
        raise
    except DAMAGED as error:
        kind = KINDS.get(suffix, "numpy")
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise EmbeddingError(f"{path.name} is damaged or not {kind} ({reason})") from None


def _with_companions(path: Path, raw: Raw) -> Raw:
    """Coordinates and encoder that a tool keeps in files next to the tensor."""
    if path.suffix.lower() not in (".pt", ".pth"):
        return raw
    index = path.with_name(re.sub(r"\.pth?$", ".index.npz", path.name, flags=re.IGNORECASE))
    if index.is_file() and raw.coords is None:
        coords, problem = read_coords_with(
            lambda: read_arrays(index, Names(features="arr_0")).features
        )
        raw = raw.but(coords=coords, coords_problem=problem, layout="slideflow")
    settings = path.with_name("bags_config.json")
    if settings.is_file() and not raw.encoder:
        raw = raw.but(encoder=_extractor(settings), layout="slideflow")
    return raw


def _extractor(path: Path) -> str:
    """Return the feature extractor that slideflow's settings name; empty where they do not."""
    if path.stat().st_size > 1_000_000:
        raise EmbeddingError(f"{path.name} is too large to hold settings")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise EmbeddingError(f"{path.name} is not valid JSON") from None
    extractor = found.get("extractor", "") if isinstance(found, dict) else ""
    if isinstance(extractor, dict):
        extractor = extractor.get("class", "")
    return str(extractor)[:200]
