"""A trained model in use, as typed and from Python."""

import doctest
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from lifelines.statistics import logrank_test

import outcome
from outcome import Study
from outcome.bundle.out_of_distribution import VectorRange
from outcome.errors import BundleError, InputError
from outcome.simulation.simulate import Simulation, simulate

GUIDE = Path(__file__).parents[2] / "notebooks/how_to/external_validation.md"


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    """A study, its model, and an external cohort: other patients of the same simulation."""
    folder = tmp_path_factory.mktemp("use")
    path = simulate(
        folder / "cohort",
        Simulation(
            patients=150, patches=15, dimension=24, informative=0.5, image_effect=1.5,
            report_effect=0.8, event_rate=0.7, seed=2,
        ),
    )  # fmt: skip
    data = yaml.safe_load(path.read_text())
    data |= {
        "arms": ["image", "image+report"],
        "split": {"folds": 3, "inner_folds": 2},
        "training": {"epochs": 6, "components": 8, "attention_width": 4},
    }
    data["endpoint"]["horizons"] = [365, 1095]
    path.write_text(yaml.safe_dump(data))
    outcome.fit(
        Study.read(path), arm="image+report", without_fold="1", out=folder / "bundle", jobs=1
    )
    return path, folder / "bundle"


def test_fit_and_predict_as_typed(cohorts, outcome, tmp_path):
    path, bundle = cohorts
    done = outcome("fit", path, "--arm", "image", "--out", tmp_path / "b", "--jobs", 1)
    assert done.code == 0, done.err
    assert "150 patients" in done.out
    assert "its performance is unknown" in done.out
    done = outcome("predict", bundle, path, "--out", tmp_path / "p.csv", "--horizons", "200,400")
    assert done.code == 0, done.err
    assert "100 of 150 patients were in the training cohort" in done.out
    table = pd.read_csv(tmp_path / "p.csv", dtype={"patient_id": str})
    assert {"survival_200", "lowest_survival_400", "risk_group", "outside"} <= set(table)
    assert "time" not in table


def test_validate_as_typed(cohorts, outcome, tmp_path):
    path, bundle = cohorts
    done = outcome("validate", bundle, path, "--out", tmp_path / "v", "--resamples", 100)
    assert done.code == 0, done.err
    assert "100 of 150 patients were in the training cohort and are excluded" in done.out
    table = pd.read_csv(tmp_path / "v" / "predictions.csv", dtype={"patient_id": str})
    arms = ["image+report", "image+report, recalibrated in the large", "image+report, recalibrated"]
    assert table["arm"].unique().tolist() == arms
    first = table[table["arm"] == arms[0]]
    assert len(first) == 50
    # Cut-offs were fixed before: an ordinary log-rank test, equal to lifelines'.
    groups = pd.read_csv(tmp_path / "v" / "risk_groups.csv").query("arm == @arms[0]")
    high = first["risk_group"] == "high"
    expected = logrank_test(
        first["time"][high], first["time"][~high], first["event"][high], first["event"][~high]
    ).p_value
    assert groups["logrank_p"].iloc[0] == pytest.approx(expected, rel=1e-9)
    assert not groups["note"].fillna("").str.contains("exploratory").any()
    # Recalibration changes no ranking, only probabilities; the curves are there for each.
    metrics = pd.read_csv(tmp_path / "v" / "metrics.csv").set_index(["metric", "arm"])["estimate"]
    assert metrics["harrell_c"].nunique() == 1
    assert metrics["harrell_c"].iloc[0] > 0.55
    assert {"calibration_slope", "calibration_ratio_365", "brier_365"} <= set(
        metrics.index.get_level_values(0)
    )
    assert metrics["brier_365"].nunique() == 3
    curves = pd.read_csv(tmp_path / "v" / "decision_curves.csv")
    assert {*arms, "treat all"} == set(curves["arm"])
    assert len(pd.read_csv(tmp_path / "v" / "calibration.csv"))
    versions = pd.read_csv(tmp_path / "v" / "recalibration.csv")
    assert versions["version"].tolist() == [
        "as trained", "recalibrated in the large", "recalibrated",
    ]  # fmt: skip
    assert versions["slope"].tolist()[:2] == [1.0, 1.0]
    manifest = json.loads((tmp_path / "v" / "manifest.json").read_text())
    assert manifest["model"]["arm"] == "image+report"
    page = (tmp_path / "v" / "report.html").read_text()
    assert "one test set" in page
    assert "recalibrated in the large" in page
    assert "external validation" in page
    assert "scored only by models that were not trained on this patient" in page
    roles = pd.read_csv(tmp_path / "v" / "splits.csv")["role"].value_counts()
    assert roles.to_dict() == {"development": 100, "test": 50}


def test_recalibration_mends_a_cohort_with_another_baseline(cohorts, tmp_path):
    """Everybody lives half as long: as trained O/E is far above 1, recalibrated it is near."""
    path, bundle = cohorts
    table = pd.read_csv(path.parent / "cohort.csv", dtype=str)
    table["os_days"] = (table["os_days"].astype(float) / 2).round().clip(lower=1).astype(str)
    table.to_csv(tmp_path / "hard.csv", index=False)
    data = yaml.safe_load(path.read_text()) | {"cohort": str(tmp_path / "hard.csv")}
    study = Study.parse(data, folder=path.parent)
    found = outcome.validate(bundle, study, out=tmp_path / "v", n_resamples=0)
    ratio = found.metrics.query("metric == 'calibration_ratio_365'").set_index("arm")["estimate"]
    assert ratio["image+report"] > 1.3
    assert ratio["image+report, recalibrated in the large"] == pytest.approx(1, abs=0.15)
    brier = found.metrics.query("metric == 'brier_365'").set_index("arm")["estimate"]
    assert brier["image+report, recalibrated in the large"] < brier["image+report"]


def test_months_are_brought_into_days(cohorts, tmp_path):
    path, bundle = cohorts
    table = pd.read_csv(path.parent / "cohort.csv", dtype=str)
    table["os_months"] = (table["os_days"].astype(float) / (365.25 / 12)).astype(str)
    table.to_csv(tmp_path / "m.csv", index=False)
    data = yaml.safe_load(path.read_text()) | {"cohort": str(tmp_path / "m.csv")}
    days = outcome.validate(bundle, Study.read(path), out=tmp_path / "days", n_resamples=0)
    data["endpoint"] = {
        "kind": "survival", "time": "os_months", "event": "os_event", "unit": "months",
    }  # fmt: skip
    months = outcome.validate(
        bundle, Study.parse(data, folder=path.parent), out=tmp_path / "months", n_resamples=0
    )
    assert any("converted from months to days" in n for n in months.notes)
    np.testing.assert_allclose(
        months.metrics["estimate"], days.metrics["estimate"], rtol=1e-6, atol=1e-9
    )


def test_another_endpoint_is_refused(cohorts, tmp_path):
    path, bundle = cohorts
    data = yaml.safe_load(path.read_text())
    data["endpoint"] = {
        "kind": "landmark", "time": "os_days", "event": "os_event", "horizon": 500,
    }  # fmt: skip
    with pytest.raises(BundleError, match=r"predicts 'overall survival' \(survival\)"):
        outcome.validate(bundle, Study.parse(data, folder=path.parent), out=tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_nobody_is_validated_on_their_own_training(cohorts, tmp_path):
    path, _ = cohorts
    model = outcome.fit(Study.read(path), out=tmp_path / "b", jobs=1)
    with pytest.raises(InputError, match="all 150 patients were in the training cohort"):
        outcome.validate(model, Study.read(path), out=tmp_path / "v")


@pytest.mark.parametrize(
    ("simulated", "endpoint", "columns"),
    [
        ("response", None, ["probability", "lowest_probability"]),
        (
            "survival",
            {"kind": "landmark", "time": "os_days", "event": "os_event", "horizon": 700},
            ["survival_700", "highest_survival_700"],
        ),
    ],
)
def test_other_endpoints(make_study, tmp_path, simulated, endpoint, columns):
    path = make_study(tmp_path / "c", endpoint=simulated)
    data = yaml.safe_load(path.read_text())
    data |= {"arms": ["image", {"name": "linear", "inputs": ["image"], "aggregator": "linear"}]}
    if endpoint:
        data["endpoint"] = endpoint
    study = Study.parse(data, folder=path.parent)
    ran = outcome.run(study, out=tmp_path / "run", jobs=1)
    model = outcome.fit(
        study, arm="image", without_fold="2", out=tmp_path / "b", run=tmp_path / "run"
    )
    found = outcome.predict(model, study).table.set_index("patient_id")
    expected = ran.predictions.query("arm == 'image' and fold == '2'").set_index("patient_id")
    for column in ("risk", columns[0]):
        np.testing.assert_allclose(
            found.loc[expected.index, column], expected[column], rtol=1e-5, atol=1e-6
        )
    assert columns[1] in found
    judged = outcome.validate(model, study, out=tmp_path / "v", n_resamples=50)
    metrics = judged.metrics.query("arm == 'image'").set_index("metric")["estimate"]
    assert 0 <= metrics["auroc"] <= 1
    large = "calibration_intercept" if endpoint is None else "calibration_ratio_700"
    assert {"calibration_slope", large} <= set(metrics.index)
    assert judged.report.is_file()


def test_distances_of_newcomers_are_compared_with_those_of_held_out_patients():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(90, 60)))[0]

    def draw(n):
        raw = rng.normal(size=(n, 90))
        return raw @ axes, raw

    seen = VectorRange.fit(*draw(150), np.array_split(np.arange(150), 5))
    # Compared with distances of the very patients that placed the centre it would be over half.
    assert seen.beyond(seen.distance(*draw(4000))).mean() < 0.04
    for shift in (axes @ np.full(60, 1.5), 15 * np.linalg.qr(axes, "complete")[0][:, 70]):
        # The second shift is one that the components do not show.
        raw = draw(100)[1] + shift
        assert seen.beyond(seen.distance(raw @ axes, raw)).all()
    assert seen.percentile(np.array([0.0, 1e9])).tolist() == [0.0, 100.0]


@pytest.fixture
def here(cohorts, tmp_path, monkeypatch):
    """A working folder with a study, as the examples have it."""
    path, _ = cohorts
    data = yaml.safe_load(path.read_text())
    data["cohort"] = str(path.parent / "cohort.csv")
    data["embeddings"] = {k: str(path.parent / v) for k, v in data["embeddings"].items()}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(data))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_are_true(here):
    tried = 0
    for name in ("fit_model", "predict_patients", "validate_model", "explain_model"):
        found = doctest.testmod(importlib.import_module(f"outcome.pipeline.{name}"))
        assert found.failed == 0
        tried += found.attempted
    assert tried >= 15


def test_the_examples_of_the_guide_run(here):
    (here / "external.yaml").write_text((here / "study.yaml").read_text())
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.S)
    (mine,) = [b for b in blocks if "outcome.fit" in b]
    names: dict[str, object] = {}
    exec(compile(mine, GUIDE.name, "exec"), names)
    assert {"bundle", "predicted", "validated", "explained"} <= set(names)


def test_attention_as_typed(cohorts, outcome, tmp_path):
    path, bundle = cohorts
    slide = pd.read_csv(path.parent / "cohort.csv")["slide_id"][3]
    done = outcome("attention", bundle, path, "--slide", f"{slide}.svs", "--out", tmp_path / "a")
    assert done.code == 0, done.err
    assert "Contributions to the risk" in done.out
    assert "Risk when patches are deleted" in done.out
    written = {p.name.removeprefix(slide) for p in (tmp_path / "a").iterdir()}
    assert written == {
        ".patches.csv", ".top.csv", ".geojson", ".tiles.geojson", ".png", "modalities.csv",
        "faithfulness.csv", "attention.json",
    }  # fmt: skip
