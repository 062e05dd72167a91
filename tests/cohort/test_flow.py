"""Nothing is lost in silence: the flow, the list of the lost and the table add up."""

from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome.dataset.study_data import prepare
from outcome.study import Study

N = 160


@cache
def features() -> Path:
    """Files of slides; every eleventh is empty, every seventh is not there."""
    folder = Path(mkdtemp()) / "features"
    folder.mkdir()
    for i in range(N):
        if i % 7:
            np.save(folder / f"s{i}.npy", np.ones((0 if i % 11 == 0 else 2, 3), np.float32) * i)
    return folder


def random_table(seed: int, blank: float) -> pd.DataFrame:
    """Slides of up to 130 patients, with holes of every kind."""
    rng = np.random.default_rng(seed)

    def holes(values):
        empty = rng.choice(["", "NA", " "], len(values))
        return np.where(rng.random(len(values)) < blank, empty, values)

    people = [f"p{i}" for i in range(130)]
    about = pd.DataFrame(
        {
            "patient_id": people,
            "t": holes(rng.integers(1, 900, 130).astype(str)),
            "e": holes((rng.random(130) < 0.7).astype(int).astype(str)),
            "fold": holes(rng.choice(["0", "1", "2", "-1"], 130, p=[0.3, 0.3, 0.3, 0.1])),
            "age": holes(rng.integers(40, 90, 130).astype(str)),
        }
    )
    slides = holes(np.array([f"s{i}" for i in range(N)], dtype=object))
    rows = pd.DataFrame({"patient_id": rng.choice(people, N), "slide_id": slides})
    return rows.merge(about, on="patient_id")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.15), st.sampled_from(["impute", "drop"]))
def test_totals_reconcile(seed, blank, covariate):
    folder, table = features(), random_table(seed, blank)
    study = Study.parse(
        {
            "name": "x",
            "cohort": "c.csv",
            "endpoint": {"kind": "survival", "time": "t", "event": "e"},
            "embeddings": {"patches": folder},
            # Networks ask for more events than some of these folds have.
            "arms": [{"name": "image", "inputs": ["image"], "aggregator": "linear"}],
            "covariates": {"numeric": ["age"]},
            "split": {"column": "fold"},
            "on_missing": {"slide": "drop", "covariate": covariate},
        },
        folder=folder.parent,
    )
    cohort = prepare(study, folder.parent / "cache", frame=table).cohort
    flow, lost = cohort.flow_table(), cohort.lost_table()
    assert flow["patients"].iloc[0] == table["patient_id"].nunique()
    assert flow["patients"].iloc[-1] == len(cohort.patients)
    assert flow["slides"].iloc[-1] == len(cohort.slides)
    assert flow["events"].iloc[-1] == int(cohort.outcome.sum())
    assert flow["step"].is_unique
    # Every step loses exactly those who are listed for it.
    whole = Counter(lost.loc[lost["slide_id"] == "", "step"])
    drops = -flow.set_index("step")["patients"].diff().fillna(0).astype(int)
    assert {s: n for s, n in drops.items() if n} == dict(whole)
    # Every row of the table is kept, or lost with its slide, or with its patient.
    gone = set(lost.loc[lost["slide_id"] == "", "patient_id"])
    assert gone | set(cohort.patients.index) == set(table["patient_id"])
    assert not gone & set(cohort.patients.index)
    kept, listed = set(cohort.slides["slide_id"]), set(lost["slide_id"])
    nameless = Counter(lost.loc[lost["slide_id"] == "(no slide id)", "patient_id"])
    for patient, rows in table.groupby("patient_id"):
        for slide in rows["slide_id"]:
            if slide.strip() in ("", "NA"):
                nameless[patient] -= 1
            else:
                assert (slide in kept) != (slide in listed or patient in gone)
    assert set(nameless.values()) <= {0}
