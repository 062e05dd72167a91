"""Tables of predictions in memory, evaluated as files are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import outcome
from outcome import InputError
from outcome.pipeline.evaluate import evaluate_tables


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 60
    hidden = rng.normal(size=n)
    known = {
        "patient_id": [f"p{i}" for i in range(n)],
        "time": np.exp(5 - hidden + 0.5 * rng.normal(size=n)),
        "event": (rng.uniform(size=n) < 0.8).astype(int),
        "fold": np.arange(n) % 2,
        "age": 60 + rng.normal(size=n),
    }
    arms = {"image": hidden + rng.normal(size=n), "both": hidden}
    frames = [pd.DataFrame({**known, "arm": a, "risk": r}) for a, r in arms.items()]
    return pd.concat(frames, ignore_index=True)


def test_it_is_the_evaluation_of_the_file(table, tmp_path, monkeypatch):
    monkeypatch.setattr("outcome.pipeline.evaluate.write_report", lambda folder: folder)
    settings = {"horizons": [100.0, 200.0], "unit": "days", "covariates": ["age"]}
    found = outcome.evaluate(table, n_resamples=20, **settings)
    path = tmp_path / "predictions.csv"
    table.to_csv(path, index=False)
    written = evaluate_tables([path], tmp_path / "out", n_resamples=20, **settings).evaluation
    assert list(found.tables) == list(written.tables)
    for name in found.tables:
        pd.testing.assert_frame_equal(found.tables[name], written.tables[name])
    assert found.warnings == written.warnings
    assert found.metrics["arm"].unique().tolist() == ["image", "both"]


def test_a_mapping_names_the_arms(table):
    parts = {a: t.drop(columns="arm") for a, t in table.groupby("arm", sort=False)}
    found = outcome.evaluate(parts, baseline="both", n_resamples=0)
    assert found.comparisons[["arm", "baseline"]].drop_duplicates().to_numpy().tolist() == [
        ["image", "both"]
    ]
    assert "both: harrell_c" in repr(found)


def test_compare_is_paired_and_signed(table):
    image, both = (table[table["arm"] == a] for a in ("image", "both"))
    found = outcome.compare(both, image, n_resamples=50).comparisons.set_index("metric")
    assert found.loc["harrell_c", ["arm", "baseline"]].tolist() == ["both", "image"]
    assert found.loc["harrell_c", "difference"] > 0
    back = outcome.compare(image, both, names=("a", "b"), n_resamples=50).comparisons
    turned = back.set_index("metric").loc["harrell_c"]
    assert turned["difference"] == -found.loc["harrell_c", "difference"]
    assert turned["p_value"] == pytest.approx(found.loc["harrell_c", "p_value"])


def test_what_cannot_be_evaluated_is_refused(table):
    with pytest.raises(InputError, match="`predictions` is list"):
        outcome.evaluate([table])
    with pytest.raises(InputError, match="'image' is PosixPath, not a DataFrame"):
        outcome.evaluate({"image": Path("predictions.csv")})
    with pytest.raises(InputError, match=r"has no column: 1, e.g. risk"):
        outcome.evaluate(table.drop(columns="risk"))
    with pytest.raises(InputError, match="`inner_scores` need `splits`"):
        outcome.evaluate(table, inner_scores=table)
    with pytest.raises(InputError, match="`a` contains 2 arms"):
        outcome.compare(table, table)
    other = table[table["arm"] == "image"].assign(patient_id=lambda t: "x" + t["patient_id"])
    with pytest.raises(InputError, match="no patient in common"):
        outcome.compare(table[table["arm"] == "both"], other)
