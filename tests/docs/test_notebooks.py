"""The notebooks are executed; what they hold is small, current in shape, and names no machine."""

import importlib.util
import os
import re
import time
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAGES = sorted(NOTEBOOKS.glob("*.ipynb"))
# The notebook is executed; the page that some write besides is tested elsewhere. One process: on
# cohorts of this size, most of the time of others would go into imports. For the same reason a
# command that a notebook starts runs inside its kernel.
QUICKER = """
import contextlib
import io
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import rich.console

import outcome.processes
from outcome.cli import main
from outcome.reporting.page.blocks import Picture
from outcome.reporting.page.figure_files import FigureFiles

def _save_blank(self, figure, name, *, alt, caption):
    self.folder.mkdir(parents=True, exist_ok=True)
    matplotlib.image.imsave(self.folder / f"{name}.png", [[0, 1]])  # a notebook may show it
    self.saved.append(name)
    return Picture(name, "data:,", 480, 320, alt, caption)

def _run(words, **options):
    if Path(words[0]).name != "outcome":
        return _run_really(words, **options)
    code, out, err, argv = 0, io.StringIO(), io.StringIO(), sys.argv
    sys.argv = list(map(str, words))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    sys.argv = argv
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

FigureFiles.save = _save_blank
outcome.processes.available_cpus = lambda: 1
_run_really, subprocess.run = subprocess.run, _run
rich.console._is_jupyter = lambda: False  # what a command prints is text, as in a terminal
matplotlib.use("module://matplotlib_inline.backend_inline")
"""
MACHINE = re.compile(r"/(tmp|home|root|work|Users|var)/")


def script():
    spec = importlib.util.spec_from_file_location("execute", NOTEBOOKS / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Kernel:
    """What jupyter_client asks of the process of a kernel."""

    stdin = stdout = stderr = None

    def __init__(self, process):
        self.process, self.pid = process, process.pid

    def poll(self):
        return None if self.process.running() else 0

    def wait(self):
        return self.process.wait().code

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.process.kill()

    terminate = kill


@pytest.fixture
def forked_kernels(forked, monkeypatch):
    """Kernels are copies of a process that has imported everything, in folders of their own."""

    def launch(command, *, env, cwd, **_):
        program = command[command.index("-m") + 1]
        words = command[command.index("-m") + 2 :]
        process = forked(program, *words, environment=env, folder=cwd)
        while os.getpgid(process.pid) == os.getpgid(0):  # jupyter_client interrupts the group
            time.sleep(0.01)
        return Kernel(process)

    monkeypatch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", launch)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
# The kernel's own transports warn; what our code warns of inside a kernel is not seen here.
@pytest.mark.filterwarnings("default")
def test_it_runs_and_shows_what_is_stored(page, forked_kernels, monkeypatch, tmp_path):
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
