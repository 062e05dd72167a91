"""The chapter on calibration: are the predicted probabilities right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from outcome.evaluation.horizon_columns import horizon_name
from outcome.evaluation.metric_descriptions import horizon_text, metric
from outcome.plotting.calibration_plot import plot_calibration
from outcome.plotting.number_text import plural
from outcome.reporting.page.blocks import Block, Picture, ReportSection
from outcome.reporting.page.figures import ReportFigures, arm_tabs
from outcome.reporting.page.formatting import column
from outcome.reporting.page.interval_words import models_held_fixed
from outcome.reporting.page.main_metric import overall
from outcome.reporting.page.metric_tables import metric_table
from outcome.run_folder.folder import Run

__all__ = ["calibration"]


def calibration(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show the calibration of the predicted probabilities, if there are any."""
    metrics = overall(run.table("metrics.csv"))
    kinds = [metric(key, run.endpoint.unit) for key in dict.fromkeys(metrics["metric"])]
    shown = [m for m in kinds if m.family == "probability"]
    points = run.table("calibration.csv")
    if not shown and points.empty:
        return None
    section = ReportSection("calibration", "Are the predicted probabilities right?")
    section.say(_source(run))
    if shown:
        table = metric_table(run, metrics, shown, "Predicted probabilities: estimate, 95% interval")
        table.notes += [
            f"{m.label}: {text}"
            for m in shown
            if (text := m.explained(cross_validated=run.cross_validated))
        ]
        if any(m.key.startswith(("brier", "ibs")) for m in shown) and run.cross_validated:
            table.notes += _brier_notes(run)
        if "note" in metrics:
            for m in shown:
                said = metrics[(metrics["metric"] == m.key) & metrics["estimate"].isna()]["note"]
                table.notes += [f"{m.label}: {why}." for why in dict.fromkeys(said) if why]
        section.show(table)

    def make(arm: str) -> Sequence[Block]:
        mine = points[points["arm"] == arm]
        return [draw_calibration(drawings, arm, mine)] if len(mine) else []

    if len(points):
        section.show(arm_tabs(run, drawings, "calibration", make))
    return section


def _brier_notes(run: Run) -> list[str]:
    found = []
    if run.endpoint.times:
        found.append(
            "Brier scores weight patients for censoring, with censoring curves of the other "
            "folds. They are divided by the sum of the weights, which differs from the number "
            "of patients."
        )
    if not models_held_fixed(run):
        found.append(
            "The intervals of Brier scores include the variation from training, but take the "
            "calibration of the risks as given."
        )
    return found


def _source(run: Run) -> str:
    how = run.part("protocol").get("calibration")
    made = (
        f"Risk scores were converted to probabilities on development patients only ({how}). The "
        "test patients below were not used for this."
        if how
        else "The probabilities are those given with the predictions."
    )
    if run.endpoint.competing:
        made += " Observed proportions allow for competing events (Aalen-Johansen)."
    return made


def draw_calibration(d: ReportFigures, arm: str, table: pd.DataFrame) -> Picture:
    """Draw observed against predicted probability of one arm, an axes for each horizon."""
    end = d.run.endpoint
    horizons = [float(h) for h in table["horizon"].drop_duplicates()]
    first = d.run.first_repeat(arm)
    figure = Figure(figsize=(2.75 * len(horizons), 2.9))
    for k, h in enumerate(horizons):
        binary = not np.isfinite(h)
        points = table[table["horizon"].isna()] if binary else table[table["horizon"] == h]
        name = "" if binary else f"survival_{horizon_name(h)}"
        values = column(first, "probability") if binary else 1 - column(first, name)
        what = end.positive_name if binary else "event"
        plot_calibration(
            points,
            figure.add_subplot(1, len(horizons), k + 1),
            colour=d.colours[arm],
            predicted=values.tolist(),
            what=what if len(what) < 24 else "outcome",
            title="" if binary else f"by {horizon_text(h, end.unit).partition(' (')[0]}",
        )
    figure.tight_layout(w_pad=2)
    at = "" if not end.times else f" at {plural(len(horizons), 'horizon')}"
    by, pooled = _observed_by(d), ", pooled over folds" if d.run.cross_validated else ""
    weighted = "" if end.landmark is None else " of the event by then, weighted for censoring"
    return d.gallery.save(
        figure,
        f"calibration-{d.slugs[arm]}",
        alt=f"Calibration of {arm}{at}: observed against predicted probability.",
        caption=f"{arm}: observed against predicted probability{at}{pooled}. Dots: "
        f"groups of about equal size{by}, with 95% intervals; line: smooth "
        f"curve{weighted} (only with 100 events or more); bars: frequency of each "
        f"prediction. Dashed: perfect agreement.{_without_dot(table)}",
    )


def _without_dot(table: pd.DataFrame) -> str:
    n = int((table["kind"].eq("group") & table["observed"].isna()).sum())
    return (
        f" No dot for {plural(n, 'group')} in which no patient was followed to the horizon."
        if n
        else ""
    )


def _observed_by(d: ReportFigures) -> str:
    if not d.run.endpoint.times:
        return ""
    return " (observed by Aalen-Johansen)" if d.run.endpoint.competing else " (by Kaplan-Meier)"
