"""The chapter on the patients: flow, Table 1, folds and sites, follow-up."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import horizon_text
from outcome.plotting.number_text import estimate, number, plural
from outcome.reporting.page.blocks import Flow, ReportSection, Step
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.formatting import Cell, Table, entry
from outcome.run_folder.folder import Run

__all__ = ["cohort"]

MOST_GROUPS = 5
"""Columns of patients in one table, so that none is wider than the page."""


def cohort(run: Run, drawings: ReportFigures) -> ReportSection:
    """Show the analysed patients, the exclusions, and the follow-up."""
    section = ReportSection("cohort", "Cohort")
    flow = run.table("cohort_flow.csv")
    if flow.empty:
        section.say("This run has no cohort_flow.csv, so exclusions cannot be shown.")
    else:
        section.show(Flow(_steps(flow, run.endpoint.word)))
    missing = run.part("cohort").get("reports")
    if isinstance(missing, dict) and missing.get("without"):
        total = int(missing["without"]) + int(missing.get("with") or 0)
        section.say(f"{int(missing['without']):,} of {plural(total, 'patient')} have no report.")
    _show_follow_up(run, section)
    _show_characteristics(run, section)
    if run.table("characteristics_by_fold.csv").empty:
        section.fold("Patients by test fold", _by_fold(run))
    return section


def _show_characteristics(run: Run, section: ReportSection) -> None:
    table = run.table("characteristics.csv")
    if table.empty:
        section.say(
            "The run folder has no covariates and no information on sites or slides, so there "
            "is no Table 1.",
            quiet=True,
        )
        return
    made = _characteristics(run, table, "Table 1. Patients by outcome")
    made.notes.append(
        "Numbers: median (quartiles); categories: patients (% of those with a value). No "
        "tests: baseline differences are descriptive."
    )
    section.fold("Patients by outcome (Table 1)", made)
    for name, what in (("fold", "test fold, first repeat"), ("site", "site")):
        part = run.table(f"characteristics_by_{name}.csv")
        if len(part):
            title = f"Patients by {what}"
            groups = list(dict.fromkeys(part["group"]))
            parts = [groups[i : i + MOST_GROUPS] for i in range(0, len(groups), MOST_GROUPS)]
            further = ["", *(f" ({i} of {len(parts)})" for i in range(2, len(parts) + 1))]
            section.fold(
                title,
                *(
                    _characteristics(run, part[part["group"].isin(chosen)], f"{title}{number_of}")
                    for chosen, number_of in zip(parts, further, strict=True)
                ),
            )


def _characteristics(run: Run, table: pd.DataFrame, caption: str) -> Table:
    groups = list(dict.fromkeys(table["group"]))
    sizes = {g: _size(table[table["group"] == g]) for g in groups}
    heads = [f"{g or 'All'} (n = {sizes[g]:,})" for g in groups]
    made = Table(caption, ["Variable", *heads], numeric=set(range(1, len(groups) + 1)))
    keyed = {(r["variable"], r["level"], r["group"]): r for r in table.to_dict("records")}
    for variable, level in dict.fromkeys((v, x) for v, x, _ in keyed):
        rows = [keyed.get((variable, level, g)) for g in groups]
        cells = [Cell("") if row is None else _described(row) for row in rows]
        made.add(f"{variable}: {level}" if level else f"{variable}, median (quartiles)", *cells)
    return made


def _size(rows: pd.DataFrame) -> int:
    """Count the patients of a group: those with and without a value of any one variable."""
    first = rows[rows["variable"] == rows["variable"].iloc[0]]
    absent = first.loc[first["level"] == "missing", "n"]
    return int(absent.iloc[0]) if len(absent) else int(first["n"].iloc[0])


def _described(row: Mapping[Hashable, Any]) -> Cell:
    count, share = entry(row, "count"), entry(row, "share")
    if np.isfinite(count):
        return Cell(f"{count:,.0f} ({100 * share:.0f}%)" if np.isfinite(share) else "0", count)
    middle, low, high = (entry(row, k) for k in ("median", "lower", "upper"))
    if not np.isfinite(middle):
        return Cell("")
    whole = all(v == int(v) for v in (middle, low, high) if np.isfinite(v))
    digits = 0 if whole or abs(middle) >= 100 else 1
    return Cell(
        f"{number(middle, digits)} ({number(low, digits)} to {number(high, digits)})", middle
    )


def _show_follow_up(run: Run, section: ReportSection) -> None:
    table = run.table("follow_up.csv")
    if table.empty:
        return
    row, unit = table.iloc[0], run.endpoint.unit
    middle, low, high = (entry(row, k) for k in ("median_follow_up", "lower", "upper"))
    digits = 0 if middle >= 100 else 1
    if np.isfinite(middle):
        to = number(high, digits) if np.isfinite(high) else "not reached"
        between = f" (95% interval {number(low, digits)} to {to})" if np.isfinite(low) else ""
        text = f"Median follow-up is {number(middle, digits)} {unit}{between}, by the reverse "
        since = ", from entry on" if run.endpoint.late else ""
        text += f"Kaplan-Meier method (events count as censoring{since})."
    else:
        text = "Median follow-up is not reached, because too few patients are censored (reverse "
        text += "Kaplan-Meier method)."
    if (late := entry(row, "entered_late")) > 0:
        at = entry(row, "median_entry")
        text += (
            f" {plural(int(late), 'patient')} came under observation after the time origin "
            f"(delayed entry), at a median of {number(at, 0 if at >= 100 else 1)} {unit}. "
            "Patients are at risk only from their entry."
        )
    competing = entry(row, "competing")
    if competing > 0:
        text += f" {plural(int(competing), 'patient')} had a competing event."
    section.say(text)
    made = Table("Under observation", ["Time", "Patients at risk", "% of all"], numeric={1, 2})
    for h in run.endpoint.horizons:
        n, count = entry(row, "n"), entry(row, f"at_risk_{h:g}")
        if np.isfinite(count) and n > 0:
            made.add(
                Cell(horizon_text(h, unit), h, True), count, Cell(f"{100 * count / n:.0f}", count)
            )
    late_too = ", and entered before" if run.endpoint.late else ""
    made.notes.append(
        f"At risk just before that time: no event and no end of follow-up before it{late_too}."
    )
    section.fold("Patients under observation at the horizons", made)


def _steps(flow: pd.DataFrame, word: str) -> list[Step]:
    steps: list[Step] = []
    before = None
    for _, row in flow.iterrows():
        counts = _counts(row, word)
        lost = ""
        if before is not None:
            gone = [
                plural(int(before[k] - row[k]), noun)
                for k, noun in (("patients", "patient"), ("slides", "slide"))
                if k in flow and before[k] - row[k] > 0
            ]
            lost = ", ".join(gone)
        steps.append(Step(str(row["step"]), counts, lost, str(row.get("reason") or "")))
        before = row
    return steps


def _counts(row: pd.Series, word: str) -> str:
    said = [
        plural(int(row[k]), noun)
        for k, noun in (("patients", "patient"), ("slides", "slide"), ("events", word))
        if k in row and pd.notna(row[k])
    ]
    return ", ".join(said)


def _by_fold(run: Run) -> Table:
    """Patients and events in each fold of the first repeat."""
    name = run.endpoint.counted
    what = "Test patients of each fold" + (", first repeat" if run.repeats > 1 else "")
    table = Table(what, ["Fold", "Patients", name, f"{name}, %"], numeric={1, 2, 3})
    if not run.cross_validated:
        return table
    rows = run.table("fold_scores.csv")
    rows = rows[rows["arm"] == run.arms[0]] if len(rows) else rows
    for row in rows[rows["repeat"] == rows["repeat"].iloc[0]].itertuples() if len(rows) else ():
        share = row.events / row.n
        table.add(str(row.fold), row.n, row.events, Cell(estimate(100 * share, digits=0), share))
    return table
