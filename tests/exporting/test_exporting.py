"""Results in the files of STAMP, Patho-Bench, AnnData and LazySlide."""

import importlib.util
import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import zarr

from outcome import Study
from outcome.embeddings.patches.find import find_slide_files
from outcome.embeddings.patches.readers.lazyslide import read_lazyslide
from outcome.errors import InputError
from outcome.explain.geojson import tile_collection
from outcome.exporting.lazyslide_table import VALUES, add_tile_table
from outcome.exporting.stamp_predictions import stamp_table
from outcome.pipeline.export_files import export_predictions, export_study

_spec = importlib.util.spec_from_file_location(
    "writers", Path(__file__).parents[1] / "embeddings" / "patches" / "writers.py"
)
writers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writers)

N = 40


def cohort(folder):
    rng = np.random.default_rng(0)
    (folder / "f").mkdir()
    table = pd.DataFrame({"patient_id": [f"P{i:02d}" for i in range(N)]})
    table["time"], table["event"] = rng.exponential(9, N).round(2) + 1, [1, 1, 1, 0] * (N // 4)
    table["age"] = np.arange(N) + 40
    table = pd.concat([table, table.iloc[:3]])
    table["slide_id"] = [f"S{i:02d}" for i in range(len(table))]
    vectors = {}
    for slide in table["slide_id"]:
        bag = rng.normal(size=(3, 4)).astype(np.float16)
        np.save(folder / "f" / f"{slide}.npy", bag)
        vectors[slide] = bag.astype(np.float32).mean(axis=0)
    table.to_csv(folder / "c.csv", index=False)
    spec = {
        "name": "os", "cohort": str(folder / "c.csv"),
        "columns": {"patient": "patient_id", "slide": "slide_id"},
        "endpoint": {"kind": "survival", "time": "time", "event": "event", "unit": "months"},
        "embeddings": {"patches": str(folder / "f")}, "covariates": {"numeric": ["age"]},
        "arms": ["image"], "split": {"folds": 2},
    }  # fmt: skip
    return Study.parse(spec, folder=folder), table, vectors


def test_slide_vectors_are_an_anndata_that_is_read_back(tmp_path):
    study, table, vectors = cohort(tmp_path)
    assert export_study(study, tmp_path / "v.h5ad", "anndata", cache=tmp_path / "cache") == 43
    found = anndata.read_h5ad(tmp_path / "v.h5ad")
    np.testing.assert_allclose(found.to_df().loc[list(vectors)], list(vectors.values()), rtol=1e-5)
    table = table.set_index("slide_id").loc[found.obs_names]
    assert found.obs["patient_id"].tolist() == table["patient_id"].tolist()
    np.testing.assert_allclose(found.obs["time"], table["time"])
    assert found.obs["age"].astype(int).tolist() == table["age"].tolist()
    assert found.uns["vectors"] == "mean of patches"
    again = find_slide_files(tmp_path / "v.h5ad").files
    np.testing.assert_allclose(again["S42"].read().features[0], vectors["S42"], rtol=1e-5)
    with pytest.raises(InputError, match="already exists"):
        export_study(study, tmp_path / "v.h5ad", "anndata", cache=tmp_path / "cache")


def test_a_study_is_a_task_of_patho_bench_with_the_same_folds(tmp_path):
    study, table, _ = cohort(tmp_path)
    export_study(study, tmp_path / "k=all.tsv", "patho-bench", cache=tmp_path / "cache")
    task = pd.read_csv(tmp_path / "k=all.tsv", sep="\t")
    assert list(task) == ["case_id", "slide_id", "os_event", "os_days", "fold_0", "fold_1"]
    mine = table.set_index("slide_id").loc[task["slide_id"]]
    np.testing.assert_allclose(task["os_days"], mine["time"] * 365.25 / 12)
    assert task["os_event"].tolist() == mine["event"].tolist()
    assert set(task["fold_0"]) == {"train", "test"}
    assert ((task["fold_0"] == "test") == (task["fold_1"] == "train")).all()


def test_predictions_are_the_tables_of_stamp(tmp_path):
    rows = pd.DataFrame({"patient_id": ["A", "B", "C"], "fold": ["x", "x", "y"], "arm": "image"})
    rows = rows.assign(risk=[0.5, -1.0, 2.0], time=[5.0, 6.0, 7.0], event=[1, 0, 1])
    rows.to_csv(tmp_path / "p.csv", index=False)
    written = export_predictions(tmp_path / "p.csv", tmp_path / "o")
    assert [p.parent.name for p in written] == ["split-0", "split-1"]
    first = pd.read_csv(written[0])
    assert list(first) == ["PATIENT", "pred_score", "time", "event"]
    assert first["pred_score"].tolist() == [0.5, -1.0]
    with pytest.raises(InputError, match="contains other files"):
        export_predictions(tmp_path / "p.csv", tmp_path / "o")
    pd.concat([rows, rows.assign(arm="b")]).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(InputError, match="give one of its arms with `arm=`: image, b"):
        export_predictions(tmp_path / "p.csv", tmp_path / "o2")


def test_results_are_in_the_folders_of_patho_bench(tmp_path, outcome):
    rows = pd.DataFrame({"patient_id": list("ABCDEF"), "fold": [0, 0, 0, 1, 1, 1]})
    rows = rows.assign(risk=[3.0, 2.0, 1.0, 1.0, 3.0, 2.0], time=[1.0, 2.0, 3.0] * 2, event=1)
    rows.to_csv(tmp_path / "p.csv", index=False)
    done = outcome("export", tmp_path / "p.csv", "--to", "patho-bench", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert "2 tables of predictions" in done.out
    folds = [tmp_path / "o" / "test_metrics" / f"fold_{k}" for k in (0, 1)]
    found = [json.loads((f / "metrics.json").read_text()) for f in folds]
    assert found == [{"cindex": 1.0}, {"cindex": pytest.approx(1 / 3)}]
    summary = json.loads((tmp_path / "o" / "test_metrics_summary.json").read_text("utf-8"))
    # As Patho-Bench's own collection of results takes it apart.
    assert summary["cindex"]["formatted"].split(" ± ") == ["0.667", "0.333"]
    assert summary["cindex"]["mean"] == pytest.approx(2 / 3)
    table = pd.read_csv(folds[1] / "predictions.csv")
    assert list(table) == ["case_id", "survival_event", "survival_time", "pred"]
    assert table.set_index("case_id")["pred"].to_dict() == {"D": 1.0, "E": 3.0, "F": 2.0}


def test_labels_of_patho_bench_have_an_area_and_one_class_has_none(tmp_path):
    rows = pd.DataFrame({"patient_id": list("ABCDEF"), "fold": ["a"] * 4 + ["b"] * 2})
    rows = rows.assign(risk=range(6), probability=np.arange(1, 7) / 10)
    rows.assign(label=[0, 0, 1, 1, 1, 1]).to_csv(tmp_path / "p.csv", index=False)
    written = export_predictions(tmp_path / "p.csv", tmp_path / "o", to="patho-bench")
    areas = [json.loads((p.parent / "metrics.json").read_text())["overall"] for p in written]
    assert areas == [{"macro-ovr-auc": 1.0}, {"macro-ovr-auc": None}]
    summary = json.loads((tmp_path / "o" / "test_metrics_summary.json").read_text())
    assert summary["macro-ovr-auc"] == {"mean": None, "se": None, "formatted": "N/A"}
    assert pd.read_csv(written[0])["pred"].tolist() == [0.1, 0.2, 0.3, 0.4]


def test_labels_of_stamp_come_with_their_probabilities_and_loss():
    rows = pd.DataFrame({"patient_id": ["A", "B"], "label": [1, 0], "risk": [0.0, 1.0]})
    found = stamp_table(rows.assign(probability=[0.25, 0.2]), "ER")
    assert list(found) == ["PATIENT", "ER", "pred", "ER_0", "ER_1", "loss"]
    assert found["PATIENT"].tolist() == ["B", "A"]
    np.testing.assert_allclose(found["loss"], [-np.log(0.8), -np.log(0.25)])
    with pytest.raises(InputError, match="only a risk"):
        stamp_table(rows)


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(1)
    x, xy = rng.normal(size=(6, 4)), np.arange(12).reshape(6, 2) * 512
    writers.lazyslide(tmp_path, "A", x, xy)
    patches = pd.DataFrame(xy[::-1], columns=["x", "y"]).astype(float)
    patches[VALUES] = rng.normal(size=(6, 3)).astype(np.float32)
    return tmp_path / "A.zarr", patches.assign(side=512.0)


def test_a_table_of_tiles_goes_into_a_copy_of_a_store(store, tmp_path):
    path, patches = store
    before = sorted(p.relative_to(path) for p in path.rglob("*"))
    made = add_tile_table(
        path, patches, "outcome_image", copy_to=tmp_path / "B.zarr", about={"risk": 1.5}
    )
    assert sorted(p.relative_to(path) for p in path.rglob("*")) == before
    group = zarr.open_group(str(made), mode="r")["tables/outcome_image"]
    assert dict(group.attrs)["region"] == "tiles"
    table = anndata.io.read_elem(group)
    # Tile ids of the store run against its coordinates: the first row of the patches is tile 0.
    assert table.obs["tile_id"].tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(table.X, patches[VALUES])
    assert float(table.uns["outcome"]["risk"]) == 1.5
    names = importlib.import_module("outcome.embeddings.patches.readers").Names()
    assert read_lazyslide(made, names).encoder == "musk"
    with pytest.raises(InputError, match="already exists"):
        add_tile_table(path, patches, "outcome_image", copy_to=made)


def test_the_store_itself_is_written_only_once(store):
    path, patches = store
    assert add_tile_table(path, patches, "outcome_image", copy_to=None) == path
    with pytest.raises(
        InputError, match="already has a table 'outcome_image', which is not overwritten"
    ):
        add_tile_table(path, patches, "outcome_image", copy_to=None)
    with pytest.raises(InputError, match="1 of 6 patches are not at the position of a tile"):
        add_tile_table(path, patches.assign(x=[7.0, *patches["x"][1:]]), "other", copy_to=None)
    assert not (path / "tables" / "other").exists()


def test_every_patch_is_a_tile_for_qupath(store):
    _, patches = store
    found = tile_collection(patches, "A")
    assert len({f["id"] for f in found["features"]}) == 6
    first = json.loads(json.dumps(found))["features"][0]
    assert first["properties"]["objectType"] == "tile"
    assert first["properties"]["measurements"]["attention"] == pytest.approx(
        float(patches["attention"][0])
    )
    corners = first["geometry"]["coordinates"][0]
    assert corners[0] == corners[-1] == [patches["x"][0], patches["y"][0]]


def test_the_command_writes_for_each_tool(tmp_path, outcome):
    study, _, _ = cohort(tmp_path)
    (tmp_path / "study.yaml").write_text(study.to_yaml())
    done = outcome(
        "export", tmp_path / "study.yaml", "--to", "anndata", "--out", tmp_path / "v.h5ad"
    )
    assert done.code == 0, done.err
    assert "43 slides: " in done.out
