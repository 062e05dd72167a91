"""Predictions in the format of STAMP: `split-<i>/patient-preds.csv`, one folder per fold.

Survival: `PATIENT, pred_score, time, event`, where a higher score is worse. A label: `PATIENT,
<label>, pred, <label>_0, <label>_1, loss`, ordered by the loss (cross-entropy). Written from
STAMP's source of January 2026 (`modeling/deploy.py`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from outcome.errors import PredictionsError
from outcome.predictions import Predictions, binary_table

__all__ = ["stamp_table", "write_stamp_predictions"]

FILE = "patient-preds.csv"


def stamp_table(rows: pd.DataFrame, label: str = "label") -> pd.DataFrame:
    """Return the predictions of one fold in STAMP's columns.

    Parameters
    ----------
    rows : DataFrame
        Predictions of one arm, repeat and fold; see `Predictions`.
    label : str
        Name of the label in STAMP.

    Raises
    ------
    PredictionsError
        Labels were predicted without a probability.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"patient_id": ["A"], "risk": [0.5], "time": [9.0], "event": [1]})
    >>> stamp_table(rows).to_dict("records")
    [{'PATIENT': 'A', 'pred_score': 0.5, 'time': 9.0, 'event': 1}]
    """
    found = pd.DataFrame({"PATIENT": rows["patient_id"].to_numpy()})
    if not binary_table(rows):
        return found.assign(
            pred_score=rows["risk"].to_numpy(),
            time=rows["time"].to_numpy(),
            event=rows["event"].to_numpy(),
        )
    if "probability" not in rows:
        raise PredictionsError(
            "STAMP files need probabilities, but the predictions have only a risk"
        )
    positive = rows["probability"].to_numpy(dtype=float)
    truth = rows["label"].to_numpy(dtype=int)
    with np.errstate(divide="ignore"):
        loss = -np.log(np.where(truth == 1, positive, 1 - positive))
    found = found.assign(
        **{
            label: truth,
            "pred": (positive >= 0.5).astype(int),
            f"{label}_0": 1 - positive,
            f"{label}_1": positive,
            "loss": loss,
        }
    )
    return found.sort_values("loss", kind="stable", ignore_index=True)


def write_stamp_predictions(predictions: Predictions, arm: str, out: Path) -> list[Path]:
    """Write a folder per repeat and fold of an arm.

    Parameters
    ----------
    predictions : Predictions
    arm : str
    out : Path
        A new or empty folder.

    Returns
    -------
    list of Path
        The tables, in the order of repeats and folds.
    """
    written = []
    groups = predictions.arm(arm).groupby(["repeat", "fold"], sort=False)
    tables = [stamp_table(rows) for _, rows in groups]
    for index, table in enumerate(tables):
        place = out / f"split-{index}"
        place.mkdir(parents=True)
        table.to_csv(place / FILE, index=False)
        written.append(place / FILE)
    return written
