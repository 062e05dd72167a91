"""Training: one network on one pair of train and tune patients, cross-fitted over the folds."""

from outcome.training.engine import ArmFold, Grid, available_cpus, choose_device, run_grid
from outcome.training.notices import fit_notes, fit_warnings
from outcome.training.nuisance import nuisance_baselines, nuisance_notes
from outcome.training.permutation import (
    FEWEST_PERMUTATIONS,
    permutation_notes,
    permutation_test,
)

__all__ = [
    "FEWEST_PERMUTATIONS",
    "ArmFold",
    "Grid",
    "available_cpus",
    "choose_device",
    "fit_notes",
    "fit_warnings",
    "nuisance_baselines",
    "nuisance_notes",
    "permutation_notes",
    "permutation_test",
    "run_grid",
]
