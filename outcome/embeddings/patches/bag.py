"""The patches of all slides of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bag"]


@dataclass(frozen=True)
class Bag:
    """Patches of one patient.

    Parameters
    ----------
    features : array, shape (n, d)
        Embeddings, float16 or float32.
    coords : array, shape (n, 2)
        Position of each patch, in the unit of its file (TRIDENT: level-0 pixels); NaN if unknown.
    slide : int array, shape (n,)
        Index of the slide of each patch.
    side : float array, shape (n,), optional
        Side of each patch, in the unit of its coordinates.
    """

    features: NDArray[Any]
    coords: NDArray[np.float64]
    slide: NDArray[np.int64]
    side: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.features)
        if self.coords.shape != (n, 2) or self.slide.shape != (n,):
            raise ValueError(
                f"{n} patches, but coords {self.coords.shape} and slide {self.slide.shape}"
            )
