"""Attention and contributions of tiles as a table of a LazySlide store, next to its features.

The table is linked to the tiles like the tables of LazySlide, so that LazySlide's plots can show
it. The store is copied, unless writing into the store itself is requested. An existing table is
never overwritten. Written for, and tested against, spatialdata 0.7.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.embeddings.patches.readers.lazyslide import import_zarr, store_files
from outcome.errors import InputError
from outcome.exporting.anndata_vectors import import_anndata
from outcome.tables.read_table import read_parquet

__all__ = ["add_tile_table"]

VALUES = ["attention", "attention_percentile", "contribution"]


def add_tile_table(
    store: Path,
    patches: pd.DataFrame,
    name: str,
    *,
    copy_to: Path | None,
    tiles: str = "tiles",
    about: Mapping[str, float | str] | None = None,
) -> Path:
    """Write a table of values per tile.

    Parameters
    ----------
    store : Path
        A LazySlide store.
    patches : DataFrame
        `x, y` (upper left corner, level-0 pixels) and `VALUES`.
    name : str
        Name of the table.
    copy_to : Path or None
        Folder of the copy; None writes into the store itself.
    tiles : str
        Name of the shapes of the patches.
    about : mapping, optional
        Values stored in `uns`, such as the risk.

    Returns
    -------
    Path
        The written store.

    Raises
    ------
    InputError
        A table or folder with this name exists, or patches are not the tiles of the store.
    """
    anndata, zarr = import_anndata(), import_zarr(store.name)
    store_files(store)  # refuses links
    ids = _tile_ids(store, tiles, patches)
    target = store if copy_to is None else copy_to
    if copy_to is not None and copy_to.exists():
        raise InputError(f"{copy_to} already exists. To do: give another folder")
    if (store / "tables" / name).exists():
        raise InputError(
            f"{store.name} already has a table {name!r}, which is not overwritten. To do: give "
            "another name"
        )
    if copy_to is not None:
        shutil.copytree(store, copy_to)
    obs = pd.DataFrame(
        {"tile_id": ids, "library_id": pd.Categorical([tiles] * len(ids))}, index=ids.astype(str)
    )
    table = anndata.AnnData(
        patches[VALUES].to_numpy(dtype=np.float32), obs=obs, var=pd.DataFrame(index=VALUES)
    )
    region = {"region": tiles, "region_key": "library_id", "instance_key": "tile_id"}
    table.uns["spatialdata_attrs"] = region
    table.uns["outcome"] = dict(about or {})
    kind = {"spatialdata-encoding-type": "ngff:regions_table", "version": "0.2"}
    # Consolidated metadata lists the content of a store and is written again after the table.
    root = zarr.open_group(str(target), mode="r+", use_consolidated=False)
    try:
        tables = root.require_group("tables")
        with (
            warnings.catch_warnings()
        ):  # warning about a future default, which does not change values
            warnings.filterwarnings("ignore", message=".*autosharding")
            anndata.io.write_elem(tables, name, table)
        tables[name].attrs.update({**region, **kind})
    except BaseException:
        shutil.rmtree(target / "tables" / name, ignore_errors=True)
        raise
    # zarr warns about the parquet files of shapes, which are not arrays, and about consolidated
    # metadata, which is an extension of its format; spatialdata writes both.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        zarr.consolidate_metadata(str(target))
    return target


def _tile_ids(store: Path, tiles: str, patches: pd.DataFrame) -> NDArray[Any]:
    """Return the id of the tile at the position of each patch."""
    place = store / "shapes" / tiles / "shapes.parquet"
    if not place.is_file():
        raise InputError(f"{store.name} has no tiles {tiles!r}")
    shapes = read_parquet(place)
    where = pd.MultiIndex.from_frame(shapes[["x", "y"]].astype(float))
    if not where.is_unique:
        raise InputError(f"{store.name}: several tiles {tiles!r} have the same position")
    found = where.get_indexer(pd.MultiIndex.from_frame(patches[["x", "y"]].astype(float)))
    if (found < 0).any():
        raise InputError(
            f"{store.name}: {int((found < 0).sum())} of {len(patches)} patches are not at the "
            f"position of a tile of {tiles!r}"
        )
    return shapes["tile_id"].to_numpy()[found]
