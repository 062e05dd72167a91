"""A registry with delayed entry from the study file to the page, and a model of it."""

import numpy as np
import pandas as pd
import pytest

import outcome
from outcome import MILCox, SlideDataset, Study
from outcome.dataset.study_data import prepare
from outcome.statistics.concordance import harrell
from outcome.training.arm_members import members
from outcome.training.checkpoints import fit_key
from tests.conftest import edit, make_small


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Simulated patients, 60% of whom may enter late, and a run."""
    folder = tmp_path_factory.mktemp("registry")
    path = make_small(folder / "cohort", delayed_entry=0.6, patches=5, dimension=16)
    edit(
        path,
        arms=["clinical"],
        baseline="clinical",
        split={"folds": 2},
        endpoint={"horizons": [700]},
    )
    outcome.run(Study.read(path), out=folder / "run", jobs=1)
    return path, folder / "run"


def test_simulated_patients_are_seen_after_their_entry(registry):
    path, _ = registry
    cohort = pd.read_csv(path.parent / "cohort.csv").drop_duplicates("patient_id")
    assert len(cohort) == 60
    assert (cohort["os_entry_days"] < cohort["os_days"]).all()
    assert 0.2 < (cohort["os_entry_days"] > 0).mean() < 0.7


def test_the_run_carries_entry(registry):
    _, run = registry
    table = pd.read_csv(run / "predictions.csv", dtype={"patient_id": str})
    assert list(table.columns[3:7]) == ["fold", "entry", "time", "event"]
    own = [
        harrell(f["time"], f["event"], f["risk"], entry=f["entry"]).c
        for _, f in table.groupby("fold")
    ]
    metrics = pd.read_csv(run / "metrics.csv").set_index("metric")
    assert metrics.loc["harrell_c", "estimate"] == pytest.approx(np.mean(own))
    assert metrics.loc["uno_c", "note"].startswith("delayed entry: censoring weights")
    page = (run / "report.html").read_text()
    assert "came under observation after the time origin (delayed entry)" in page
    assert "at risk only from their entry (left truncation)" in page


def test_a_model_is_validated_with_entry(registry, tmp_path):
    path, _ = registry
    bundle = outcome.fit(Study.read(path), without_fold="0", out=tmp_path / "b", jobs=1)
    found = outcome.validate(bundle, Study.read(path), out=tmp_path / "v", n_resamples=0)
    table = pd.read_csv(found.folder / "predictions.csv", dtype={"patient_id": str})
    assert "entry" in table
    metrics = pd.read_csv(found.folder / "metrics.csv").query("arm == 'clinical'")
    first = table[table["arm"] == "clinical"]
    expected = harrell(first["time"], first["event"], first["risk"], entry=first["entry"]).c
    assert metrics.set_index("metric").loc["harrell_c", "estimate"] == pytest.approx(expected)


def test_entry_is_part_of_the_key_of_a_fit(registry, tmp_path):
    path, _ = registry

    def key(study):
        data = prepare(study, tmp_path)
        fold = data.folds[0]
        (member,) = members(study.arms[0])
        return fit_key(data, study, member, fold, fold.inner[0], "cpu")

    study = Study.read(path)
    without = study.model_copy(
        update={"endpoint": study.endpoint.model_copy(update={"entry": None})}
    )
    assert key(study) != key(without)


def test_estimators_learn_with_entry():
    rng = np.random.default_rng(1)
    risk = rng.normal(size=40)
    bags = [r + rng.normal(size=(6, 4)) for r in risk]
    time = np.exp(4 - risk + rng.normal(size=40))
    y = pd.DataFrame({"time": time, "event": 1, "entry": time * rng.uniform(0, 0.8, 40)})
    settings = {"epochs": 2, "components": 2, "inner_folds": 2, "attention_width": 2}
    data = SlideDataset(bags, outcomes=y)
    model = MILCox(**settings).fit(data)
    plain = MILCox(**settings).fit(data, y.drop(columns="entry"))
    expected = harrell(y["time"], y["event"], model.predict(bags), entry=y["entry"]).c
    assert model.score(data) == pytest.approx(expected)
    late, early = (m.predict_survival_function(bags[:1])[0](20.0) for m in (model, plain))
    assert late < early  # ignoring entry counts time in which no event could be seen
