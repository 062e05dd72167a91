import h5py
import numpy as np
import pandas as pd
import pytest

from outcome.simulation.simulate import Simulation, simulate

SETTINGS = {"patches": 60, "dimension": 64, "informative": 0.4, "site_shift": 0.5}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    path = tmp_path_factory.mktemp("first") / "cohort"
    return simulate(path, Simulation(patients=40, sites=2, **SETTINGS)).parent


@pytest.fixture
def external(first, outcome, tmp_path):
    done = outcome(
        "simulate", tmp_path / "external", "--external-to", first / "study.yaml", "--patients", 50
    )
    assert done.code == 0, done.err
    assert f"next: outcome validate BUNDLE {tmp_path / 'external' / 'study.yaml'}" in done.out
    return tmp_path / "external"


def tissue_means(folder):
    """Mean vector of each tissue, over all slides."""
    sums, counts = np.zeros((8, 64)), np.zeros(8)
    for path in folder.rglob("*_simulated/*.h5"):
        with h5py.File(path) as file:
            np.add.at(sums, file["simulated_tissue"][()], file["features"][()].astype(float))
            counts += np.bincount(file["simulated_tissue"][()], minlength=8)
    return sums / counts[:, None]


def test_other_patients_of_another_site_in_the_same_world(first, external):
    ours, theirs = (pd.read_csv(f / "cohort.csv") for f in (first, external))
    assert not set(ours["patient_id"]) & set(theirs["patient_id"])
    assert not set(ours["slide_id"]) & set(theirs["slide_id"])
    assert theirs["patient_id"].nunique() == 50
    assert theirs["site"].unique().tolist() == ["external-0"]
    # Tissues lie in the same place, but for the shift of the site, which is the same for all.
    here, there = tissue_means(first), tissue_means(external)
    shift = (there - here).mean(axis=0)
    assert np.corrcoef((here - here.mean(0)).ravel(), (there - there.mean(0)).ravel())[0, 1] > 0.98
    assert np.linalg.norm(shift) > 2
    # The score is the same function of what it is made of.
    true = [pd.read_csv(f / "truth.csv").assign(one=1.0) for f in (first, external)]
    parts = ["tumour_fraction", "immune_fraction", "one"]
    weights = np.linalg.lstsq(true[0][parts], true[0]["image"], rcond=None)[0]
    np.testing.assert_allclose(true[1][parts] @ weights, true[1]["image"], atol=1e-9)
    assert true[1]["image"].mean() != pytest.approx(0, abs=1e-9)


def test_a_seed_gives_other_patients_and_sites(first, outcome, tmp_path):
    words = ["simulate", "--external-to", first, "--patients", 20, "--patches", 5]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert outcome(*words, "--seed", seed, tmp_path / name).code == 0
    a, b, c = (pd.read_csv(tmp_path / k / "cohort.csv") for k in "abc")
    pd.testing.assert_frame_equal(a, b)
    assert not set(a["patient_id"]) & set(c["patient_id"])
    assert not set(a["site"]) & set(c["site"])


def test_what_cannot_be_asked_for(first, outcome, tmp_path):
    done = outcome(
        "simulate",
        tmp_path / "a",
        "--external-to",
        first,
        "--dimension",
        16,
        "--endpoint",
        "relapse",
    )
    assert done.code == 2
    assert "--dimension, --endpoint: taken from" in done.err
    none = outcome("simulate", tmp_path / "a", "--external-to", tmp_path)
    assert none.code == 2
    assert "contains no world.npz: it is not a simulated cohort" in none.err
    assert not (tmp_path / "a").exists()
