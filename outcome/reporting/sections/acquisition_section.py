"""The chapter on discrimination by acquisition variables."""

from __future__ import annotations

import numpy as np

from outcome.plotting.number_text import estimate
from outcome.reporting.page.blocks import (
    ReportSection,
)
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.formatting import Cell, Table
from outcome.reporting.page.main_metric import main_scores
from outcome.run_folder.folder import Run

__all__ = ["nuisance"]


def nuisance(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show how well the acquisition variables alone predict the outcome."""
    rows = run.table("nuisance.csv")
    if rows.empty:
        return None
    section = ReportSection("nuisance", "What could be predicted without looking")
    section.say(
        "How the material was collected may predict the outcome by itself: a hospital has "
        "sicker patients, larger tumours have more slides, reports are missing for a reason. A "
        "model can learn this. The table shows how well each of these predicts the outcome "
        "alone, with the same folds."
    )
    main, _ = main_scores(run)
    label = main.label if main and main.key in set(rows["metric"]) else "C-index or AUROC"
    columns = ["Variable", f"{label} (95% interval)", "Patients", run.endpoint.counted, "Note"]
    table = Table("Nuisance baselines", columns, numeric={1, 2, 3})
    for row in rows.to_dict("records"):
        known = np.isfinite(row["estimate"])
        text = estimate(row["estimate"], row["lower"], row["upper"]) if known else ""
        sizes = [row["n"], row["events"]] if row["n"] else [None, None]
        note = row["note"] if isinstance(row["note"], str) else ""
        table.add(str(row["variable"]), Cell(text, row["estimate"]), *sizes, note)
    table.notes.append(
        "The direction of a number and the event rate of a site are learned from the other "
        "folds. 0.5 is guessing. Uninformative variables can fall slightly below 0.5 in "
        "cross-validation. A value well above 0.5 suggests that the arms may exploit this "
        "variable."
    )
    section.show(table)
    return section
