"""The chapter on secondary endpoints and strata."""

from __future__ import annotations

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import metric
from outcome.plotting.number_text import estimate
from outcome.reporting.page.blocks import (
    ReportSection,
)
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.formatting import Cell, Table, entry
from outcome.reporting.page.main_metric import overall
from outcome.reporting.sections.comparison_section import comparison_table
from outcome.reporting.sections.first_screen import headline_arms
from outcome.reporting.sections.risk_groups_section import draw_kaplan_meier
from outcome.run_folder.folder import Run

__all__ = ["secondary"]


def secondary(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show the performance of the same scores on further endpoints, and in strata."""
    metrics = run.table("metrics.csv")
    strata = metrics.drop(index=overall(metrics).index)
    rest = pd.concat([run.others.get("metrics.csv", metrics.iloc[:0]), strata])
    if rest.empty and all(t.empty for t in run.others.values()):
        return None
    section = ReportSection("secondary", "Other endpoints and strata")
    section.say(
        "The same scores and risk groups, evaluated on other outcomes or in parts of the "
        "cohort. Nothing was trained or chosen on them. All results here are descriptive."
    )
    columns = ["Arm", "Endpoint", "Stratum", "Metric", "Estimate", "Patients", "Events"]
    table = Table("Other endpoints and strata (descriptive)", columns, numeric={4, 5, 6})
    for _, row in rest.iterrows():
        m = metric(str(row["metric"]), run.endpoint.unit)
        text = estimate(row["estimate"], row.get("lower"), row.get("upper"), m.digits)
        names = [str(row.get(k, "")).replace("nan", "") for k in ("endpoint", "stratum")]
        sizes = [entry(row, k) for k in ("n", "events")]
        table.add(str(row["arm"]), *names, m.label, Cell(text, float(row["estimate"])), *sizes)
    section.show(table)
    changes = run.others.get("comparisons.csv", pd.DataFrame())
    for name, rows in changes.groupby("endpoint", sort=False) if len(changes) else []:
        mine = rows[rows["metric"].isin(["harrell_c", "auroc"])]
        section.show(comparison_table(run, mine, f"Differences between arms on {name}"))
    section.show(_other_groups(run))
    for endpoint in run.manifest.get("secondary") or []:
        if endpoint.get("kind") != "survival":
            continue
        for arm in headline_arms(run):
            if (picture := draw_kaplan_meier(drawings, arm, str(endpoint["name"]))) is not None:
                section.show(picture)
    return section


def _other_groups(run: Run) -> Table:
    rows = run.others.get("risk_groups.csv", pd.DataFrame())
    # Groups are described over the whole follow-up, which does not apply to such an endpoint.
    by_horizon = [
        e.get("name") for e in run.manifest.get("secondary") or [] if e.get("kind") == "landmark"
    ]
    rows = rows[~rows["endpoint"].isin(by_horizon)] if len(rows) else rows
    columns = ["Arm", "Endpoint", "Group", "Patients", "Events", "Share", "Hazard ratio"]
    table = Table("The same risk groups on other endpoints", columns, numeric={3, 4, 5, 6})
    for row in rows.to_dict("records"):
        n, events, ratio = (entry(row, k) for k in ("n", "events", "hazard_ratio"))
        share = Cell(f"{100 * events / n:.0f}%", events / n) if n > 0 else Cell("")
        lower, upper = entry(row, "hr_lower"), entry(row, "hr_upper")
        hazard = "1 (reference)" if ratio == 1 and np.isnan(lower) else ""
        if np.isfinite(ratio) and not hazard:
            hazard = estimate(ratio, lower, upper)
        table.add(
            str(row["arm"]), str(row["endpoint"]), str(row["group"]), n, events, share,
            Cell(hazard, ratio),
        )  # fmt: skip
    return table
