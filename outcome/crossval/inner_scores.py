"""Scores of test patients by each inner model, as in `inner_scores.csv`.

Each inner model was trained without one inner fold of the development patients. Together with
`splits.csv`, the table shows how the score of one patient depends on another as a training patient;
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
        Centred as in the ensemble, with the weights of members as in the arm. The mean over inner
        models is the `risk` of `predictions.csv`.
    absolute : callable
        Risk -> calibrated columns. The calibrator of the fold, fitted on all of its development
        patients. The mean of a probability over inner models differs from that of the ensemble.

    Returns
    -------
    DataFrame
        `arm, patient_id, repeat, fold, inner_fold, risk`, and `survival_<h>` or `probability`.
        `inner_fold` is the fold that was not used to train the model.
    """
    where = {"arm": arm, "patient_id": fold.test, "repeat": fold.repeat, "fold": fold.name}
    rows = [
        pd.DataFrame({**where, "inner_fold": inner.name, "risk": risk, **absolute(risk)})
        for inner, risk in zip(fold.inner, risks, strict=True)
    ]
    return pd.concat(rows, ignore_index=True)
