"""Risk groups by cut-offs that were fixed before: plain numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["group_names", "risk_groups"]


def group_names(n: int) -> list[str]:
    """Names of n risk groups, lowest first."""
    between = [f"intermediate {k}" for k in range(1, n - 1)]
    return ["low", *(["intermediate"] if n == 3 else between), "high"]


def risk_groups(
    risk: NDArray[np.float64], strata: Sequence[str], cuts: Mapping[str, tuple[float, ...]]
) -> list[str]:
    """Name the group of each test patient; a risk equal to a cut-off is in the lower group."""
    names = group_names(len(cuts[""]) + 1)
    own = [cuts.get(s, cuts[""]) for s in strata]
    return [names[int(np.searchsorted(c, r))] for r, c in zip(risk, own, strict=True)]
