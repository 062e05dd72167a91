"""The chapter on subgroups and fairness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import Metric, metric
from outcome.evaluation.subgroups import FEWEST_EVENTS
from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.number_text import estimate, number, p_number, plural
from outcome.reporting.page.blocks import (
    Block,
    Picture,
    ReportSection,
    TableBlock,
)
from outcome.reporting.page.figures import MOST_ROWS, ReportFigures, arm_tabs, forest_heading
from outcome.reporting.page.formatting import Cell, Table, column
from outcome.reporting.page.interval_words import given_models
from outcome.reporting.page.main_metric import main_scores
from outcome.run_folder.folder import Run

__all__ = ["subgroups"]


def subgroups(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show the performance of the score in parts of the cohort."""
    table = run.table("subgroups.csv")
    if table.empty:
        return None
    section = ReportSection("subgroups", "Subgroups and fairness")
    word = run.endpoint.limiting if not run.endpoint.times else "events"
    section.say(
        "Does the score work equally well in all patients? Each row is evaluated separately. "
        f"Subgroups with fewer than {FEWEST_EVENTS} {word} are listed but not estimated. There "
        "is no correction for the number of subgroups: among many subgroups, some differ by "
        "chance."
    )
    main, _ = main_scores(run)
    shown = metric(str(table["metric"].iloc[0]), run.endpoint.unit)

    def make(arm: str) -> Sequence[Block]:
        mine = table[table["arm"] == arm]
        if mine.empty:
            return []
        blocks: list[Block] = []
        if main is not None and mine["estimate"].notna().any():
            blocks.append(subgroup_forest(drawings, arm, mine, shown))
        return [*blocks, TableBlock(_subgroup_table(run, arm, mine).without_empty_columns())]

    section.show(arm_tabs(run, drawings, "subgroups", make))
    return section


def _subgroup_table(run: Run, arm: str, rows: pd.DataFrame) -> Table:
    label = metric(str(rows["metric"].iloc[0]), run.endpoint.unit).label
    columns = ["Subgroup", "Patients", run.endpoint.counted, f"{label} (95% interval)"]
    columns += ["Observed / predicted", "Interaction p"]
    table = Table(f"Subgroups, {arm}", columns, numeric={1, 2, 3, 4, 5})
    for row in rows.to_dict("records"):
        value, ratio, p = (
            float(row[k]) for k in ("estimate", "calibration_ratio", "interaction_p")
        )
        note = row["note"] if isinstance(row["note"], str) else ""
        text = estimate(value, row["lower"], row["upper"]) if np.isfinite(value) else note
        table.add(
            f"{row['covariate']}: {row['level']}", row["n"], row["events"], Cell(text, value),
            Cell(number(ratio) if np.isfinite(ratio) else "", ratio),
            Cell(p_number(p), p),
        )  # fmt: skip
    pairs = f"Pairs of the same fold, pooled{given_models(run, rows)}. "
    table.notes.append(
        f"{pairs if run.cross_validated else ''}Numbers with more than five values are divided at "
        "the median. Interaction p (likelihood ratio): does the effect of the score differ between "
        "the levels?"
    )
    if column(rows, "calibration_ratio").notna().any():
        at = run.endpoint.horizons
        by = f" by {at[-1]:g} {run.endpoint.unit}" if at else ""
        table.notes.append(f"Observed / predicted events{by}: above 1 the risk is underestimated.")
    return table


def subgroup_forest(d: ReportFigures, arm: str, table: pd.DataFrame, main: Metric) -> Picture:
    """Draw the concordance in each level of each covariate, and that of all patients."""
    _, overall = main_scores(d.run)
    whole = overall.set_index("arm").loc[arm]
    rows: list[dict[str, object]] = []
    for name, part in table.groupby("covariate", sort=False):
        rows.append(forest_heading(str(name)))
        rows += [
            {
                "label": f"{r.level} ({r.n:.0f} / {r.events:.0f})",
                "estimate": r.estimate,
                "lower": r.lower,
                "upper": r.upper,
                "said": "too few events" if str(r.note).startswith("suppressed") else "",
            }
            for r in part.itertuples()
        ]
    data = pd.DataFrame(rows[:MOST_ROWS])
    cut = f" The first {MOST_ROWS} rows." if len(rows) > MOST_ROWS else ""
    pairs = ", pairs of the same fold pooled" if d.run.cross_validated else ""
    return d.save(
        lambda ax: plot_forest(
            data, ax, xlabel=f"{main.label} (95% interval)",
            reference=float(whole["estimate"]),
            colours=dict.fromkeys(data["label"], d.colours[arm]),
        ),
        f"subgroups-{d.slugs[arm]}",
        (2.6, 0.7 + 0.27 * len(data)),
        alt=f"{main.label} of {arm} in {plural(len(table), 'subgroup')}.",
        caption=f"{arm}: {main.label} in subgroups (patients / {d.run.endpoint.word}s)"
        f"{pairs}. Dashed: all patients.{cut}",
    )  # fmt: skip
