"""Other layouts, folds and ids through the whole command."""

import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest

QUICK = ("--jobs", 1, "--set", "training={epochs: 2, components: 8, attention_width: 4}")


def features(path):
    return path.parent / "20x_384px_0px_overlap" / "features_simulated"


def two_folders(fresh, edit):
    """The features of the study and a coarser copy of them."""
    coarse = fresh.parent / "10x"
    shutil.copytree(features(fresh), coarse)
    for file in coarse.iterdir():
        with h5py.File(file, "r+") as slide:
            x = slide["features"][:5]
            del slide["features"], slide["coords"]
            slide["features"] = x
            slide["features"].attrs["encoder"] = "simulated"
    edit(fresh, embeddings={"patches": [str(features(fresh)), "10x"]})
    return coarse


@pytest.fixture
def edit():
    import yaml

    def change(path, **sections):
        study = yaml.safe_load(path.read_text())
        for key, value in sections.items():
            study[key] = {**study.get(key, {}), **value} if isinstance(value, dict) else value
        path.write_text(yaml.safe_dump(study))

    return change


def test_two_resolutions(fresh, outcome, edit):
    before = outcome("check", fresh).out
    coarse = two_folders(fresh, edit)
    done = outcome("check", fresh)
    assert done.code == 0, done.err
    assert (
        "patch features of 2 folders (features_simulated, 10x) are concatenated by slide"
        in done.out
    )
    total = [int(t.split("patches: total ")[1].split(",")[0]) for t in (before, done.out)]
    assert total[1] == total[0] + 5 * len(list(coarse.iterdir()))
    next(coarse.iterdir()).unlink()
    done = outcome("check", fresh)
    assert done.code == 2
    assert "slides that are only in some of the folders" in done.err
    done = outcome("check", fresh, "--set", "on_missing={slide: drop}")
    assert done.code == 0, done.err


def test_a_layout_that_is_declared_is_shown(fresh, outcome):
    assert "layout: trident" in outcome("check", fresh).out
    done = outcome("check", fresh, "--set", "embeddings.layout=stamp")
    assert "layout: stamp" in done.out
    done = outcome("check", fresh, "--set", "embeddings.layout=numpy")
    assert done.code == 2
    assert "contains no .npz, .npy file" in done.err
    done = outcome("check", fresh, "--set", "embeddings.layout={features: other}")
    assert done.code == 2
    assert "has no dataset 'other'" in done.err
    assert outcome("check", fresh, "--set", "embeddings.layout=other").code == 2


def test_one_published_split_and_who_is_in_no_fold(fresh, outcome, edit, tmp_path):
    """A single division into train and test, which names not everybody."""
    table = pd.read_csv(fresh.parent / "cohort.csv", dtype=str)
    people = sorted(set(table["patient_id"]))
    (fresh.parent / "splits").mkdir()
    parts = {"train": people[:40], "val": people[40:58]}
    pd.DataFrame({k: pd.Series(v) for k, v in parts.items()}).to_csv(
        fresh.parent / "splits" / "splits_0.csv"
    )
    import yaml

    study = yaml.safe_load(fresh.read_text())
    study["split"] = {"files": "splits", "inner_folds": 2}
    study["arms"] = [{"name": "image", "inputs": ["image"], "aggregator": "linear"}]
    fresh.write_text(yaml.safe_dump(study))
    done = outcome("run", fresh, "--out", tmp_path / "run", *QUICK)
    assert done.code == 0, done.err
    predictions = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert sorted(predictions["patient_id"]) == people[40:58]
    # No training patient is scored: the intervals take the models as given.
    metrics = pd.read_csv(tmp_path / "run" / "metrics.csv", keep_default_na=False)
    assert set(metrics["variance"]) <= {"", "fixed models"}
    assert "fixed models" in set(metrics["variance"])
    lost = pd.read_csv(tmp_path / "run" / "cohort_lost.csv", keep_default_na=False)
    assert lost["patient_id"].tolist() == people[58:]
    assert lost["step"].unique().tolist() == ["in a fold"]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["split"]["source"] == "read from splits"
    assert "1 fold read from splits (mcat)" in done.out


def test_splits_of_a_run_are_splits_of_another(fresh, outcome, tmp_path, edit):
    linear = "arms=[{name: image, inputs: [image], aggregator: linear}]"
    first, second = tmp_path / "first", tmp_path / "second"
    done = outcome("run", fresh, "--out", first, *QUICK, "--set", linear)
    assert done.code == 0, done.err
    split = f"split={{files: {first / 'splits.csv'}, inner_folds: 2}}"
    done = outcome("run", fresh, "--out", second, *QUICK, "--set", linear, "--set", split)
    assert done.code == 0, done.err
    one, other = (pd.read_csv(f / "predictions.csv") for f in (first, second))
    columns = ["patient_id", "fold"]
    assert one[columns].to_numpy().tolist() == other[columns].to_numpy().tolist()


def test_site_preserved_folds_say_what_they_cost(fresh, outcome):
    done = outcome("check", fresh, "--set", "split.site_preserved=true")
    assert done.code == 0, done.err
    assert "sites are kept together: folds contain" in done.out


@pytest.mark.parametrize("name", ["=cmd|x", "../../x", "a\nb", "x" * 10_000, "..", "+x"])
@pytest.mark.parametrize("column", ["patient_id", "slide_id"])
def test_hostile_ids_end_with_a_message_and_nothing_written(fresh, outcome, tmp_path, name, column):
    table = pd.read_csv(fresh.parent / "cohort.csv", dtype=str)
    table.loc[0, column] = name
    table.to_csv(fresh.parent / "cohort.csv", index=False)
    linear = ("--set", "arms=[{name: image, inputs: [image], aggregator: linear}]")
    done = outcome("run", fresh, "--out", tmp_path / "out" / "run", *QUICK, *linear)
    if (name, column) == ("../../x", "patient_id"):  # an id of that form names no file
        assert done.code in (0, 2)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["cohort", "out"]
        return
    assert done.code == 2
    assert "Traceback" not in done.err
    assert len(done.err) < 3000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cohort"]


def test_letters_in_either_unicode_form_are_matched(fresh, outcome):
    """Names of files as macOS gives them, the table as Excel does."""
    table = pd.read_csv(fresh.parent / "cohort.csv", dtype=str)
    slide = table.loc[0, "slide_id"]
    (features(fresh) / f"{slide}.h5").rename(features(fresh) / "Ko\u0308ln.h5")
    table.loc[0, "slide_id"] = "K\u00f6ln.svs"
    table.to_csv(fresh.parent / "cohort.csv", index=False)
    done = outcome("check", fresh)
    assert done.code == 0, done.err


def test_dates_instead_of_days(fresh, outcome):
    table = pd.read_csv(fresh.parent / "cohort.csv", dtype=str)
    table["os_days"] = "2019-04-01"
    table.to_csv(fresh.parent / "cohort.csv", index=False)
    done = outcome("check", fresh)
    assert done.code == 2
    assert "is not a number of days" in done.err
    assert np.char.count(done.err, "\n") < 20
