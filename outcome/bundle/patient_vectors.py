"""Input vectors of one patient, and the interface of an inner model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "InnerModel", "PatientVectors"]

Array = NDArray[Any]


@dataclass(frozen=True)
class PatientVectors:
    """Input vectors of one patient.

    Parameters
    ----------
    raw : mapping of input to array, shape (n, d), or None
        Original vectors; clinical columns are coded, shape (1, k). None if missing.
    seen : mapping of input to array, shape (n, k), or None
        Projected, for networks.
    """

    raw: Mapping[str, Array | None]
    seen: Mapping[str, Array | None]

    @cached_property
    def means(self) -> dict[str, Array | None]:
        """Original mean vector of each input."""
        return {
            name: None if bag is None else bag.mean(axis=0, dtype=np.float64)
            for name, bag in self.raw.items()
        }

    def only(self, inputs: frozenset[str]) -> PatientVectors:
        """Return the patient without the other inputs."""
        raw = {k: v if k in inputs else None for k, v in self.raw.items()}
        return PatientVectors(raw, {k: v if k in inputs else None for k, v in self.seen.items()})

    def keep(self, rows: NDArray[np.bool_]) -> PatientVectors:
        """Return the patient with only some of the patches."""
        raw, seen = self.raw["image"], self.seen["image"]
        assert raw is not None
        assert seen is not None
        return replace(
            self, raw={**self.raw, "image": raw[rows]}, seen={**self.seen, "image": seen[rows]}
        )


class InnerModel(Protocol):
    """One inner model: a raw output (log hazard or logit) for one patient."""

    def raw(self, patient: PatientVectors) -> float:
        """Return the output."""
        ...
