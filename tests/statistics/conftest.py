import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

REFERENCE = Path(__file__).parents[1] / "reference" / "r"
SETS = ["lung", "veteran", "colon", "rotterdam", "gbsg", "pbc", "ties", "tiny"]


@pytest.fixture(scope="session")
def oracle():
    return json.loads((REFERENCE / "oracle.json").read_text())


@pytest.fixture(scope="session")
def tables():
    """Every input of the reference values, by name."""
    return {path.stem: pd.read_csv(path) for path in REFERENCE.glob("*.csv")}


@pytest.fixture(params=SETS)
def data_set(request):
    """Name of a data set."""
    return request.param


@pytest.fixture
def case(data_set, oracle, tables):
    """One data set and R's values of it."""
    return tables[data_set], oracle[data_set]


@pytest.fixture
def rng():
    return np.random.default_rng(20240601)
