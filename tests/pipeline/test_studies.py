"""Studies of every kind, run whole."""

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

import outcome
from outcome import Study, run
from outcome.evaluation.arrays import read_arms
from outcome.evaluation.crossfit_estimates import crossfit_estimate, read_inner_scores
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.fold_metrics import harrell_in_fold
from outcome.predictions import Predictions, read_predictions
from outcome.training.hyperparameters import SPACE

LATE = {
    "name": "late",
    "inputs": ["image", "report", "clinical"],
    "fusion": "late",
    "aggregator": "attention+linear",
}
STACKED = {"name": "stacked", "inputs": ["image", "clinical"], "fusion": "stacked"}
GATED = {"name": "gated", "inputs": ["image", "report", "clinical"], "fusion": "gated"}


def changed(path, **sections):
    data = yaml.safe_load(path.read_text()) | sections
    return Study.parse(data, folder=path.parent)


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    study = changed(
        small,
        endpoint={
            "kind": "survival", "time": "os_days", "event": "os_event", "horizons": [365, 730],
        },
        arms=["image", "report", "clinical", LATE, STACKED, GATED],
        contrasts=[["late", "clinical"]],
        risk_groups="tertiles",
        secondary=[
            {"name": "early_death", "kind": "landmark", "time": "os_days", "event": "os_event",
             "horizon": 500},
            {"name": "again", "kind": "survival", "time": "os_days", "event": "os_event"},
        ],
    )  # fmt: skip
    return run(study, out=tmp_path_factory.mktemp("whole") / "run", save_vectors=True)


def test_every_arm_is_calibrated(finished):
    rows = finished.predictions
    assert rows["arm"].unique().tolist() == [
        "image", "report", "clinical", "late", "stacked", "gated",
    ]  # fmt: skip
    assert rows[["linear_predictor", "survival_365", "survival_730"]].notna().all().all()
    assert (rows["survival_730"] <= rows["survival_365"]).all()
    per_fold = rows.groupby(["arm", "fold"])[["risk", "linear_predictor"]]
    # A slope is never negative: the ranking of the calibrated risk is that of the risk.
    assert (per_fold.corr().xs("risk", level=2)["linear_predictor"].dropna() > 0.999).all()
    assert set(finished.metrics["metric"]) >= {"brier_365", "ibs", "calibration_ratio_730"}


def test_inner_scores_are_the_parts_of_the_risk(finished):
    """Of networks, linear and clinical models, alone and fused; by the calibrator of the fold."""
    key = ["arm", "repeat", "fold", "patient_id"]
    kinds = {"patient_id": str, "fold": str}
    inner = pd.read_csv(finished.folder / "inner_scores.csv", dtype=kinds)
    rows = pd.read_csv(finished.folder / "predictions.csv", dtype=kinds).set_index(key)
    assert (inner.groupby(key).size() == 2).all()
    mean = inner.groupby(key)["risk"].mean()
    assert set(mean.index) == set(rows.index)
    np.testing.assert_allclose(mean.loc[rows.index], rows["risk"], atol=1e-12, rtol=0)
    assert (inner.groupby(["arm"])["risk"].std() > 0).all()
    own = rows.loc[pd.MultiIndex.from_frame(inner[key])].reset_index()
    shift = np.log(-np.log(inner["survival_365"])) - np.log(-np.log(own["survival_365"]))
    slope = own["linear_predictor"] / own["risk"]
    np.testing.assert_allclose(shift, slope * (inner["risk"] - own["risk"]), atol=1e-8)


def test_intervals_come_from_the_tables_of_the_run(finished):
    panel, arms = read_arms(Predictions(finished.predictions))
    scores = pd.read_csv(finished.folder / "inner_scores.csv")
    inner = read_inner_scores(scores, finished.splits, panel)
    for arm in arms:
        found = crossfit_estimate(panel, arm, harrell_in_fold, inner[arm.name])
        assert found.found.source == "inner models"
        table = finished.metrics.query("arm == @arm.name").set_index("metric")["estimate"]
        assert found.value == pytest.approx(table["harrell_c"])


def test_arms_share_the_fits_of_their_members(finished):
    fits = list((finished.folder / "fits").iterdir())
    # image, report, and the gated network, on 3 outer and 2 inner folds; no other network exists.
    assert len(fits) == 3 * 3 * 2
    models = {e["arm"]: [] for e in finished.manifest["epochs"]}
    for entry in finished.manifest["epochs"]:
        if entry["fold"] == "0":
            models[entry["arm"]].append(entry["model"])
    assert models["clinical"] == ["clinical linear"]
    assert len(models["late"]) == 5
    assert models["stacked"] == ["clinical linear", "image attention"]


def test_three_groups_and_declared_contrasts(finished):
    assert set(finished.predictions["risk_group"]) == {"low", "intermediate", "high"}
    pairs = finished.comparisons[["arm", "baseline"]].drop_duplicates().to_numpy().tolist()
    assert ["late", "clinical"] in pairs
    assert ["late", "image"] in pairs


def test_secondary_endpoints_are_judged_by_the_same_risks(finished):
    metrics = finished.metrics.set_index(["endpoint", "arm", "metric"])["estimate"]
    for arm in ("image", "late"):
        # The same endpoint under another name has the same C.
        assert metrics["again", arm, "harrell_c"] == metrics["", arm, "harrell_c"]
        assert 0 <= metrics["early_death", arm, "auroc"] <= 1
    assert "early_death" in " ".join(finished.notes)


def test_out_of_fold_vectors_of_slides_and_patients(finished):
    with h5py.File(finished.folder / "slide_vectors.h5") as file:
        patients = file["image/repeat 0/image attention/patients"]
        slides = file["image/repeat 0/image attention/slides"]
        assert len(patients["id"]) == 60
        assert patients["vectors"].shape == (60, 8)
        assert len(slides["id"]) == len(set(slides["id"].asstr()[:])) > 60
        assert "clinical" not in file
        # A patient with one slide has that slide's vector.
        rows = dict(zip(slides["id"].asstr()[:], slides["vectors"][:], strict=True))
        for name, vector in zip(patients["id"].asstr()[:], patients["vectors"][:], strict=True):
            own = [v for s, v in rows.items() if s.startswith(name)]
            if len(own) == 1:
                np.testing.assert_allclose(vector, own[0], rtol=1e-4, atol=1e-5)


def test_metrics_can_be_recomputed_from_the_written_table(finished):
    predictions = read_predictions(finished.folder / "predictions.csv")
    again = evaluate(predictions, baseline="image", horizons=[365, 730], n_resamples=10)
    both = again.metrics.merge(
        finished.metrics[finished.metrics["endpoint"] == ""], on=["arm", "metric"]
    )
    assert len(both) > 20
    np.testing.assert_allclose(both["estimate_x"], both["estimate_y"], rtol=1e-9)


def test_a_handful_of_events_is_for_linear_arms(small, tmp_path):
    study = changed(small, arms=["clinical"], baseline="clinical")
    table = pd.read_csv(study.cohort, dtype=str)
    names = sorted(set(table.loc[table["os_event"] == "1", "patient_id"]))[8:]
    table.loc[table["patient_id"].isin(names), "os_event"] = "0"
    found = run(study, table, out=tmp_path / "run")
    assert found.predictions["risk"].notna().all()
    assert "too few development events" in " ".join(found.notes)
    image = changed(small, arms=["image"])
    with pytest.raises(outcome.errors.InputError, match="`aggregator: linear`"):
        run(image, table, out=tmp_path / "network")


def test_a_landmark_study(small, tmp_path):
    endpoint = {"kind": "landmark", "time": "os_days", "event": "os_event", "horizon": 600}
    study = changed(small, endpoint=endpoint, arms=["image", "clinical"])
    found = run(study, out=tmp_path / "run")
    rows = found.predictions
    censored = (rows["event"] == 0) & (rows["time"] <= 600)
    assert censored.any()
    assert (rows.loc[censored, "weight"] == 0).all()
    assert (rows.loc[~censored, "weight"] >= 1).all()
    assert rows["survival_600"].between(0, 1).all()
    assert set(found.metrics["metric"]) >= {"auroc", "brier", "calibration_slope"}
    assert "were censored earlier" in " ".join(found.notes)


@pytest.mark.usefixtures("unreported")
def test_patients_censored_before_the_landmark_teach_nothing(small, tmp_path):
    """Their vectors may be anything: weights, not guesses, stand for them."""
    endpoint = {"kind": "landmark", "time": "os_days", "event": "os_event", "horizon": 600}
    study = changed(small, endpoint=endpoint, arms=["clinical"], baseline="clinical")
    table = pd.read_csv(study.cohort, dtype=str)
    plain = run(study, table, out=tmp_path / "a").predictions
    censored = (table["os_event"] == "0") & (table["os_days"].astype(float) <= 600)
    moved = table.copy()
    moved.loc[censored, "os_days"] = (moved["os_days"].astype(float) * 0 + 599).astype(str)
    # Later censoring changes the weights of others, not what these patients say.
    later = run(study, moved, out=tmp_path / "b").predictions
    theirs = later["patient_id"].isin(table.loc[censored, "patient_id"])
    assert (later.loc[theirs, "weight"] == 0).all()
    assert plain["weight"].max() != later["weight"].max()


ALL_KINDS = [
    "image",
    {"name": "cross", "inputs": ["image", "report"], "fusion": "cross"},
    {"name": "heads", "inputs": ["image"], "options": {"heads": 2}},
    *({"name": name, "inputs": ["image"], "aggregator": name}
      for name in ("mean", "transformer", "prototypes")),
]  # fmt: skip


@pytest.mark.usefixtures("unreported")
def test_every_aggregator_and_a_search(small, tmp_path):
    """A search tries more settings, keeps what is there, and reports what it chose."""
    study = changed(small, arms=ALL_KINDS, split={"folds": 2, "inner_folds": 2})
    plain = run(study, out=tmp_path / "run")
    assert plain.predictions["arm"].nunique() == len(ALL_KINDS)
    assert plain.predictions.groupby("arm")["risk"].std().min() > 0
    fits = set((tmp_path / "run" / "fits").iterdir())
    assert len(fits) == len(ALL_KINDS) * 2 * 2
    settings = study.training.model_copy(update={"search": 2})
    few = study.model_copy(update={"arms": study.arms[:2], "training": settings})
    searched = run(few, out=tmp_path / "run")
    # Two arms, two folds, two inner folds: two more settings each.
    assert len(set((tmp_path / "run" / "fits").iterdir()) - fits) == 2 * 2 * 2 * 2
    chosen = [m["searched"] for m in searched.manifest["epochs"] if "searched" in m]
    assert 0 < len(chosen) < len(searched.manifest["epochs"])
    assert set(chosen[0]) == set(SPACE)
    again = run(few, out=tmp_path / "other")
    pd.testing.assert_frame_equal(again.predictions, searched.predictions)


def image(**options):
    return {"arms": ["image", {"name": "x", "inputs": ["image"], **options}]}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"covariates": {}, "arms": ["clinical"]}, "covariates"),
        (image(aggregator="atention"), "attention, mean, transformer"),
        (image(fusion="cross"), "needs image, report"),
        (image(aggregator="no.such:Thing"), "cannot be imported"),
        (image(options={"heads": 2, "hats": 1}), "hats"),
        ({"contrasts": [["image", "nobody"]]}, "contrast"),
        ({"secondary": [{"kind": "survival", "time": "os_days", "event": "os_event"}]}, "name"),
        ({"risk_groups": [0.7, 0.2]}, "increasing"),
        ({"covariates": {"numeric": ["stage"]}}, "is not a number"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(small, tmp_path, sections, message):
    with pytest.raises(outcome.errors.InputError, match=message):
        run(changed(small, **sections), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
