"""Patches as GeoJSON for QuPath: the listed patches, or all as tiles."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

__all__ = ["feature_collection", "tile_collection"]

MEASURED = ("attention", "attention_percentile", "contribution")
COLOURS = {"raises risk": [178, 24, 43], "lowers risk": [33, 102, 172]}


def feature_collection(patches: pd.DataFrame, slide: str) -> dict[str, Any]:
    """Return one annotation per patch, in level-0 pixels.

    Parameters
    ----------
    patches : DataFrame
        `x, y` (upper left corner), `side` (in the same unit), `end` (`raises risk` or `lowers
        risk`), `rank`, `contribution`, `attention`.
    slide : str
        First part of the names of the annotations, before their rank.
    """
    return {
        "type": "FeatureCollection",
        "features": [_feature(row, slide) for row in patches.to_dict("records")],
    }


def tile_collection(patches: pd.DataFrame, slide: str) -> dict[str, Any]:
    """Return every patch as a tile object with its measurements, in level-0 pixels.

    Parameters
    ----------
    patches : DataFrame
        `x, y, side, contribution, attention, attention_percentile`.
    slide : str
        First part of the names of the tiles, before their row.
    """
    tiles = []
    for number, row in enumerate(patches.to_dict("records")):
        measured = {k: float(row[k]) for k in MEASURED if pd.notna(row[k])}
        tiles.append(
            {
                **_square(row, f"{slide}/tile {number}"),
                "properties": {"objectType": "tile", "measurements": measured},
            }
        )
    return {"type": "FeatureCollection", "features": tiles}


def _square(row: dict[Any, Any], key: str) -> dict[str, Any]:
    x, y, side = float(row["x"]), float(row["y"]), float(row["side"])
    corners = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE_URL, key)),
        "geometry": {"type": "Polygon", "coordinates": [corners]},
    }


def _feature(row: dict[Any, Any], slide: str) -> dict[str, Any]:
    name = f"{row['end']} {row['rank']}"
    measured = {k: float(row[k]) for k in ("contribution", "attention") if pd.notna(row[k])}
    return {
        **_square(row, f"{slide}/{name}"),
        "properties": {
            "objectType": "annotation",
            "name": name,
            "classification": {"name": row["end"], "color": COLOURS[row["end"]]},
            "measurements": measured,
        },
    }
