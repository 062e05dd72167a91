"""The reference of the study file is the one that the code would write today."""

import importlib.util
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_the_reference_is_current():
    spec = importlib.util.spec_from_file_location("reference", NOTEBOOKS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (NOTEBOOKS / "study_file.md").read_text("utf-8")
    assert written == module.reference(), "run `python notebooks/make_reference.py`"
    for key in ("`inner_folds`", "`event_codes`", "`label`", "`site_preserved`"):
        assert key in written


def test_every_key_is_explained():
    rows = (NOTEBOOKS / "study_file.md").read_text("utf-8").splitlines()
    bare = [row for row in rows if row.startswith("| `") and row.endswith("|  |")]
    assert not bare
