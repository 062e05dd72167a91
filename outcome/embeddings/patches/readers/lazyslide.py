"""LazySlide: `<slide>.zarr`, a SpatialData store with a table of vectors for each encoder.

The table `<encoder>_<tiles>` holds a row per tile (AnnData: `X`, `obs/tile_id`), and its attribute
`region` names the tiles: `shapes/<tiles>/shapes.parquet` has the level-0 pixels of their upper left
corners (`x`, `y`), the attribute `tile_spec` of the store their size. Vectors of the whole slide
are in `uns/agg_ops/<key>/features` of a table. Written from, and tested against, lazyslide 0.13,
wsidata 0.12 and spatialdata 0.7 (zarr formats 2 and 3).

Arrays are read by zarr after a check of their description, because a store of format 2 can name a
codec that unpickles, and a link can lead out of the store.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.readers.content import Names, Raw, check_claim, read_coords_with
from outcome.embeddings.patches.readers.sidecars import positive_number, read_json_settings
from outcome.errors import EmbeddingError
from outcome.tables.read_table import read_parquet

__all__ = [
    "import_zarr",
    "is_store",
    "lazyslide_geometry",
    "read_lazyslide",
    "store_files",
    "tiles_of",
]

CODECS = frozenset(
    {"bytes", "endian", "transpose", "sharding_indexed", "crc32c", "zstd", "gzip", "zlib", "blosc",
     "lz4", "shuffle", "numcodecs.zstd", "numcodecs.blosc", "numcodecs.gzip", "numcodecs.zlib",
     "numcodecs.lz4", "numcodecs.shuffle"}
)  # fmt: skip
MOST_FILES = 200_000
MOST_TABLES = 1000
DEEPEST = 5


def import_zarr(name: str) -> Any:
    """Return the zarr package.

    Raises
    ------
    EmbeddingError
        It is not installed.
    """
    try:
        return importlib.import_module("zarr")
    except ImportError:
        raise EmbeddingError(
            f"{name} is a zarr store, and zarr is not installed. To do: pip install"
            " 'slide-outcome[zarr]'"
        ) from None


def is_store(path: Path) -> bool:
    """Whether a folder is a zarr store, by its name and the description at its root."""
    return path.suffix.lower() == ".zarr" and path.is_dir()


def store_files(path: Path) -> list[Path]:
    """Return the files on which the vectors of a store depend, in order.

    Raises
    ------
    EmbeddingError
        The store has too many files, or contains a link.
    """
    found = [p for p in (path / "zarr.json", path / ".zattrs", path / ".zgroup") if p.is_file()]
    for part in ("tables", "shapes"):
        for place, inside, names in os.walk(path / part, followlinks=False):
            inside.sort()
            found += [Path(place) / n for n in sorted(names)]
            links = [n for n in (*inside, *names) if (Path(place) / n).is_symlink()]
            if links or len(found) > MOST_FILES:
                reason = f"holds a link ({links[0]})" if links else f"has over {MOST_FILES:,} files"
                raise EmbeddingError(f"{path.name} {reason}: it is not read")
    return found


def read_lazyslide(path: Path, names: Names) -> Raw:
    """Read the vectors of one table.

    Parameters
    ----------
    path : Path
    names : Names
        `features`: the table, or `<table>/<key>` for an aggregated vector of the slide; needed if
        the store has several. `coords`: the tiles, if they differ from those named in the table.

    Raises
    ------
    EmbeddingError
        zarr is not installed, the store has no such table or several, or it is damaged.
    """
    size = sum(p.stat().st_size for p in store_files(path))
    table, aggregated, tiles = _chosen(path, names)
    encoder = table.name.removesuffix(f"_{tiles}")
    if aggregated:
        features = _array(table / "uns" / "agg_ops" / aggregated / "features", size)
        return Raw(features, None, f"{encoder}/{aggregated}", "lazyslide")
    features = _array(table / "X", size)
    coords, problem = read_coords_with(lambda: _coordinates(path, table, names.coords or tiles))
    return Raw(features, coords, encoder, "lazyslide", problem)


def lazyslide_geometry(path: Path, names: Names) -> dict[str, float]:
    """Return the geometry of the tiles of a store (see `geometry.patch_geometry`)."""
    _, _, tiles = _chosen(path, names)
    root = _attributes(path)
    slide = root.get("slide_properties")
    slide = slide if isinstance(slide, Mapping) else {}
    specs = root.get("tile_spec")
    spec = specs.get(tiles) if isinstance(specs, Mapping) else None
    spec = spec if isinstance(spec, Mapping) else {}
    side, mpp = positive_number(spec.get("width")), positive_number(spec.get("mpp"))
    downsample = positive_number(spec.get("base_downsample")) or 1.0
    shape = slide.get("shape")
    height, width = shape if isinstance(shape, Sequence) and len(shape) == 2 else (None, None)
    found = {
        "patch_px": side,
        "patch_px_level0": float(int(side * downsample)) if side else None,
        "field_um": side * mpp if side and mpp else None,
        "level0_magnification": positive_number(slide.get("magnification")),
        "width": positive_number(width),
        "height": positive_number(height),
    }
    if side and found["level0_magnification"]:
        found["magnification"] = found["level0_magnification"] / downsample
    return {name: value for name, value in found.items() if value}


def tiles_of(path: Path, names: Names | None = None) -> str:
    """Return the name of the tiles whose vectors are read."""
    return _chosen(path, names or Names())[2]


def _chosen(path: Path, names: Names) -> tuple[Path, str, str]:
    """Return the requested or only table, its aggregation, and its tiles."""
    place = path / "tables"
    inside = sorted(place.iterdir())[:MOST_TABLES] if place.is_dir() else []
    tables = {t.name: t for t in inside if (t / "X").is_dir()}
    regions = {name: _attributes(table).get("region") for name, table in tables.items()}
    wanted, _, aggregated = (names.features or "").partition("/")
    # Names of tables of other tools do not have the form <encoder>_<tiles>.
    vectors = [n for n, region in regions.items() if n.endswith(f"_{region}")]
    if names.features is None and len(vectors) == 1:
        wanted = vectors[0]
    if wanted not in tables or "/" in aggregated or aggregated.startswith("."):
        has = ", ".join(vectors[:8] or list(tables)[:8]) or "none"
        if names.features is None and len(vectors) > 1:
            problem = f"{path.name} has vectors of several encoders, in the tables {has}"
        else:
            asked = f" {names.features!r}" if names.features else " of tile vectors"
            problem = f"{path.name} has no table{asked} (it has {has})"
        raise EmbeddingError(
            f"{problem}. To do: give one: `layout: {{features: <table>}}` under `embeddings`"
        )
    region = regions[wanted]
    return tables[wanted], aggregated, region if isinstance(region, str) else ""


def _coordinates(path: Path, table: Path, tiles: str) -> NDArray[Any] | None:
    """Return the corner of each tile of a table, found by its id."""
    if not tiles or "/" in tiles or tiles.startswith("."):
        return None
    place = path / "shapes" / tiles / "shapes.parquet"
    if not place.is_file():
        return None
    shapes = read_parquet(place).set_index("tile_id")
    ids = _array(table / "obs" / "tile_id", sum(p.stat().st_size for p in store_files(path)))
    if not shapes.index.is_unique:
        raise ValueError(f"tiles of {tiles!r} have one tile_id in several rows")
    if missing := sorted(set(ids.tolist()) - set(shapes.index)):
        raise ValueError(f"{len(missing)} tiles of {table.name!r} are not in {tiles!r}")
    return shapes.loc[ids, ["x", "y"]].to_numpy(dtype=np.float64)


def _attributes(folder: Path) -> Mapping[str, Any]:
    """Return the attributes of a group, in either format of zarr; empty if it has none."""
    if (folder / "zarr.json").is_file():
        found = read_json_settings(folder / "zarr.json").get("attributes")
        return found if isinstance(found, Mapping) else {}
    return read_json_settings(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}


def _array(folder: Path, size: int) -> NDArray[Any]:
    """Read one array of numbers after a check of its description.

    Parameters
    ----------
    folder : Path
    size : int
        Size of the store, in bytes.
    """
    inside = f"{folder.parent.name}/{folder.name}"
    if not folder.is_dir():
        raise EmbeddingError(f"there is no array {inside} in the store")
    zarr = import_zarr(inside)
    new = folder / "zarr.json"
    about = read_json_settings(new if new.is_file() else folder / ".zarray")
    if about.get("node_type", "array") != "array":
        raise EmbeddingError(f"{inside} is not an array; sparse vectors are not supported")
    if strange := sorted(set(_codecs(about)) - CODECS):
        raise EmbeddingError(f"{inside} is compressed by {strange[0][:80]!r}, which is not run")
    shape = about.get("shape")
    grid = about.get("chunk_grid")
    settings = grid.get("configuration") if isinstance(grid, Mapping) else None
    chunks = settings.get("chunk_shape") if isinstance(settings, Mapping) else about.get("chunks")
    for lengths in (shape, chunks):
        if not isinstance(lengths, list) or not all(
            isinstance(n, int) and 0 <= n < 1 << 40 for n in lengths
        ):
            raise EmbeddingError(f"{inside} has an impossible shape {str(lengths)[:80]}")
        check_claim(8 * math.prod(lengths), size, inside)
    array = zarr.open_array(str(folder), mode="r")
    if array.dtype.kind not in "fiu" or list(array.shape) != shape:
        raise EmbeddingError(f"{inside} contains {array.dtype}, not numbers")
    return np.asarray(array[...])


def _codecs(about: Any, depth: int = 0) -> Iterator[str]:
    """Yield the names of all codecs and filters in a description."""
    if depth > DEEPEST:
        raise EmbeddingError("codecs within codecs within codecs: damaged")
    for key in ("codecs", "index_codecs", "filters", "compressor"):
        found = about.get(key) if isinstance(about, Mapping) else None
        for codec in found if isinstance(found, list) else [found]:
            if isinstance(codec, Mapping):
                yield str(codec.get("name", codec.get("id", "")))
                yield from _codecs(codec.get("configuration"), depth + 1)
