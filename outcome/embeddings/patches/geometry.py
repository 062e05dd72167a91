"""Geometry of patches in a feature file: magnification, and size in the unit of coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.readers import SIDECARS, Names
from outcome.embeddings.patches.readers.lazyslide import is_store, lazyslide_geometry
from outcome.errors import EmbeddingError
from outcome.tables.read_table import DAMAGED

__all__ = ["patch_geometry", "patch_side", "patch_sides"]

KEYS = {
    "target_magnification": "magnification",
    "level0_magnification": "level0_magnification",
    "patch_size": "patch_px",
    "patch_size_level0": "patch_px_level0",
    "tile_size_um": "patch_um",
    "level0_width": "width",
    "level0_height": "height",
}
HOLDERS = ("coords", "features", "feats")
MOST_VALUES = 16


def patch_geometry(path: Path, names: Names | None = None) -> dict[str, float]:
    """Read the geometry of patches from a feature file; empty if there is none.

    Parameters
    ----------
    path : Path
        HDF5; a zarr store; or a tensor or array, whose companions are read (CLAM's HDF5 file,
        slideflow's `bags_config.json`, slide2vec's `.meta.json`).
    names : Names, optional
        Names of the arrays inside, if declared by the user.

    Returns
    -------
    dict
        Any of `magnification` (of the patches), `level0_magnification`, `patch_px` (side at that
        magnification), `patch_px_level0` (side in level-0 pixels), `patch_um` (side in
        micrometres, where coordinates are too), `field_um` (side in micrometres, where coordinates
        are in pixels), `width` and `height` (of the slide, level 0).

    Notes
    -----
    CLAM writes `patch_size` in pixels of `patch_level`: its `downsample` leads to level 0. If two
    of the magnifications and sizes determine the third, it is derived.
    """
    try:
        if is_store(path):
            return lazyslide_geometry(path, names or Names())
        if path.suffix.lower() in (".h5", ".hdf5"):
            return _of_hdf5(path)
        twin = path.parent.with_name("h5_files") / f"{path.stem}.h5"
        if path.parent.name == "pt_files" and twin.is_file():
            return _of_hdf5(twin)
        return next((tool.geometry(path) for tool in SIDECARS if tool.files(path)), {})
    except (EmbeddingError, *DAMAGED):
        return {}


def _of_hdf5(path: Path) -> dict[str, float]:
    stated: dict[str, float] = {}
    with h5py.File(path, "r") as file:
        for place in _holders(file):
            for key in (*KEYS, "downsample", "patch_level"):
                value = _number(place.attrs, key)
                if value is not None and (value > 0 or key == "patch_level"):
                    stated[key] = value
    found = {name: stated[key] for key, name in KEYS.items() if key in stated}
    downsample = stated.get("downsample", 1.0 if stated.get("patch_level") == 0 else None)
    px, px0 = found.get("patch_px"), found.get("patch_px_level0")
    of, of0 = found.get("magnification"), found.get("level0_magnification")
    if px and not px0:
        if downsample is None and of and of0:
            downsample = of0 / of
        if downsample is not None:
            found["patch_px_level0"] = px * downsample
    if px and px0 and of0 and not of:
        found["magnification"] = of0 * px / px0
    return found


def _holders(file: h5py.File) -> Iterator[Any]:
    """Yield the objects whose attributes are read; links are not followed."""
    yield file
    for key in HOLDERS:
        if key in list(file) and isinstance(file.get(key, getlink=True), h5py.HardLink):
            yield file[key]


def _number(attributes: h5py.AttributeManager, key: str) -> float | None:
    """Return an attribute that is a number, or several equal ones (CLAM: of x and y)."""
    if key not in attributes:
        return None
    stored = attributes.get_id(key)
    if stored.dtype.kind not in "fiu" or math.prod(stored.shape) > MOST_VALUES:
        return None
    values = np.unique(np.asarray(attributes[key], dtype=np.float64))
    return float(values[0]) if len(values) == 1 and np.isfinite(values[0]) else None


def patch_side(geometry: Mapping[str, float], coords: NDArray[np.float64]) -> float:
    """Return the side of a patch, in the unit of its coordinates.

    Parameters
    ----------
    geometry : mapping
        Of the patches' file, see `patch_geometry`.
    coords : array, shape (n, 2)
        All coordinates of that file.

    Notes
    -----
    If the file does not contain it, the most common distance of neighbours in a row or column is
    used. The smallest distance would be wrong, because the grids of two tissue contours can have
    any offset. It is 1 if all patches have the same position.

    Examples
    --------
    >>> import numpy as np
    >>> contour = np.array([[0, 0], [512, 0], [0, 512], [512, 512.0]])
    >>> patch_side({}, np.concatenate([contour, contour + [5013, 13]]))
    512.0
    """
    for name in ("patch_um", "patch_px_level0"):
        if geometry.get(name, 0) > 0:
            return geometry[name]
    known = np.unique(coords[np.isfinite(coords).all(axis=1)], axis=0)
    steps = []
    for along, across in ((0, 1), (1, 0)):
        line = known[np.lexsort((known[:, along], known[:, across]))]
        neighbours = line[1:, across] == line[:-1, across]
        steps.append(np.diff(line[:, along])[neighbours])
    if not sum(map(len, steps)):  # no two patches in one row or column
        steps = [np.diff(np.unique(known[:, axis])) for axis in (0, 1)]
    return _commonest(np.concatenate(steps))


def patch_sides(
    files: Sequence[tuple[int, Mapping[str, float]]], coords: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the side of every patch of a slide, whose files may differ in magnification.

    Parameters
    ----------
    files : sequence of (int, mapping)
        Patches of each file and its geometry, in the order of `coords`.
    coords : array, shape (n, 2)
    """
    first, sides = 0, []
    for n, geometry in files:
        sides.append(np.full(n, patch_side(geometry, coords[first : first + n])))
        first += n
    return np.concatenate(sides)


def _commonest(steps: NDArray[np.float64]) -> float:
    """Return the most common positive step, the smallest if tied; 1 if there is none."""
    if not len(steps):
        return 1.0
    # Coordinates in single precision are equal to about four digits.
    digits = 10.0 ** (np.floor(np.log10(steps)) - 3)
    rounded = np.round(steps / digits) * digits
    values, counts = np.unique(rounded.round(9), return_counts=True)
    return float(np.median(steps[rounded.round(9) == values[counts.argmax()]]))
