"""The chapter on risk groups, with a tab for each arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from outcome.evaluation.evaluation import on_secondary
from outcome.evaluation.metric_descriptions import horizon_text
from outcome.plotting.kaplan_meier_plot import plot_incidence, plot_kaplan_meier
from outcome.plotting.number_text import estimate, number, p_number, p_value, plural
from outcome.plotting.palette import group_colours
from outcome.plotting.style import shorten
from outcome.reporting.page.blocks import Block, Picture, ReportSection, TableBlock, Text
from outcome.reporting.page.figures import WIDTH, ReportFigures, arm_tabs
from outcome.reporting.page.fold_words import stratified_words
from outcome.reporting.page.formatting import Cell, Table, column, entry, slug
from outcome.reporting.page.group_words import grouping
from outcome.reporting.page.subdistribution_cells import (
    HOW_TO_READ,
    specific,
    subdistribution_cell,
)
from outcome.run_folder.folder import Run

__all__ = ["draw_curves", "draw_kaplan_meier", "risk_groups"]

TOO_NARROW = (
    "The interval of the hazard ratio takes the groups as given and is too narrow. It is no "
    "evidence that the score works; the interval of the C-index and the log-rank p include the "
    "variation from training."
)
REFERENCE = Cell("1 (reference)", 1.0)


def risk_groups(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Kaplan-Meier curves and table of the risk groups of each arm."""
    table = run.table("risk_groups.csv")
    timed = run.endpoint.times
    drawn = timed and "risk_group" in run.predictions.table
    if table.empty and not drawn:
        return None
    section = ReportSection("risk-groups", "Risk groups")
    section.say(grouping(run))
    if timed:
        section.say(
            "Curves that lie apart mean that the outcomes of the groups differ. Check the "
            "numbers at risk before interpreting the right end of a curve."
        )
    if run.cross_validated and timed:
        section.say(_what_the_test_counts(table))
    if timed and run.endpoint.landmark is not None:
        section.say(
            "Curves, events and hazard ratios cover the whole follow-up, not only the time up "
            f"to {run.endpoint.landmark:g} {run.endpoint.unit}."
        )
    section.say(*_about_delayed_entry(run))
    section.say(*_about_competing_events(run))

    def make(arm: str) -> list[Block]:
        blocks: list[Block] = []
        mine = table[table["arm"] == arm]
        if arm in run.constant_arms:
            text = "This arm gives all patients of a fold the same risk, so there is one group."
            blocks.append(Text([text]))
        if drawn and (picture := draw_curves(drawings, arm)):
            blocks.append(picture)
        if len(mine):
            made = _group_table(run, arm, mine).without_empty_columns()
            blocks.append(TableBlock(made))
        further = (_at_horizons(run, arm), _incidence(run, arm), _pairs(run, arm))
        blocks += [TableBlock(t.without_empty_columns()) for t in further if t.rows]
        return blocks

    section.show(arm_tabs(run, drawings, "groups", make))
    return section


def _about_delayed_entry(run: Run) -> list[str]:
    """Explain how to interpret curves and tests under delayed entry."""
    if not run.endpoint.late:
        return []
    return [
        "Entry is delayed: patients are at risk only from their entry, so numbers at risk may "
        "rise at first. Curves and tests need enough patients who enter early."
    ]


def _about_competing_events(run: Run) -> list[str]:
    """Explain how to interpret curves and ratios with competing events."""
    if not run.endpoint.competing:
        return []
    said = [
        "There are competing events. The curves are cumulative incidences that allow for them "
        "(Aalen-Johansen). Hazard ratios and the log-rank test are cause-specific: they treat "
        "competing events as censoring."
    ]
    return [*said, HOW_TO_READ] if len(run.table("subdistribution.csv")) else said


def _what_the_test_counts(table: pd.DataFrame) -> str:
    """Explain how far the tests of a cross-validated study are valid."""
    if "logrank_p_fixed" not in table:
        return (
            "The log-rank p and the hazard ratio are exploratory, although both are stratified "
            "by fold. They take the groups as given and find differences too often."
        )
    return (
        "The groups come from several models that were trained on overlapping patients. The "
        "log-rank p is stratified by fold and includes the variation from training. In "
        "simulated studies without any association it was below .05 in 4% to 5% of studies, and "
        "in 3% if there were no scores of inner models. Hazard ratios and pairwise tests "
        "between more than two groups take the groups as given: their intervals are too narrow "
        "and their p values too small. They are exploratory."
    )


def draw_curves(d: ReportFigures, arm: str) -> Picture | None:
    """Draw the curves of the risk groups of an arm; None if the run has no groups.

    Kaplan-Meier curves, or cumulative incidences if there are competing events.
    """
    return draw_incidence(d, arm) if d.run.endpoint.competing else draw_kaplan_meier(d, arm)


def _curve_note(run: Run, arm: str) -> str:
    """Return the text above the curves: hazard ratio with interval, and log-rank p."""
    table = run.table("risk_groups.csv")
    rows = table[table["arm"] == arm] if len(table) else table
    specific = "cause-specific " if run.endpoint.competing else ""
    said = []
    ratios = column(rows, "hazard_ratio")
    reference = [str(g) for g in rows.loc[ratios == 1, "group"]] if len(rows) else []
    for row in rows[ratios.notna() & (ratios != 1)].to_dict("records") if reference else []:
        value, low, high = (entry(row, k) for k in ("hazard_ratio", "hr_lower", "hr_upper"))
        pair = f"{shorten(str(row['group']), 16, 1)} / {shorten(reference[0], 16, 1)}"
        given = ", groups as given" if run.cross_validated else ""
        said.append(f"{specific}HR {pair} {estimate(value, low, high)}{given}")
    p = column(rows, "logrank_p").dropna()
    if note := p_value(p.iloc[0], f"{specific}log-rank p") if len(p) else "":
        said.append(note + _exploratory(run, note))
    return "\n".join(f"{line[0].upper()}{line[1:]}" for line in said)


def _survival_axis(name: str) -> str:
    """Name the vertical axis after the endpoint, if its name is that of a survival time."""
    if name.lower().endswith("survival"):
        return f"{name[0].upper()}{name[1:]}"
    return "Probability of no event"


def _exploratory(run: Run, note: str) -> str:
    """Mark a p value of an older folder, which takes cross-validated groups as given."""
    counted = "logrank_p_fixed" in run.table("risk_groups.csv")
    return ", exploratory" if note and run.cross_validated and not counted else ""


def _at_horizons(run: Run, arm: str) -> Table:
    """Survival of the groups at the horizons, or cumulative incidence with competing events."""
    rows, unit = run.table("survival_at.csv"), run.endpoint.unit
    columns = ["Group", "Time", "Free of the event (95% interval)", "At risk"]
    table = Table(f"Risk groups of {arm} at the horizons", columns, numeric={2, 3})
    if rows.empty or run.endpoint.competing:
        return table
    mine = rows[rows["arm"] == arm]
    for group in run.groups(arm):
        for row in mine[mine["group"].astype(str) == group].to_dict("records"):
            values = [100 * float(row[k]) for k in ("survival", "lower", "upper")]
            known = np.isfinite(values[0])
            text = _percent(values) if known else "not followed up to then"
            at = Cell(horizon_text(float(row["horizon"]), unit), float(row["horizon"]))
            table.add(group, at, Cell(text, values[0]), row["n_risk"])
    return table


def _percent(values: Sequence[float]) -> str:
    value, lower, upper = values
    return f"{estimate(value, lower, upper, 0)} %"


def _incidence(run: Run, arm: str) -> Table:
    rows, unit = run.table("incidence.csv"), run.endpoint.unit
    columns = ["Group", "Event", "Time", "Cumulative incidence (95% interval)", "At risk"]
    columns.append("Gray’s test, p")
    table = Table(f"Risk groups of {arm} at the horizons", columns, numeric={3, 4, 5})
    if rows.empty:
        return table
    for row in rows[rows["arm"] == arm].to_dict("records"):
        values = [100 * float(row[k]) for k in ("incidence", "lower", "upper")]
        at = Cell(horizon_text(float(row["horizon"]), unit), float(row["horizon"]))
        what = {1: "event", 2: "competing event"}.get(int(row["cause"]), str(row["cause"]))
        p = float(row["gray_p"])
        text = _percent(values) if np.isfinite(values[0]) else "not followed up to then"
        table.add(
            str(row["group"]), what, at, Cell(text, values[0]),
            row["n_risk"], Cell(p_number(p), p),
        )  # fmt: skip
    if run.endpoint.late:
        table.notes.append("Gray’s test is not defined under delayed entry.")
    else:
        table.notes.append(
            "Gray’s test compares the groups over the whole follow-up. It is not stratified."
        )
    return table


def _pairs(run: Run, arm: str) -> Table:
    """Log-rank tests between any two of more than two groups."""
    rows = run.table("pairwise.csv")
    columns = ["Groups", "Against", "Chi-square", "p", "p, corrected"]
    table = Table(f"Log-rank tests between groups of {arm}", columns, numeric={2, 3, 4})
    mine = rows[rows["arm"] == arm] if len(rows) else rows
    if len(mine) < 2:
        return table
    for row in mine.to_dict("records"):
        ps = [float(row[k]) for k in ("p_value", "p_adjusted")]
        cells = [Cell(p_number(p), p) for p in ps]
        chi = Cell(number(row["chi_square"], 1), row["chi_square"])
        table.add(str(row["group_b"]), str(row["group_a"]), chi, *cells)
    given = " The groups are taken as given: exploratory." if run.cross_validated else ""
    how = "; ".join(filter(None, [stratified_words(run), "corrected after Holm within the arm"]))
    table.notes.append(f"{how[0].upper()}{how[1:]}.{given}")
    return table


def _group_table(run: Run, arm: str, rows: pd.DataFrame) -> Table:
    unit = f" ({run.endpoint.unit})" if run.endpoint.unit else ""
    medians = "median_survival" in rows and run.endpoint.times
    rows = rows.drop_duplicates("group").set_index("group")
    groups = [g for g in run.groups(arm) if g in rows.index]
    ratios = column(rows, "hazard_ratio")
    plain = [g for g in groups if np.isnan(ratios[g]) or ratios[g] == 1]
    against = f" against {plain[0]}" if len(plain) == 1 and ratios.notna().any() else ""
    columns = ["Group", "Patients", run.endpoint.counted, "Share", f"Median time to event{unit}"]
    columns.append(f"{specific(run, 'Hazard ratio')}{against}")
    columns.append(f"Subdistribution hazard ratio{against}")
    table = Table(f"Risk groups of {arm}", columns, numeric=set(range(1, len(columns))))
    for i, group in enumerate(groups):
        row = rows.loc[group]
        table.add(
            Cell(group, i, True),
            entry(row, "n"),
            entry(row, "events"),
            _share(row),
            _median(row) if medians else Cell(""),
            REFERENCE if against and group == plain[0] else _ratio(row),
            _subdistribution(run, arm, group, plain) if against else Cell(""),
        )
    _group_notes(run, arm, rows, table, medians=medians)
    return table


def _subdistribution(run: Run, arm: str, group: str, reference: Sequence[str]) -> Cell:
    found = subdistribution_cell(run, arm, "risk groups", group)
    there = len(run.table("subdistribution.csv")) > 0
    return REFERENCE if there and [group] == list(reference) else found


def _share(row: Any) -> Cell:
    names = ("event_rate", "lower", "upper")
    rate, low, high = (100 * entry(row, k) for k in names)
    return Cell(f"{estimate(rate, low, high, 0)} %", rate) if np.isfinite(rate) else Cell("")


def _ratio(row: Any) -> Cell:
    ratio, low, high = (entry(row, k) for k in ("hazard_ratio", "hr_lower", "hr_upper"))
    return Cell(estimate(ratio, low, high), ratio) if np.isfinite(ratio) else Cell("")


def _median(row: Any) -> Cell:
    if "median_survival" not in row:
        return Cell("")
    median, low, high = (entry(row, k) for k in ("median_survival", "lower", "upper"))
    digits = 0 if median >= 100 else 1
    if not np.isfinite(median):
        return Cell("not reached", np.inf)
    if not np.isfinite(low):
        return Cell(number(median, digits), median)
    upper = number(high, digits) if np.isfinite(high) else "not reached"
    return Cell(f"{number(median, digits)} ({number(low, digits)} to {upper})", median)


def _group_notes(run: Run, arm: str, rows: pd.DataFrame, table: Table, *, medians: bool) -> None:
    p = column(rows, "logrank_p").dropna()
    if len(p):
        said = p_value(p.iloc[0])
        how = f", {words}" if (words := stratified_words(run)) else ""
        table.notes.append(f"Log-rank {said}{how}{_exploratory(run, said)}.")
    if run.cross_validated and column(rows, "hazard_ratio").notna().any():
        table.notes.append(TOO_NARROW)
    curve = "incidence stays below" if run.endpoint.competing else "curve stays above"
    reached = f" Not reached: the {curve} 50%." if medians else ""
    if "lower" in rows:
        table.notes.append(f"95% intervals in brackets.{reached}")
    notes = rows.get("note", pd.Series(dtype=str))
    table.notes += [f"{group}: {note}." for group, note in notes.items() if note]
    drawn = len(run.first_repeat(arm))
    counted = int(rows["n"].sum())
    if counted != drawn:
        table.notes.append(f"The table counts {counted:,} rows, the figure {drawn:,} patients.")


def draw_kaplan_meier(d: ReportFigures, arm: str, endpoint: str = "") -> Picture | None:
    """Draw curves of the risk groups of an arm; None if the run has no groups.

    Parameters
    ----------
    d : ReportFigures
    arm : str
    endpoint : str
        Name of a secondary endpoint; by default the primary one.
    """
    rows = d.run.first_repeat(arm)
    groups = d.run.groups(arm)
    if "risk_group" not in rows or not groups:
        return None
    end, name = d.run.endpoint, endpoint or d.run.endpoint.name
    if endpoint:
        rows = on_secondary(rows, endpoint)
        if rows.empty or "time" not in rows:
            return None
    had = rows["event"].astype(float) == 1
    sizes = "; ".join(
        f"{g}: {plural(int(mine.sum()), 'patient')}, {plural(int((mine & had).sum()), 'event')}"
        for g in groups
        for mine in [rows["risk_group"] == g]
    )
    first = " First of several repeats." if d.run.repeats > 1 else ""
    return d.save(
        lambda ax: plot_kaplan_meier(
            rows,
            ax,
            unit=end.unit,
            groups=groups,
            colours=group_colours(groups),
            note="" if endpoint else _curve_note(d.run, arm),
            ylabel=_survival_axis(name),
            time_unit=d.run.time_unit,
        ),
        f"kaplan-meier-{d.slugs[arm]}" + (f"-{slug(endpoint, set())}" if endpoint else ""),
        (WIDTH, 3.1),
        alt=f"Kaplan-Meier curves of {arm} by risk group, with numbers at risk. {sizes}.",
        caption=f"{arm}: patients without the event ({name}) over time, by risk group. "
        "Bands: pointwise 95% intervals. Ticks: patients whose follow-up ended. "
        f"At risk: under observation just before that time.{first}",
    )


def draw_incidence(d: ReportFigures, arm: str) -> Picture | None:
    """Draw the cumulative incidence of competing events by risk group."""
    curves, groups = d.run.table("incidence_curves.csv"), d.run.groups(arm)
    if curves.empty or not groups:
        return None
    end, mine = d.run.endpoint, curves[curves["arm"] == arm]
    events, competing = (int(mine.loc[mine["cause"] == c, "n_event"].sum()) for c in (1, 2))
    return d.save(
        lambda ax: plot_incidence(
            mine,
            ax,
            unit=end.unit,
            groups=groups,
            colours=group_colours(groups),
            note=_curve_note(d.run, arm),
            time_unit=d.run.time_unit,
        ),
        f"incidence-{d.slugs[arm]}",
        (WIDTH, 3.1),
        alt=f"Cumulative incidence by risk group of {arm}: {events} events and "
        f"{competing} competing events.",
        caption=f"{arm}: cumulative incidence ({end.name}) by risk group, with the competing event "
        "allowed for (Aalen-Johansen). Solid: the event, with pointwise 95% intervals; dashed: the "
        "competing event.",
    )
