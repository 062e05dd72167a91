"""Range of the training data, to detect patients outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
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
    """Distribution of the mean vectors of training patients.

    Parameters
    ----------
    centre : array, shape (k,)
        Mean of the projected mean vectors.
    precision : array, shape (k, k)
        Their inverse covariance between patients (Ledoit and Wolf's shrinkage).
    mean, inverse_sd : array, shape (d,)
        Mean and inverse standard deviation between patients of the original mean vectors.
    scales : array, shape (2,)
        Median of each of the two distances.
    quantiles : array, shape (201,)
        Quantiles of the joint distance of training patients.

    Notes
    -----
    There are two distances: the Mahalanobis distance in the components that the model uses, and the
    root mean square z value of all features. The second also detects differences outside the
    components, such as vectors of another encoder. Each is divided by its median, and the larger
    one is used. It is about 1 for a training patient.

    Distances of patients from a centre that was computed from them are too short, especially with
    many components. Distances of training patients are therefore computed without the patient's
    inner fold, as for a new patient.
    """

    centre: Array
    precision: Array
    mean: Array
    inverse_sd: Array
    scales: Array
    quantiles: Array

    @classmethod
    def fit(cls, seen: Array, raw: Array, held_out: Sequence[NDArray[np.int64]]) -> VectorRange:
        """Compute the range from training patients.

        Parameters
        ----------
        seen : array, shape (n, k)
            Mean projected vector of each training patient.
        raw : array, shape (n, d)
            Original mean vector of each training patient.
        held_out : sequence of int array
            Rows of each inner fold.
        """
        parts = []
        for rows in held_out:
            rest = np.setdiff1d(np.arange(len(seen)), rows)
            if len(rest) > 1 and len(rows):
                parts.append(cls._measured(seen[rest], raw[rest])._both(seen[rows], raw[rows]))
        both = np.concatenate(parts, axis=1) if parts else np.ones((2, 1))
        scales = np.maximum(np.median(both, axis=1), 1e-12)
        joint = (both / scales[:, None]).max(axis=0)
        return replace(
            cls._measured(seen, raw), scales=scales, quantiles=np.quantile(joint, QUANTILES)
        )

    def distance(self, seen: Array, raw: Array) -> Array:
        """Joint distance of mean vectors, shape (n,)."""
        return np.asarray((self._both(seen, raw) / self.scales[:, None]).max(axis=0))

    def percentile(self, distance: Array) -> Array:
        """Percentage of training patients with a smaller distance, shape (n,)."""
        return np.asarray(100 * np.interp(distance, self.quantiles, QUANTILES))

    def beyond(self, distance: Array) -> NDArray[np.bool_]:
        """Whether a patient is farther away than 99% of training patients."""
        limit = float(np.interp(BEYOND, QUANTILES, self.quantiles))
        return np.asarray(distance > limit)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the serialised form."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def _measured(cls, seen: Array, raw: Array) -> VectorRange:
        from sklearn.covariance import LedoitWolf

        found = LedoitWolf().fit(seen)
        mean, sd = raw.mean(axis=0), raw.std(axis=0)
        known = sd > 1e-6 * (np.abs(mean) + sd.max() + 1e-30)
        inverse = np.divide(1.0, sd, out=np.zeros_like(sd), where=known)
        return cls(found.location_, found.precision_, mean, inverse, np.ones(2), np.zeros(1))

    def _both(self, seen: Array, raw: Array) -> Array:
        away = seen - self.centre
        square = np.einsum("ij,jk,ik->i", away, self.precision, away)
        z = (raw - self.mean) * self.inverse_sd
        both: Array = np.sqrt(np.stack([np.maximum(square, 0.0), (z**2).mean(axis=1)]))
        return both


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
        """Compute the ranges from columns `column:<name>`, as text."""
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
        """Return warnings with the number of patients outside the training range, per column."""
        found = []
        for name, (low, high) in self.numeric.items():
            value = _numbers(patients, name)
            if n := int(((value < low) | (value > high)).sum()):
                found.append(
                    f"{name} is outside the training range in {n} of {len(patients)} patients "
                    f"({low:g} to {high:g})"
                )
        for name, levels in self.categorical.items():
            text = patients[f"column:{name}"]
            values = text[~is_blank(text)].astype(str).str.strip()
            new = values[~values.isin(levels)]
            if len(new):
                seen = ", ".join(sorted(set(new))[:3])
                found.append(
                    f"{name} has a level that did not occur in training in {len(new)} of "
                    f"{len(patients)} patients ({seen}); it is replaced by the most common level"
                )
        return found


def _numbers(patients: pd.DataFrame, name: str) -> Array:
    text = patients[f"column:{name}"]
    value = pd.to_numeric(text.where(~is_blank(text)), errors="coerce")
    return value.to_numpy(dtype=np.float64)
