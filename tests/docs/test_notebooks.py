"""The notebooks are executed; what they hold is small, current in shape, and names no machine."""

import importlib.util
import os
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAGES = sorted(NOTEBOOKS.glob("*.ipynb"))
# The notebook is executed; the page that some write besides is tested elsewhere. One process: on
# cohorts of this size, most of the time of a second one would go into imports.
QUICKER = """
import outcome.processes
from outcome.reporting.page.blocks import Picture
from outcome.reporting.page.figure_files import FigureFiles

def _save_nothing(self, figure, name, *, alt, caption):
    self.folder.mkdir(parents=True, exist_ok=True)
    self.saved.append(name)
    return Picture(name, "data:,", 480, 320, alt, caption)

FigureFiles.save = _save_nothing
outcome.processes.available_cpus = lambda: 1
"""
MACHINE = re.compile(r"/(tmp|home|root|work|Users|var)/")


def script():
    spec = importlib.util.spec_from_file_location("execute", NOTEBOOKS / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
# The kernel's own transports warn; what our code warns of inside a kernel is not seen here.
@pytest.mark.filterwarnings("default")
def test_it_runs_and_shows_what_is_stored(page, monkeypatch, tmp_path):
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "quicker.py").write_text(QUICKER)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    for name in ("MPLBACKEND", "SLIDE_OUTCOME_CACHE"):
        monkeypatch.delenv(name, raising=False)
    stored = nbformat.read(page, as_version=4)
    ran = script().tidy(script().execute(page))
    assert "SLIDE_OUTCOME_CACHE" not in os.environ
    for number, (old, new) in enumerate(zip(stored.cells, ran.cells, strict=True)):
        if old.cell_type == "code":
            assert shapes(old) == shapes(new), f"cell {number}: run notebooks/execute.py again"


def shapes(cell):
    """Kinds of outputs; numbers may differ in their last digits between machines."""
    return [(o.output_type, *sorted(o.get("data", {}))) for o in cell.outputs]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_is_stored_is_small_and_names_no_machine(page):
    text = page.read_text("utf-8")
    assert len(text) < script().LIMIT
    notebook = nbformat.read(page, as_version=4)
    assert "**simulated**" in notebook.cells[0].source
    drawings = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            drawings += "image/png" in data
            plain = output.get("text", "") + data.get("text/plain", "")
            assert not MACHINE.search(plain), plain
            assert output.output_type != "error"
    assert drawings >= 1
