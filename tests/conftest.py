"""A small simulated study, R's reference values, and the commands as a user types them."""

import json
import multiprocessing
import os
import runpy
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# A worker of pytest has a processor of its own: threads of numpy would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import numpy as np
import pandas as pd
import pytest
import yaml

from outcome.cli import main
from outcome.reporting.page.blocks import Picture
from outcome.reporting.page.figure_files import FigureFiles
from outcome.reporting.page.figures import ReportFigures
from outcome.simulation.simulate import Simulation, simulate

REFERENCE = Path(__file__).parent / "reference" / "r"
SETS = ["lung", "veteran", "colon", "rotterdam", "gbsg", "pbc", "ties", "tiny"]
QUICK = {
    "report": {"attention": 0},
    "split": {"folds": 3, "inner_folds": 2},
    "training": {"epochs": 4, "components": 8, "attention_width": 4},
}


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """No test touches the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SLIDE_OUTCOME_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


BLANK = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4="
SAVE_FIGURE = FigureFiles.save
DRAW_FIGURE = ReportFigures.save


def _save_nothing(self, figure, name, *, alt, caption):
    self.folder.mkdir(parents=True, exist_ok=True)
    self.saved.append(name)
    return Picture(name, BLANK, 480, 320, alt, caption)


def _draw_nothing(self, draw, name, size, **words):
    return self.gallery.save(None, name, **words)


@pytest.fixture(scope="session", autouse=True)
def _quick():
    """One process and no figures: half of the time of a small study."""
    patch = pytest.MonkeyPatch()
    patch.setattr("outcome.processes.available_cpus", lambda: 1)
    patch.setattr(FigureFiles, "save", _save_nothing)
    patch.setattr(ReportFigures, "save", _draw_nothing)
    yield
    patch.undo()


@pytest.fixture
def unreported(monkeypatch):
    """No results page: for tests that run a study again and again to compare its numbers."""
    monkeypatch.setattr(
        "outcome.reporting.report.write_report", lambda folder: Path(folder) / "report.html"
    )


@pytest.fixture
def figures(monkeypatch):
    """Draw figures and save them as files, as a user's run does."""
    monkeypatch.setattr(FigureFiles, "save", SAVE_FIGURE)
    monkeypatch.setattr(ReportFigures, "save", DRAW_FIGURE)


@pytest.fixture(scope="module")
def drawn_figures():
    """Draw figures, and do not save them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReportFigures, "save", DRAW_FIGURE)
        yield


@pytest.fixture(scope="session")
def saved_figures():
    """A context in which figures are saved, for what the tests of a module share."""

    @contextmanager
    def saved():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FigureFiles, "save", SAVE_FIGURE)
            patch.setattr(ReportFigures, "save", DRAW_FIGURE)
            yield

    return saved


@pytest.fixture(scope="session")
def oracle():
    """Reference values of R."""
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


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A study of 60 simulated patients that trains in seconds; not to be changed."""
    path = make_small(tmp_path_factory.mktemp("small") / "cohort")
    made = {file: file.stat().st_mtime_ns for file in path.parent.rglob("*.*") if file.is_file()}
    yield path
    assert {file: file.stat().st_mtime_ns for file in made} == made, "a test has changed `small`"


@pytest.fixture
def fresh(small, tmp_path):
    """The same as `small`, free to be changed.

    Feature files are links, so that slides are packed once for all tests: they may be removed or
    renamed. To write into them, take `fresh_files`.
    """

    def copy(source, target):
        if Path(source).parent.name == "features_simulated":
            Path(target).symlink_to(source)
        else:
            shutil.copy2(source, target)

    copied = shutil.copytree(small.parent, tmp_path / "cohort", copy_function=copy)
    return Path(copied) / small.name


@pytest.fixture
def fresh_files(small, tmp_path):
    """The same, feature files included."""
    return Path(shutil.copytree(small.parent, tmp_path / "cohort")) / small.name


@pytest.fixture(scope="session")
def make_study():
    """Make a small study in a folder, with options of the simulation."""
    return make_small


def make_small(folder: Path, **simulation) -> Path:
    settings = {"patients": 60, "patches": 20, "dimension": 32, "informative": 0.4, "seed": 1}
    path = simulate(folder, Simulation(**(settings | simulation)))
    edit(path, **QUICK)
    return path


def edit(path: Path, **sections) -> Path:
    """Merge sections into a study file; None removes one."""
    study = yaml.safe_load(path.read_text())
    for key, value in sections.items():
        if value is None:
            study.pop(key, None)
        elif isinstance(value, dict):
            study[key] = {**study.get(key, {}), **value}
        else:
            study[key] = value
    path.write_text(yaml.safe_dump(study))
    return path


@dataclass
class Finished:
    code: int
    out: str
    err: str


@pytest.fixture
def outcome(monkeypatch, capsys):
    """Run a command as typed; returns exit status and what was printed."""

    def command(*words) -> Finished:
        monkeypatch.setattr(sys, "argv", ["outcome", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        return Finished(code, *capsys.readouterr())

    return command


FORKED = Path(__file__).with_name("forked_process.py")
IMPORTED = [
    "distributed.cli.dask_worker",
    "ipykernel.kernelapp",
    "outcome.commands.studies",
    "outcome.crossval.scheduler",
    "outcome.pipeline.run",
    "outcome.reporting.report",
]


@dataclass
class Forked:
    """A process that was started by `forked`."""

    process: Any
    output: Path
    pid: int = field(init=False)

    def __post_init__(self):
        self.pid = self.process.pid

    def running(self) -> bool:
        return self.process.exitcode is None

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def wait(self, seconds: float = 100) -> Finished:
        self.process.join(seconds)
        if self.running():
            self.kill()
            raise TimeoutError(f"{self.output} took more than {seconds} s")
        out, err = (Path(f"{self.output}.{name}").read_text("utf-8") for name in ("out", "err"))
        return Finished(self.process.exitcode, out, err)


@pytest.fixture(scope="session")
def _importer():
    """The process that imports everything once, of which others are copies."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


@pytest.fixture
def forked(_importer, tmp_path):
    """Start a program in a process of its own that has imported everything already.

    `forked("outcome", "run", study)` is the command as typed, `forked("package.module")` what
    `python -m` does, `forked("helper.py")` a script. To start Python and import PyTorch takes
    longer than most of what is tested.
    """
    started = []

    def start(program, *words, environment=None, folder=None, largest_file=None) -> Forked:
        output = tmp_path / f"process-{len(started)}"
        request = {
            "program": str(program),
            "words": [str(word) for word in words],
            "environment": {**os.environ, **(environment or {})},
            "folder": folder,
            "output": str(output),
            "largest_file": largest_file,
        }
        process = _importer.Process(
            target=runpy.run_path,
            args=(str(FORKED),),
            kwargs={"init_globals": {"REQUEST": request}, "run_name": "forked"},
        )
        process.start()
        started.append(Forked(process, output))
        return started[-1]

    yield start
    for process in started:
        if process.running():
            process.kill()
