"""A study whose passes are compiled, and the same without numba."""

import json

import numpy as np
import pandas as pd
import pytest

import outcome
from outcome.models.aggregators import abmil_blocks
from outcome.training import precision
from outcome.training.precision import computes_bfloat16

pytestmark = pytest.mark.skipif(
    not computes_bfloat16("cpu"), reason="this processor does not compute in bfloat16"
)
SETTINGS = [
    "arms=[{name: image, inputs: [image], aggregator: abmil, options: {embedding: 24}}]",
    "training.components=0",
    "training.epochs=3",
    "training.learning_rate=0.001",
]


def test_fits_with_and_without_compiled_passes_are_close_and_never_mixed(
    make_study, tmp_path, monkeypatch
):
    pytest.importorskip("numba")
    study = outcome.Study.read(make_study(tmp_path / "cohort"), SETTINGS)
    out = tmp_path / "run"

    def once():
        outcome.run(study, out=out, jobs=1)
        fits = {p.name for p in (out / "fits").iterdir()}
        manifest = json.loads((out / "manifest.json").read_text())
        risk = pd.read_csv(out / "predictions.csv").set_index("patient_id")["linear_predictor"]
        return fits, "numba" in manifest["versions"], risk

    fits, named, risk = once()
    assert named
    assert len(fits) == 6
    assert once()[0] == fits
    for module in (abmil_blocks, precision):
        monkeypatch.setattr(module, "can_compile", lambda: False)
    plain_fits, named, plain = once()
    assert not named
    assert len(plain_fits - fits) == 6
    assert risk.std() > 0
    np.testing.assert_allclose(risk, plain, atol=0.05 * risk.std())
    assert not np.array_equal(risk, plain)
