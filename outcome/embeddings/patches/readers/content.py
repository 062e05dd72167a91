"""What every reader returns, and the checks that all of them share."""

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
"""Bytes that any file may claim: small files compress well."""
EXPANSION = 4
"""Times its own size that a (compressed) file may claim beyond that."""
BLOCK = 1 << 22
FEATURES = ("features", "feats")


@dataclass(frozen=True)
class Names:
    """Names of the arrays inside a file; by default those that the tools use."""

    features: str | None = None
    coords: str | None = None

    @property
    def features_tried(self) -> tuple[str, ...]:
        """Names under which the vectors may be, in order."""
        return (self.features,) if self.features else FEATURES

    @property
    def coords_tried(self) -> tuple[str, ...]:
        """Names under which the coordinates may be, in order."""
        return (self.coords,) if self.coords else ("coords",)


@dataclass(frozen=True)
class Raw:
    """Arrays as a file holds them, any shape."""

    features: NDArray[Any]
    coords: NDArray[Any] | None = None
    encoder: str = ""
    layout: str = ""
    coords_problem: str = ""
    """Why coordinates that are there cannot be read: training does without them."""

    def but(self, **changes: Any) -> Raw:
        """Return the same with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class SlidePatches:
    """What one file holds.

    Parameters
    ----------
    features : array, shape (n, d)
        n is 1 for a slide-level vector; d is 0 where an empty file does not say.
    coords : array, shape (n, 2)
        NaN where the file has none that can be read.
    encoder : str
        As the file names it; empty where it does not.
    layout : str
        `trident`, `clam`, `stamp`, `slideflow`, `tensor` or `numpy`; or what the user declared.
    coords_problem : str
        Why the file's coordinates cannot be read; empty where they can, or where there are none.
    files : tuple of (int, mapping)
        Patches of each file, in order, and what it says of their geometry (`patch_geometry`).
    """

    features: NDArray[Any]
    coords: NDArray[np.float64]
    encoder: str
    layout: str
    coords_problem: str = ""
    files: tuple[tuple[int, Mapping[str, float]], ...] = ()


def check_claim(claimed: int, size: int, name: str) -> None:
    """Refuse an array larger than its file can hold, before memory is taken for it.

    Parameters
    ----------
    claimed, size : int
        Bytes of the array, and of the file.
    name : str
    """
    if claimed > ROOM + EXPANSION * size:
        raise EmbeddingError(
            f"{name}: declares {claimed:,} bytes of numbers, but the file has {size:,} bytes; it "
            "is damaged"
        )


def numbers(array: NDArray[Any], what: str, name: str) -> NDArray[Any]:
    """Return the array where it holds numbers.

    Raises
    ------
    EmbeddingError
        It holds text, objects, records or complex numbers.
    """
    if array.dtype.kind not in "fiu":
        raise EmbeddingError(f"{name}: {what} contains {array.dtype}, not numbers")
    return array


def as_patches(raw: Raw, name: str, layout: str = "") -> SlidePatches:
    """Bring any shape that tools write to (n, d), with coordinates of (n, 2).

    Raises
    ------
    EmbeddingError
        The shape is none of (n, d), (1, n, d), (d,); or values are not finite numbers.
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
    """Read coordinates; where that fails, return None and the reason.

    Only maps of a slide need coordinates: unlike vectors, they never stop a study.
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
    # By blocks: the mask of a whole slide would take as much memory again.
    rows = max(1, BLOCK // shape[1])
    parts = (features[i : i + rows] for i in range(0, len(features), rows))
    bad = sum(
        int((~np.isfinite(part).all(axis=1)).sum()) for part in parts if not _all_finite(part)
    )
    if bad:
        raise EmbeddingError(f"{name}: {bad} of {len(features)} patches contain NaN or infinity")
    return features


def _all_finite(features: NDArray[Any]) -> bool:
    if features.dtype == np.float16:  # numpy is slow here: look for the exponent of NaN, infinity
        return not ((features.view(np.uint16) & 0x7C00) == 0x7C00).any()
    return bool(np.isfinite(features).all())


def _coords(array: NDArray[Any] | None, n: int) -> NDArray[np.float64] | None:
    """Bring coordinates to (n, 2): of boxes (x0, y0, x1, y1), the first two columns."""
    if array is None:
        return None
    if n == 0:
        return np.empty((0, 2))
    if array.dtype.kind not in "fiu":
        raise EmbeddingError(f"'coords' contains {array.dtype}, not numbers")
    coords = array.reshape(-1, array.shape[-1]) if array.ndim == 3 else array
    if coords.ndim == 2 and len(coords) == n and coords.shape[1] in (2, 4):
        return coords[:, :2].astype(np.float64)
    if n == 1:  # a slide-level vector with the coordinates of the patches that it stands for
        return None
    raise EmbeddingError(f"{n} patches, but coords of shape {array.shape}")
