"""Maps of attention and contribution over a slide, drawn from coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from outcome.explain.thumbnails import Thumbnail
from outcome.plotting.patch_map import patch_collection, patch_corners

__all__ = ["draw_map", "save_map"]

WIDTH = 6.0


def draw_map(
    patches: pd.DataFrame,
    *,
    title: str,
    unit: str,
    scale: str,
    thumbnail: Thumbnail | None = None,
) -> Figure:
    """Draw one slide: attention (if any) on the left, contribution on the right.

    Parameters
    ----------
    patches : DataFrame
        `x, y` (upper left corners), `side` (in the same unit), `attention_percentile`,
        `contribution`, `end` (for listed patches, which are outlined; else empty).
    title : str
    unit : str
        Unit of the coordinates, in words.
    scale : str
        Scale of the contributions.
    thumbnail : Thumbnail, optional
        Drawn below the patches; coordinates must then be level-0 pixels.
    """
    attention = patches["attention_percentile"].to_numpy(dtype=float)
    panels: list[Literal["attention", "contribution"]] = ["contribution"]
    if np.isfinite(attention).all() and np.ptp(attention) > 0:
        panels.insert(0, "attention")
    low, high = _extent(patches, thumbnail)
    across = high[0] - low[0] - (0 if thumbnail is not None else 2 * patches["side"].max())
    tall = float(np.clip((high[1] - low[1]) / max(high[0] - low[0], 1e-9), 0.4, 2.0))
    figure = Figure(figsize=(WIDTH * len(panels), WIDTH * tall * 0.8 + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    x, y, side = (patches[c].to_numpy(dtype=float) for c in ("x", "y", "side"))
    corners = patch_corners(x, y, side)
    columns = {
        "attention": attention,
        "contribution": patches["contribution"].to_numpy(dtype=float),
    }
    places = np.atleast_1d(figure.subplots(1, len(panels)))
    for axes, panel in zip(places, panels, strict=True):
        if thumbnail is not None:
            extent = (0, thumbnail.width, thumbnail.height, 0)
            axes.imshow(thumbnail.pixels, extent=extent, interpolation="bilinear")
        shown = patch_collection(
            panel, columns[panel], corners, scale=scale, faint=thumbnail is not None
        )
        axes.add_collection(shown)
        if panel == "contribution":
            _outline(axes, patches, corners)
        bar = figure.colorbar(shown, ax=axes, shrink=0.8)
        bar.set_label(str(shown.get_label()))
        bar.outline.set_visible(False)
        axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal", xticks=[])
        axes.set(yticks=[], title=_title(panel), xlabel=f"{across:,.0f} {unit} across")
        # Patches without contribution are white, so the background must have another colour.
        axes.set_facecolor("0.88")
        for spine in axes.spines.values():
            spine.set_color("0.85")
    return figure


def save_map(figure: Figure, path: Path) -> None:
    """Write a figure under another name and move it into place."""
    partial = path.with_name(f".{path.name}.part")
    figure.savefig(partial, dpi=150, format="png")
    partial.replace(path)


def _title(panel: str) -> str:
    return {"attention": "Attention", "contribution": "Contributions to the risk"}[panel]


def _outline(axes: Any, patches: pd.DataFrame, corners: NDArray[np.float64]) -> None:
    for end, colour in (("raises risk", "#67001f"), ("lowers risk", "#053061")):
        rows = (patches["end"] == end).to_numpy()
        if rows.any():
            outline = PolyCollection(
                list(corners[rows]), facecolors="none", edgecolors=colour, linewidths=0.9
            )
            axes.add_collection(outline)


def _extent(
    patches: pd.DataFrame, thumbnail: Thumbnail | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners = patches[["x", "y"]].to_numpy(dtype=float)
    if thumbnail is not None:
        return np.zeros(2), np.array([thumbnail.width, thumbnail.height], dtype=float)
    side = patches["side"].max()
    return corners.min(axis=0) - side, corners.max(axis=0) + 2 * side
