"""What has changed since a run: the version of PyTorch counts, its build does not."""

import json

import pytest
import torch

from outcome import Study
from outcome.crossval.run_changes import changes_since_last_run, claim


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ("2.13.0", "2.13.0+cu130", []),
        ("2.13.0+cpu", "2.13.0", []),
        ("2.12.0", "2.13.0+cu130", ["torch: 2.12.0 -> 2.13.0"]),
    ],
)
def test_a_build_is_not_a_version(small, tmp_path, monkeypatch, before, now, found):
    monkeypatch.setattr(torch, "__version__", now)
    study = Study.read(small)
    claim(tmp_path, study)
    manifest = {"versions": {"torch": before}, "inputs": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    changes = changes_since_last_run(tmp_path, study, {})
    assert changes == found
