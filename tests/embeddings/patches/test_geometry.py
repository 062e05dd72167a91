"""Magnification and side of patches, as each file states them or as its coordinates show them."""

import json

import h5py
import numpy as np
import pytest
import torch

from outcome.embeddings.patches.find import SlideFiles
from outcome.embeddings.patches.geometry import patch_geometry, patch_side, patch_sides

GRID = np.stack(np.meshgrid(np.arange(4), np.arange(3)), axis=-1).reshape(-1, 2).astype(float)


def slide(path, coords, attributes=(), place="coords"):
    with h5py.File(path, "w") as file:
        file["features"] = np.random.default_rng(0).normal(size=(len(coords), 3)).astype(np.float32)
        file["coords"] = np.asarray(coords)
        (file if place == "file" else file[place]).attrs.update(dict(attributes))
    return path


def side_of(path):
    found = SlideFiles((path,)).read()
    return patch_sides(found.files, found.coords)


# What each tool writes, and the side in the unit of the coordinates.
STATED = {
    "TRIDENT": ({"patch_size": 256, "patch_size_level0": 512, "target_magnification": 20}, 512),
    "TRIDENT without level 0": (
        {"patch_size": 256, "target_magnification": 10, "level0_magnification": 40}, 1024,
    ),
    "CLAM, level 1": (
        {"patch_size": 256, "patch_level": 1, "downsample": np.array([4.0, 4.0])}, 1024,
    ),
    "CLAM, level 0": ({"patch_size": 224, "patch_level": 0}, 224),
    "STAMP": ({"tile_size_um": 256.0, "tile_size_px": 224}, 256),
}  # fmt: skip


@pytest.mark.parametrize("tool", STATED)
@pytest.mark.parametrize("place", ["coords", "file"])
def test_a_side_that_the_file_states(tmp_path, tool, place):
    attributes, side = STATED[tool]
    path = slide(tmp_path / "s.h5", GRID * 100, attributes, place)
    assert (side_of(path) == side).all()


# Coordinates alone, and the distance of neighbours.
SHOWN = {
    "two contours whose grids are 13 apart": (
        np.concatenate([GRID * 512 + 1000, GRID * 512 + [9013, 5013]]), 512,
    ),
    "three contours in the same rows": (
        np.concatenate([GRID * 256 + [shift, 0] for shift in (0, 3001, 7130)]), 256,
    ),
    "more holes than tissue": (np.array([[0, 0], [3, 0], [4, 0], [7, 0], [8, 0]]) * 224.0, 224),
    "a diagonal": (np.array([[0, 256], [512, 768], [1024, 1280], [1536, 1792]]), 512),
    "micrometres in single precision": (
        (GRID * np.float32(256.0127) + np.float32(50_000)).astype(np.float32), 256.0127,
    ),
    "one patch": (GRID[:1], 1),
    "the same position": (GRID[[0, 0, 0]], 1),
    "unknown places": (np.full((4, 2), np.nan), 1),
}  # fmt: skip


@pytest.mark.parametrize("coords", SHOWN)
def test_a_side_that_only_the_coordinates_show(coords):
    places, side = SHOWN[coords]
    assert patch_side({}, places.astype(float)) == pytest.approx(side, rel=1e-3)
    shuffled = np.random.default_rng(1).permutation(places.astype(float))
    assert patch_side({}, shuffled) == patch_side({}, places.astype(float))


def test_clam_attributes_without_a_downsample_leave_it_to_the_coordinates(tmp_path):
    coords = np.concatenate([GRID * 512, GRID * 512 + [5013, 13]])
    path = slide(tmp_path / "s.h5", coords, {"patch_size": 256, "patch_level": 1})
    assert (side_of(path) == 512).all()


def test_two_resolutions_of_a_slide_have_two_sides(tmp_path):
    paths = []
    for of, side in ((20, 512), (5, 2048)):
        (tmp_path / str(of)).mkdir()
        size = {"patch_size": 256, "patch_size_level0": side, "target_magnification": of}
        paths.append(slide(tmp_path / str(of) / "s.h5", GRID[: of // 2] * side, size))
    found = SlideFiles(tuple(paths)).read()
    sides = patch_sides(found.files, found.coords)
    assert sides.tolist() == [512.0] * 10 + [2048.0] * 2


def test_the_magnification_is_derived_where_two_sizes_say_it(tmp_path):
    size = {"patch_size": 256, "patch_size_level0": 512, "level0_magnification": 40}
    assert patch_geometry(slide(tmp_path / "s.h5", GRID, size))["magnification"] == 20


@pytest.mark.parametrize(
    ("size", "expected"),
    [(302, {"field_um": 302.0}), ("20x", {"magnification": 20.0}), ("large", {}), (-1, {})],
)
def test_tensors_of_slideflow_are_described_by_their_settings(tmp_path, size, expected):
    torch.save(torch.ones(3, 2), tmp_path / "s.pt")
    (tmp_path / "bags_config.json").write_text(json.dumps({"tile_px": 299, "tile_um": size}))
    assert patch_geometry(tmp_path / "s.pt") == expected


def test_tensors_of_clam_are_described_by_their_twin(tmp_path):
    for name in ("pt_files", "h5_files"):
        (tmp_path / name).mkdir()
    torch.save(torch.ones(len(GRID), 2), tmp_path / "pt_files" / "s.pt")
    size = {"patch_size": 256, "patch_level": 0}
    slide(tmp_path / "h5_files" / "s.h5", GRID * 999, size)
    assert (side_of(tmp_path / "pt_files" / "s.pt") == 256).all()


@pytest.mark.parametrize("value", ["20x", np.nan, -20, np.zeros(99), np.array([20, 40])], ids=str)
def test_attributes_that_say_no_size_are_passed_over(tmp_path, value):
    path = slide(tmp_path / "s.h5", GRID, {"target_magnification": value})
    assert patch_geometry(path) == {}


def test_links_are_not_followed(tmp_path):
    slide(tmp_path / "other.h5", GRID, {"target_magnification": 20})
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["features"] = np.ones((3, 2), np.float32)
        file["coords"] = h5py.ExternalLink("other.h5", "coords")
    assert patch_geometry(tmp_path / "s.h5") == {}
