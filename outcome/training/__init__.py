"""Training: one network on one pair of train and tune patients, cross-fitted over the folds."""

from outcome.training.engine import ArmFold, Grid, available_cpus, choose_device, run_grid

__all__ = ["ArmFold", "Grid", "available_cpus", "choose_device", "run_grid"]
