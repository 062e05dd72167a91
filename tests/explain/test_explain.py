"""Contributions add up, point at what was planted, and what is written can be opened elsewhere."""

import importlib.util
import itertools
import json
import struct
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

import outcome
from outcome import Study
from outcome.bundle.ensemble import Ensemble
from outcome.bundle.ensemble_torch import torch_networks
from outcome.bundle.new_patients import read_new_patients
from outcome.errors import InputError
from outcome.explain.contributions import patch_contributions
from outcome.explain.geojson import feature_collection
from outcome.explain.input_shares import modality_values
from outcome.simulation.simulate import Simulation, simulate

ARMS = [
    "image",
    {"name": "linear", "inputs": ["image"], "aggregator": "linear"},
    {
        "name": "late", "inputs": ["image", "report", "clinical"], "fusion": "late",
        "aggregator": "attention+linear", "options": {"heads": 2},
    },
    {"name": "gated", "inputs": ["image", "report", "clinical"], "fusion": "gated"},
]  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A cohort whose outcome depends on tumour front and immune aggregates: at most 10%."""
    folder = tmp_path_factory.mktemp("planted")
    path = simulate(
        folder / "cohort",
        Simulation(
            patients=160, patches=80, dimension=24, informative=0.1, image_effect=2.5,
            report_effect=0.3, stage_effect=0.1, age_effect=0.1, event_rate=0.8, seed=5,
        ),
    )  # fmt: skip
    data = yaml.safe_load(path.read_text())
    data |= {
        "arms": ARMS,
        "split": {"folds": 3, "inner_folds": 2},
        "training": {"epochs": 20, "components": 16, "attention_width": 8},
    }
    study = Study.parse(data, folder=path.parent)
    # What is planted must be learned by one arm; the others are asked for sums.
    hurried = study.model_copy(update={"training": study.training.model_copy(update={"epochs": 3})})
    bundles = {
        a["name"] if isinstance(a, dict) else a: outcome.fit(
            hurried if i else study,
            arm=a["name"] if isinstance(a, dict) else a,
            out=folder / f"bundle {i}",
            jobs=1,
        )
        for i, a in enumerate(ARMS)
    }
    return study, bundles


@pytest.fixture(scope="module")
def explained(planted, tmp_path_factory):
    study, bundles = planted
    slides = pd.read_csv(study.cohort)["slide_id"].tolist()[:12]
    out = tmp_path_factory.mktemp("maps") / "out"
    return study, outcome.attention(bundles["image"], study, slides=slides, out=out, top=10)


def tissue(study, slide):
    with h5py.File(Path(study.embeddings.patches[0]) / f"{slide}.h5") as file:
        coords = map(tuple, file["coords"][()].astype(float).tolist())
        return pd.Series(file["simulated_tissue"][()], index=pd.MultiIndex.from_tuples(coords))


def test_planted_patches_are_ranked_first(explained):
    study, found = explained
    scores = []
    for slide, patches in found.patches.items():
        value = patches.set_index(["x", "y"])["contribution"]
        kinds = tissue(study, slide).loc[value.index]
        assert 0 < kinds.isin([6, 7]).mean() <= 0.1
        for kind, sign in ((6, 1), (7, -1)):  # one raises the hazard, the other lowers it
            if (kinds == kind).any():
                scores.append(roc_auc_score(kinds == kind, sign * value))
    assert len(scores) > 12
    assert np.mean(scores) >= 0.9
    assert np.median(scores) >= 0.95


def test_the_map_shows_them(explained):
    """Where the map is darkest red, a patch of the tumour front lies."""
    study, found = explained
    slide, patches = max(
        found.patches.items(), key=lambda item: (tissue(study, item[0]) == 6).sum()
    )
    picture = matplotlib.image.imread(found.folder / f"{slide}.png")[..., :3]
    assert picture.shape[0] > 500
    assert picture.shape[1] > 1500
    red = (picture[..., 0] > 0.35) & (picture[..., 1] < 0.25) & (picture[..., 2] < 0.25)
    right = red[:, picture.shape[1] // 2 : int(picture.shape[1] * 0.9)]
    assert right.sum() > 500
    top = patches[patches["end"] == "raises risk"].sort_values("rank").head(3)
    kinds = tissue(study, slide)
    assert (kinds.loc[list(zip(top["x"], top["y"], strict=True))] == 6).all()


def test_deleting_what_the_map_points_at_moves_the_risk_more_than_chance(explained):
    _, found = explained
    tenth = found.faithfulness[found.faithfulness["deleted"] == 0.1]
    assert len(tenth) == found.faithfulness["patient_id"].nunique() > 8
    assert (tenth["top"] < tenth["random"]).all()
    assert (tenth["bottom"] > tenth["random"]).all()
    assert (tenth["top"] < tenth["random_lowest"]).mean() > 0.8
    assert "deleting the 10% of patches" in " ".join(found.notes)


@pytest.fixture
def seen(planted):
    """Make the ensemble of an arm and some patients as it sees them."""
    study, bundles = planted

    def look(arm, n=3):
        new = read_new_patients(bundles[arm], study, with_outcomes=False)
        ensemble = Ensemble(bundles[arm])
        patients = list(new.cohort.patients.index)[:n]
        return ensemble, [ensemble.see(**new.given(p)) for p in patients]

    return look


@pytest.mark.parametrize("arm", ["image", "linear", "late"])
def test_contributions_add_up_to_what_the_image_adds(seen, arm):
    """Inputs are additive in these arms, so the image's Shapley value is its part of the risk."""
    ensemble, patients = seen(arm)
    for patient in patients:
        found = patch_contributions(ensemble, patient)
        assert found.exact
        assert found.attention.sum() == pytest.approx(1)
        whole = modality_values(ensemble, patient)["image"]
        assert found.value.sum() == pytest.approx(whole, abs=1e-6)


def test_with_gates_they_add_up_at_the_gates_of_the_patient(seen):
    ensemble, patients = seen("gated", 1)
    found = patch_contributions(ensemble, patients[0])
    member, networks = ensemble.members[0]
    parts = []
    for network in networks:
        vectors = network.vectors(patients[0])
        gates = network.gates(vectors)
        assert set(gates) == {"image", "report", "clinical"}
        parts.append(gates["image"] * (vectors["image"] @ network.readout("image")))
    expected = ensemble.bundle.calibration.slope * member.weight * np.mean(parts)
    assert found.value.sum() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("arm", ["late", "gated"])
def test_shapley_values_are_the_mean_over_all_orders(seen, arm):
    ensemble, patients = seen(arm)
    slope = ensemble.bundle.calibration.slope
    inputs = ("clinical", "image", "report")

    def worth(patient, some):
        return slope * ensemble.risk(patient.only(frozenset(some)))

    for patient in patients:
        expected = dict.fromkeys(inputs, 0.0)
        for order in itertools.permutations(inputs):
            for k, name in enumerate(order):
                gain = worth(patient, order[: k + 1]) - worth(patient, order[:k])
                expected[name] += gain / 6
        assert modality_values(ensemble, patient) == pytest.approx(expected, abs=1e-12)
        total = worth(patient, inputs) - worth(patient, ())
        assert sum(expected.values()) == pytest.approx(total)


def test_an_input_that_a_patient_lacks_has_no_share(planted, tmp_path):
    study, bundles = planted
    with h5py.File(study.embeddings.reports) as file:
        with_report = set(file)
    everybody = sorted(set(pd.read_csv(study.cohort)["patient_id"]))
    without = next(p for p in everybody if p not in with_report)
    found = outcome.attention(bundles["late"], study, patients=[without], out=tmp_path / "o")
    row = found.modalities.iloc[0]
    assert row["report"] == 0
    assert row["share_report"] == 0
    assert row["share_image"] + row["share_clinical"] == pytest.approx(1)
    table = pd.read_csv(study.cohort)
    assert set(found.patches) == set(table.loc[table["patient_id"] == without, "slide_id"])


def test_integrated_gradients_add_up_and_agree_with_the_exact_ones(seen, planted):
    """What other aggregators get, on one whose exact contributions are known."""
    ensemble, patients = seen("image", 1)
    member = planted[1]["image"].members[0]
    network = torch_networks(planted[1]["image"], member)[0]
    patient = patients[0]
    found = network.contributions(patient, 32)
    nothing = type(patient)(patient.raw, {"image": patient.seen["image"] * 0})
    assert found.sum() == pytest.approx(network.raw(patient) - network.raw(nothing), abs=2e-3)
    exact = patch_contributions(ensemble, patient).value
    assert np.corrcoef(found, exact)[0, 1] > 0.8


def test_geojson_is_what_qupath_reads(explained):
    _, found = explained
    slide = next(iter(found.patches))
    content = json.loads((found.folder / f"{slide}.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    listed = pd.read_csv(found.folder / f"{slide}.top.csv")
    assert len(content["features"]) == len(listed) <= 20
    assert set(listed["end"]) == {"raises risk", "lowers risk"}
    for feature, row in zip(content["features"], listed.itertuples(), strict=True):
        ring = feature["geometry"]["coordinates"][0]
        assert feature["geometry"]["type"] == "Polygon"
        assert ring[0] == ring[-1]
        assert ring[0] == [row.x, row.y]
        assert ring[2] == [row.x + 768, row.y + 768]  # level-0 pixels: 384 at 20x of 40x
        assert feature["properties"]["objectType"] == "annotation"
        assert feature["properties"]["classification"]["name"] == row.end
        measured = feature["properties"]["measurements"]["contribution"]
        assert measured == pytest.approx(row.contribution, rel=1e-12)
    assert len({f["id"] for f in content["features"]}) == len(listed)


def test_geojson_leaves_out_attention_that_is_not_known():
    row = {"x": 1.0, "y": 2.0, "side": 4.0, "end": "raises risk", "rank": 1, "contribution": 0.5}
    table = pd.DataFrame([row | {"attention": np.nan}])
    (feature,) = feature_collection(table, "S")["features"]
    assert feature["geometry"]["coordinates"][0][2] == [5.0, 6.0]
    assert feature["properties"]["measurements"] == {"contribution": 0.5}


def tiled_tiff(path, width, height, tile=256):
    """Write a tiled RGB TIFF, as OpenSlide opens it: red on the left, blue on the right."""
    across, down = -(-width // tile), -(-height // tile)
    red, blue = bytes([200, 30, 30]), bytes([30, 30, 200])
    tiles = [
        (red if (k % across) < across / 2 else blue) * tile * tile for k in range(across * down)
    ]
    n, size = len(tiles), tile * tile * 3
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, None), (259, 3, 1, 1),
        (262, 3, 1, 2), (277, 3, 1, 3), (284, 3, 1, 1), (322, 4, 1, tile), (323, 4, 1, tile),
        (324, 4, n, None), (325, 4, n, None),
    ]  # fmt: skip
    after = 8 + 2 + 12 * len(entries) + 4
    bits, offsets, counts = after, after + 6, after + 6 + 4 * n
    start = counts + 4 * n
    places = {258: bits, 324: offsets, 325: counts}
    head = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        head += struct.pack("<HHII", tag, kind, count, places[tag] if value is None else value)
    head += struct.pack("<I", 0) + struct.pack("<3H", 8, 8, 8)
    head += struct.pack(f"<{n}I", *(start + k * size for k in range(n)))
    head += struct.pack(f"<{n}I", *[size] * n)
    path.write_bytes(head + b"".join(tiles))


def test_a_map_lies_over_the_slide_where_openslide_opens_it(planted, tmp_path):
    pytest.importorskip("openslide", reason="the extra [slides] is not installed")
    study, bundles = planted
    slide = pd.read_csv(study.cohort)["slide_id"][0]
    (tmp_path / "wsi").mkdir()
    tiled_tiff(tmp_path / "wsi" / f"{slide}.tiff", 9216, 9216)
    found = outcome.attention(
        bundles["image"], study, slides=[slide], out=tmp_path / "o", images=tmp_path / "wsi"
    )
    assert not any("thumbnail" in w for w in found.warnings)
    picture = matplotlib.image.imread(tmp_path / "o" / f"{slide}.png")[..., :3]
    red = (picture[..., 0] > 0.6) & (picture[..., 1] < 0.25) & (picture[..., 2] < 0.25)
    blue = (picture[..., 2] > 0.6) & (picture[..., 1] < 0.25) & (picture[..., 0] < 0.25)
    assert red.sum() > 10_000
    assert blue.sum() > 10_000
    other = outcome.attention(
        bundles["image"], study, slides=[slide], out=tmp_path / "p", images=tmp_path
    )
    assert any("contains no slide" in w for w in other.warnings)
    assert (tmp_path / "p" / f"{slide}.png").is_file()


def test_micrometres_are_not_passed_off_as_pixels(planted, tmp_path):
    """STAMP's coordinates: a map, but no GeoJSON without the slide."""
    study, bundles = planted
    slide = pd.read_csv(study.cohort)["slide_id"][0]
    (tmp_path / "stamp").mkdir()
    with (
        h5py.File(Path(study.embeddings.patches[0]) / f"{slide}.h5") as old,
        h5py.File(tmp_path / "stamp" / f"{slide}.h5", "w") as new,
    ):
        new["feats"] = old["features"][()]
        new["coords"] = old["coords"][()] / 3.0
        new.attrs.update({"extractor": "simulated", "unit": "um", "tile_size_um": 256.0})
    pd.read_csv(study.cohort).query("slide_id == @slide").to_csv(tmp_path / "one.csv", index=False)
    found = outcome.attention(
        bundles["image"], tmp_path / "one.csv", slides=[slide], out=tmp_path / "o",
        patches=tmp_path / "stamp",
    )  # fmt: skip
    assert any("micrometres" in w for w in found.warnings)
    assert not (tmp_path / "o" / f"{slide}.geojson").exists()
    assert (tmp_path / "o" / f"{slide}.png").is_file()


def test_the_command_writes_attention_into_lazyslide_stores(planted, tmp_path, request):
    """A copy, then the store itself, once; slides that are in no store are named."""
    zarr, anndata = pytest.importorskip("zarr"), pytest.importorskip("anndata")
    command = request.getfixturevalue("outcome")  # `outcome` is the package in this module
    study, _ = planted
    place = Path(__file__).parents[1] / "embeddings" / "patches" / "writers.py"
    spec = importlib.util.spec_from_file_location("writers", place)
    writers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writers)
    slide = pd.read_csv(study.cohort)["slide_id"][0]
    with h5py.File(Path(study.embeddings.patches[0]) / f"{slide}.h5") as file:
        features, coords = file["features"][()], file["coords"][()]
    (tmp_path / "stores").mkdir()
    writers.lazyslide(tmp_path / "stores", slide, features, coords, encoder="simulated")
    about = tmp_path / "stores" / f"{slide}.zarr" / "zarr.json"
    about.write_text(about.read_text().replace("256", "384"))  # tiles as in training
    pd.read_csv(study.cohort).query("slide_id == @slide").to_csv(tmp_path / "one.csv", index=False)
    bundle = Path(study.cohort).parents[1] / "bundle 0"

    def attention(out, where, *more):
        return command(
            "attention", bundle, tmp_path / "one.csv", "--slide", slide, "--lazyslide", where,
            "--out", tmp_path / out, *(more or ("--patches", tmp_path / "stores")),
        )  # fmt: skip

    done = attention("a", "copy")
    assert done.code == 0, done.err
    store = tmp_path / "stores" / f"{slide}.zarr"
    copied = tmp_path / "a" / f"{slide}.zarr"
    assert not (store / "tables" / "outcome_image").exists()
    table = anndata.io.read_elem(zarr.open_group(str(copied), mode="r")["tables/outcome_image"])
    written = pd.read_csv(tmp_path / "a" / f"{slide}.patches.csv")
    np.testing.assert_allclose(table.to_df()["attention"], written["attention"], rtol=1e-6)
    tiles = pd.read_parquet(store / "shapes" / "tiles" / "shapes.parquet").set_index("tile_id")
    np.testing.assert_array_equal(tiles.loc[table.obs["tile_id"], "x"], written["x"])
    risk = pd.read_csv(tmp_path / "a" / "modalities.csv")["risk"][0]
    assert float(table.uns["outcome"]["risk"]) == pytest.approx(risk)
    assert attention("b", "original").code == 0
    assert (store / "tables" / "outcome_image").is_dir()
    again = attention("c", "original")
    assert again.code == 2
    assert "already has a table 'outcome_image', which is not overwritten" in again.err
    done = attention("d", "copy", "--patches", study.embeddings.patches[0])
    assert done.code == 0, done.err
    assert "no table, because its vectors are not in a LazySlide store" in done.out + done.err


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"slides": ["nobody"]}, "not in the cohort: nobody"),
        ({"patients": ["nobody"]}, "not in the cohort: nobody"),
        ({}, "name slides or patients to explain"),
    ],
)
def test_what_cannot_be_explained(planted, tmp_path, request_, message):
    study, bundles = planted
    with pytest.raises(InputError, match=message):
        outcome.attention(bundles["image"], study, out=tmp_path / "o", **request_)
    assert not (tmp_path / "o").exists()
