"""Results in the files of a Patho-Bench experiment, which holds metrics and no predictions.

| file | content |
|---|---|
| `test_metrics/fold_<i>/metrics.json` | survival: `cindex`; a label: `overall`, `macro-ovr-auc` |
| `test_metrics/fold_<i>/predictions.csv` | not of Patho-Bench: the patients of the fold |
| `test_metrics_summary.json` | of each metric `mean`, `se` and `formatted` (mean ± SE over folds) |

Patho-Bench keeps labels and predictions in memory only. Written from its source (commit 1c1c105:
`FinetuningExperiment._eval`, and `Runner.collect_results`, which reads `formatted`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from outcome.evaluation.arrays import read_arms
from outcome.evaluation.fold_metrics import area_of_labels, harrell_in_fold
from outcome.predictions import Predictions, binary_table

__all__ = ["write_patho_bench_results"]


def write_patho_bench_results(
    predictions: Predictions, arm: str, out: Path, *, favourable: bool = False
) -> list[Path]:
    """Write the results of an arm, a folder per repeat and fold.

    Parameters
    ----------
    predictions : Predictions
    arm : str
    out : Path
        A folder that is not there, or empty.
    favourable : bool
        The positive label is the better outcome.

    Returns
    -------
    list of Path
        The tables of predictions, in the order of repeats and folds.

    Notes
    -----
    The standard error is the standard deviation over folds divided by the root of their number, as
    in Patho-Bench. It takes folds for independent, although they share their training patients; the
    intervals of `outcome.evaluate` do not.
    """
    rows = predictions.arm(arm)
    scores = next(one for one in read_arms(predictions)[1] if one.name == arm)
    metric = harrell_in_fold if scores.timed else area_of_labels(favourable=favourable)
    name = "cindex" if scores.timed else "macro-ovr-auc"
    groups = dict(iter(rows.astype({"repeat": str, "fold": str}).groupby(["repeat", "fold"])))
    values, written = [], []
    for index, fold in enumerate(scores.folds):
        value = metric(fold).value
        values.append(value)
        place = out / "test_metrics" / f"fold_{index}"
        place.mkdir(parents=True)
        found = {name: None if np.isnan(value) else float(value)}
        _write_json(place / "metrics.json", found if scores.timed else {"overall": found})
        _fold_table(groups[fold.repeat, fold.fold]).to_csv(place / "predictions.csv", index=False)
        written.append(place / "predictions.csv")
    _write_json(out / "test_metrics_summary.json", {name: _summary(np.array(values))})
    return written


def _fold_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the patients of a fold; a competing event is no event, and a higher risk is worse."""
    found = pd.DataFrame({"case_id": rows["patient_id"].to_numpy()})
    if binary_table(rows):
        found["label"] = rows["label"].to_numpy()
        given = "probability" if "probability" in rows else "risk"
        return found.assign(pred=rows[given].to_numpy())
    return found.assign(
        survival_event=(rows["event"] == 1).astype(int).to_numpy(),
        survival_time=rows["time"].to_numpy(),
        pred=rows["risk"].to_numpy(),
    )


def _summary(values: Any) -> dict[str, float | str | None]:
    if len(values) < 2 or np.isnan(values).any():
        mean = float(values.mean())
        text = "N/A" if np.isnan(mean) else f"{mean:.3f}"
        return {"mean": None if np.isnan(mean) else mean, "se": None, "formatted": text}
    mean, se = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    return {"mean": mean, "se": se, "formatted": f"{mean:.3f} ± {se:.3f}"}


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=4, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
