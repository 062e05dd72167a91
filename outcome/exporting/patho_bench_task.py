"""A study as a task of Patho-Bench (`k=all.tsv`), for experiments with the same folds.

Columns are `case_id, slide_id`, `<task>_event, <task>_days` or the label, and `fold_0` ... with
`train` and `test`. Written from Patho-Bench's source (commit cd5d0f4). Its results are files of
their own: see `outcome.exporting.patho_bench_results`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from outcome.cohort import Cohort, Fold

__all__ = ["patho_bench_task"]

DAYS = {"days": 1.0, "months": 365.25 / 12, "years": 365.25}


def patho_bench_task(cohort: Cohort, folds: Sequence[Fold], task: str) -> pd.DataFrame:
    """Return the table of a task, a row per slide.

    Parameters
    ----------
    cohort : Cohort
    folds : sequence of Fold
        One column per fold, over all repeats.
    task : str
        Name of the outcome.

    Returns
    -------
    DataFrame
        Times are in days. A competing event counts as no event.
    """
    table = cohort.slides.rename(columns={"patient_id": "case_id"}).reset_index(drop=True)
    patients = cohort.patients
    cases = table["case_id"]
    if "label" in patients:
        table[task] = cases.map(patients["label"])
    else:
        table[f"{task}_event"] = cases.map((patients["event"] == 1).astype(int))
        factor = DAYS[cohort.endpoint.unit]
        table[f"{task}_days"] = cases.map(patients["time"] * factor)
    for index, fold in enumerate(folds):
        role = dict.fromkeys(fold.development, "train") | dict.fromkeys(fold.test, "test")
        table[f"fold_{index}"] = cases.map(role).fillna("-1")
    return table
