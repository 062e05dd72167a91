"""Figures are drawn in the tests of the page, which may import `run_folders`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "run_folders", Path(__file__).with_name("run_folders.py")
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["run_folders"] = _module
_spec.loader.exec_module(_module)


@pytest.fixture(scope="module", autouse=True)
def _drawn(drawn_figures):
    """A page is tested with its figures, since a number may be one that cannot be drawn."""
