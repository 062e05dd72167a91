"""A bundle gives the predictions of cross-validation, wherever it lies, or is refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

import outcome
from outcome import Study
from outcome.bundle.serialization import FORMAT, read_bundle
from outcome.errors import BundleError, InputError

LATE = {
    "name": "late",
    "inputs": ["image", "report", "clinical"],
    "fusion": "late",
    "aggregator": "attention+linear",
}
STACKED = {"name": "stacked", "inputs": ["image", "clinical"], "fusion": "stacked"}
GATED = {
    "name": "gated",
    "inputs": ["image", "report", "clinical"],
    "fusion": "gated",
    "options": {"heads": 2},
}
SURVIVAL = {"kind": "survival", "time": "os_days", "event": "os_event", "horizons": [365, 730]}


def changed(path, **sections):
    data = yaml.safe_load(Path(path).read_text()) | sections
    return Study.parse(data, folder=Path(path).parent)


@pytest.fixture(scope="module")
def study(small):
    return changed(
        small,
        endpoint=SURVIVAL,
        arms=["image", LATE, STACKED, GATED],
        risk_groups="tertiles",
    )


@pytest.fixture(scope="module")
def results(study, tmp_path_factory):
    return outcome.run(study, out=tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def fitted(study, results, tmp_path_factory):
    """The late arm without fold 0, on disk."""
    out = tmp_path_factory.mktemp("bundle") / "late"
    outcome.fit(study, arm="late", without_fold="0", out=out, run=results.folder)
    return out


@pytest.fixture
def copied(fitted, tmp_path):
    return Path(shutil.copytree(fitted, tmp_path / "copy"))


@pytest.mark.parametrize("arm", ["image", "late", "stacked", "gated"])
def test_without_a_fold_it_predicts_that_fold_as_cross_validation_did(
    study, results, tmp_path, arm
):
    outcome.fit(study, arm=arm, without_fold="0", out=tmp_path / "b", run=results.folder)
    found = outcome.predict(tmp_path / "b", study).table.set_index("patient_id")
    expected = results.predictions.query("arm == @arm and fold == '0'").set_index("patient_id")
    found = found.loc[expected.index]
    for column in ("risk", "linear_predictor", "survival_365", "survival_730"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-5, atol=1e-6)
    assert (found["risk_group"] == expected["risk_group"]).all()
    assert not found["in_training"].any()
    assert (found["risk_lowest"] <= found["risk"]).all()
    assert (found["lowest_survival_365"] <= found["survival_365"]).all()
    assert (found["survival_365"] <= found["highest_survival_365"]).all()


def test_its_networks_are_applied_without_torch(fitted, study):
    bundle = read_bundle(fitted)
    assert [m.plain for m in bundle.members if not m.member.linear] == [True, True]
    code = (
        "import sys, outcome;"
        f"p = outcome.predict({str(fitted)!r}, {str(study.cohort)!r},"
        f" patches={str(study.embeddings.patches[0])!r},"
        f" reports={str(study.embeddings.reports)!r});"
        "assert len(p.table) == 60;"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'scipy.optimize'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def command(bundle, study, out, cwd, *more):
    words = [
        "predict", bundle, study.cohort, "--patches", study.embeddings.patches[0],
        "--reports", study.embeddings.reports, "--out", out, *more,
    ]  # fmt: skip
    code = "from outcome.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=cwd, check=True, capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    return Path(out).read_bytes()


def test_moved_and_in_another_process_it_predicts_the_same_bytes(fitted, copied, study, tmp_path):
    here = outcome.predict(
        fitted, study.cohort, patches=study.embeddings.patches[0], reports=study.embeddings.reports
    )
    moved = command(copied, study, tmp_path / "a.csv", tmp_path)
    assert here.table.to_csv(index=False).encode() == moved
    parallel = command(copied, study, tmp_path / "b.csv", tmp_path, "--jobs", "2")
    assert parallel == moved


def test_a_patient_alone_is_predicted_as_among_others(fitted, study, tmp_path):
    table = pd.read_csv(study.cohort, dtype=str)
    table[table["patient_id"] == "SIM-0007"].to_csv(tmp_path / "one.csv", index=False)
    folders = {"patches": study.embeddings.patches[0], "reports": study.embeddings.reports}
    alone = outcome.predict(fitted, tmp_path / "one.csv", **folders).table
    among = outcome.predict(fitted, study.cohort, **folders).table
    pd.testing.assert_frame_equal(
        alone, among[among["patient_id"] == "SIM-0007"].reset_index(drop=True)
    )


def test_outcomes_are_not_needed(fitted, study, tmp_path):
    table = pd.read_csv(study.cohort, dtype=str).drop(columns=["os_days", "os_event", "site"])
    table.to_csv(tmp_path / "new.csv", index=False)
    found = outcome.predict(
        fitted, tmp_path / "new.csv", patches=study.embeddings.patches[0],
        reports=study.embeddings.reports, horizons=[100, 365],
    )  # fmt: skip
    assert found.table["survival_100"].between(0, 1).all()
    assert (found.table["survival_100"] >= found.table["survival_365"]).all()
    # Forty of the sixty were trained on, and it is said.
    assert any("40 of 60 patients were in the training cohort" in w for w in found.warnings)
    assert found.table["in_training"].sum() == 40
    # Ids are not in the bundle, only their salted hashes.
    assert "SIM-" not in (Path(fitted) / "bundle.json").read_text()


def test_the_card_tells_the_performance_of_the_run(fitted, results):
    card = (fitted / "MODEL_CARD.md").read_text()
    rows = results.metrics.query("arm == 'late' and metric == 'harrell_c'")
    assert f"| harrell_c | {rows['estimate'].iloc[0]:.3f} |" in card
    assert "fold 0 were excluded" in card
    assert "not been tested itself" in card


def test_other_settings_are_not_credited_with_the_performance(study, results, tmp_path):
    other = study.model_copy(update={"training": study.training.model_copy(update={"epochs": 2})})
    bundle = outcome.fit(other, arm="image", out=tmp_path / "b", run=results.folder)
    assert bundle.facts["performance"] == []
    assert "Unknown: no" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    assert bundle.facts["patients"] == 60


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGES = {
    "a weight changed": (lambda b: flip(b / "weights.safetensors", -5), "weights.safetensors was"),
    "weights cut short": (
        lambda b: os.truncate(b / "weights.safetensors", 1000), "weights.safetensors was changed",
    ),
    "weights missing": (lambda b: (b / "weights.safetensors").unlink(), "it has no weights"),
    "a cut-off changed": (
        lambda b: edit(b / "bundle.json", cuts={"": [1]}), "bundle.json was changed",
    ),
    "document cut short": (lambda b: os.truncate(b / "bundle.json", 500), "bundle.json is damaged"),
    "document empty": (lambda b: (b / "bundle.json").write_text(""), "bundle.json is damaged"),
    "another document": (lambda b: (b / "bundle.json").write_text("[1]"), "is damaged or does not"),
    "a newer version": (
        lambda b: edit(b / "bundle.json", format=FORMAT + 1), "To do: update slide-outcome",
    ),
    "another folder": (lambda b: shutil.rmtree(b), "there is no bundle"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused(copied, study, tmp_path, outcome, damage):
    do, message = DAMAGES[damage]
    do(copied)
    done = outcome("predict", copied, study.cohort, "--out", tmp_path / "p.csv")
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "p.csv").exists()


def spoiled(study, folder, **attributes):
    """Copy the features with other attributes, or of another length."""
    new = folder / "features"
    shutil.copytree(study.embeddings.patches[0], new)
    length, add = attributes.pop("length", None), attributes.pop("add", 0)
    for path in new.iterdir():
        with h5py.File(path, "a") as file:
            for key, value in attributes.items():
                place = "features" if key == "encoder" else "coords"
                file[place].attrs[key] = value
            if length or add:
                values = file["features"][:, :length] + np.float16(add)
                del file["features"]
                file["features"] = values
    return new


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "uni_v2"}, "vectors are from encoder 'uni_v2', but the model was trained on"),
        ({"length": 20}, "vectors have 20 numbers, but the model was trained on vectors of 32"),
        ({"target_magnification": 10}, "is not 20, as in the training cohort"),
    ],
)
def test_vectors_of_another_kind_are_refused(fitted, study, tmp_path, change, message):
    patches = spoiled(study, tmp_path, **change)
    with pytest.raises(BundleError, match=message):
        outcome.predict(fitted, study.cohort, patches=patches, reports=study.embeddings.reports)


def test_magnification_is_that_of_every_file(fitted, study, tmp_path):
    patches = spoiled(study, tmp_path)
    for path in sorted(patches.iterdir())[-2:]:
        with h5py.File(path, "a") as file:
            file["coords"].attrs["target_magnification"] = 40
        path.rename(path.with_suffix(".hdf5"))
    with pytest.raises(BundleError, match=r"magnification of 2 feature files is not 20"):
        outcome.predict(fitted, study.cohort, patches=patches, reports=study.embeddings.reports)


def test_every_unusable_file_is_named(fitted, study, tmp_path):
    patches = spoiled(study, tmp_path)
    files = sorted(patches.iterdir())
    files[5].write_bytes(b"")
    files[9].write_bytes(b"not hdf5")
    with pytest.raises(InputError, match="feature files that cannot be used: 2"):
        outcome.predict(fitted, study.cohort, patches=patches, reports=study.embeddings.reports)


def test_what_the_model_needs_is_asked_for(fitted, study, tmp_path):
    with pytest.raises(InputError, match="no reports are given"):
        outcome.predict(fitted, study.cohort, patches=study.embeddings.patches[0])
    table = pd.read_csv(study.cohort, dtype=str).drop(columns="stage")
    table.to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(InputError, match="no column 'stage'"):
        outcome.predict(
            fitted, tmp_path / "c.csv", patches=study.embeddings.patches[0],
            reports=study.embeddings.reports,
        )  # fmt: skip
    with pytest.raises(BundleError, match="beyond the longest follow-up of the training cohort"):
        outcome.predict(fitted, study, horizons=[1e5])


def test_a_cohort_from_elsewhere_is_told(fitted, study, make_study, tmp_path):
    same = outcome.predict(fitted, study)
    assert not any("may not be valid" in w for w in same.warnings)
    other = Study.read(make_study(tmp_path / "other", seed=9))
    found = outcome.predict(fitted, other)
    # The same tissues and another laboratory: few lie beyond, but all lie to one side.
    assert any(w.startswith("image: ") and "may not be valid" in w for w in found.warnings)
    patches = spoiled(study, tmp_path, add=3.0)
    found = outcome.predict(fitted, study.cohort, patches=patches, reports=study.embeddings.reports)
    assert found.table["outside"].all()
    assert any("60 of 60 patients (100%) are farther" in w for w in found.warnings)
    old = pd.read_csv(study.cohort, dtype=str).assign(age="119", stage="V")
    old.to_csv(tmp_path / "old.csv", index=False)
    told = outcome.predict(
        fitted, tmp_path / "old.csv", patches=study.embeddings.patches[0],
        reports=study.embeddings.reports,
    ).warnings  # fmt: skip
    assert any("age is outside the training range in 60 of 60 patients" in w for w in told)
    assert any(
        "stage has a level that did not occur in training in 60 of 60 patients (V)" in w
        for w in told
    )


def test_code_from_outside_runs_only_when_it_is_allowed(study, tmp_path, monkeypatch):
    (tmp_path / "pooling_elsewhere.py").write_text(
        "import torch\n"
        "class Largest(torch.nn.Module):\n"
        "    weighted_mean = False\n"
        "    def __init__(self, dimension):\n"
        "        super().__init__()\n"
        "        self.width = dimension\n"
        "    def forward(self, features, lengths):\n"
        "        return torch.stack([b.amax(0) for b in torch.split(features, lengths)])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    arm = {"name": "largest", "inputs": ["image"], "aggregator": "pooling_elsewhere:Largest"}
    other = study.model_copy(
        update={"arms": (outcome.study.Arm.model_validate(arm),), "baseline": "largest"}
    )
    ran = outcome.run(other, out=tmp_path / "run", jobs=1)
    bundle = outcome.fit(other, without_fold="1", out=tmp_path / "b", run=tmp_path / "run", jobs=1)
    assert not bundle.members[0].plain
    with pytest.raises(BundleError, match="allow the import"):
        outcome.predict(tmp_path / "b", other)
    found = outcome.predict(tmp_path / "b", other, allow_import=True).table.set_index("patient_id")
    expected = ran.predictions.query("fold == '1'").set_index("patient_id")["risk"]
    np.testing.assert_allclose(found.loc[expected.index, "risk"], expected, rtol=1e-5, atol=1e-6)


def test_arms_and_folds_that_are_not_there(study, results, tmp_path):
    with pytest.raises(InputError, match="there is no arm 'nobody'"):
        outcome.fit(study, arm="nobody", out=tmp_path / "b")
    with pytest.raises(InputError, match="there is no fold '7'"):
        outcome.fit(study, without_fold="7", out=tmp_path / "b", run=results.folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    with pytest.raises(BundleError, match="contains other files"):
        outcome.fit(study, out=tmp_path / "full")
    assert not (tmp_path / "b").exists()


STORED = Path(__file__).parents[1] / "reference" / "bundle-1"


def test_a_bundle_of_the_first_release_keeps_loading():
    """It was written by 0.1.0 (`make.py` beside it); later versions must read it as it was."""
    bundle = read_bundle(STORED / "bundle")
    assert bundle.arm.name == "all"
    found = outcome.predict(
        bundle, STORED / "cohort.csv", patches=STORED / "features", reports=STORED / "reports.h5"
    ).table
    expected = pd.read_csv(STORED / "predictions.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6, atol=1e-9)


def test_strata_and_competing_events(study, tmp_path):
    """Baselines of several strata, with a competing event; a stratum never seen is refused."""
    table = pd.read_csv(study.cohort, dtype=str)
    rng = np.random.default_rng(3)
    patients = sorted(set(table["patient_id"]))
    kind = dict(
        zip(patients, rng.choice(["lung", "skin/eye"], len(patients), p=[0.85, 0.15]), strict=True)
    )
    other = dict(zip(patients, rng.random(len(patients)) < 0.1, strict=True))
    table["cancer"] = table["patient_id"].map(kind)
    table.loc[table["patient_id"].map(other), "os_event"] = "2"
    endpoint = SURVIVAL | {"strata": "cancer", "event_codes": {"0": 0, "1": 1, "2": 2}}
    part = {"arms": ["clinical"], "baseline": "clinical", "endpoint": endpoint}
    data = json.loads(study.model_dump_json(by_alias=True, exclude={"contrasts"})) | part
    mine = Study.parse(data, folder=Path(study.cohort).parent)
    ran = outcome.run(mine, table, out=tmp_path / "run", jobs=1)
    outcome.fit(mine, cohort=table, without_fold="0", out=tmp_path / "b", run=tmp_path / "run")
    table.drop(columns=["os_days", "os_event"]).to_csv(tmp_path / "new.csv", index=False)
    found = outcome.predict(tmp_path / "b", tmp_path / "new.csv").table.set_index("patient_id")
    expected = ran.predictions.query("fold == '0'").set_index("patient_id")
    for column in ("risk", "survival_365", "survival_730"):
        np.testing.assert_allclose(
            found.loc[expected.index, column], expected[column], rtol=1e-9, equal_nan=True
        )
    assert (found.loc[expected.index, "risk_group"] == expected["risk_group"]).all()
    assert found["survival_365"].notna().any()
    table.assign(cancer="brain").to_csv(tmp_path / "brain.csv", index=False)
    with pytest.raises(BundleError, match=r"the model was not trained on the strata brain"):
        outcome.predict(tmp_path / "b", tmp_path / "brain.csv")
