"""Patches of a slide as coloured squares."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.collections import PolyCollection
from numpy.typing import ArrayLike, NDArray

__all__ = ["patch_collection", "patch_corners"]


def patch_corners(x: ArrayLike, y: ArrayLike, side: ArrayLike) -> NDArray[np.float64]:
    """Return the corners of squares, shape (n, 4, 2).

    Parameters
    ----------
    x, y : array, shape (n,)
        Upper left corners.
    side : array, shape (n,), or float
    """
    left, upper, length = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (x, y, side)))
    right, below = left + length, upper + length
    places = ((left, upper), (right, upper), (right, below), (left, below))
    return np.stack([np.stack(p, axis=1) for p in places], axis=1)


def patch_collection(
    kind: Literal["attention", "contribution"],
    values: NDArray[np.float64],
    corners: NDArray[np.float64],
    *,
    scale: str = "log hazard",
    faint: bool = False,
) -> PolyCollection:
    """Return coloured squares and the label of their values.

    Parameters
    ----------
    kind : {"attention", "contribution"}
        `attention`: percentiles, 0 to 100. `contribution`: above 0 red, below 0 blue.
    values : array, shape (n,)
    corners : array, shape (n, 4, 2)
        See `patch_corners`.
    scale : str
        Scale of the contributions.
    faint : bool
        Make squares transparent for an image below.
    """
    look: dict[str, Any] = {"edgecolors": "none", "rasterized": True, "alpha": 0.6 if faint else 1}
    if kind == "attention":
        shown = PolyCollection(list(corners), cmap="cividis", **look)
        shown.set_array(values)
        shown.set_clim(0, 100)
        shown.set_label("attention, percentile within the patient")
        return shown
    limit = float(np.quantile(np.abs(values), 0.99)) or float(np.abs(values).max()) or 1.0
    shown = PolyCollection(list(corners), cmap="RdBu_r", **look)
    shown.set_array(values)
    shown.set_clim(-limit, limit)
    shown.set_label(f"contribution to the {scale} (red raises it, blue lowers it)")
    return shown
