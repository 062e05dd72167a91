"""What is planted among the test patients, or names a patient, must not get through."""

import h5py
import numpy as np
import pandas as pd
import pytest

from outcome import Study, run
from outcome.statistics.concordance import harrell

N, FOLDS, DIMENSION, PATCHES = 120, 3, 16, 12
ARMS = "arms=[image, {name: linear, inputs: [image], aggregator: linear}]"
pytestmark = pytest.mark.usefixtures("unreported")


@pytest.fixture
def cohort(tmp_path):
    """Patients whose vectors are noise, and a way to plant something in them."""

    def make(plant):
        rng = np.random.default_rng(8)
        time = rng.exponential(1000, N).round() + 1
        table = pd.DataFrame(
            {
                "patient_id": [f"P{i:03d}" for i in range(N)],
                "slide_id": [f"P{i:03d}-1" for i in range(N)],
                "time": time,
                "event": (rng.random(N) < 0.7).astype(int),
                "fold": np.arange(N) % FOLDS,
            }
        )
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "features").mkdir(parents=True)
        for i, row in enumerate(table.itertuples()):
            x = rng.normal(size=(PATCHES, DIMENSION)).astype(np.float32)
            plant(x, i, row)
            with h5py.File(folder / "features" / f"{row.slide_id}.h5", "w") as file:
                file["features"] = x
                file["coords"] = np.zeros((PATCHES, 2), dtype=int)
        table.to_csv(folder / "cohort.csv", index=False)
        (folder / "study.yaml").write_text(
            "name: leak\ncohort: cohort.csv\nembeddings: {patches: features}\n"
            "endpoint: {kind: survival, time: time, event: event}\n"
            "split: {column: fold, inner_folds: 2}\n"
            "training: {components: 0, epochs: 15}\nreport: {attention: 0}\n"
        )
        study = Study.read(folder / "study.yaml", [ARMS])
        return run(study, out=folder / "run", cache=tmp_path / "cache")

    return make


def fold_c(results, arm, fold):

    rows = results.predictions.query("arm == @arm and fold == @fold")
    return harrell(rows["time"], rows["event"], rows["risk"]).c


def test_the_probe_itself_would_be_seen(cohort):
    """The same plant in every fold is found: the next test could fail."""

    def plant(x, i, row):
        x[:, 0] += 3 * np.log(1000 / row.time)

    results = cohort(plant)
    assert min(fold_c(results, arm, "0") for arm in ("image", "linear")) > 0.85


def test_an_outcome_that_only_test_patients_carry_changes_nothing(cohort):
    """Planted with one sign it may help or harm by chance; a leak would profit from either."""
    found = []
    for sign in (1, -1):

        def plant(x, i, row, sign=sign):
            if row.fold == 0:
                x[:, 0] += sign * 3 * np.log(1000 / row.time)

        results = cohort(plant)
        found.append([fold_c(results, arm, "0") for arm in ("image", "linear")])
    for one, other in zip(*found, strict=True):
        # 40 patients: the standard error of C is about 0.055.
        assert abs((one + other) / 2 - 0.5) < 0.12
        assert abs(one - other) > 0.2  # the plant does reach the vectors


def test_a_vector_that_names_the_patient_predicts_nothing(cohort):
    rng = np.random.default_rng(5)
    names = rng.normal(size=(N, DIMENSION)) * 5

    def plant(x, i, row):
        x += names[i]

    metrics = cohort(plant).metrics.query("metric == 'harrell_c'").set_index("arm")["estimate"]
    assert (abs(metrics - 0.5) < 0.12).all()
