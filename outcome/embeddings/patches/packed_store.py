"""The packed store: each slide once as plain numpy files, memory-mapped by every fit.

Feature files as tools write them are slow to read (one HDF5 chunk per patch), and training reads
each of them again for every fold. A slide is therefore packed on first use:
`<key>.features.npy` (n, d), float16 where the values fit, `<key>.mean.npy` (d,),
`<key>.coords.npy` (n, 2) and `<key>.json`, which is written last, so that nothing half-written is
ever taken for whole. The key holds the file's path, size and time: a changed file is packed again.

Patches are stored in an order that depends on nothing but their values (a hash of each row). The
order in which a tool wrote them therefore changes no result, and any run of patches is as good as
a random sample.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.bag import Bag
from outcome.embeddings.patches.find import SlideFiles, SlidePatches
from outcome.errors import EmbeddingError

__all__ = ["Packed", "PackedStore", "default_cache", "half"]

FORMAT = 4
HALF_MAX = float(np.finfo(np.float16).max)
HALF_NORMAL = float(np.finfo(np.float16).tiny)


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
    """

    key: str
    content: str
    n: int
    dimension: int
    encoder: str
    layout: str
    dtype: str


class PackedStore:
    """Slides packed in one folder, which several runs may share.

    Parameters
    ----------
    folder : Path
        Made on first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"patches-{FORMAT}"

    def pack(self, source: Path | SlideFiles) -> Packed:
        """Return the packed slide, packing it where it is new or has changed.

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
        )
        _write(self._path(key, "features.npy"), features)
        _write(self._path(key, "coords.npy"), coords)
        mean = features.mean(axis=0, dtype=np.float64) if len(features) else features.sum(axis=0)
        _write(self._path(key, "mean.npy"), mean.astype(np.float64))
        _write(index, json.dumps(asdict(packed)))
        return packed

    def known(self, source: Path | SlideFiles) -> Packed | None:
        """Return a slide that has been packed before; None where it is new or has changed."""
        return self._known(self._path(_key(_files(source)), "json"))

    def size(self, slide: Packed) -> int:
        """Bytes of one slide's features."""
        return self._path(slide.key, "features.npy").stat().st_size

    def remove_leftovers(self, older: float = 24 * 3600) -> int:
        """Remove what killed processes left half-written, this many seconds ago; count it."""
        found = [p for p in self.folder.glob("*/.*") if time.time() - p.stat().st_mtime > older]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def _known(self, index: Path) -> Packed | None:
        """Return what the index says of a packed slide; None where it is not (wholly) there."""
        try:
            packed = Packed(**json.loads(index.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        parts = [self._path(packed.key, p) for p in ("features.npy", "mean.npy", "coords.npy")]
        whole = all(p.is_file() for p in parts)
        # Two bytes a number at least: a machine that lost power may have kept less.
        return (
            packed if whole and parts[0].stat().st_size > 2 * packed.n * packed.dimension else None
        )

    def features(self, slides: Sequence[Packed]) -> NDArray[Any]:
        """Return the patches of these slides, shape (n, d); one slide stays memory-mapped."""
        parts = [
            np.load(self._path(s.key, "features.npy"), mmap_mode="r", allow_pickle=False)
            for s in slides
            if s.n
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

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
        """Keep an array under a hash of its content, once; returns where."""
        key = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()[:32]
        path = self._path(key, "npy")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, array)
        return path

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / key[:2] / f"{key}.{suffix}"


def _fits_half(features: NDArray[Any]) -> bool:
    """Whether half precision keeps the values: none too large, and not all of them too small."""
    if not features.size:
        return True
    size = np.abs(features)
    return float(size.max()) < HALF_MAX and float(np.median(size.max(axis=0))) > HALF_NORMAL


def half(features: NDArray[Any]) -> NDArray[Any]:
    """Return vectors as the store keeps them: in half precision where the values fit."""
    if features.dtype == np.float16:
        return features
    return features.astype(np.float16 if _fits_half(features) else np.float32)


def _ordered(slide: SlidePatches) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Half precision where the values fit, and an order that depends on the values alone."""
    features = np.ascontiguousarray(half(slide.features))
    if not len(features):
        return features, slide.coords
    row = features.view(np.uint8)
    if spare := -row.shape[1] % 8:
        row = np.pad(row, ((0, 0), (0, spare)))
    words = row.view(np.uint64)
    words = words ^ (words >> np.uint64(32))
    draw = np.random.Generator(np.random.PCG64(0))
    # Odd factors, so that rows that differ in one word never have the same hash.
    odd = draw.integers(0, 2**63, size=words.shape[1], dtype=np.uint64) * 2 + 1
    order = np.argsort(words @ odd, kind="stable")
    return features[order], slide.coords[order]


def _files(source: Path | SlideFiles) -> SlideFiles:
    return source if isinstance(source, SlideFiles) else SlideFiles((source,))


def _key(files: SlideFiles) -> str:
    return hashlib.sha256(os.fsencode(files.fingerprint())).hexdigest()[:32]


def _write(path: Path, content: NDArray[Any] | str) -> None:
    """Write beside the place and move there: a reader sees a whole file or none."""
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
