"""Every layout that users have gives the same bag, found from the folder that a user would name."""

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from outcome.embeddings.patches.find import find_slide_files
from outcome.embeddings.patches.packed_store import PackedStore
from outcome.embeddings.patches.readers import read_file
from outcome.errors import EmbeddingError
from outcome.study import ArrayNames

_spec = importlib.util.spec_from_file_location("writers", Path(__file__).with_name("writers.py"))
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

N, D = 40, 12
SLIDES = ["P01-A.b", "P01-B", "P02-A"]


@pytest.fixture
def bags():
    """Vectors that bfloat16 holds exactly, and coordinates."""
    rng = np.random.default_rng(2)
    return {
        s: (rng.integers(-128, 128, (N + i, D)) / 64, rng.integers(0, 9999, (N + i, 2)))
        for i, s in enumerate(SLIDES)
    }


@pytest.mark.parametrize("write", writers.WRITERS, ids=lambda w: w.__name__)
def test_every_layout_is_detected_and_read(tmp_path, bags, write):
    layout, encoder, located = writers.WRITERS[write]
    for slide, (x, xy) in bags.items():
        write(tmp_path, slide, x, xy)
    found = find_slide_files(tmp_path)
    assert sorted(found.files) == SLIDES
    assert not found.doubled
    for slide, (x, xy) in bags.items():
        patches = found.files[slide].read()
        assert (patches.layout, patches.encoder) == (layout, encoder)
        np.testing.assert_array_equal(patches.features.astype(np.float64), x)
        if located:
            np.testing.assert_array_equal(patches.coords, xy)
        else:
            assert np.isnan(patches.coords).all()


def test_the_pair_of_clam_is_one_and_its_tensors_know_their_coordinates(tmp_path, bags):
    x, xy = bags["P01-B"]
    writers.clam(tmp_path, "P01-B", x, xy)
    both = find_slide_files(tmp_path)
    assert both.files["P01-B"].paths[0].name == "P01-B.h5"
    assert "1 slides have more than one kind of file in" in " ".join(both.notes)
    tensors = find_slide_files(tmp_path / "pt_files").files["P01-B"]
    assert tensors.paths[0].suffix == ".pt"
    np.testing.assert_array_equal(tensors.read().coords, xy)


def test_a_layout_can_be_declared(tmp_path, bags):
    x, xy = bags["P01-B"]
    writers.clam(tmp_path, "P01-B", x, xy)
    chosen = find_slide_files(tmp_path, "tensor").files["P01-B"]
    assert chosen.paths[0].suffix == ".pt"
    assert chosen.read().layout == "tensor"


def test_names_of_arrays_can_be_declared(tmp_path, bags):
    x, xy = bags["P01-B"]
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["embeddings"], file["where"] = x, xy
    with pytest.raises(EmbeddingError, match=r"has no dataset .* \(it has embeddings, where\)"):
        read_file(tmp_path / "s.h5")
    files = find_slide_files(tmp_path, ArrayNames(features="embeddings", coords="where")).files
    np.testing.assert_array_equal(files["s"].read().features, x)
    np.testing.assert_array_equal(files["s"].read().coords, xy)


@pytest.mark.parametrize("shape", [(D,), (1, D)])
def test_a_slide_level_vector_is_a_bag_of_one(tmp_path, shape):
    x = np.arange(D, dtype=np.float32).reshape(shape)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = x
        file["coords"] = np.zeros((50, 2))
    torch.save(torch.from_numpy(x), tmp_path / "b.pt")
    np.save(tmp_path / "c.npy", x)
    for name in ("a.h5", "b.pt", "c.npy"):
        patches = read_file(tmp_path / name)
        assert patches.features.shape == (1, D)
        np.testing.assert_array_equal(patches.features[0], x.ravel())


def two_resolutions(tmp_path, bags, second=SLIDES):
    for slide, (x, xy) in bags.items():
        (tmp_path / "10x").mkdir(exist_ok=True)
        (tmp_path / "20x").mkdir(exist_ok=True)
        writers.stamp(tmp_path / "10x", slide, x, xy)
        if slide in second:
            writers.stamp(tmp_path / "20x", slide, x[:7] + 5, xy[:7])
    return [tmp_path / "10x", tmp_path / "20x"]


def test_resolutions_are_put_together_by_slide(tmp_path, bags):
    found = find_slide_files(two_resolutions(tmp_path, bags))
    assert found.notes == ("patch features of 2 folders (10x, 20x) are concatenated by slide",)
    x, xy = bags["P01-B"]
    patches = found.files["P01-B"].read()
    np.testing.assert_array_equal(patches.features, np.concatenate([x, x[:7] + 5]))
    np.testing.assert_array_equal(patches.coords, np.concatenate([xy, xy[:7]]))
    store = PackedStore(tmp_path / "cache")
    assert store.pack(found.files["P01-B"]).n == len(x) + 7
    alone = store.pack(found.files["P01-B"].paths[0])
    assert alone.n == len(x)


def test_a_slide_in_one_resolution_only_is_missing(tmp_path, bags):
    found = find_slide_files(two_resolutions(tmp_path, bags, second=SLIDES[:2]))
    assert sorted(found.files) == SLIDES[:2]
    assert found.partial == {SLIDES[2]}


def test_folders_without_a_common_slide_are_parts_of_a_cohort(tmp_path, bags):
    for slide, (x, xy) in bags.items():
        (tmp_path / slide[:3]).mkdir(exist_ok=True)
        writers.stamp(tmp_path / slide[:3], slide, x, xy)
    found = find_slide_files([tmp_path / "P01", tmp_path / "P02"])
    assert sorted(found.files) == SLIDES
    assert not found.partial
    assert "are used together" in found.notes[0]


@pytest.mark.parametrize(("change", "message"), [("D", "dimension"), ("encoder", "encoder")])
def test_resolutions_that_do_not_go_together(tmp_path, bags, change, message):
    folders = two_resolutions(tmp_path, bags)
    x, xy = bags["P01-B"]
    writers.stamp(folders[1], "P01-B", x[:, :4] if change == "D" else x, xy)
    if change == "encoder":
        with h5py.File(folders[1] / "P01-B.h5", "r+") as file:
            file.attrs["extractor"] = "uni"
    with pytest.raises(EmbeddingError, match=f"the folders differ in {message}"):
        find_slide_files(folders).files["P01-B"].read()


def test_two_encoders_in_one_job_folder_are_not_guessed_between(tmp_path, bags):
    for slide, (x, xy) in bags.items():
        for encoder in ("features_musk", "features_uni"):
            (tmp_path / encoder).mkdir(exist_ok=True)
            writers.panther(tmp_path / encoder, slide, x, xy)
    found = find_slide_files(tmp_path)
    assert sorted(found.doubled) == SLIDES


def test_files_of_other_programs_are_no_features(tmp_path, bags):
    x, xy = bags["P01-B"]
    writers.panther(tmp_path, "P01-B", x, xy)
    for name in ("._P01-B.h5", ".hidden.h5", "notes.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "P01-B.h5").write_text("x")
    assert find_slide_files(tmp_path).files["P01-B"].paths == (tmp_path / "P01-B.h5",)


def test_both_unicode_forms_of_a_name_are_one_slide(tmp_path, bags):
    x, xy = bags["P01-B"]
    writers.panther(tmp_path, "Ko\u0308ln-1", x, xy)
    assert sorted(find_slide_files(tmp_path).files) == ["K\u00f6ln-1"]


def test_a_changed_companion_packs_the_slide_again(tmp_path, bags):
    x, xy = bags["P01-B"]
    writers.slideflow(tmp_path, "s", x, xy)
    store, source = PackedStore(tmp_path / "cache"), find_slide_files(tmp_path).files["s"]
    first = store.pack(source)
    np.savez(tmp_path / "s.index.npz", xy + 1000)
    assert store.pack(source).key != first.key


def test_a_tensor_is_what_pytorch_says_it_is(tmp_path):
    """Slices, transposes, parameters and empty tensors, against torch.load."""
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    values = [x[2:5, 1:], x.t(), x[::2], torch.nn.Parameter(x), x.double(), x[:0], x.int()]
    for i, value in enumerate(values):
        for old in (False, True):
            path = tmp_path / f"{i}{old}.pt"
            torch.save(value, path, _use_new_zipfile_serialization=not old)
            wanted = torch.load(path, weights_only=True).detach().numpy()
            np.testing.assert_array_equal(read_file(path).features, wanted.astype(np.float32))


@pytest.mark.parametrize(
    "options", [{}, {"libver": "latest"}, {"userblock_size": 512}, {"libver": "earliest"}], ids=str
)
@pytest.mark.parametrize("attributes", [0, 30])
@pytest.mark.parametrize("kind", [str, np.bytes_])
def test_the_encoder_is_read_however_hdf5_stores_it(tmp_path, options, attributes, kind):
    with h5py.File(tmp_path / "s.h5", "w", **options) as file:
        data = file.create_dataset("features", data=np.ones((3, 4), np.float32))
        data.attrs["encoder"] = kind("musk-Größe".encode() if kind is np.bytes_ else "musk-Größe")
        for i in range(attributes):
            data.attrs[f"encoder_{i}"] = "x" * (i + 1)
    assert read_file(tmp_path / "s.h5").encoder == "musk-Größe"
