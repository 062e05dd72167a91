"""What each tool writes, from its documentation and files; nothing of ours is used."""

import json

import h5py
import numpy as np
import pandas as pd
import torch


def trident(folder, slide, x, xy):
    place = folder / "20x_384px_0px_overlap" / "features_musk"
    place.mkdir(parents=True, exist_ok=True)
    with h5py.File(place / f"{slide}.h5", "w") as file:
        data = file.create_dataset("features", data=x.astype(np.float16), chunks=(1, x.shape[1]))
        data.attrs.update({"name": slide, "savetodir": str(place), "encoder": "musk"})
        where = file.create_dataset("coords", data=xy.astype(np.int64))
        where.attrs.update({"patch_size": 384, "patch_size_level0": 768, "overlap": 0})
    # TRIDENT also leaves the coordinates of every slide, without features.
    patches = folder / "20x_384px_0px_overlap" / "patches"
    patches.mkdir(exist_ok=True)
    with h5py.File(patches / f"{slide}_patches.h5", "w") as file:
        file["coords"] = xy.astype(np.int64)


def clam(folder, slide, x, xy):
    for name in ("h5_files", "pt_files"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "h5_files" / f"{slide}.h5", "w") as file:
        size = (None, x.shape[1])
        file.create_dataset("features", data=x.astype(np.float32), maxshape=size, chunks=(32, 4))
        file.create_dataset("coords", data=xy.astype(np.int32), maxshape=(None, 2), chunks=(1, 2))
    torch.save(torch.from_numpy(x.astype(np.float32)), folder / "pt_files" / f"{slide}.pt")


def panther(folder, slide, x, xy):
    with h5py.File(folder / f"{slide}.h5", "w") as file:
        file["features"] = x.astype(np.float32)[None]
        file["coords"] = xy.astype(np.int32)[None]


def panther_pt(folder, slide, x, xy):
    torch.save(torch.from_numpy(x.astype(np.float32))[None], folder / f"{slide}.pt")


def stamp(folder, slide, x, xy):
    with h5py.File(folder / f"{slide}.h5", "w") as file:
        file["feats"], file["coords"] = x.astype(np.float16), xy.astype(np.float32)
        file.attrs.update({"stamp_version": "2.0.0", "extractor": "musk", "unit": "um"})
        file.attrs.update({"tile_size_um": 256.0, "tile_size_px": 224, "feat_type": "tile"})


def slideflow(folder, slide, x, xy):
    torch.save(torch.from_numpy(x.astype(np.float32)), folder / f"{slide}.pt")
    np.savez(folder / f"{slide}.index.npz", xy)
    settings = {"extractor": {"class": "musk", "kwargs": {}}, "tile_px": 299, "tile_um": 302}
    (folder / "bags_config.json").write_text(json.dumps(settings))


def bfloat16(folder, slide, x, xy):
    torch.save(torch.from_numpy(x.astype(np.float32)).bfloat16(), folder / f"{slide}.pt")


def before_1_6(folder, slide, x, xy):
    value = torch.from_numpy(x.astype(np.float32))
    torch.save(value, folder / f"{slide}.pt", _use_new_zipfile_serialization=False)


def dictionary(folder, slide, x, xy):
    value = {"features": torch.from_numpy(x).half(), "coords": torch.from_numpy(xy)}
    torch.save(value, folder / f"{slide}.pt")


def npy(folder, slide, x, xy):
    np.save(folder / f"{slide}.npy", x.astype(np.float32))


def npz(folder, slide, x, xy):
    np.savez_compressed(folder / f"{slide}.npz", features=x, coords=xy)


def per_patient_folders(folder, slide, x, xy):
    (folder / slide[:3]).mkdir(exist_ok=True)
    panther(folder / slide[:3], slide, x, xy)


def slide2vec(folder, slide, x, xy):
    for name in ("tile_embeddings", "tiles"):
        (folder / name).mkdir(exist_ok=True)
    torch.save(torch.from_numpy(x.astype(np.float32)), folder / "tile_embeddings" / f"{slide}.pt")
    about = {"sample_id": slide, "artifact_type": "tile_embeddings", "format": "pt"}
    about |= {"feature_dim": x.shape[1], "num_tiles": len(x), "encoder_name": "musk"}
    about |= {"tile_size_lv0": 448, "requested_tile_size_px": 224, "requested_spacing_um": 0.5}
    (folder / "tile_embeddings" / f"{slide}.meta.json").write_text(json.dumps(about))
    np.savez_compressed(
        folder / "tiles" / f"{slide}.coordinates.npz",
        tile_index=np.arange(len(x), dtype=np.int32),
        x=xy[:, 0].astype(np.int64),
        y=xy[:, 1].astype(np.int64),
        tissue_fractions=np.ones(len(x), np.float32),
    )


def _zarr_node(folder, attributes, format_):
    folder.mkdir(parents=True, exist_ok=True)
    if format_ == 3:
        about = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (folder / "zarr.json").write_text(json.dumps(about))
    else:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(attributes))


def _zarr_array(folder, values, format_):
    """Write one uncompressed chunk: the description and the bytes of an array."""
    folder.mkdir(parents=True)
    shape = list(values.shape)
    if format_ == 3:
        grid = {"name": "regular", "configuration": {"chunk_shape": shape}}
        about = {"zarr_format": 3, "node_type": "array", "shape": shape, "chunk_grid": grid}
        about |= {"data_type": values.dtype.name, "fill_value": 0, "attributes": {}}
        about |= {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}
        about |= {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}}}
        (folder / "zarr.json").write_text(json.dumps(about))
        chunk = folder.joinpath("c", *["0"] * values.ndim)
    else:
        about = {"zarr_format": 2, "shape": shape, "chunks": shape, "dtype": values.dtype.str}
        about |= {"compressor": None, "filters": None, "fill_value": 0, "order": "C"}
        (folder / ".zarray").write_text(json.dumps(about))
        chunk = folder / ".".join("0" * values.ndim)
    chunk.parent.mkdir(parents=True, exist_ok=True)
    chunk.write_bytes(np.ascontiguousarray(values).tobytes())


def lazyslide(folder, slide, x, xy, encoder="musk", format_=3, aggregated=None):
    """A store as wsidata 0.12 and spatialdata 0.7 write it, as far as vectors go."""
    store = folder / f"{slide}.zarr"
    spec = {"height": 256, "width": 256, "stride_height": 256, "stride_width": 256, "mpp": 0.5}
    spec |= {"ops_level": 0, "ops_downsample": 1.0, "base_level": 0, "base_downsample": 2.0}
    properties = {"mpp": 0.25, "magnification": 40, "shape": [20_000, 30_000]}
    about = {"tile_spec": {"tiles": spec}, "slide_properties": properties}
    _zarr_node(store, about, format_)
    for group in ("tables", "shapes", "shapes/tiles"):
        _zarr_node(store / group, {}, format_)
    table = store / "tables" / f"{encoder}_tiles"
    about = {"encoding-type": "anndata", "region": "tiles", "region_key": "library_id"}
    _zarr_node(table, about | {"instance_key": "tile_id"}, format_)
    _zarr_array(table / "X", x.astype(np.float32), format_)
    # The rows of the two tables are in another order; the id of a tile leads from one to the other.
    ids = np.arange(len(x))[::-1]
    _zarr_node(table / "obs", {}, format_)
    _zarr_array(table / "obs" / "tile_id", ids.astype(np.int64), format_)
    if aggregated is not None:
        place = table / "uns" / "agg_ops" / "agg_slide" / "features"
        for group in (table / "uns", place.parents[1], place.parent):
            _zarr_node(group, {}, format_)
        _zarr_array(place, aggregated.astype(np.float32), format_)
    shapes = pd.DataFrame({"tile_id": ids, "x": xy[:, 0], "y": xy[:, 1]})
    shapes["geometry"] = [b"\0"] * len(x)
    shapes.sort_values("tile_id").to_parquet(store / "shapes" / "tiles" / "shapes.parquet")


def lazyslide_format_2(folder, slide, x, xy):
    lazyslide(folder, slide, x, xy, format_=2)


def moozy(folder, case, vector):
    with h5py.File(folder / f"{case}.h5", "w") as file:
        file["features"] = vector.astype(np.float32)
        file["coords"] = np.zeros(2, np.int64)
        about = {"patch_size": 224, "patch_size_level0": 448, "num_slides": 2}
        file["coords"].attrs.update(about | {"columns": ["x", "y"]})


def trident_slides(folder, slide, vector):
    place = folder / "20x_512px_0px_overlap" / "slide_features_titan"
    place.mkdir(parents=True, exist_ok=True)
    with h5py.File(place / f"{slide}.h5", "w") as file:
        file["features"], file["coords"] = vector.astype(np.float32), np.zeros((9, 2), np.int64)
        file["features"].attrs.update({"name": slide, "savetodir": str(place)})
        file["coords"].attrs.update({"patch_size": 512, "target_magnification": 20})


def stamp_slides(folder, slide, vector, encoder="titan", kind="slide"):
    with h5py.File(folder / f"{slide}.h5", "w") as file:
        file["feats"] = vector.astype(np.float32)[None]
        file.attrs.update({"version": "2.4.0", "stamp_version": "2.4.0", "encoder": encoder})
        file.attrs.update({"precision": "torch.float32", "feat_type": kind})


def slide2vec_slides(folder, slide, vector):
    place = folder / "slide_embeddings"
    place.mkdir(exist_ok=True)
    torch.save(torch.from_numpy(vector.astype(np.float32)), place / f"{slide}.pt")
    about = {"sample_id": slide, "artifact_type": "slide_embeddings", "encoder_name": "titan"}
    (place / f"{slide}.meta.json").write_text(json.dumps(about))


def slide2vec_regions(folder, slide, x):
    """As `write_hierarchical_embeddings` of slide2vec 7.1.4: (regions, tiles of a region, d)."""
    place = folder / "hierarchical_embeddings"
    place.mkdir(exist_ok=True)
    torch.save(torch.from_numpy(x.astype(np.float32)), place / f"{slide}.pt")
    about = {"sample_id": slide, "artifact_type": "hierarchical_embeddings", "format": "pt"}
    about |= {"feature_dim": x.shape[2], "num_regions": len(x), "tiles_per_region": x.shape[1]}
    about |= {"encoder_name": "uni", "requested_tile_size_px": 224, "requested_spacing_um": 0.5}
    about |= {"region_tile_multiple": 2, "subtile_order": "row_major"}
    (place / f"{slide}.meta.json").write_text(json.dumps(about))


def stamp_2_0(path, vectors):
    with h5py.File(path, "w") as file:
        for slide, vector in vectors.items():
            file[slide] = vector.astype(np.float32)
        file.attrs.update({"version": "2.0.1", "encoder": "titan", "precision": "torch.float32"})


def _frame(vectors):
    table = pd.DataFrame(list(vectors.values())).add_prefix("f")
    return table.assign(slide_id=list(vectors), age=60.5, encoder="titan")


def csv(path, vectors):
    _frame(vectors).to_csv(path, index=False)


def parquet(path, vectors):
    _frame(vectors).to_parquet(path, index=False)


def parquet_lists(path, vectors):
    table = pd.DataFrame({"slide_id": list(vectors), "vector": [list(v) for v in vectors.values()]})
    table.assign(encoder="titan").to_parquet(path, index=False)


def h5ad(path, vectors, **options):
    import anndata

    obs = pd.DataFrame({"age": 60.5}, index=list(vectors))
    table = anndata.AnnData(np.stack(list(vectors.values())).astype(np.float32), obs=obs)
    table.uns["encoder"] = "titan"
    table.obsm["halved"] = table.X / 2
    table.write_h5ad(path, **options)


def h5ad_gzip(path, vectors):
    h5ad(path, vectors, compression="gzip")


def h5ad_sparse(path, vectors):
    import anndata
    from scipy import sparse

    h5ad(path, vectors)
    table = anndata.read_h5ad(path)
    table.X = sparse.csr_matrix(table.X)
    table.write_h5ad(path)


SLIDE_WRITERS = {
    moozy: ("moozy", "moozy"),
    trident_slides: ("trident", "titan"),
    stamp_slides: ("stamp", "titan"),
    slide2vec_slides: ("slide2vec", "titan"),
}
TABLE_WRITERS = {
    stamp_2_0: (".h5", "stamp"),
    csv: (".csv", "table"),
    parquet: (".parquet", "table"),
    parquet_lists: (".parquet", "table"),
    h5ad: (".h5ad", "h5ad"),
    h5ad_gzip: (".h5ad", "h5ad"),
}
"""One file for all slides: suffix and layout; the encoder is `titan`."""

# Writer: layout, encoder and whether coordinates are known.
WRITERS = {
    trident: ("trident", "musk", True),
    clam: ("clam", "", True),
    panther: ("clam", "", True),
    panther_pt: ("tensor", "", False),
    stamp: ("stamp", "musk", True),
    slideflow: ("slideflow", "musk", True),
    bfloat16: ("tensor", "", False),
    before_1_6: ("tensor", "", False),
    dictionary: ("tensor", "", True),
    npy: ("numpy", "", False),
    npz: ("numpy", "", True),
    slide2vec: ("slide2vec", "musk", True),
    lazyslide: ("lazyslide", "musk", True),
    lazyslide_format_2: ("lazyslide", "musk", True),
    per_patient_folders: ("clam", "", True),
}
