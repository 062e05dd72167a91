"""The chapters on predicted probabilities: are they right, and are they of use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outcome.reporting.page.blocks import Block, Tab, Tabs, ReportSection
from outcome.reporting.page.figures import Drawings
from outcome.reporting.page.metric_names import horizon_text, metric, overall
from outcome.reporting.sections.discrimination_section import metric_table
from outcome.reporting.sections.risk_groups_section import arm_panels
from outcome.reporting.sections.section_figures import calibration as draw_calibration
from outcome.reporting.sections.section_figures import decision as draw_decision
from outcome.run_folder.folder import Run

__all__ = ["calibration", "decision"]


def calibration(run: Run, drawings: Drawings) -> ReportSection | None:
    """Tell whether the predicted probabilities are right; only where there are any."""
    metrics = overall(run.table("metrics.csv"))
    kinds = [metric(key, run.endpoint) for key in dict.fromkeys(metrics["metric"])]
    shown = [m for m in kinds if m.family == "probability"]
    points = run.table("calibration.csv")
    if not shown and points.empty:
        return None
    section = ReportSection("calibration", "Are the predicted probabilities right?")
    section.say(_source(run))
    if shown:
        table = metric_table(run, metrics, shown, "Predicted probabilities: estimate, 95% interval")
        table.notes += [f"{m.label}: {m.meaning}" for m in shown if m.meaning]
        if "note" in metrics:
            for m in shown:
                said = metrics[(metrics["metric"] == m.key) & metrics["estimate"].isna()]["note"]
                table.notes += [f"{m.label}: {why}." for why in dict.fromkeys(said) if why]
        section.show(table)

    def make(arm: str) -> Sequence[Block]:
        mine = points[points["arm"] == arm]
        return [draw_calibration(drawings, arm, mine)] if len(mine) else []

    if len(points):
        section.show(arm_panels(run, drawings, "calibration", make))
    return section


def _source(run: Run) -> str:
    how = run.part("protocol").get("calibration")
    made = (
        "Risk scores were turned into probabilities on development patients alone"
        f" ({how}); the test patients below played no part in it."
        if how
        else "The probabilities are as they came with the predictions."
    )
    if run.endpoint.competing:
        made += " What was observed allows for competing events (Aalen-Johansen)."
    return made


def decision(run: Run, drawings: Drawings) -> ReportSection | None:
    """Tell what acting on the probabilities would be worth."""
    table = run.table("decision_curves.csv")
    if table.empty:
        return None
    section = ReportSection("decision-curve", "Would acting on it help?")
    section.say(
        "Suppose patients are treated when their predicted probability reaches a threshold. The "
        "threshold says how many treatments in vain one accepts for one that was needed; the net "
        "benefit weighs both. It says nothing about how well a treatment works."
    )
    if run.endpoint.favourable:
        section.say(
            f"The probability here is that of the better outcome ({run.endpoint.positive_name}): "
            "“acting” is then treating those who are expected to respond."
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
