"""slideflow: coordinates in `<slide>.index.npz`, settings in `bags_config.json`."""

from __future__ import annotations

import re
from pathlib import Path

from outcome.embeddings.patches.readers.content import Names, Raw, read_coords_with
from outcome.embeddings.patches.readers.numpy_files import read_arrays
from outcome.embeddings.patches.readers.sidecars import (
    LONGEST_TEXT,
    Sidecar,
    positive_number,
    read_json_settings,
)

__all__ = ["SLIDEFLOW"]

MAGNIFICATION = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)x")


def _index(path: Path) -> Path:
    return path.with_name(re.sub(r"\.pth?$", ".index.npz", path.name, flags=re.IGNORECASE))


def _settings(path: Path) -> Path:
    return path.with_name("bags_config.json")


def _files(path: Path) -> list[Path]:
    if path.suffix.lower() not in (".pt", ".pth"):
        return []
    return [p for p in (_index(path), _settings(path)) if p.is_file()]


def _complete(path: Path, raw: Raw) -> Raw:
    if _index(path).is_file() and raw.coords is None:
        coords, problem = read_coords_with(
            lambda: read_arrays(_index(path), Names(features="arr_0")).features
        )
        raw = raw.but(coords=coords, coords_problem=problem, layout="slideflow")
    if _settings(path).is_file() and not raw.encoder:
        extractor = read_json_settings(_settings(path)).get("extractor", "")
        if isinstance(extractor, dict):
            extractor = extractor.get("class", "")
        raw = raw.but(encoder=str(extractor)[:LONGEST_TEXT], layout="slideflow")
    return raw


def _geometry(path: Path) -> dict[str, float]:
    """Return the size of tiles: micrometres, or a magnification such as `20x`."""
    if not _settings(path).is_file():
        return {}
    size = read_json_settings(_settings(path)).get("tile_um")
    if (um := positive_number(size)) is not None:
        return {"field_um": um}
    named = MAGNIFICATION.fullmatch(size.lower()) if isinstance(size, str) else None
    return {"magnification": float(named[1])} if named else {}


SLIDEFLOW = Sidecar("slideflow", _files, _complete, _geometry)
