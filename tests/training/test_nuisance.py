from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcome import Study
from outcome.embeddings.material import prepare
from outcome.training import nuisance_baselines, nuisance_notes


@pytest.fixture(scope="module")
def prepared(small, tmp_path_factory):
    study = Study.read(small, ["split={folds: 3, inner_folds: 2, site: site}"])
    return study, prepare(study, tmp_path_factory.mktemp("cache"))


def test_what_needs_no_tissue_is_judged_alone(prepared):
    study, material = prepared
    found = nuisance_baselines(study, material, n_resamples=50)
    assert found["variable"].tolist() == ["site", "patch count", "slide count", "report missing"]
    assert found["metric"].unique().tolist() == ["harrell_c"]
    assert found["estimate"].between(0.2, 0.8).all()
    (note,) = nuisance_notes(found)
    assert note.count(" to ") == 4


def test_a_bag_size_that_gives_the_outcome_away_is_seen(prepared):
    study, material = prepared
    time = material.cohort.patients["time"]
    rank = time.rank(ascending=False).astype(int)
    slides = {
        p: tuple(replace(s, n=int(100 + 10 * rank[p])) for s in found[:1])
        for p, found in material.slides.items()
    }
    planted = replace(material, slides=slides)
    found = nuisance_baselines(study, planted, n_resamples=50).set_index("variable")
    assert found.loc["patch count", "estimate"] > 0.9
    assert "slide count" not in found.index  # one slide each: nothing to judge


def test_where_nothing_differs_there_is_nothing_to_judge(prepared):
    study, material = prepared
    slides = {p: (replace(found[0], n=50),) for p, found in material.slides.items()}
    patients = material.cohort.patients.drop(columns="site")
    same = replace(
        material, slides=slides, reports=None, cohort=replace(material.cohort, patients=patients)
    )
    found = nuisance_baselines(study, same)
    assert isinstance(found, pd.DataFrame)
    assert found.empty
    assert nuisance_notes(found) == []


def test_nothing_is_written(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = nuisance_baselines(*prepared, n_resamples=0)
    assert list(Path().iterdir()) == []
    again = nuisance_baselines(*prepared, n_resamples=0, jobs=2)
    np.testing.assert_array_equal(one["estimate"], again["estimate"])
