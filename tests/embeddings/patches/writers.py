"""What each tool writes, from its documentation and files; nothing of ours is used."""

import json

import h5py
import numpy as np
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
    per_patient_folders: ("clam", "", True),
}
