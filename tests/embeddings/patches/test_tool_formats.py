"""Formats of LazySlide, slide2vec, MOOZY and slide encoders, and tables of vectors."""

import importlib.util
import json
import pickle
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from outcome.embeddings.patches.find import find_slide_files
from outcome.embeddings.patches.packed_store import PackedStore
from outcome.embeddings.patches.readers import read_file, read_table_of_vectors
from outcome.errors import EmbeddingError
from outcome.study import ArrayNames

_spec = importlib.util.spec_from_file_location("writers", Path(__file__).with_name("writers.py"))
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

N, D = 7, 5
SLIDES = ["P01-A.b", "P02-A", "007"]


@pytest.fixture
def vectors():
    rng = np.random.default_rng(3)
    return {s: rng.integers(-99, 99, D) / 8 for s in SLIDES}


@pytest.fixture
def slide():
    rng = np.random.default_rng(4)
    return rng.integers(-99, 99, (N, D)) / 8, rng.integers(0, 9999, (N, 2))


@pytest.mark.parametrize("write", writers.SLIDE_WRITERS, ids=lambda w: w.__name__)
def test_a_vector_per_slide_is_a_bag_of_one_with_its_encoder(tmp_path, vectors, write):
    for one, vector in vectors.items():
        write(tmp_path, one, vector)
    found = find_slide_files(tmp_path).files
    assert set(found) == set(SLIDES)
    for one, vector in vectors.items():
        read = found[one].read()
        assert (read.layout, read.encoder) == writers.SLIDE_WRITERS[write]
        np.testing.assert_array_equal(read.features, vector[None])
        assert np.isnan(read.coords).all()


@pytest.mark.parametrize("write", writers.TABLE_WRITERS, ids=lambda w: w.__name__)
def test_one_table_holds_the_vectors_of_all_slides(tmp_path, vectors, write):
    suffix, layout = writers.TABLE_WRITERS[write]
    path = tmp_path / f"vectors{suffix}"
    write(path, vectors)
    found = find_slide_files(path)
    assert set(found.files) == set(SLIDES)
    store = PackedStore(tmp_path / "cache")
    for one, vector in vectors.items():
        read = found.files[one].read()
        assert (read.layout, read.encoder) == (layout, "titan")
        np.testing.assert_array_equal(read.features, vector[None])
        packed = store.pack(found.files[one])
        np.testing.assert_array_equal(store.features([packed]), vector[None])
    assert len({f.fingerprint() for f in found.files.values()}) == len(SLIDES)


def clinic(folder):
    """A clinical table of the three slides, a patient each."""
    table = {
        "patient_id": SLIDES,
        "slide_id": SLIDES,
        "os_months": [5, 9, 20],
        "os_event": [1, 0, 1],
    }
    pd.DataFrame(table).to_csv(folder / "clinic.csv", index=False)
    return folder / "clinic.csv"


@pytest.mark.parametrize(
    "write",
    [*writers.SLIDE_WRITERS, writers.slide2vec, writers.lazyslide, *writers.TABLE_WRITERS],
    ids=lambda w: w.__name__,
)
def test_init_finds_them(tmp_path, vectors, slide, write, outcome):
    place = tmp_path / "features"
    place.mkdir()
    if write in writers.TABLE_WRITERS:
        place = place / f"vectors{writers.TABLE_WRITERS[write][0]}"
        write(place, vectors)
    for one in SLIDES if place.is_dir() else []:
        content = [vectors[one]] if write in writers.SLIDE_WRITERS else slide
        write(place, one, *content)
    drafted = tmp_path / "study.yaml"
    done = outcome("init", clinic(tmp_path), place, "--out", drafted)
    assert done.code == 0, done.err
    study = yaml.safe_load(drafted.read_text())
    assert (tmp_path / study["embeddings"]["patches"]).resolve().is_relative_to(place)
    assert "cohort: 3 patients, 3 slides, 2 events" in done.out, done.out


def test_patches_and_sizes_are_read_from_what_a_tool_stores(tmp_path, slide):
    x, xy = slide
    (tmp_path / "s").mkdir()
    (tmp_path / "l").mkdir()
    writers.slide2vec(tmp_path / "s", "A", x, xy)
    writers.lazyslide(tmp_path / "l", "A", x, xy)
    ((_, geometry),) = find_slide_files(tmp_path / "s").files["A"].read().files
    assert geometry == {"patch_px": 224, "patch_px_level0": 448, "field_um": 112}
    ((_, geometry),) = find_slide_files(tmp_path / "l").files["A"].read().files
    assert geometry == {
        "patch_px": 256, "patch_px_level0": 512, "field_um": 128, "magnification": 20,
        "level0_magnification": 40, "width": 30_000, "height": 20_000,
    }  # fmt: skip
    alone = find_slide_files(tmp_path / "l" / "A.zarr").files
    assert list(alone) == ["A"]


def test_a_table_of_a_store_is_named_where_there_are_several(tmp_path, slide):
    x, xy = slide
    writers.lazyslide(tmp_path, "A", x, xy, aggregated=x[:1] * 2)
    writers.lazyslide(tmp_path, "A", -x, xy, encoder="uni")
    files = find_slide_files(tmp_path).files
    with pytest.raises(EmbeddingError, match="several encoders, in the tables musk_tiles, uni_ti"):
        files["A"].read()
    chosen = find_slide_files(tmp_path, ArrayNames(features="uni_tiles")).files["A"].read()
    assert chosen.encoder == "uni"
    np.testing.assert_array_equal(chosen.features, -x)
    named = ArrayNames(features="musk_tiles/agg_slide")
    whole = find_slide_files(tmp_path, named).files["A"].read()
    assert whole.encoder == "musk/agg_slide"
    np.testing.assert_array_equal(whole.features, x[:1] * 2)
    for absent in ("conch_tiles", "uni_tiles/agg_slide", "../uni_tiles", "uni_tiles/.."):
        with pytest.raises(EmbeddingError, match=r"no table|no array|impossible shape"):
            find_slide_files(tmp_path, ArrayNames(features=absent)).files["A"].read()


def test_tiles_unlike_vectors_are_a_note_and_never_wrong_places(tmp_path, slide):
    x, xy = slide
    for folder in ("l", "s"):
        (tmp_path / folder).mkdir()
    writers.lazyslide(tmp_path / "l", "A", x, xy)
    shapes = tmp_path / "l" / "A.zarr" / "shapes" / "tiles" / "shapes.parquet"
    pd.read_parquet(shapes).iloc[:-2].to_parquet(shapes)
    read = find_slide_files(tmp_path / "l").files["A"].read()
    assert "2 tiles of 'musk_tiles' are not in 'tiles'" in read.coords_problem
    assert np.isnan(read.coords).all()
    writers.slide2vec(tmp_path / "s", "A", x, xy[:-1])
    place = tmp_path / "s" / "tiles" / "A.coordinates.npz"
    np.savez_compressed(place, x=xy[:-1, 0], y=xy[:-1, 1])
    read = find_slide_files(tmp_path / "s").files["A"].read()
    assert f"{N} patches, but coords" in read.coords_problem


def test_what_could_run_code_or_lead_elsewhere_in_a_store_is_refused(tmp_path, slide):
    x, xy = slide
    writers.lazyslide_format_2(tmp_path, "A", x, xy)
    about = tmp_path / "A.zarr" / "tables" / "musk_tiles" / "X" / ".zarray"
    whole = json.loads(about.read_text())
    about.write_text(json.dumps(whole | {"filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(EmbeddingError, match="compressed by 'pickle', which is not run"):
        read_file(tmp_path / "A.zarr")
    about.write_text(json.dumps(whole | {"shape": [1 << 30, D]}))
    with pytest.raises(EmbeddingError, match="declares"):
        read_file(tmp_path / "A.zarr")
    about.write_text(json.dumps(whole))
    assert len(read_file(tmp_path / "A.zarr").features) == N
    (tmp_path / "A.zarr" / "tables" / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(EmbeddingError, match="holds a link"):
        read_file(tmp_path / "A.zarr")


def test_a_missing_extra_names_its_command(tmp_path, slide, monkeypatch):
    writers.lazyslide(tmp_path, "A", *slide)
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(EmbeddingError, match=r"pip install 'slide-outcome\[zarr\]'"):
        find_slide_files(tmp_path).files["A"].read()


def test_pickled_features_are_refused_with_the_way_out(tmp_path, vectors):
    content = {"filenames": list(vectors), "embeddings": np.stack(list(vectors.values()))}
    path = tmp_path / "TCGA_TITAN_features.pkl"
    path.write_bytes(pickle.dumps(content))
    for place in (path, tmp_path):
        with pytest.raises(EmbeddingError, match="is a pickle") as refused:
            find_slide_files(place)
    code = str(refused.value).partition('python -c "')[2].removesuffix('"')
    code = code.replace("'TCGA_", f"'{tmp_path}/TCGA_").replace("'titan.", f"'{tmp_path}/titan.")
    exec(compile(code, "advice", "exec"), {})
    found = find_slide_files(tmp_path / "titan.parquet").files
    for one, vector in vectors.items():
        np.testing.assert_array_equal(found[one].read().features, vector[None])


def _replace(**changes):
    return lambda table: table.assign(**changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_replace(encoder=["titan", "prism", "titan"]), r"several encoders \('prism', 'titan'\)"),
        (_replace(slide_id=["A.svs", "A.h5", "B"]), "in several rows: 'A'"),
        (_replace(slide_id=["A", "", "B"]), "in several rows: ''"),
        (_replace(f2=[1, "x", 2]), r"1 rows have cells that are not numbers \('P02-A'\)"),
        (_replace(**{f"g{i}": 1.0 for i in range(D)}), r"several vectors per row \('f', 'g'\)"),
        (lambda t: t[["slide_id", "age"]], "has no columns of vectors"),
    ],
)
def test_tables_that_cannot_be_used_say_why(tmp_path, vectors, change, message):
    writers.csv(tmp_path / "v.csv", vectors)
    change(pd.read_csv(tmp_path / "v.csv", dtype={"slide_id": str})).to_csv(
        tmp_path / "v.csv", index=False
    )
    with pytest.raises(EmbeddingError, match=message):
        find_slide_files(tmp_path / "v.csv")


def test_one_of_several_arrays_of_a_table_can_be_named(tmp_path, vectors):
    writers.h5ad(tmp_path / "v.h5ad", vectors)
    found = find_slide_files(tmp_path / "v.h5ad", ArrayNames(features="halved")).files
    np.testing.assert_array_equal(found["007"].read().features, vectors["007"][None] / 2)
    with pytest.raises(EmbeddingError, match="no array 'obsm/other'"):
        find_slide_files(tmp_path / "v.h5ad", ArrayNames(features="other"))
    writers.csv(tmp_path / "v.csv", vectors)
    table = pd.read_csv(tmp_path / "v.csv", dtype={"slide_id": str})
    table.assign(**{f"g_{i}": float(i) for i in range(D)}).to_csv(tmp_path / "v.csv", index=False)
    found = find_slide_files(tmp_path / "v.csv", ArrayNames(features="g")).files
    np.testing.assert_array_equal(found["007"].read().features, np.arange(D)[None])


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix"])
def test_sparse_vectors_become_dense(tmp_path, vectors, kind):
    path = tmp_path / "v.h5ad"
    vectors = {one: np.where(vector > 0, vector, 0) for one, vector in vectors.items()}
    writers.h5ad(path, vectors)
    table = anndata.read_h5ad(path)
    table.X = getattr(sparse, kind)(table.X)
    table.write_h5ad(path)
    found = find_slide_files(path).files
    for one, vector in vectors.items():
        np.testing.assert_array_equal(found[one].read().features, vector[None])
    with h5py.File(path, "r+") as file:
        file["X/indices"][0] = 99  # of 5 columns, or 3 rows
    with pytest.raises(EmbeddingError, match=r"v\.h5ad"):
        read_table_of_vectors(path)
    with h5py.File(path, "r+") as file:
        file["X"].attrs["shape"] = [len(vectors), 1 << 33]
    with pytest.raises(EmbeddingError, match=r"too large as a dense array .* store it as a dense"):
        read_table_of_vectors(path)
    with h5py.File(path, "r+") as file:
        del file["X"].attrs["shape"]
    with pytest.raises(EmbeddingError, match="'X' is neither an array nor a sparse matrix"):
        read_table_of_vectors(path)


def test_tiles_of_regions_are_one_bag_without_coordinates(tmp_path, slide):
    x = slide[0][:6].reshape(3, 2, D)
    writers.slide2vec_regions(tmp_path, "A", x)
    read = find_slide_files(tmp_path).files["A"].read()
    np.testing.assert_array_equal(read.features, slide[0][:6])
    assert (read.layout, read.encoder) == ("slide2vec", "uni")
    assert read.files[0][1]["field_um"] == 112
    assert np.isnan(read.coords).all()
    assert "of regions, and not of tiles" in read.coords_problem


def test_files_that_are_no_table_are_refused(tmp_path, slide):
    writers.stamp(tmp_path, "A", *slide)
    with pytest.raises(EmbeddingError, match="not a table of slide vectors"):
        find_slide_files(tmp_path / "A.h5")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(EmbeddingError, match="is a single file, but not a table of slide vectors"):
        find_slide_files(tmp_path / "notes.txt")
    with h5py.File(tmp_path / "plain.h5ad", "w") as file:
        file["X"] = slide[0]
    with pytest.raises(EmbeddingError, match="no array 'obs'"):
        read_table_of_vectors(tmp_path / "plain.h5ad")


def test_the_texts_of_a_damaged_h5ad_are_not_followed(tmp_path, vectors):
    path = tmp_path / "v.h5ad"
    writers.h5ad(path, vectors)
    with h5py.File(path, "r") as file:
        offset = file["obs/_index"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset : offset + 4] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(EmbeddingError, match=r"a text of '/obs/_index' is lost"):
        read_table_of_vectors(path)


@pytest.mark.filterwarnings("ignore:.*autosharding:UserWarning")  # of the library's own writer
def test_a_store_that_lazyslides_own_library_wrote(tmp_path, slide):
    pytest.importorskip("wsidata", reason="LazySlide's library is not installed")
    from spatialdata import SpatialData
    from wsidata import TileSpec
    from wsidata.io import add_features, add_tiles

    class Slide(SpatialData):
        TILE_SPEC_KEY = "tile_spec"

    x, xy = slide
    store = Slide()
    spec = TileSpec(256, 256, 256, 256, mpp=0.5, base_downsample=2.0)
    add_tiles(store, "tiles", xy, spec, np.zeros(N, int))
    add_features(store, "uni_tiles", "tiles", x.astype(np.float32))
    store.write(tmp_path / "A.zarr")
    read = find_slide_files(tmp_path).files["A"].read()
    np.testing.assert_array_equal(read.features, x)
    np.testing.assert_array_equal(read.coords, xy)
    assert (read.encoder, read.files[0][1]["field_um"]) == ("uni", 128)


def test_files_that_slide2vec_wrote(tmp_path, slide, vectors):
    artifacts = pytest.importorskip("slide2vec.artifacts", reason="slide2vec is not installed")
    x, _ = slide
    about = {"encoder_name": "uni", "requested_tile_size_px": 224, "requested_spacing_um": 0.5}
    for form in ("pt", "npz"):
        place = tmp_path / form
        artifacts.write_tile_embeddings(
            "A", x, output_dir=place, output_format=form, metadata=about
        )
        read = find_slide_files(place).files["A"].read()
        np.testing.assert_array_equal(read.features, x)
        assert (read.layout, read.encoder) == ("slide2vec", "uni")
        assert read.files[0][1]["field_um"] == 112
    artifacts.write_patient_embeddings("P", vectors["007"], output_dir=tmp_path / "patients")
    np.testing.assert_array_equal(
        find_slide_files(tmp_path / "patients").files["P"].read().features, vectors["007"][None]
    )
