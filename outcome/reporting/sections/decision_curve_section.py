"""The chapter on decision curves: the use of the probabilities for decisions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import horizon_text
from outcome.plotting.decision_curve_plot import plot_decision_curve
from outcome.reporting.page.blocks import (
    Picture,
    ReportSection,
    Tab,
    Tabs,
)
from outcome.reporting.page.figures import WIDTH, ReportFigures
from outcome.run_folder.folder import Run

__all__ = ["decision"]


def decision(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show the net benefit of decisions based on the probabilities."""
    table = run.table("decision_curves.csv")
    if table.empty:
        return None
    section = ReportSection("decision-curve", "Would acting on it help?")
    section.say(
        "Suppose patients are treated when their predicted probability reaches a threshold. The "
        "threshold states how many unnecessary treatments are acceptable for one necessary "
        "treatment. The net benefit weighs both. It does not show how well a treatment works."
    )
    if run.endpoint.favourable:
        section.say(
            f"The probability here is that of the better outcome ({run.endpoint.positive_name}). "
            "“Acting” then means treating the patients who are expected to respond."
        )
    tabs = []
    for i, h in enumerate(table["horizon"].drop_duplicates()):
        part = table[table["horizon"].isna()] if np.isnan(h) else table[table["horizon"] == h]
        name = "decision-curve" if i == 0 else f"decision-curve-{i + 1}"
        title = "All" if np.isnan(h) else horizon_text(float(h), run.endpoint.unit)
        picture = draw_decision(drawings, part, float(h), name)
        tabs.append(Tab(f"at-{name}", title, [picture]))
    if len(tabs) == 1:
        section.show(tabs[0].blocks[0])
    else:
        section.show(Tabs("Horizon", tabs))
    return section


def draw_decision(d: ReportFigures, table: pd.DataFrame, horizon: float, name: str) -> Picture:
    """Draw decision curves of all arms at one horizon."""
    end = d.run.endpoint
    # Above the highest predictions the curves depend on very few patients.
    arms = table[(table["arm"] != "treat all") & (table["net_benefit"] != 0)]
    arms = arms.dropna(subset="net_benefit")
    most = float(arms["threshold"].max()) if len(arms) else 0.5
    unknown = table["net_benefit"].isna().any()
    gaps = (
        " Not drawn where no patient above the threshold was followed to the horizon."
        if unknown
        else ""
    )
    at = "" if not np.isfinite(horizon) else f" at {horizon_text(horizon, end.unit)}"
    return d.save(
        lambda ax: plot_decision_curve(
            table, ax, colours=d.colours, most=min(1.0, max(0.1, most + 0.03))
        ),
        name,
        (WIDTH - 0.4, 2.7),
        alt=f"Decision curves{at} of {', '.join(d.run.arms)}: net benefit over thresholds.",
        caption=f"Decision curves{at}. Net benefit: true positives per patient, minus false "
        f"positives weighted by the odds of the threshold.{gaps} A score is useful at a "
        "threshold only if its curve lies above both grey lines.",
    )
