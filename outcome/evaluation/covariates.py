"""Clinical covariates of scored patients: matched to the predictions, coded as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import PredictionsError, Problems
from outcome.evaluation.arrays import ArmScores, Panel, blocks, entries
from outcome.tables.ids import join_ids, why_ids_differ

__all__ = [
    "FirstRepeat",
    "align",
    "design",
    "first_repeat",
    "levels",
    "patient_values",
    "without_many_levels",
]

Floats = NDArray[np.float64]
MOST_LEVELS = 20


@dataclass(frozen=True)
class FirstRepeat:
    """One row per patient: the scores of one arm in its first repeat.

    Attributes
    ----------
    patient, time, event : ndarray, shape (n,)
    risk : ndarray, shape (n,)
        Original risk, comparable within a block.
    scaled : ndarray, shape (n,)
        Risk centred in each block and divided by its standard deviation within the fold, so that
        hazard and odds ratios are per SD. Models of different folds have no common scale; with one
        standard deviation for all, the fold with the largest scores would dominate. 0 in a fold if
        all patients of a block have the same risk.
    block : ndarray of int, shape (n,)
        Fold and stratum, by which models are stratified.
    entry : ndarray, shape (n,), or None
        Start of observation, if it is delayed.
    """

    patient: NDArray[np.int64]
    time: Floats
    event: NDArray[np.bool_]
    risk: Floats
    scaled: Floats
    block: NDArray[np.int64]
    entry: Floats | None = None

    @property
    def timed(self) -> bool:
        """Whether outcomes are times to an event; otherwise they are labels."""
        return not np.isnan(self.time).all()

    @property
    def ranked_time(self) -> Floats:
        """Times; labels become times at which all positives come first."""
        return self.time if self.timed else np.where(self.event, 0.0, 1.0)

    def take(self, keep: NDArray[np.bool_]) -> FirstRepeat:
        """Keep only some of the patients."""
        return FirstRepeat(
            self.patient[keep],
            self.time[keep],
            self.event[keep],
            self.risk[keep],
            self.scaled[keep],
            self.block[keep],
            None if self.entry is None else self.entry[keep],
        )


def first_repeat(arm: ArmScores) -> FirstRepeat:
    """Pool the folds of the first repeat, risks on the scale of their fold."""
    folds = arm.first_folds
    block = blocks(folds)
    risk = np.concatenate([f.risk for f in folds])
    size = np.bincount(block)
    centred = risk - (np.bincount(block, weights=risk) / size)[block]
    centred = np.where(size[block] > 1, centred, 0.0)
    fold = np.repeat(np.arange(len(folds)), [len(f.risk) for f in folds])
    free = np.bincount(fold) - [len(np.unique(f.stratum)) for f in folds]
    spread = np.sqrt(np.bincount(fold, weights=centred**2) / np.maximum(free, 1))[fold]
    flat = spread <= 1e-12 * np.abs(risk)
    return FirstRepeat(
        np.concatenate([f.patient for f in folds]),
        np.concatenate([f.time for f in folds]),
        np.concatenate([f.event for f in folds]),
        risk,
        np.where(flat, 0.0, centred / np.where(flat, 1.0, spread)),
        block,
        entries(folds),
    )


def align(covariates: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Rows of the covariate table in the order of the panel; NaN for missing patients.

    Raises
    ------
    PredictionsError
        No column `patient_id`, a patient twice, or no patient in common.
    """
    problems = Problems("covariates")
    if "patient_id" not in covariates:
        problems.add("column 'patient_id' is missing")
        problems.raise_if_any(PredictionsError)
    ids = covariates["patient_id"].astype(str)
    called = join_ids(ids, panel.ids.tolist())
    ids = ids.map(pd.Series({i: called.get(i, i) for i in ids}, dtype=object))
    if ids.duplicated().any():
        problems.add("a patient has several rows", ids[ids.duplicated()].unique().tolist())
    if not called:
        reason = why_ids_differ(ids.tolist(), panel.ids.tolist())
        what = "no patient of the predictions is in the table"
        problems.add(f"{what} ({reason})" if reason else what)
    problems.raise_if_any(PredictionsError)
    return covariates.assign(patient_id=ids).set_index("patient_id").reindex(panel.ids)


def design(table: pd.DataFrame) -> tuple[Floats, list[str], list[str]]:
    """Numbers unchanged, everything else as indicators against the first level.

    Returns
    -------
    matrix : ndarray, shape (n, p)
        NaN if a covariate is missing; constant columns are dropped.
    names : list of str
    variables : list of str
        The column of the table for each column of the matrix.
    """
    columns: dict[str, Floats] = {}
    source: dict[str, str] = {}
    for name in table.columns:
        values = table[name]
        if pd.api.types.is_numeric_dtype(values):
            columns[str(name)] = values.to_numpy(dtype=float)
            source[str(name)] = str(name)
            continue
        text = values.astype("string")
        missing = text.isna().to_numpy()
        for level in sorted(text.dropna().unique())[1:]:
            column = (text == level).fillna(False).to_numpy(dtype=float)
            columns[f"{name}={level}"] = np.where(missing, np.nan, column)
            source[f"{name}={level}"] = str(name)
    kept = {k: v for k, v in columns.items() if len(np.unique(v[~np.isnan(v)])) > 1}
    matrix = np.column_stack(list(kept.values())) if kept else np.empty((len(table), 0))
    return matrix, list(kept), [source[k] for k in kept]


def levels(values: pd.Series) -> pd.Series:
    """Text levels of a covariate; numbers with more than five values are divided at the median."""
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return values.astype("string")
    if values.nunique() <= 5:
        return values.map(lambda v: pd.NA if pd.isna(v) else f"{v:g}").astype("string")
    middle = float(values.median())
    text = np.where(values <= middle, f"<= {middle:g}", f"> {middle:g}")
    return pd.Series(text, index=values.index, dtype="string").mask(values.isna())


def patient_values(
    table: pd.DataFrame, patients: Sequence[str], numeric: Sequence[str] | None
) -> pd.DataFrame:
    """Convert a table with one row per patient, from a file or memory, to a common form.

    Parameters
    ----------
    table : DataFrame
        `patient_id` and further columns.
    patients : sequence of str
        Rows of the result.
    numeric : sequence of str, optional
        Numeric columns; by default the columns with only numbers (never a site).

    Returns
    -------
    DataFrame
        `patient_id` and the columns of `table`; empty values are NaN, categories are text.
    """
    text = table.assign(patient_id=table["patient_id"].astype(str)).set_index("patient_id")
    text = text.astype("object").where(text.notna(), "").astype(str).reindex(list(patients))
    text = text.mask(text.isna() | (text.apply(lambda c: c.str.strip()) == ""))
    for column in text:
        values = pd.to_numeric(text[column], errors="coerce")
        all_numbers = values.notna().equals(text[column].notna()) and column != "site"
        if all_numbers if numeric is None else column in numeric:
            text[column] = values
    return text.rename_axis("patient_id").reset_index()


def without_many_levels(covariates: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Remove categories with almost one level per patient: free text, dates, identifiers.

    Returns
    -------
    kept : DataFrame
    left_out : list of str
    """
    names = [str(c) for c in covariates if c != "patient_id"]
    text = [c for c in names if not pd.api.types.is_numeric_dtype(covariates[c])]
    left_out = [c for c in text if covariates[c].nunique() > MOST_LEVELS]
    return covariates.drop(columns=left_out), left_out
