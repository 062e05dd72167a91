"""The chapter on discrimination by how the material was acquired."""

from __future__ import annotations

import numpy as np

from outcome.plotting.number_text import estimate
from outcome.reporting.page.blocks import (
    ReportSection,
)
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.formatting import Cell, Table
from outcome.reporting.page.metric_names import (
    main_scores,
)
from outcome.run_folder.folder import Run

__all__ = ["nuisance"]


def nuisance(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Tell what could be predicted without looking at tissue or text."""
    rows = run.table("nuisance.csv")
    if rows.empty:
        return None
    section = ReportSection("nuisance", "What could be predicted without looking")
    section.say(
        "How the material was gathered may tell the outcome by itself: a hospital with sicker "
        "patients, more slides of larger tumours, reports that are missing for a reason. A model "
        "can pick that up. Each of these, alone, under the same folds:"
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
        "The direction of a number and the rate of events of a site are learned from the other "
        "folds. 0.5 is guessing. What tells nothing can fall somewhat below it, since the other "
        "folds hold more of what a fold has less of; a value well above it asks how the arms reach "
        "theirs."
    )
    section.show(table)
    return section
