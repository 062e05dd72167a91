"""slide2vec: `tile_embeddings/<slide>.pt` or `.npz`, described by `<slide>.meta.json`.

The description names the encoder and the size of tiles. Coordinates (upper left corners, in level-0
pixels) are in `tiles/<slide>.coordinates.npz`, next to the folder of embeddings. Paths in the
description are not followed. Written from slide2vec 7.1.4 and hs2p 6.1.0. `slide_embeddings` and
`patient_embeddings` (one vector, of shape (d,)) are described in the same way. The tiles of
`hierarchical_embeddings` (regions, tiles of a region, d) become one bag; only regions have
coordinates there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.readers.content import Names, Raw, read_coords_with
from outcome.embeddings.patches.readers.numpy_files import read_arrays
from outcome.embeddings.patches.readers.sidecars import (
    LONGEST_TEXT,
    Sidecar,
    positive_number,
    read_json_settings,
)

__all__ = ["SLIDE2VEC"]

HIERARCHICAL = "hierarchical_embeddings"
KINDS = ("tile_embeddings", "slide_embeddings", "patient_embeddings", HIERARCHICAL)


def _description(path: Path) -> Path:
    return path.with_name(f"{path.stem}.meta.json")


def _coordinates(path: Path) -> list[Path]:
    """Return the files of coordinates: one, or none."""
    name = f"{path.stem}.coordinates.npz"
    for root in path.parents[:2]:  # an annotation may have a separate folder
        if root.name == "tile_embeddings":
            tiles = root.with_name("tiles")
            places = (tiles / path.parent.relative_to(root) / name, tiles / name)
            return [p for p in places if p.is_file()][:1]
    return []


def _files(path: Path) -> list[Path]:
    if path.suffix.lower() not in (".pt", ".npz") or not _description(path).is_file():
        return []
    return [_description(path), *_coordinates(path)]


def _of(path: Path) -> Mapping[str, Any]:
    found = read_json_settings(_description(path))
    return found if found.get("artifact_type") in KINDS else {}


def _corners(place: Path) -> NDArray[Any]:
    axes = [read_arrays(place, Names(features=axis)).features for axis in ("x", "y")]
    return np.stack(axes, axis=1)


def _complete(path: Path, raw: Raw) -> Raw:
    if not (stated := _of(path)):
        return raw
    encoder = stated.get("encoder_name")
    raw = raw.but(
        layout="slide2vec", encoder=encoder[:LONGEST_TEXT] if isinstance(encoder, str) else ""
    )
    if stated["artifact_type"] == HIERARCHICAL and raw.features.ndim == 3:
        flat = raw.features.reshape(-1, raw.features.shape[2])
        return raw.but(features=flat, coords_problem="coordinates of regions, and not of tiles")
    for place in _coordinates(path):
        coords, problem = read_coords_with(partial(_corners, place))
        raw = raw.but(coords=coords, coords_problem=problem)
    return raw


def _geometry(path: Path) -> dict[str, float]:
    stated = _of(path)
    px = positive_number(stated.get("requested_tile_size_px"))
    spacing = positive_number(stated.get("requested_spacing_um"))
    level0 = positive_number(stated.get("tile_size_lv0"))
    found = {"patch_px": px, "patch_px_level0": level0}
    if px and spacing:
        found["field_um"] = px * spacing
    return {name: value for name, value in found.items() if value}


SLIDE2VEC = Sidecar("slide2vec", _files, _complete, _geometry)
