"""What training patients looked like, so that others who lie outside can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from outcome.endpoint import is_blank
from outcome.study import Covariates

__all__ = ["ClinicalRange", "VectorRange"]

QUANTILES = np.linspace(0, 1, 201)
BEYOND = 0.99

Array = NDArray[np.float64]


@dataclass(frozen=True)
class VectorRange:
    """Where the mean vectors of training patients lie.

    Parameters
    ----------
    centre : array, shape (k,)
    precision : array, shape (k, k)
        Inverse covariance (Ledoit and Wolf's shrinkage) between patients.
    quantiles : array, shape (201,)
        Of the distances of training patients, each measured without the patient's inner fold.

    Notes
    -----
    Distances of patients from a centre that they helped to place are too short, the more so the
    more components there are; those of held-out patients are what a newcomer compares with.
    """

    centre: Array
    precision: Array
    quantiles: Array

    @classmethod
    def fit(cls, means: Array, held_out: Sequence[NDArray[np.int64]]) -> VectorRange:
        """Measure it.

        Parameters
        ----------
        means : array, shape (n, k)
            Mean vector of each training patient.
        held_out : sequence of int array
            Rows of each inner fold.
        """
        distances = []
        for rows in held_out:
            rest = np.delete(means, rows, axis=0)
            if len(rest) > 1 and len(rows):
                distances.append(_distance(means[rows], *_spread(rest)))
        found = np.concatenate(distances) if distances else np.zeros(1)
        return cls(*_spread(means), np.quantile(found, QUANTILES))

    def distance(self, means: Array) -> Array:
        """Mahalanobis distance of mean vectors, shape (n,), of vectors of shape (n, k)."""
        return _distance(means, self.centre, self.precision)

    def percentile(self, distance: Array) -> Array:
        """Share of training patients who are nearer, in percent, shape (n,)."""
        return np.asarray(100 * np.interp(distance, self.quantiles, QUANTILES))

    def beyond(self, distance: Array) -> NDArray[np.bool_]:
        """Whether farther than 99 of 100 training patients."""
        limit = float(np.interp(BEYOND, QUANTILES, self.quantiles))
        return np.asarray(distance > limit)

    @property
    def typical(self) -> float:
        """Median distance of a training patient."""
        return float(self.quantiles[len(self.quantiles) // 2])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is written."""
        return {"centre": self.centre, "precision": self.precision, "quantiles": self.quantiles}


def _spread(means: Array) -> tuple[Array, Array]:
    from sklearn.covariance import LedoitWolf

    found = LedoitWolf().fit(means)
    return found.location_, found.precision_


def _distance(means: Array, centre: Array, precision: Array) -> Array:
    away = means - centre
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", away, precision, away), 0.0)))


class ClinicalRange(BaseModel):
    """Values of clinical columns among training patients.

    Parameters
    ----------
    numeric : mapping of column to (lowest, highest)
    categorical : mapping of column to levels
    """

    model_config = ConfigDict(frozen=True)

    numeric: dict[str, tuple[float, float]]
    categorical: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, patients: pd.DataFrame, covariates: Covariates) -> ClinicalRange:
        """Take it from columns `column:<name>`, as text."""
        numeric, categorical = {}, {}
        for name in covariates.numeric:
            value = _numbers(patients, name)
            known = value[np.isfinite(value)]
            if len(known):
                numeric[name] = (float(known.min()), float(known.max()))
        for name in covariates.categorical:
            text = patients[f"column:{name}"]
            levels = text[~is_blank(text)].astype(str).str.strip()
            categorical[name] = tuple(sorted(set(levels)))
        return cls(numeric=numeric, categorical=categorical)

    def warnings(self, patients: pd.DataFrame) -> list[str]:
        """Say how many patients have values that training never saw, and of which column."""
        found = []
        for name, (low, high) in self.numeric.items():
            value = _numbers(patients, name)
            if n := int(((value < low) | (value > high)).sum()):
                found.append(
                    f"{name} of {n} of {len(patients)} patients lies outside the training range"
                    f" ({low:g} to {high:g})"
                )
        for name, levels in self.categorical.items():
            text = patients[f"column:{name}"]
            values = text[~is_blank(text)].astype(str).str.strip()
            new = values[~values.isin(levels)]
            if len(new):
                seen = ", ".join(sorted(set(new))[:3])
                found.append(
                    f"{name} of {len(new)} of {len(patients)} patients was never seen in training"
                    f" ({seen}): it counts as the commonest level"
                )
        return found


def _numbers(patients: pd.DataFrame, name: str) -> Array:
    text = patients[f"column:{name}"]
    value = pd.to_numeric(text.where(~is_blank(text)), errors="coerce")
    return value.to_numpy(dtype=np.float64)
