"""Lets the tests of this folder import `crossfit_tables`: they are collected without packages."""

import importlib.util
import sys
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location(
    "crossfit_tables", Path(__file__).with_name("crossfit_tables.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules["crossfit_tables"] = _MODULE
_SPEC.loader.exec_module(_MODULE)
