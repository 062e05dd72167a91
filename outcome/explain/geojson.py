"""Top and bottom patches as GeoJSON, in the form that QuPath opens."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

__all__ = ["feature_collection"]

COLOURS = {"raises risk": [178, 24, 43], "lowers risk": [33, 102, 172]}


def feature_collection(patches: pd.DataFrame, slide: str) -> dict[str, Any]:
    """Return one annotation per patch, in level-0 pixels.

    Parameters
    ----------
    patches : DataFrame
        `x, y` (upper left corner), `side` (in the same unit), `end` (`raises risk` or `lowers
        risk`), `rank`, `contribution`, `attention`.
    slide : str
        Names the annotations, together with their rank.
    """
    return {
        "type": "FeatureCollection",
        "features": [_feature(row, slide) for row in patches.to_dict("records")],
    }


def _feature(row: dict[Any, Any], slide: str) -> dict[str, Any]:
    x, y, side = float(row["x"]), float(row["y"]), float(row["side"])
    corners = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    name = f"{row['end']} {row['rank']}"
    measured = {k: float(row[k]) for k in ("contribution", "attention") if pd.notna(row[k])}
    return {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE_URL, f"{slide}/{name}")),
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {
            "objectType": "annotation",
            "name": name,
            "classification": {"name": row["end"], "color": COLOURS[row["end"]]},
            "measurements": measured,
        },
    }
