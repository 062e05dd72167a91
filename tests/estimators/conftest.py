"""Bags whose level tells the outcome, and models that were trained on them once."""

import numpy as np
import pandas as pd
import pytest
from sksurv.util import Surv

from outcome import MILClassifier, MILCox, SlideDataset

QUICK = {"epochs": 2, "components": 4, "attention_width": 2, "inner_folds": 2}
N = 44


@pytest.fixture(scope="session")
def quick():
    """Settings that train in a moment."""
    return dict(QUICK)


@pytest.fixture(scope="session")
def cohort():
    """A dataset with all inputs, times and labels."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=N)
    ids = [f"p{i:02d}" for i in rng.permutation(N)]
    time = np.exp(5 - 1.5 * hidden + 0.5 * rng.normal(size=N))
    event = rng.uniform(size=N) < 0.85
    bags = [h + rng.normal(size=(rng.integers(3, 12), 6)) for h in hidden]
    reports = [None if i % 9 == 0 else h + rng.normal(size=5) for i, h in enumerate(hidden)]
    data = SlideDataset(
        bags,
        reports,
        pd.DataFrame({"age": 60 + 5 * hidden, "stage": rng.choice(["I", "II"], N)}),
        patients=ids,
    )
    return data, Surv.from_arrays(event, time), np.where(hidden > 0, "relapse", "none")


@pytest.fixture(scope="session")
def cox(cohort):
    """A Cox model of images."""
    data, y, _ = cohort
    return MILCox(**QUICK).fit(data, y)


@pytest.fixture(scope="session")
def classifier(cohort):
    """A classifier of images, reports and clinical data."""
    data, _, labels = cohort
    return MILClassifier("image+report+clinical", **QUICK).fit(data, labels)
