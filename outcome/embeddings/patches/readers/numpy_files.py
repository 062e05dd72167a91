"""numpy: `.npy` (one array) and `.npz` (named arrays). Object arrays are pickles and refused."""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from outcome.embeddings.patches.readers.content import (
    Names,
    Raw,
    check_claim,
    read_coords_with,
)
from outcome.errors import EmbeddingError

__all__ = ["read_arrays"]


def read_arrays(path: Path, names: Names) -> Raw:
    """Read a `.npy`, or the vectors and coordinates of a `.npz`.

    Notes
    -----
    In a `.npz` the vectors are `features`, `feats`, or the only array except `coords`.
    """
    size = path.stat().st_size
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            return Raw(_array(file, size, size, path.name), layout="numpy")
    with zipfile.ZipFile(path) as archive:
        members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        where = next((n for n in names.coords_tried if n in members), None)
        key = next((n for n in names.features_tried if n in members), None)
        rest = sorted(set(members) - {where})
        if key is None and not names.features and len(rest) == 1:
            key = rest[0]
        if key is None:
            inside = ", ".join(sorted(members)[:8]) or "nothing"
            tried = " or ".join(map(repr, names.features_tried))
            raise EmbeddingError(f"{path.name} has no array {tried} (it has {inside})")
        features = _member(archive, members[key], size, path.name)
        coords, problem = None, ""
        if where is not None:
            place = members[where]
            coords, problem = read_coords_with(lambda: _member(archive, place, size, path.name))
    return Raw(features, coords, layout="numpy", coords_problem=problem)


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int, name: str
) -> NDArray[Any]:
    check_claim(member.file_size, size, name)
    if member.flag_bits & 1:
        raise EmbeddingError(f"{name} is encrypted")
    with archive.open(member) as file:
        return _array(file, member.file_size, size, name)


def _array(file: IO[bytes], room: int, size: int, name: str) -> NDArray[Any]:
    """Read one array after a check of its declared shape."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise EmbeddingError(f"{name}: version {version} of the numpy file format is not known")
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about a damaged header, which is refused below
        shape, fortran, dtype = header(file)
    if dtype.hasobject:
        raise EmbeddingError(f"{name} contains pickled objects, which are never loaded")
    if dtype.kind not in "fiu":
        raise EmbeddingError(f"{name} contains {dtype}, not numbers")
    if any(not isinstance(n, int) or n < 0 for n in shape):
        raise EmbeddingError(f"{name} has an impossible shape {shape}")
    wanted = math.prod(shape) * dtype.itemsize
    check_claim(wanted, size, name)
    if wanted > room:
        raise EmbeddingError(f"{name} is truncated: it declares {wanted:,} bytes but has {room:,}")
    content = file.read(wanted)
    if len(content) < wanted:
        raise EmbeddingError(f"{name} is truncated: it has {len(content):,} of {wanted:,} bytes")
    flat = np.frombuffer(content, dtype=dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
