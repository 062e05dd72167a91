"""Clinical columns as numbers: imputed, standardised and coded, fitted on development patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.endpoint import is_blank
from outcome.study import Covariates

__all__ = ["ClinicalCoding"]

FEWEST = 5
MISSING = "(missing)"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClinicalCoding:
    """Conversion of a row of clinical columns to a vector.

    Parameters
    ----------
    numeric : mapping of column to (median, mean, SD, indicator)
        A missing number is replaced by the median; `indicator` states whether a further feature
        marks it.
    categorical : mapping of column to tuple of str
        Levels with a separate feature. The most common level, levels of fewer than 5 patients and
        unknown levels have none: they are the reference. A missing value is a level.
    """

    numeric: Mapping[str, tuple[float, float, float, bool]]
    categorical: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, patients: pd.DataFrame, covariates: Covariates) -> ClinicalCoding:
        """Learn medians, means and levels.

        Parameters
        ----------
        patients : DataFrame
            Development patients, with columns `column:<name>` as text.
        covariates : Covariates
        """
        numeric = {}
        for name in covariates.numeric:
            value = _numbers(patients, name)
            median = float(np.nanmedian(value)) if np.isfinite(value).any() else 0.0
            marked = int(np.isnan(value).sum() >= FEWEST)
            filled = np.where(np.isnan(value), median, value)
            numeric[name] = (median, float(filled.mean()), float(filled.std()), bool(marked))
        categorical = {}
        for name in covariates.categorical:
            counts = _levels(patients, name).value_counts()
            common = sorted(str(level) for level, n in counts.items() if n >= FEWEST)
            reference = max(common, key=lambda level: (counts[level], level), default=None)
            categorical[name] = tuple(level for level in common if level != reference)
        return cls(numeric, categorical)

    @property
    def features(self) -> list[str]:
        """Names of the features, in order."""
        names = []
        for name, (_, _, _, marked) in self.numeric.items():
            names += [name, f"{name} missing"] if marked else [name]
        return names + [f"{name}={v}" for name, known in self.categorical.items() for v in known]

    @property
    def components(self) -> int:
        """Length of a vector."""
        return len(self.features)

    def __call__(self, patients: pd.DataFrame) -> Array:
        """Code patients, shape (n, components)."""
        columns = []
        for name, (median, mean, sd, marked) in self.numeric.items():
            value = _numbers(patients, name)
            missing = np.isnan(value)
            columns.append((np.where(missing, median, value) - mean) / (sd if sd > 0 else 1.0))
            if marked:
                columns.append(missing.astype(float))
        for name, known in self.categorical.items():
            values = _levels(patients, name).to_numpy()
            columns += [(values == level).astype(float) for level in known]
        return np.column_stack(columns) if columns else np.zeros((len(patients), 0))


def _numbers(patients: pd.DataFrame, name: str) -> Array:
    text = patients[f"column:{name}"]
    value = pd.to_numeric(text.where(~is_blank(text)), errors="coerce")
    return value.to_numpy(dtype=np.float64)


def _levels(patients: pd.DataFrame, name: str) -> pd.Series:
    text = patients[f"column:{name}"]
    return text.astype(str).str.strip().where(~is_blank(text), MISSING)
