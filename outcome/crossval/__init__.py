"""Cross-validation of a study: the grid of fits, over processes or a cluster, and their ensembles.

What enters is a study joined by patient; what leaves are predictions for test patients and what
was fixed on development patients. Nothing is chosen by concordance.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outcome.crossval.scheduler import (
        ArmFold,
        Grid,
        Shard,
        available_cpus,
        choose_device,
        run_grid,
        train,
    )
    from outcome.crossval.grid import network_errors
    from outcome.crossval.fit_notes import fit_notes, fit_warnings
    from outcome.crossval.permutation_test import (
        FEWEST_PERMUTATIONS,
        permutation_notes,
        permutation_test,
    )
    from outcome.training.precision import computes_bfloat16, resolved
    from outcome.training.data_parallel import Ranks, device_of_rank
    from outcome.crossval.executors import Cluster, Here, Together, Workers

__all__ = [
    "FEWEST_PERMUTATIONS",
    "ArmFold",
    "Cluster",
    "Grid",
    "Here",
    "Ranks",
    "Shard",
    "Together",
    "Workers",
    "available_cpus",
    "choose_device",
    "computes_bfloat16",
    "device_of_rank",
    "fit_notes",
    "fit_warnings",
    "network_errors",
    "permutation_notes",
    "permutation_test",
    "resolved",
    "run_grid",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import on use: what applies a trained model lives here too, and does without torch."""
    if name not in __all__:
        raise AttributeError(f"module 'outcome.training' has no attribute {name!r}")
    for module in ("engine", "grid", "notices", "permutation", "precision", "ranks", "workers"):
        found = import_module(f"outcome.training.{module}")
        if hasattr(found, name):
            return getattr(found, name)
    raise AttributeError(name)
