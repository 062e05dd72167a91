"""Linear arms of one outer fold: mean vectors, ridge, the penalty chosen by the inner folds.

They take well under a second, so they are fitted anew in every run and leave nothing on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcome.cohort import Fold
from outcome.dataset.study_data import StudyData
from outcome.models.heads import Head, Target
from outcome.models.ridge import LinearPath, fit_linear
from outcome.study import Study
from outcome.training.fold_data import clinical_coding

__all__ = ["LinearFold", "design_rows", "fit_linear_fold", "mean_vectors"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearFold:
    """The inner models of one outer fold, and their raw outputs per penalty.

    Parameters
    ----------
    paths : list of LinearPath
    tune, test : list of array, shape (penalties, n)
        Per inner fold.
    """

    paths: list[LinearPath]
    tune: list[Array]
    test: list[Array]


def mean_vectors(study_data: StudyData, inputs: Sequence[str], patients: Sequence[str]) -> Array:
    """Mean vector of each patient, inputs side by side, shape (n, d); NaN where one is missing."""
    blocks = []
    for name in inputs:
        rows = [study_data.mean(name, p) for p in patients]
        width = study_data.dimensions[name]
        blocks.append(np.stack([np.full(width, np.nan) if r is None else r for r in rows]))
    return np.concatenate(blocks, axis=1)


def design_rows(
    study_data: StudyData, study: Study, inputs: Sequence[str], fold: Fold, patients: Sequence[str]
) -> Array:
    """Features of a linear model: mean vectors and coded clinical columns, shape (n, d)."""
    blocks, study_data = [], study_data.of_fold(fold)
    for name in inputs:
        if name == "clinical":
            coding = clinical_coding(study_data, study, fold)
            blocks.append(coding(study_data.cohort.patients.loc[list(patients)]))
        else:
            blocks.append(mean_vectors(study_data, [name], patients))
    return np.concatenate(blocks, axis=1)


def fit_linear_fold(
    study_data: StudyData, study: Study, inputs: Sequence[str], fold: Fold, head: Head
) -> LinearFold:
    """Fit the path of penalties on every inner fold; score its tune and the test patients.

    Parameters
    ----------
    study_data : StudyData
    study : Study
    inputs : sequence of str
    fold : Fold
        Its test patients may be none.
    head : Head
    """
    patients = [*fold.development, *fold.test]
    rows = design_rows(study_data, study, inputs, fold, patients)
    place = {p: i for i, p in enumerate(patients)}

    def of(some: Sequence[str]) -> Array:
        return rows[[place[p] for p in some]]

    paths, tune, test = [], [], []
    for inner in fold.inner:
        known = Target.of(study_data.cohort.outcomes(inner.train, fold.development))
        path = fit_linear(of(inner.train), known, head)
        paths.append(path)
        tune.append(path(of(inner.tune)))
        test.append(path(of(fold.test)))
    return LinearFold(paths, tune, test)
