"""One file per layout, written as the tools write them, not by our own simulator."""

import h5py
import numpy as np
import pytest

from outcome.embeddings.patches.find import find_slide_files
from outcome.embeddings.patches.packed_store import PackedStore
from outcome.embeddings.patches.readers import read_file
from outcome.errors import EmbeddingError

N, D = 7, 12


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def trident(path, features, coords):
    with h5py.File(path, "w") as file:
        chunks = (1, D) if features.ndim == 2 and len(features) else None
        data = file.create_dataset("features", data=features, chunks=chunks)
        data.attrs["name"], data.attrs["encoder"] = path.stem, "musk"
        data.attrs["savetodir"] = "somewhere"
        where = file.create_dataset("coords", data=coords.astype(np.int64))
        where.attrs["patch_size"], where.attrs["level0_magnification"] = 384, 40


def clam(path, features, coords):
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=features.astype(np.float32), chunks=(4, D))
        file.create_dataset("coords", data=coords.astype(np.int32))


def stamp(path, features, coords):
    with h5py.File(path, "w") as file:
        file.create_dataset("feats", data=features.astype(np.float16))
        file.create_dataset("coords", data=coords.astype(np.float32))
        file.attrs["extractor"], file.attrs["unit"] = "musk-1.0", "um"


def panther(path, features, coords):
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=features.astype(np.float32)[None])
        file.create_dataset("coords", data=coords.astype(np.int32)[None])


@pytest.mark.parametrize(
    ("write", "layout", "encoder"),
    [
        (trident, "trident", "musk"),
        (clam, "clam", ""),
        (stamp, "stamp", "musk-1.0"),
        (panther, "clam", ""),
    ],
)
def test_every_layout_gives_the_same_bag(tmp_path, rng, write, layout, encoder):
    features = rng.normal(size=(N, D)).astype(np.float16)
    coords = rng.integers(0, 9999, size=(N, 2))
    path = tmp_path / "slide.h5"
    write(path, features, coords)
    slide = read_file(path)
    assert (slide.layout, slide.encoder) == (layout, encoder)
    np.testing.assert_array_equal(slide.features.astype(np.float16), features)
    np.testing.assert_array_equal(slide.coords, coords)


@pytest.mark.parametrize("shape", [(0, D), (0,)])
def test_trident_slide_without_patches_is_an_empty_bag(tmp_path, shape):
    trident(tmp_path / "s.h5", np.empty(shape, np.float16), np.empty((0, 2)))
    slide = read_file(tmp_path / "s.h5")
    assert len(slide.features) == 0
    assert slide.features.ndim == 2


def test_stamp_file_without_coordinates(tmp_path, rng):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["feats"] = rng.normal(size=(N, D)).astype(np.float16)
    assert np.isnan(read_file(tmp_path / "s.h5").coords).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"not hdf5 at all", "damaged or not HDF5"),
    ],
)
def test_files_that_are_not_hdf5(tmp_path, content, message):
    (tmp_path / "s.h5").write_bytes(content)
    with pytest.raises(EmbeddingError, match=message):
        read_file(tmp_path / "s.h5")


def test_a_file_cut_short(tmp_path, rng):
    path = tmp_path / "s.h5"
    trident(path, rng.normal(size=(500, D)).astype(np.float16), np.zeros((500, 2)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EmbeddingError, match=r"s\.h5"):
        read_file(path)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.array([[1.0, np.nan]]), "1 of 1 patches contain NaN"),
        (np.zeros((2, 3, 4)), "shape"),
        (np.array([b"text"]), "not numbers"),
    ],
)
def test_content_that_is_no_bag(tmp_path, features, message):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["features"] = features
    with pytest.raises(EmbeddingError, match=message):
        read_file(tmp_path / "s.h5")


def test_names_keep_their_dots_and_lose_image_suffixes(tmp_path):
    for name in ("TCGA-A1.B2.h5", "scan.svs.h5", "other.tiff.H5"):
        (tmp_path / name).touch()
    assert sorted(find_slide_files(tmp_path).files) == ["TCGA-A1.B2", "other", "scan"]


def test_store_packs_once_and_again_when_the_file_changes(tmp_path, rng):
    path = tmp_path / "s.h5"
    trident(path, rng.normal(size=(N, D)).astype(np.float16), np.zeros((N, 2)))
    store = PackedStore(tmp_path / "cache")
    first = store.pack(path)
    assert store.pack(path) == first
    trident(path, rng.normal(size=(N + 1, D)).astype(np.float16), np.zeros((N + 1, 2)))
    second = store.pack(path)
    assert (second.n, second.content != first.content) == (N + 1, True)


def test_store_keeps_the_same_order_whatever_the_order_in_the_file(tmp_path, rng):
    features = rng.normal(size=(50, D)).astype(np.float16)
    coords = rng.integers(0, 9999, size=(50, 2))
    order = rng.permutation(50)
    trident(tmp_path / "a.h5", features, coords)
    trident(tmp_path / "b.h5", features[order], coords[order])
    store = PackedStore(tmp_path / "cache")
    one, other = (store.bag([store.pack(tmp_path / f)]) for f in ("a.h5", "b.h5"))
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.coords, other.coords)
    # Features and coordinates still belong together.
    where = {tuple(c): f for c, f in zip(coords, features, strict=True)}
    for coord, feature in zip(one.coords, one.features, strict=True):
        np.testing.assert_array_equal(where[tuple(coord)], feature)


def test_values_beyond_half_precision_stay_whole(tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["features"] = np.array([[1e6, 0.0], [2e6, 1.0]], np.float32)
    store = PackedStore(tmp_path / "cache")
    packed = store.features([store.pack(tmp_path / "s.h5")])
    assert packed.dtype == np.float32
    assert sorted(packed[:, 0]) == [1e6, 2e6]


@pytest.mark.parametrize("scale", [1e-9, 1e30])
def test_values_of_any_scale_are_kept(tmp_path, rng, scale):
    x = (rng.normal(size=(9, D)) * scale).astype(np.float32)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["features"] = x
    store = PackedStore(tmp_path / "cache")
    packed = store.features([store.pack(tmp_path / "s.h5")])
    np.testing.assert_allclose(np.sort(packed, axis=0), np.sort(x, axis=0))
