"""A small cohort with one network arm, two linear arms, two outer and two inner folds."""

import pytest
import yaml

from outcome import Study
from outcome.crossval.grid import Grid
from outcome.dataset.study_data import prepare
from outcome.simulation.simulate import Simulation, simulate

ARMS = [
    "image",
    {"name": "linear", "inputs": ["image"], "aggregator": "linear"},
    {"name": "clinical", "inputs": ["clinical"]},
]


@pytest.fixture(scope="package")
def simulated(tmp_path_factory):
    """A folder with the cohort, and the settings of the study."""
    folder = tmp_path_factory.mktemp("crossval")
    settings = Simulation(
        patients=64, patches=8, dimension=16, informative=0.5, event_rate=0.7, seed=4
    )
    path = simulate(folder / "cohort", settings)
    return path.parent, yaml.safe_load(path.read_text()) | {
        "arms": ARMS,
        "split": {"folds": 2, "inner_folds": 2},
        "training": {"epochs": 3, "components": 4, "attention_width": 4},
    }


@pytest.fixture
def make_grid(simulated, tmp_path):
    """Make a grid whose fits are in a folder of the test; keywords replace sections."""
    folder, settings = simulated

    def make(**sections):
        study = Study.parse(settings | sections, folder=folder)
        return Grid(study, prepare(study, folder / "cache"), tmp_path / "fits", "cpu")

    return make
