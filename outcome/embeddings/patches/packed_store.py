"""The packed store: each slide is stored once as numpy files, memory-mapped by every fit.

Feature files of tools are slow to read (one HDF5 chunk per patch), and training reads each of them
in every fold. A slide is therefore packed on first use: `<key>.features.npy` (n, d), float16 where
that keeps the values, `<key>.mean.npy` (d,), `<key>.coords.npy` (n, 2) and `<key>.json`, which is
written last, so that incomplete slides are never used. The key contains path, size and time of the
file: a changed file is packed again.

Patches are stored in an order that depends only on their values (a hash of each row). Results
therefore do not depend on the original order, and consecutive patches are a random sample.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.bag import Bag
from outcome.embeddings.patches.find import SlideFiles, SlidePatches
from outcome.embeddings.patches.readers.content import Raw, as_patches
from outcome.errors import EmbeddingError

__all__ = ["Packed", "PackedStore", "default_cache", "half", "repeated_patches"]

FORMAT = 5
HALF_MAX = float(np.finfo(np.float16).max)
MOST_LOST = 0.02
"""Largest error of half precision, relative to the spread of a feature within its slide."""
NO_SPREAD = 2e-6
"""A spread below this fraction of the values of a feature is due to rounding of single
precision."""
BLOCK = 1 << 20
MAGIC = np.lib.format.magic(1, 0)
MAPPED = 1 << 16
"""Numbers of a slide above which it is mapped: to map a small file takes longer than to read it."""


def default_cache() -> Path:
    """Return the cache folder: $SLIDE_OUTCOME_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("SLIDE_OUTCOME_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slide-outcome"


@dataclass(frozen=True)
class Packed:
    """One slide in the store.

    Parameters
    ----------
    key : str
        Names the files; changes with the source file.
    content : str
        Hash of the packed features: what a fit depends on.
    n, dimension : int
        Patches, and length of each vector.
    encoder, layout, dtype : str
        As found in the source.
    magnification, patch_size : str
        Encoder named in the files, joined by `+` if there are several; empty if a file does not
        name it.
    repeated : int
        Number of repeated patches in the files (see `repeated_patches`).
    coords_problem : str
        Reason why coordinates cannot be read; empty if they can, or if there are none.
    """

    key: str
    content: str
    n: int
    dimension: int
    encoder: str
    layout: str
    dtype: str
    magnification: str = ""
    patch_size: str = ""
    repeated: int = 0
    coords_problem: str = ""


class PackedStore:
    """Packed slides in one folder, which several runs can share.

    Parameters
    ----------
    folder : Path
        Created on first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"patches-{FORMAT}"

    def pack(self, source: Path | SlideFiles) -> Packed:
        """Return the packed slide; it is packed if it is new or has changed.

        Raises
        ------
        EmbeddingError
            See `readers.read_file`.
        """
        files = _files(source)
        key = _key(files)
        index = self._path(key, "json")
        if (known := self._known(index)) is not None:
            return known
        slide = files.read()
        if _key(files) != key:
            raise EmbeddingError(f"{files.first.name} was changed while it was read")
        return self._write_slide(key, slide)

    def pack_array(
        self, name: str, features: NDArray[Any], coords: NDArray[Any] | None = None
    ) -> Packed:
        """Return a slide given in memory; it is packed if it is new.

        Parameters
        ----------
        name : str
            For messages.
        features : array, shape (n, d), or (d,) of a slide-level vector
        coords : array, shape (n, 2), optional

        Raises
        ------
        EmbeddingError
            See `readers.content.as_patches`.
        """
        slide = as_patches(Raw(features, coords, layout="array"), name)
        slide = replace(slide, files=((len(slide.features), {}),))
        digest = hashlib.sha256(repr((slide.features.shape, str(slide.features.dtype))).encode())
        digest.update(np.ascontiguousarray(slide.features).data)
        digest.update(slide.coords.tobytes())
        key = digest.hexdigest()[:32]
        return self._known(self._path(key, "json")) or self._write_slide(key, slide)

    def _write_slide(self, key: str, slide: SlidePatches) -> Packed:
        index = self._path(key, "json")
        index.parent.mkdir(parents=True, exist_ok=True)
        features, coords = _ordered(slide)
        packed = Packed(
            key=key,
            content=hashlib.sha256(features.data).hexdigest()[:32],
            n=len(features),
            dimension=features.shape[1],
            encoder=slide.encoder,
            layout=slide.layout,
            dtype=str(slide.features.dtype),
            magnification=_stated(slide, _magnification),
            patch_size=_stated(slide, _patch_size),
            repeated=_repeated(slide),
            coords_problem=slide.coords_problem,
        )
        _write(self._path(key, "features.npy"), features)
        _write(self._path(key, "coords.npy"), coords)
        mean = features.mean(axis=0, dtype=np.float64) if len(features) else features.sum(axis=0)
        _write(self._path(key, "mean.npy"), mean.astype(np.float64))
        _write(index, json.dumps(asdict(packed)))
        return packed

    def known(self, source: Path | SlideFiles) -> Packed | None:
        """Return a slide that was packed before; None if it is new or has changed."""
        return self._known(self._path(_key(_files(source)), "json"))

    def size(self, slide: Packed) -> int:
        """Bytes of one slide's features."""
        return self._path(slide.key, "features.npy").stat().st_size

    def remove_leftovers(self, older: float = 24 * 3600) -> int:
        """Remove and count incomplete files of killed processes older than this many seconds."""
        found = [p for p in self.folder.glob("*/.*") if time.time() - p.stat().st_mtime > older]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def _known(self, index: Path) -> Packed | None:
        """Return the index entry of a packed slide; None if it is missing or incomplete."""
        try:
            packed = Packed(**json.loads(index.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        parts = [self._path(packed.key, p) for p in ("features.npy", "mean.npy", "coords.npy")]
        whole = all(p.is_file() for p in parts)
        # At least two bytes per number; after a power failure a file may be shorter.
        return (
            packed if whole and parts[0].stat().st_size > 2 * packed.n * packed.dimension else None
        )

    def features(self, slides: Sequence[Packed]) -> NDArray[Any]:
        """Return the patches of these slides, shape (n, d); one large slide stays memory-mapped."""
        parts = [self._stored_features(s) for s in slides if s.n]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _stored_features(self, slide: Packed) -> NDArray[Any]:
        path = self._path(slide.key, "features.npy")
        if slide.n * slide.dimension > MAPPED:
            mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
            return mapped
        return _read_small(path)

    def mean(self, slides: Sequence[Packed]) -> NDArray[np.float64]:
        """Return the mean over all patches of these slides, shape (d,), without reading them."""
        parts = [(s.n, np.load(self._path(s.key, "mean.npy"))) for s in slides if s.n]
        mean: NDArray[np.float64] = sum(n * m for n, m in parts) / sum(n for n, _ in parts)
        return mean

    def bag(self, slides: Sequence[Packed]) -> Bag:
        """Return features, coordinates and slide index of these slides."""
        coords = [np.load(self._path(s.key, "coords.npy"), allow_pickle=False) for s in slides]
        index = np.repeat(np.arange(len(slides)), [s.n for s in slides])
        return Bag(self.features(slides), np.concatenate(coords), index)

    def add_array(self, array: NDArray[Any]) -> Path:
        """Store an array once under a hash of its content; returns the path."""
        key = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()[:32]
        path = self._path(key, "npy")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, array)
        return path

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / key[:2] / f"{key}.{suffix}"


def _read_small(path: Path) -> NDArray[Any]:
    """Read a small array in one piece.

    The header of a file takes longer to parse than the numbers take to read. Slides of equal shape
    have equal headers, so each header is parsed once.
    """
    content = path.read_bytes()
    start = len(MAGIC) + 2 + int.from_bytes(content[len(MAGIC) : len(MAGIC) + 2], "little")
    if not content.startswith(MAGIC) or len(content) < start:
        raise ValueError(f"{path} is no array of this store")
    shape, dtype = _parsed_header(content[len(MAGIC) : start])
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


@lru_cache(maxsize=1024)
def _parsed_header(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    shape, _, dtype = np.lib.format.read_array_header_1_0(BytesIO(header))
    return shape, dtype


def half(features: NDArray[Any]) -> NDArray[Any]:
    """Return the vectors of a slide in the type of the store.

    Parameters
    ----------
    features : array, shape (n, d)

    Returns
    -------
    array, shape (n, d)
        float16 if it can represent every value and its rounding is small compared with the spread
        of every feature within the slide (at most 2%, root mean square), else float32. Vectors of
        30,000 plus noise of 1 have steps of 16 in float16. A slide-level vector has no spread for
        comparison and stays in float32.
    """
    if features.dtype == np.float16:
        return features
    return features.astype(np.float16 if _fits_half(features) else np.float32)


def _fits_half(features: NDArray[Any]) -> bool:
    n = len(features)
    if not features.size:
        return True
    largest = np.maximum(features.max(axis=0), -features.min(axis=0)).astype(np.float64)
    if n == 1 or largest.max() >= HALF_MAX:
        return False
    centre = features.mean(axis=0, dtype=np.float64)
    error, spread = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    rows = max(1, BLOCK // features.shape[1])
    for first in range(0, n, rows):
        part = features[first : first + rows]
        rounded = part.astype(np.float16).astype(np.float32)
        error += np.square(part - rounded, dtype=np.float64).sum(axis=0)
        spread += np.square(part - centre).sum(axis=0)
    error, spread = np.sqrt(error / n), np.sqrt(spread / n)
    # A feature that is constant within the slide may still differ between slides.
    of = np.where(spread > NO_SPREAD * largest, spread, largest)
    return bool((error <= MOST_LOST * of).all())


def _stated(slide: SlidePatches, of: Callable[[Mapping[str, float]], str]) -> str:
    """Return the geometry of the patches of all files; empty if a file has none."""
    texts = [of(geometry) for _, geometry in slide.files]
    return "+".join(texts) if all(texts) else ""


def _magnification(geometry: Mapping[str, float]) -> str:
    return f"{geometry['magnification']:g}" if "magnification" in geometry else ""


def _patch_size(geometry: Mapping[str, float]) -> str:
    """Return the width of the field of view of a patch, if comparable between slides.

    Pixels are not comparable if the magnification is unknown: CLAM uses 512 pixels of a scan at
    40x, and 256 pixels at 20x.
    """
    for key in ("patch_um", "field_um"):
        if key in geometry:
            return f"{geometry[key]:g} micrometres"
    both = "magnification" in geometry and "patch_px" in geometry
    return f"{geometry['patch_px']:g} pixels" if both else ""


def _repeated(slide: SlidePatches) -> int:
    first = found = 0
    for n, _ in slide.files:
        rows = slice(first, first + n)
        found += repeated_patches(slide.features[rows], slide.coords[rows])
        first += n
    return found


def repeated_patches(features: NDArray[Any], coords: NDArray[np.float64]) -> int:
    """Count the repeated patches of a file, e.g. after resumed extraction.

    Parameters
    ----------
    features : array, shape (n, d)
    coords : array, shape (n, 2)
        NaN if unknown.

    Returns
    -------
    int
        Number of patches at a position that occurred before. Without coordinates (or if all are the
        same): number of repeated vectors, if every vector occurs more than once; a few equal
        vectors are patches of empty glass.

    Examples
    --------
    >>> import numpy as np
    >>> x, places = np.eye(3), np.array([[0, 0], [0, 256], [256, 0.0]])
    >>> repeated_patches(x, places), repeated_patches(np.tile(x, (2, 1)), np.tile(places, (2, 1)))
    (0, 3)
    """
    n = len(features)
    if n < 2:
        return 0
    if np.isfinite(coords).all():
        places = len(np.unique(coords, axis=0))
        if places > 1:
            return n - places
    _, counts = np.unique(_row_hashes(np.ascontiguousarray(features)), return_counts=True)
    return n - len(counts) if counts.min() > 1 else 0


def _ordered(slide: SlidePatches) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Half precision if it keeps the values, and an order that depends only on them."""
    features = np.ascontiguousarray(half(slide.features))
    if not len(features):
        return features, slide.coords
    order = np.argsort(_row_hashes(features), kind="stable")
    return features[order], slide.coords[order]


def _row_hashes(features: NDArray[Any]) -> NDArray[np.uint64]:
    """Return a hash of each row of a contiguous array."""
    row = features.view(np.uint8)
    if spare := -row.shape[1] % 8:
        row = np.pad(row, ((0, 0), (0, spare)))
    words = row.view(np.uint64)
    words = words ^ (words >> np.uint64(32))
    draw = np.random.Generator(np.random.PCG64(0))
    # Odd factors, so that rows that differ in one word never have the same hash.
    odd = draw.integers(0, 2**63, size=words.shape[1], dtype=np.uint64) * 2 + 1
    hashes: NDArray[np.uint64] = words @ odd
    return hashes


def _files(source: Path | SlideFiles) -> SlideFiles:
    return source if isinstance(source, SlideFiles) else SlideFiles((source,))


def _key(files: SlideFiles) -> str:
    return hashlib.sha256(os.fsencode(files.fingerprint())).hexdigest()[:32]


def _write(path: Path, content: NDArray[Any] | str) -> None:
    """Write to a temporary file and rename it: a reader sees a complete file or none."""
    building = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with building.open("wb") as out:
            if isinstance(content, str):
                out.write(content.encode())
            else:
                np.save(out, content, allow_pickle=False)
        building.replace(path)
    except BaseException:
        building.unlink(missing_ok=True)
        raise
