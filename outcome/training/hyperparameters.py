"""Settings of a hyperparameter search, evaluated only on development patients."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from outcome.study import Training

__all__ = ["SPACE", "candidates"]

SPACE: dict[str, tuple[Any, ...]] = {
    "learning_rate": (1e-3, 2e-3, 5e-3, 1e-2),
    "weight_decay": (0.0, 0.01, 0.1),
    "dropout": (0.0, 0.25, 0.5),
    "attention_width": (4, 16, 64),
}

Choice = tuple[tuple[str, Any], ...]


def candidates(settings: Training) -> list[Choice]:
    """Return the changes of each candidate: first none, then `settings.search` random draws.

    Parameters
    ----------
    settings : Training

    Returns
    -------
    list of tuple of (name, value)
        All are different. They are drawn with `settings.seed`, the same for every arm and fold.
    """
    given = settings.model_dump()
    grid = [tuple(zip(SPACE, values, strict=True)) for values in product(*SPACE.values())]
    others = [choice for choice in grid if any(given[name] != value for name, value in choice)]
    rng = np.random.default_rng([settings.seed, 19520101])
    drawn = rng.permutation(len(others))[: settings.search]
    return [(), *(others[i] for i in drawn)]
