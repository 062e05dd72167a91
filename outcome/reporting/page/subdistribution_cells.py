"""Subdistribution hazard ratios as cells of the tables that show cause-specific ones."""

from __future__ import annotations

import numpy as np

from outcome.plotting.number_text import estimate
from outcome.reporting.page.formatting import Cell, entry
from outcome.run_folder.folder import Run

__all__ = ["HOW_TO_READ", "specific", "subdistribution_cell"]

HOW_TO_READ = (
    "A cause-specific hazard ratio compares the rates of the event among patients who have "
    "had no event of either kind. A subdistribution hazard ratio (Fine-Gray) shows how the "
    "cumulative incidence differs. Competing events contribute to it: it is also below 1 "
    "for a group that merely has more competing events."
)


def specific(run: Run, words: str) -> str:
    """Call ratios cause-specific if there are competing events.

    Parameters
    ----------
    run : Run
    words : str
        For instance `Hazard ratio`.
    """
    if not run.endpoint.competing or not run.endpoint.times:
        return words
    start = "Cause-specific" if words[:1].isupper() else "cause-specific"
    return f"{start} {words[:1].lower()}{words[1:]}"


def subdistribution_cell(run: Run, arm: str, model: str, term: str) -> Cell:
    """Return the ratio of a term with its interval; empty if the run has none."""
    table = run.table("subdistribution.csv")
    if table.empty:
        return Cell("")
    mine = (table["arm"] == arm) & (table["model"] == model) & (table["term"].astype(str) == term)
    if not mine.any():
        return Cell("")
    row = table[mine].iloc[0]
    ratio, low, high = (entry(row, k) for k in ("ratio", "lower", "upper"))
    return Cell(estimate(ratio, low, high), ratio) if np.isfinite(ratio) else Cell("")
