"""Scores of test patients by each inner model, as `inner_scores.csv` holds them.

Each inner model left one inner fold of the development patients out. With `splits.csv` the table
says for every pair of patients how the score of one depends on the other, as a training patient;
see `outcome.statistics.crossfit_variance`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.cohort import Fold

__all__ = ["inner_scores"]

Array = NDArray[np.float64]


def inner_scores(
    arm: str, fold: Fold, risks: Array, absolute: Callable[[Array], Mapping[str, Array]]
) -> pd.DataFrame:
    """Return the rows of `inner_scores.csv` of one arm and outer fold.

    Parameters
    ----------
    arm : str
    fold : Fold
    risks : array, shape (inner models, test patients)
        Centred as in the ensemble, members weighed as in the arm: the mean over inner models is
        the `risk` of `predictions.csv`.
    absolute : callable
        Risk -> calibrated columns. The calibrator is the one of the fold, fitted on all of its
        development patients: the mean over inner models of a probability is not that of the
        ensemble.

    Returns
    -------
    DataFrame
        `arm, patient_id, repeat, fold, inner_fold, risk`, and `survival_<h>` or `probability`.
        `inner_fold` is the one that the model left out of its training.
    """
    where = {"arm": arm, "patient_id": fold.test, "repeat": fold.repeat, "fold": fold.name}
    rows = [
        pd.DataFrame({**where, "inner_fold": inner.name, "risk": risk, **absolute(risk)})
        for inner, risk in zip(fold.inner, risks, strict=True)
    ]
    return pd.concat(rows, ignore_index=True)
