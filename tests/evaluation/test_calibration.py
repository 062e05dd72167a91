"""Calibration in the presence of competing events, fixed horizons and short follow-up."""

import numpy as np
import pandas as pd

from outcome.evaluation.summary import evaluate
from outcome.predictions import Predictions


def one_fold(time, event, survival, **columns):
    """Predictions of a single arm and fold at horizon 2."""
    return pd.DataFrame(
        {
            "arm": "a",
            "patient_id": [f"p{i:05}" for i in range(len(time))],
            "repeat": 0,
            "fold": "x",
            "time": time,
            "event": event,
            "risk": 1 - survival,
            "survival_2": survival,
            **columns,
        }
    )


def measured(table, **options):
    """Metrics of the only arm at horizon 2, by name."""
    options = {"horizons": [2.0], "n_resamples": 0, "cross_validated": False} | options
    return evaluate(Predictions(table), unit="years", **options).metrics.set_index("metric")


def test_perfect_incidences_have_no_slope_that_blames_them(rng):
    score = rng.normal(size=2000)
    hazard, other = 0.3 * np.exp(score), 0.5 * np.exp(score)
    both = hazard + other
    time, end = rng.exponential(1 / both), rng.uniform(0, 6, 2000)
    kind = np.where(rng.random(2000) < hazard / both, 1, 2)
    incidence = hazard / both * -np.expm1(-2 * both)
    table = one_fold(np.minimum(time, end), np.where(time <= end, kind, 0), 1 - incidence)
    found = measured(table)
    assert np.isnan(found.loc["calibration_slope", "estimate"])
    assert "competing" in found.loc["calibration_slope", "note"]
    assert 0.9 < found.loc["calibration_ratio_2", "estimate"] < 1.1
