"""A whole study from the command line, and what must hold of its results."""

import json
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from lifelines.utils import concordance_index
from sklearn.metrics import roc_auc_score

import outcome as package
from outcome import Study, run
from outcome.reporting.page.blocks import Picture
from outcome.reporting.page.figure_files import FigureFiles

TABLES = ["predictions", "development", "metrics", "comparisons", "risk_groups", "history"]
INNER = ["arm", "patient_id", "repeat", "fold", "inner_fold", "risk"]


def read(folder, name):
    return pd.read_csv(folder / f"{name}.csv", dtype={"patient_id": str})


@pytest.fixture(scope="session")
def finished(small, tmp_path_factory):
    """One run of the small study."""
    return run(Study.read(small), out=tmp_path_factory.mktemp("run") / "run", jobs=1)


def test_run_folder_holds_everything_and_says_where_the_report_is(small, outcome, tmp_path):
    done = outcome("run", small, "--out", tmp_path / "run", "--jobs", 1)
    assert done.code == 0, done.err
    assert done.out.startswith(f"run folder: {tmp_path / 'run'}")
    assert f"report: {tmp_path / 'run' / 'report.html'}" in done.out
    assert "SIMULATED" in done.out
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names >= {f"{t}.csv" for t in TABLES}
    assert names >= {"study.yaml", "manifest.json", "cohort_flow.csv", "cohort_lost.csv"}
    assert names >= {"splits.csv", "figures", "report.html", "fits"}
    assert not [n for n in names if n.startswith(".")]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["command"].startswith("outcome run ")
    assert set(manifest["inputs"]) == {"cohort.csv", "reports.h5", "patch features (all slides)"}
    resolved = Study.read(tmp_path / "run" / "study.yaml")
    assert resolved.training == Study.read(small).training
    # Without a terminal, progress is by line, here and in the log.
    for text in (done.err, (tmp_path / "run" / "run.log").read_text()):
        assert re.search(r"^.*\d\d:\d\d:\d\d.*  training 18/18 \(100%\), elapsed", text, re.M), text
    log = (tmp_path / "run" / "run.log").read_text().splitlines()
    assert "started: outcome run " in log[0]
    assert log[-1].endswith("  finished")
    assert "found" not in done.out


def test_every_patient_is_scored_once_per_arm_by_models_that_never_saw_them(finished):
    table = finished.predictions
    assert sorted(set(table["arm"])) == ["image", "image+report", "report"]
    assert table.groupby("arm")["patient_id"].nunique().tolist() == [60, 60, 60]
    assert not table.duplicated(["arm", "patient_id"]).any()
    roles = finished.splits.set_index(["patient_id", "outer_fold"])["role"]
    where = pd.MultiIndex.from_frame(table[["patient_id", "fold"]])
    assert set(roles.loc[where]) == {"test"}
    learned = pd.MultiIndex.from_frame(finished.development[["patient_id", "fold"]])
    assert set(roles.loc[learned]) == {"development"}
    assert not set(learned) & set(where)


def test_patients_have_a_lower_bound_of_their_survival_time(finished):
    table, bounds = finished.predictions, read(finished.folder, "survival_bounds")
    assert table["survival_bound"].between(0, table["time"].max()).all()
    assert bounds["arm"].tolist() == ["image", "report", "image+report"]
    assert (bounds["nominal"] == 0.9).all()
    assert bounds["coverage"].between(0.7, 1).all()


def test_arms_share_patients_and_folds(finished):
    folds = finished.predictions.pivot(index="patient_id", columns="arm", values="fold")
    assert (folds.nunique(axis=1) == 1).all()
    inner = finished.development.pivot(
        index=["patient_id", "fold"], columns="arm", values="inner_fold"
    )
    assert (inner.nunique(axis=1) == 1).all()


def test_metrics_are_what_the_predictions_file_says(finished):
    table = read(finished.folder, "predictions")
    metrics = read(finished.folder, "metrics").set_index(["arm", "metric"])["estimate"]
    for arm, rows in table.groupby("arm"):
        per_fold = [
            concordance_index(f["time"], -f["risk"], f["event"]) for _, f in rows.groupby("fold")
        ]
        assert metrics[arm, "harrell_c"] == pytest.approx(np.mean(per_fold), abs=1e-9)
    compared = read(finished.folder, "comparisons").set_index(["arm", "metric"])["difference"]
    expected = metrics["report", "harrell_c"] - metrics["image", "harrell_c"]
    assert compared["report", "harrell_c"] == pytest.approx(expected, abs=1e-9)


def test_groups_follow_the_development_median(finished):
    development = finished.development.groupby(["arm", "fold"])["risk"].median()
    for row in finished.predictions.itertuples():
        high = row.risk > development[row.arm, row.fold]
        assert row.risk_group == ("high" if high else "low")


def test_inner_risks_are_centred(finished):
    means = finished.development.groupby(["arm", "fold", "inner_fold"])["risk"].mean()
    np.testing.assert_allclose(means, 0, atol=1e-12)


@pytest.mark.parametrize("kind", ["relapse", "response"])
def test_binary_endpoints(kind, outcome, tmp_path, make_study):
    path = make_study(tmp_path / "cohort", endpoint=kind)
    done = outcome("run", path, "--out", tmp_path / "run", "--jobs", 1)
    assert done.code == 0, done.err
    table = read(tmp_path / "run", "predictions")
    metrics = read(tmp_path / "run", "metrics").set_index(["arm", "metric"])["estimate"]
    sign = -1 if kind == "response" else 1
    for arm, rows in table.groupby("arm"):
        per_fold = [roc_auc_score(f["label"], sign * f["risk"]) for _, f in rows.groupby("fold")]
        assert metrics[arm, "auroc"] == pytest.approx(np.mean(per_fold), abs=1e-9)
    inner = read(tmp_path / "run", "inner_scores")
    assert inner.columns.tolist() == [*INNER, "probability"]
    # A higher risk is a higher probability, of a good label a lower one.
    for _, rows in inner.groupby(["arm", "fold"]):
        rising = sign * rows.sort_values("risk")["probability"].diff().dropna()
        assert (rising >= -1e-12).all()
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.usefixtures("unreported")
def test_same_predictions_whatever_the_jobs_the_rows_and_the_patches(
    finished, fresh_files, tmp_path
):
    """Other order of rows and of patches, two processes: the same to the last digit."""
    rng = np.random.default_rng(3)
    cohort = pd.read_csv(fresh_files.parent / "cohort.csv", dtype=str)
    cohort.sample(frac=1, random_state=4).to_csv(fresh_files.parent / "cohort.csv", index=False)
    for path in fresh_files.parent.rglob("SIM-*.h5"):
        with h5py.File(path, "r+") as file:
            order = rng.permutation(len(file["features"]))
            for name in ("features", "coords"):
                file[name][...] = file[name][()][order]
    again = run(Study.read(fresh_files), out=tmp_path / "run", jobs=2)
    columns = ["arm", "patient_id"]
    one = finished.predictions.sort_values(columns).reset_index(drop=True)
    other = again.predictions.sort_values(columns).reset_index(drop=True)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    pd.testing.assert_frame_equal(finished.metrics, again.metrics, check_exact=True)


@pytest.mark.usefixtures("unreported")
def test_a_data_frame_instead_of_the_file(finished, small, tmp_path):
    cohort = pd.read_csv(small.parent / "cohort.csv")
    results = run(Study.read(small), cohort, out=tmp_path / "run", jobs=1)
    pd.testing.assert_frame_equal(results.predictions, finished.predictions)
    pd.testing.assert_frame_equal(results.metrics, finished.metrics)
    assert "cohort table given in Python" in results.manifest["inputs"]
    assert "cohort.csv" not in results.manifest["inputs"]


def fit_times(folder):
    return {p.name: (p / "done").stat().st_mtime_ns for p in (folder / "fits").iterdir()}


@pytest.mark.usefixtures("unreported")
def test_resumes_and_refits_only_what_a_change_affects(finished, small, outcome, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.folder, folder)
    before = fit_times(folder)
    half = sorted(before)[::2]
    for name in half:
        shutil.rmtree(folder / "fits" / name)
    (folder / "fits" / half[0]).mkdir()  # as if killed before it was whole
    damaged = sorted(before)[1::2]
    (folder / "fits" / damaged[0] / "history.csv").write_text("")
    weights = folder / "fits" / damaged[1] / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    half += damaged[:2]
    done = outcome("run", small, "--out", folder, "--jobs", 1, "-v")
    assert done.code == 0, done.err
    found = f"found {18 - len(half)} of 18 fits of an earlier run; {len(half)} remain"
    assert found in done.out
    assert found in (folder / "run.log").read_text()
    assert done.out.count("debug: fitted ") == len(half)
    after = fit_times(folder)
    assert set(after) == set(before)
    assert {k: v for k, v in after.items() if k not in half} == {
        k: v for k, v in before.items() if k not in half
    }
    for name in TABLES:
        assert (folder / f"{name}.csv").read_bytes() == (
            finished.folder / f"{name}.csv"
        ).read_bytes()
    # Horizons concern the report; another learning rate concerns every fit.
    changed = outcome("run", small, "--out", folder, "--set", "endpoint.horizons=[365]")
    assert changed.code == 0, changed.err
    assert fit_times(folder) == after
    run(Study.read(small, ["training.learning_rate=0.01"]), out=folder, jobs=1)
    assert len(fit_times(folder)) == 2 * len(after)


def test_another_study_does_not_get_into_the_folder(finished, small, outcome):
    before = sorted(p.name for p in finished.folder.iterdir())
    done = outcome("run", small, "--out", finished.folder, "--set", "name=other")
    assert done.code == 2
    assert "contains a run of study 'simulated-survival', not of 'other'" in done.err
    assert sorted(p.name for p in finished.folder.iterdir()) == before


def test_given_folds_are_used(small, tmp_path):
    cohort = pd.read_csv(small.parent / "cohort.csv")
    number = cohort["patient_id"].str[-4:].astype(int)
    cohort["part"] = np.where(number % 10 == 9, "", (number % 2).astype(str))
    study = Study.read(small)
    split = type(study.split)(column="part", inner_folds=2)
    study = study.model_copy(update={"split": split, "arms": study.arms[:1]})
    results = run(study, cohort, out=tmp_path / "run", jobs=1)
    scored = results.predictions.set_index("patient_id")["fold"]
    assert len(scored) == (number % 10 != 9)[~cohort["patient_id"].duplicated()].sum()
    for patient, fold in scored.items():
        assert fold == str(int(patient[-4:]) % 2)
    unused = results.splits.query("role == 'unused'")["patient_id"]
    assert {p[-1] for p in unused} == {"9"}


def test_strata_have_their_own_risk_sets_and_cut_offs(small, tmp_path):
    cohort = pd.read_csv(small.parent / "cohort.csv")
    cohort["cancer"] = np.where(cohort["patient_id"].str[-1].astype(int) % 2, "A", "B")
    study = Study.read(small, ["endpoint.strata=cancer", "arms=[image]"])
    results = run(study, cohort, out=tmp_path / "run", jobs=1)
    assert set(results.predictions["strata"]) == {"A", "B"}
    assert len(results.predictions) == 60


@pytest.mark.usefixtures("unreported")
def test_a_label_planted_in_the_test_fold_does_not_get_through(fresh_files, tmp_path):
    """Patches of fold 0 shout the outcome; models that never saw fold 0 cannot know."""
    study = Study.read(fresh_files, ["arms=[image]"])
    first = run(study, out=tmp_path / "honest", jobs=1)
    test = first.predictions.query("fold == '0'").set_index("patient_id")
    for path in fresh_files.parent.rglob("SIM-*.h5"):
        patient = path.name[:8]
        if patient in test.index:
            with h5py.File(path, "r+") as file:
                file["features"][:, 5] = 50.0 * test.loc[patient, "event"]
    again = run(study, out=tmp_path / "planted", jobs=1)

    def learned(results):
        rows = results.development.query("fold == '0'")
        return rows.reset_index(drop=True)

    # Nothing that was fitted for fold 0 has changed: not a weight, not an epoch, not a cut-off.
    pd.testing.assert_frame_equal(learned(first), learned(again), check_exact=True)
    states = [r.history.query("fold == '0'").reset_index(drop=True) for r in (first, again)]
    pd.testing.assert_frame_equal(*states, check_exact=True)


@pytest.mark.usefixtures("unreported")
def test_test_outcomes_change_no_score(small, tmp_path, finished):
    """Outcomes of the patients of one fold permuted: their own scores stay as they are."""
    cohort = pd.read_csv(small.parent / "cohort.csv")
    study = Study.read(small, ["arms=[image]"])
    test = finished.predictions.query("arm == 'image' and fold == '1'")["patient_id"]
    rows = cohort["patient_id"].isin(test)
    folds = finished.predictions.query("arm == 'image'").set_index("patient_id")["fold"]
    cohort["fold"] = cohort["patient_id"].map(folds)
    split = type(study.split)(column="fold", inner_folds=2)
    study = study.model_copy(update={"split": split})
    one = run(study, cohort, out=tmp_path / "one", jobs=1)
    cohort.loc[rows, "os_days"] = 1
    cohort.loc[rows, "os_event"] = 1
    two = run(study, cohort, out=tmp_path / "two", jobs=1)
    a, b = (r.predictions.query("fold == '1'")[["patient_id", "risk"]] for r in (one, two))
    pd.testing.assert_frame_equal(a, b, check_exact=True)


@pytest.mark.usefixtures("unreported")
def test_finds_a_planted_signal(tmp_path, make_study):
    """Strong effects, few dimensions: most of what can be reached is reached."""
    path = make_study(
        tmp_path / "cohort", patients=150, patches=60, image_effect=1.5, report_effect=0.0,
        stage_effect=0.0, age_effect=0.0, event_rate=0.8,
    )  # fmt: skip
    study = Study.read(
        path, ["arms=[image]", "training.epochs=24", "training.components=16", "split.folds=3"]
    )
    results = run(study, out=tmp_path / "run", jobs=1)
    truth = pd.read_csv(path.parent / "truth.csv").set_index("patient_id")["image"]
    table = results.predictions.assign(truth=truth.loc[results.predictions["patient_id"]].values)
    attainable = np.mean(
        [concordance_index(f["time"], -f["truth"], f["event"]) for _, f in table.groupby("fold")]
    )
    reached = results.metrics.set_index("metric").loc["harrell_c", "estimate"]
    assert attainable > 0.75
    assert reached - 0.5 > 0.6 * (attainable - 0.5)


def test_importing_the_pipeline_leaves_the_public_function_in_place(finished):
    code = "import outcome.pipeline.run, outcome; assert callable(outcome.run), outcome.run"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert callable(package.run)


def test_nothing_of_the_study_file_is_lost_on_the_way(small, tmp_path):
    study = Study.read(small)
    (tmp_path / "again.yaml").write_text(study.to_yaml())
    assert Study.read(tmp_path / "again.yaml") == study
    assert yaml.safe_load(study.to_yaml())["name"] == "simulated-survival"


@pytest.mark.usefixtures("unreported")
def test_an_arm_with_reports_refits_nothing_of_images(small, tmp_path):
    path = shutil.copytree(small.parent, tmp_path / "cohort") / small.name
    study = yaml.safe_load(path.read_text())
    reports = study["embeddings"].pop("reports")
    path.write_text(yaml.safe_dump(study | {"arms": ["image"], "baseline": "image"}))
    run(Study.read(path), out=tmp_path / "run", jobs=1)
    study["embeddings"]["reports"] = reports
    path.write_text(yaml.safe_dump(study | {"arms": ["image", "report"], "baseline": "image"}))
    again = run(Study.read(path), out=tmp_path / "run", jobs=1)
    assert again.manifest["fits"] == {"total": 12, "kept": 6, "trained": 6}


def test_what_an_earlier_state_left_is_removed_and_said(small, tmp_path, monkeypatch):
    def save_empty(self, figure, name, *, alt, caption):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.png").touch()
        self.saved.append(name)
        return Picture(name, "data:,", 480, 320, alt, caption)

    monkeypatch.setattr(FigureFiles, "save", save_empty)
    folder = tmp_path / "run"
    both = Study.read(small, ["arms=[image, report]"])
    run(both, out=folder, jobs=1, save_vectors=True)
    # As --permutations writes it, which takes minutes.
    tested = {"arm": ["image"], "statistic": ["harrell_c"], "observed": [0.6], "p_value": [0.01]}
    pd.DataFrame(tested | {"n_permutations": [199], "model": ["linear"]}).to_csv(
        folder / "permutations.csv", index=False
    )
    left = [folder / "permutations.csv", folder / "slide_vectors.h5"]
    figure = folder / "figures" / "kaplan-meier-report.png"
    own = folder / "figures" / "mine.png"
    own.write_bytes(b"a picture of the user")
    assert all(path.is_file() for path in [*left, figure])
    same = run(both, out=folder, jobs=1)
    assert all(path.is_file() for path in left)
    assert not any("earlier version" in note for note in same.notes)
    other = run(Study.read(small, ["arms=[image]"]), out=folder, jobs=1)
    assert not any(path.exists() for path in [*left, figure])
    assert own.is_file()
    assert any(
        note.startswith("permutations.csv and slide_vectors.h5 of an earlier")
        for note in other.notes
    )
    assert "Permuted outcomes" not in other.report.read_text()


def test_maximally_selected_groups_come_with_a_corrected_p(small, tmp_path):
    found = run(Study.read(small, ["arms=[image]", "risk_groups=maxstat"]), out=tmp_path, jobs=1)
    (note,) = [n for n in found.notes if "maximally selected cut" in n]
    assert len(note.partition("per fold: ")[2].split(", ")) == 3


@pytest.mark.usefixtures("unreported")
def test_calibration_of_the_whole_distribution_is_among_the_metrics(make_study, tmp_path):
    path = make_study(tmp_path / "cohort", patients=150, event_rate=0.8, seed=3)
    found = run(Study.read(path, ["arms=[image]"]), out=tmp_path / "run", jobs=1)
    rows, at_time = found.metrics, found.predictions["survival_at_time"]
    assert float(rows.loc[rows["metric"] == "dcal_p", "estimate"].iloc[0]) > 0.001
    assert at_time.dropna().between(0, 1).all()
    assert at_time.notna().mean() > 0.9


def test_too_few_events_for_d_calibration_is_no_warning(finished):
    rows = finished.metrics[finished.metrics["metric"] == "dcal_p"]
    assert rows["note"].str.contains("fewer than 100 events").all()
    assert not any("dcal_p" in w for w in finished.manifest["warnings"])


@pytest.mark.parametrize("device", ["meta", "cuda:x", "gpu", ""])
def test_a_device_that_is_none_is_refused_and_nothing_written(small, outcome, tmp_path, device):
    done = outcome("run", small, "--out", tmp_path / "run", "--device", device)
    assert done.code == 2
    assert "--device" in done.err
    assert not (tmp_path / "run").exists()


def test_without_a_scheduler_nothing_is_written(small, outcome, tmp_path, monkeypatch):
    monkeypatch.setattr("outcome.crossval.executors.CONNECT", "1s")
    done = outcome("run", small, "--out", tmp_path / "run", "--cluster", "tcp://127.0.0.1:1")
    assert done.code == 2
    assert "no scheduler answers" in done.err
    assert not (tmp_path / "run").exists()
