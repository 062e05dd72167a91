"""Size and magnification of patches, where the file of a slide says them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["patch_geometry", "patch_side"]

KEYS = {
    "target_magnification": "magnification",
    "level0_magnification": "level0_magnification",
    "patch_size": "patch_px",
    "patch_size_level0": "patch_px_level0",
    "tile_size_um": "patch_um",
    "level0_width": "width",
    "level0_height": "height",
}


def patch_geometry(path: Path) -> dict[str, float]:
    """Read what a feature file says of its patches; empty where it says nothing.

    Returns
    -------
    dict
        Any of `magnification` (of the patches), `level0_magnification`, `patch_px` (side at that
        magnification), `patch_px_level0` (side in level-0 pixels), `patch_um` (side in
        micrometres, where coordinates are too), `width` and `height` (of the slide, level 0).
    """
    if path.suffix.lower() not in (".h5", ".hdf5"):
        return {}
    found: dict[str, float] = {}
    try:
        with h5py.File(path, "r") as file:
            places: list[Any] = [file, *(file[k] for k in ("coords", "features") if k in file)]
            for place in places:
                for key, name in KEYS.items():
                    value = place.attrs.get(key)
                    if isinstance(value, (int, float, np.integer, np.floating)):
                        found[name] = float(value)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return {}
    return found


def patch_side(geometry: dict[str, float], coords: NDArray[np.float64]) -> float:
    """Side of a patch in the unit of its coordinates; the least distance of two where unsaid."""
    for name in ("patch_um", "patch_px_level0"):
        if geometry.get(name, 0) > 0:
            return geometry[name]
    steps = [np.diff(np.unique(coords[:, axis])) for axis in (0, 1)]
    known = np.concatenate(steps)
    known = known[known > 0]
    return float(known.min()) if len(known) else 1.0
