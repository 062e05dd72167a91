"""The chapter on discrimination over time."""

from __future__ import annotations

import pandas as pd

from outcome.plotting.over_time import plot_auc_over_time
from outcome.reporting.page.blocks import (
    Picture,
    ReportSection,
)
from outcome.reporting.page.figures import WIDTH, ReportFigures
from outcome.reporting.page.interval_words import given_models
from outcome.run_folder.folder import Run

__all__ = ["auc_over_time"]


def auc_over_time(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Tell how well the arms rank early and late events."""
    table = run.table("auc_over_time.csv")
    if table.empty:
        return None
    section = ReportSection("auc-over-time", "AUC over time")
    section.say(
        "A score may predict early and late events differently well. A single C-index does not "
        "show this. The curves begin at the tenth event. They are imprecise at both ends, where "
        "there are few events or few patients at risk."
    )
    section.show(draw_auc(drawings, table))
    return section


def draw_auc(d: ReportFigures, table: pd.DataFrame) -> Picture:
    """Draw AUC(t) of every arm."""
    end = d.run.endpoint
    few = table["arm"].nunique() <= 3
    given = given_models(d.run, table)
    shaded = f" Bands: pointwise 95% intervals{given}." if few else ""
    return d.save(
        lambda ax: plot_auc_over_time(
            table,
            ax,
            unit=end.unit,
            colours=d.colours,
            bands=few,
            time_unit=d.run.time_unit,
        ),
        "auc-over-time",
        (WIDTH, 2.8),
        alt=f"AUC over time of {', '.join(d.run.arms)}, from {table['time'].min():g} to "
        f"{table['time'].max():g} {end.unit}.",
        caption="AUC over time: among pairs of a patient who had the event by that time and one "
        "who had not, the proportion ranked correctly (weighted for censoring"
        f"{', within folds' if d.run.cross_validated else ''}). Dashed: guessing.{shaded}",
    )
