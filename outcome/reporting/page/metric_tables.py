"""Tables of metrics that several chapters show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import Metric
from outcome.plotting.number_text import estimate
from outcome.reporting.page.formatting import Cell, Table, entry
from outcome.reporting.page.interval_words import narrow_note
from outcome.run_folder.folder import Run

__all__ = ["metric_table", "only_covariates"]


def metric_table(run: Run, metrics: pd.DataFrame, shown: list[Metric], caption: str) -> Table:
    """Make a table of metrics with one row per arm."""
    heads = [m.label[:1].upper() + m.label[1:] for m in shown]
    columns = ["Arm", *heads, "Patients", run.endpoint.counted]
    table = Table(caption, columns, numeric=set(range(1, len(columns))))
    for i, arm in enumerate(run.arms):
        mine = metrics[metrics["arm"] == arm].drop_duplicates("metric").set_index("metric")
        if mine.empty:
            continue
        cells = []
        for m in shown:
            row = mine.loc[m.key] if m.key in mine.index else pd.Series(dtype=float)
            value = entry(row, "estimate")
            text = estimate(value, row.get("lower"), row.get("upper"), m.digits)
            cells.append(Cell(text if m.key in mine.index else "", value))
        sizes = [mine[k].max() if k in mine else np.nan for k in ("n", "events")]
        table.add(Cell(arm, i, True, f"arm-{i % 8}"), *cells, *sizes)
    if note := narrow_note(run, metrics[metrics["metric"].isin([m.key for m in shown])]):
        table.notes.append(note)
    return table


def only_covariates(run: Run, arm: str) -> bool:
    """Whether an arm uses only the clinical covariates."""
    return set(run.inputs.get(arm, [])) == {"clinical"}
