"""Result of readers, and shared checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.errors import EmbeddingError
from outcome.tables.read_table import DAMAGED

__all__ = [
    "Names", "Raw", "SlidePatches", "as_patches", "check_claim", "numbers", "read_coords_with",
]  # fmt: skip

ROOM = 1 << 24
"""Bytes that any file may declare, because small files compress well."""
EXPANSION = 4
"""Multiple of its own size that a (compressed) file may declare beyond that."""
BLOCK = 1 << 22
FEATURES = ("features", "feats")


@dataclass(frozen=True)
class Names:
    """Names of the arrays inside a file; by default those of the tools."""

    features: str | None = None
    coords: str | None = None

    @property
    def features_tried(self) -> tuple[str, ...]:
        """Possible names of the vectors, in order."""
        return (self.features,) if self.features else FEATURES

    @property
    def coords_tried(self) -> tuple[str, ...]:
        """Possible names of the coordinates, in order."""
        return (self.coords,) if self.coords else ("coords",)


@dataclass(frozen=True)
class Raw:
    """Original arrays of a file, with any shape."""

    features: NDArray[Any]
    coords: NDArray[Any] | None = None
    encoder: str = ""
    layout: str = ""
    coords_problem: str = ""
    """Reason why existing coordinates cannot be read; training does not need them."""

    def but(self, **changes: Any) -> Raw:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class SlidePatches:
    """Content of one file.

    Parameters
    ----------
    features : array, shape (n, d)
        n is 1 for a slide-level vector; d is 0 if it is unknown for an empty file.
    coords : array, shape (n, 2)
        NaN if the file has no readable coordinates.
    encoder : str
        Encoder named in the file; empty if the file does not name it.
    layout : str
        `trident`, `clam`, `stamp`, `slideflow`, `tensor` or `numpy`; or as declared by the user.
    coords_problem : str
        Reason why the coordinates cannot be read; empty if they can, or if there are none.
    files : tuple of (int, mapping)
        Number of patches of each file, in order, and their geometry (`patch_geometry`).
    """

    features: NDArray[Any]
    coords: NDArray[np.float64]
    encoder: str
    layout: str
    coords_problem: str = ""
    files: tuple[tuple[int, Mapping[str, float]], ...] = ()


def check_claim(claimed: int, size: int, name: str) -> None:
    """Refuse an array larger than its file allows, before memory is allocated.

    Parameters
    ----------
    claimed, size : int
        Sizes of the array and of the file, in bytes.
    name : str
    """
    if claimed > ROOM + EXPANSION * size:
        raise EmbeddingError(
            f"{name}: declares {claimed:,} bytes of numbers, but the file has {size:,} bytes; it "
            "is damaged"
        )


def numbers(array: NDArray[Any], what: str, name: str) -> NDArray[Any]:
    """Return the array if it contains numbers.

    Raises
    ------
    EmbeddingError
        It contains text, objects, records or complex numbers.
    """
    if array.dtype.kind not in "fiu":
        raise EmbeddingError(f"{name}: {what} contains {array.dtype}, not numbers")
    return array


def as_patches(raw: Raw, name: str, layout: str = "") -> SlidePatches:
    """Convert the shapes written by tools to (n, d), with coordinates of shape (n, 2).

    Raises
    ------
    EmbeddingError
        The shape is not (n, d), (1, n, d) or (d,), or values are not finite numbers.
    """
    features = _features(numbers(raw.features, "'features'", name), name)
    n = len(features)
    coords, problem = read_coords_with(lambda: _coords(raw.coords, n))
    if coords is None:
        coords = np.full((n, 2), np.nan)
    problem = raw.coords_problem or problem
    return SlidePatches(features, coords, raw.encoder, layout or raw.layout, problem)


def read_coords_with(
    read: Callable[[], NDArray[Any] | None],
) -> tuple[NDArray[Any] | None, str]:
    """Read coordinates; if this fails, return None and the reason.

    Only maps of a slide need coordinates. Unlike vectors, unreadable coordinates never stop a
    study.
    """
    try:
        return read(), ""
    except DAMAGED as error:
        return None, (str(error).splitlines() or [type(error).__name__])[0][:200]


def _features(array: NDArray[Any], name: str) -> NDArray[Any]:
    shape = array.shape[1:] if array.ndim == 3 and array.shape[0] == 1 else array.shape
    if array.size == 0:
        return np.empty((0, shape[1] if len(shape) == 2 else 0), dtype=np.float16)
    if len(shape) == 1:  # a slide-level vector is a bag of one
        shape = (1, shape[0])
    if len(shape) != 2:
        raise EmbeddingError(f"{name}: features have shape {array.shape}, but (n, d) is needed")
    features = array.reshape(shape)
    if features.dtype.itemsize > 4 or features.dtype.kind != "f" or not features.dtype.isnative:
        with np.errstate(over="ignore"):
            features = features.astype(np.float32)
    # In blocks, because the mask of a whole slide would need as much memory as the slide.
    rows = max(1, BLOCK // shape[1])
    parts = (features[i : i + rows] for i in range(0, len(features), rows))
    bad = sum(
        int((~np.isfinite(part).all(axis=1)).sum()) for part in parts if not _all_finite(part)
    )
    if bad:
        raise EmbeddingError(f"{name}: {bad} of {len(features)} patches contain NaN or infinity")
    return features


def _all_finite(features: NDArray[Any]) -> bool:
    if (
        features.dtype == np.float16
    ):  # faster than numpy: checks for the exponent of NaN and infinity
        return not ((features.view(np.uint16) & 0x7C00) == 0x7C00).any()
    return bool(np.isfinite(features).all())


def _coords(array: NDArray[Any] | None, n: int) -> NDArray[np.float64] | None:
    """Convert coordinates to (n, 2); for boxes (x0, y0, x1, y1), the first two columns."""
    if array is None:
        return None
    if n == 0:
        return np.empty((0, 2))
    if array.dtype.kind not in "fiu":
        raise EmbeddingError(f"'coords' contains {array.dtype}, not numbers")
    coords = array.reshape(-1, array.shape[-1]) if array.ndim == 3 else array
    if coords.ndim == 2 and len(coords) == n and coords.shape[1] in (2, 4):
        return coords[:, :2].astype(np.float64)
    if n == 1:  # a slide-level vector with the coordinates of its patches
        return None
    raise EmbeddingError(f"{n} patches, but coords of shape {array.shape}")
