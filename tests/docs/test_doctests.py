"""The examples of the public functions run as they are written."""

import doctest
import importlib

import pytest

PUBLIC = [
    "outcome",
    "outcome.dataset.slide_dataset",
    "outcome.estimators.mil_classifier",
    "outcome.estimators.mil_cox",
    "outcome.metrics",
    "outcome.models",
    "outcome.models.sample_batches",
    "outcome.outcomes",
    "outcome.pipeline.cross_validate",
    "outcome.pipeline.evaluate_frames",
    "outcome.pipeline.run",
    "outcome.plotting",
    "outcome.plotting.charts",
    "outcome.simulation.power",
    "outcome.simulation.simulate",
    "outcome.study.file",
    "outcome.tables.outcome_frame",
    "outcome.testing",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write a folder
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed
