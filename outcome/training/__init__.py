"""Training: one network on one pair of train and tune patients, cross-fitted over the folds."""

from outcome.training.engine import (
    ArmFold,
    Grid,
    Shard,
    available_cpus,
    choose_device,
    run_grid,
    train,
)
from outcome.training.permutation import (
    FEWEST_PERMUTATIONS,
    permutation_notes,
    permutation_test,
)
from outcome.training.precision import computes_bfloat16, resolved
from outcome.training.workers import Cluster, Here, Workers

__all__ = [
    "FEWEST_PERMUTATIONS",
    "ArmFold",
    "Cluster",
    "Grid",
    "Here",
    "Shard",
    "Workers",
    "available_cpus",
    "choose_device",
    "computes_bfloat16",
    "permutation_notes",
    "permutation_test",
    "resolved",
    "run_grid",
    "train",
]
