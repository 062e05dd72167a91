from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

import outcome
from outcome import Study
from outcome.bundle.new_patients import as_study, read_new_patients
from outcome.errors import BundleError, CohortError
from outcome.simulation.simulate import Simulation, simulate

ARM = {"name": "linear", "inputs": ["image", "report", "clinical"], "aggregator": "linear"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A linear model and the study that it was trained on."""
    folder = tmp_path_factory.mktemp("new patients")
    path = simulate(
        folder / "cohort", Simulation(patients=50, patches=6, dimension=16, event_rate=0.8, seed=1)
    )
    settings = yaml.safe_load(path.read_text()) | {
        "arms": [ARM],
        "baseline": "linear",
        "split": {"folds": 2, "inner_folds": 2},
    }
    study = Study.parse(settings, folder=path.parent)
    return outcome.fit(study, out=folder / "bundle", jobs=1), study


@pytest.fixture
def places(trained):
    _, study = trained
    return {"patches": study.embeddings.patches[0], "reports": study.embeddings.reports}


def table(study, path, **columns):
    found = pd.read_csv(study.cohort, dtype=str).assign(**columns)
    found.to_csv(path, index=False)
    return found


def test_outcomes_are_not_read_and_need_not_be_there(trained, places, tmp_path):
    bundle, study = trained
    kept = table(study, tmp_path / "c.csv").drop(columns=["os_days", "os_event"])
    kept.to_csv(tmp_path / "c.csv", index=False)
    read = as_study(bundle, tmp_path / "c.csv", **places)
    new = read_new_patients(bundle, read, with_outcomes=False)
    assert new.ids == sorted(kept["patient_id"].unique())
    assert not new.cohort.with_outcomes
    assert not {"time", "event"} & set(new.cohort.patients)
    assert new.cohort.flow_table()["events"].eq(0).all()
    with pytest.raises(CohortError, match="no column 'os_days'"):
        read_new_patients(bundle, read, with_outcomes=True)


def test_outcomes_are_read_where_they_are_wanted(trained):
    bundle, study = trained
    new = read_new_patients(bundle, study, with_outcomes=True)
    events = int(pd.read_csv(study.cohort).drop_duplicates("patient_id")["os_event"].sum())
    assert int(new.cohort.outcome.sum()) == events
    assert new.cohort.flow_table()["events"].iloc[-1] == events


def test_vectors_of_every_input_are_given(trained, places):
    bundle, study = trained
    new = read_new_patients(bundle, study, with_outcomes=False)
    patient = new.ids[0]
    given = new.given(patient)
    assert set(given) == {"image", "report", "clinical"}
    assert given["image"].shape[1] == 16
    bag = new.bag(patient)
    np.testing.assert_array_equal(bag.features, given["image"])
    assert bag.coords.shape == (len(bag.features), 2)


def test_all_that_the_model_needs_and_a_table_lacks_is_named_at_once(trained):
    bundle, study = trained
    with pytest.raises(CohortError, match=r"(?s)no patches are given.*no reports are given"):
        as_study(bundle, study.cohort)


def test_a_clinical_column_may_be_empty(trained, places, tmp_path):
    bundle, study = trained
    table(study, tmp_path / "c.csv", age="")
    read = as_study(bundle, tmp_path / "c.csv", **places)
    new = read_new_patients(bundle, read, with_outcomes=False)
    assert np.isfinite(np.stack(list(new.clinical.values()))).all()


def test_patients_without_a_slide_are_left_out_of_a_table_and_an_error_in_a_study(
    trained, places, tmp_path
):
    bundle, study = trained
    found = table(study, tmp_path / "c.csv")
    lost = found["patient_id"].iloc[0]
    found.loc[found["patient_id"] == lost, "slide_id"] += "-elsewhere"
    found.to_csv(tmp_path / "c.csv", index=False)
    read = as_study(bundle, tmp_path / "c.csv", **places)
    new = read_new_patients(bundle, read, with_outcomes=False)
    assert lost not in new.ids
    assert any(w.startswith("1 patients have no slide") and lost in w for w in new.warnings)
    strict = study.model_copy(update={"cohort": tmp_path / "c.csv"})
    with pytest.raises(CohortError, match="slides without a feature file"):
        read_new_patients(bundle, strict, with_outcomes=False)


def test_vectors_of_another_length_are_refused(trained, places, tmp_path):
    bundle, study = trained
    with h5py.File(places["reports"]) as old, h5py.File(tmp_path / "r.h5", "w") as file:
        for name in old:
            file[name] = old[name][:, :8]
    read = as_study(bundle, study, reports=tmp_path / "r.h5")
    with pytest.raises(
        BundleError, match="vectors have 8 numbers, but the model was trained on vectors of 16"
    ):
        read_new_patients(bundle, read, with_outcomes=False)


def test_another_encoder_is_refused(trained, places, tmp_path):
    bundle, study = trained
    with h5py.File(places["reports"]) as old, h5py.File(tmp_path / "r.h5", "w") as file:
        file.attrs["encoder"] = "another"
        for name in old:
            file[name] = old[name][()]
    read = as_study(bundle, study, reports=tmp_path / "r.h5")
    with pytest.raises(BundleError, match="vectors are from encoder 'another'"):
        read_new_patients(bundle, read, with_outcomes=False)


def test_strata_that_were_not_trained_on_are_refused(trained):
    bundle, study = trained
    endpoint = bundle.endpoint.model_copy(update={"strata": "site"})
    stratified = replace(bundle, endpoint=endpoint, strata=("site-1", "site-2"))
    message = r"not trained on the strata site-3, site-4, site-5 \(its strata"
    with pytest.raises(BundleError, match=message):
        read_new_patients(stratified, study, with_outcomes=False)
