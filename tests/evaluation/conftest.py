"""Lets the tests of this folder import `crossfit_tables`: they are collected without packages."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

_SPEC = importlib.util.spec_from_file_location(
    "crossfit_tables", Path(__file__).with_name("crossfit_tables.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules["crossfit_tables"] = _MODULE
_SPEC.loader.exec_module(_MODULE)

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
def case(request, oracle, tables):
    """One data set and R's values of it."""
    return tables[request.param], oracle[request.param]


@pytest.fixture
def rng():
    return np.random.default_rng(20240601)
