"""The chapters with a tab for each arm: risk groups, scores of a yes/no outcome, training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from outcome.reporting.blocks import Block, Panel, Panels, Section, TableBlock, Text
from outcome.reporting.drawings import Drawings
from outcome.reporting.folder import Run, constant_risk
from outcome.reporting.tables import Cell, Table, column, entry, estimate, number, p_value

__all__ = ["risk_groups", "scores", "training"]


def _panels(
    run: Run, drawings: Drawings, prefix: str, make: Callable[[str], Sequence[Block]]
) -> Panels:
    made = [(arm, list(make(arm))) for arm in run.arms]
    panels = [Panel(f"{prefix}-{drawings.slugs[a]}", a, blocks) for a, blocks in made if blocks]
    return Panels("Arm", panels)


def risk_groups(run: Run, drawings: Drawings) -> Section | None:
    """Kaplan-Meier curves and table of the risk groups of each arm."""
    table = run.table("risk_groups.csv")
    timed = "time" in run.predictions.table
    drawn = timed and "risk_group" in run.predictions.table
    if table.empty and not drawn:
        return None
    section = Section("risk-groups", "Risk groups")
    section.say(_grouping(run))
    if timed:
        section.say(
            "Curves that lie apart mean that the groups fare differently; look at the numbers at "
            "risk before reading the right end of a curve."
        )
    if run.cross_validated and timed:
        section.say(
            "The log-rank p and the hazard ratio of a cross-validated study are exploratory, "
            "although both are stratified by fold: the groups come from several models that were "
            "trained on overlapping patients, so a test finds differences too often. Use them to "
            "describe, not to conclude."
        )
    if timed and (run.predictions.table["event"].astype(float) == 2).any():
        section.say(
            "Competing events end the follow-up in these curves, as censoring does; the curves are "
            "therefore not the share of patients who stay free of the event."
        )

    def make(arm: str) -> list[Block]:
        blocks: list[Block] = []
        mine = table[table["arm"] == arm]
        p = column(mine, "logrank_p").dropna()
        if constant_risk(run.predictions.arm(arm)):
            text = "This arm gives all patients of a fold the same risk, so there is one group."
            blocks.append(Text([text]))
        if drawn and (
            picture := drawings.kaplan_meier(arm, float(p.iloc[0]) if len(p) else np.nan)
        ):
            blocks.append(picture)
        if len(mine):
            made = _group_table(run, arm, mine).without_empty_columns()
            blocks.append(TableBlock(made))
        return blocks

    section.show(_panels(run, drawings, "groups", make))
    return section


def _grouping(run: Run) -> str:
    if "risk_group" not in run.predictions.table:
        return "Patients are grouped by their risk score; the predictions came without groups."
    cut = run.part("protocol").get("cutoffs")
    by = f" (rule: {cut})" if cut else ""
    return (
        "Patients are grouped by their risk score, with cut-offs that were fixed on development "
        f"patients only{by}."
    )


def _group_table(run: Run, arm: str, rows: pd.DataFrame) -> Table:
    unit = f" ({run.endpoint.unit})" if run.endpoint.unit else ""
    word = "Positive" if run.endpoint.kind == "binary" else "Events"
    rows = rows.drop_duplicates("group").set_index("group")
    groups = [g for g in run.groups(arm) if g in rows.index]
    ratios = column(rows, "hazard_ratio")
    plain = [g for g in groups if np.isnan(ratios[g]) or ratios[g] == 1]
    against = f" against {plain[0]}" if len(plain) == 1 and ratios.notna().any() else ""
    columns = ["Group", "Patients", word, "Share", f"Median time to event{unit}"]
    columns.append(f"Hazard ratio{against}")
    table = Table(f"Risk groups of {arm}", columns, numeric=set(range(1, len(columns))))
    for i, group in enumerate(groups):
        row = rows.loc[group]
        table.add(
            Cell(group, i, True),
            entry(row, "n"),
            entry(row, "events"),
            _share(row),
            _median(row),
            Cell("1 (reference)", 1.0) if against and group == plain[0] else _ratio(row),
        )
    _group_notes(run, arm, rows, table)
    return table


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


def _group_notes(run: Run, arm: str, rows: pd.DataFrame, table: Table) -> None:
    p = column(rows, "logrank_p").dropna()
    if len(p):
        if run.cross_validated:
            table.notes.append(f"Log-rank {p_value(p.iloc[0])}, stratified by fold; exploratory.")
        else:
            table.notes.append(f"Log-rank {p_value(p.iloc[0])}.")
    reached = " Not reached: the curve stays above 50%." if "median_survival" in rows else ""
    if "lower" in rows:
        table.notes.append(f"95% intervals in brackets.{reached}")
    notes = rows.get("note", pd.Series(dtype=str))
    table.notes += [f"{group}: {note}." for group, note in notes.items() if note]
    drawn = len(run.first_repeat(arm))
    counted = int(rows["n"].sum())
    if counted != drawn:
        table.notes.append(f"The table counts {counted:,} rows, the figure {drawn:,} patients.")


def scores(run: Run, drawings: Drawings) -> Section | None:
    """ROC curves and the distribution of the scores, for a yes/no outcome."""
    if "label" not in run.predictions.table:
        return None
    section = Section("scores", "Scores and outcome")
    section.say(
        "A ROC curve shows, for every threshold on the score, how many positive patients are found "
        "(sensitivity) and how many negative ones are called positive (1 − specificity). "
        "Scores are compared within a test fold only."
    )
    if run.endpoint.favourable:
        section.say(
            "The outcome is a favourable one: without untreated patients for comparison, the score "
            "is associated with outcome among treated patients; it does not show who benefits from "
            "the treatment."
        )
    if len(run.arms) > 1:
        section.show(drawings.roc_all())

    def make(arm: str) -> list[Block]:
        return [drawings.roc(arm), drawings.scores(arm)]

    section.show(_panels(run, drawings, "scores", make))
    return section


def training(run: Run, drawings: Drawings) -> Section | None:
    """How long each arm was trained, and its loss."""
    history = run.table("history.csv")
    chosen = [e for e in run.manifest.get("epochs") or [] if e.get("epochs") is not None]
    if history.empty and not chosen:
        return None
    section = Section("training", "Training")
    if chosen:
        section.show(_epoch_table(run, chosen))
    if history.empty:
        section.say("This run has no history.csv, so loss curves cannot be shown.")
        return section
    section.say(
        "A tuning loss that falls and then rises shows overfitting; training stops being useful "
        "where it is lowest. Test patients play no part here."
    )

    def make(arm: str) -> list[Block]:
        mine = history[history["arm"] == arm]
        return [drawings.loss(arm, mine)] if len(mine) else []

    section.show(_panels(run, drawings, "training", make))
    return section


def _epoch_table(run: Run, chosen: Sequence[dict[str, object]]) -> Table:
    data = pd.DataFrame(chosen)
    columns = ["Arm", "Outer folds", "Median epochs", "Fewest", "Most", "Inner folds"]
    table = Table("Epochs chosen, over the outer folds", columns, numeric={1, 2, 3, 4, 5})
    for i, arm in enumerate(run.arms):
        mine = data[data["arm"] == arm]
        if mine.empty:
            continue
        epochs = mine["epochs"].astype(float)
        inner = column(mine, "inner_folds").dropna().astype(int)
        span = (
            ""
            if inner.empty
            else f"{inner.min()}"
            if inner.nunique() == 1
            else (f"{inner.min()} to {inner.max()}")
        )
        table.add(
            Cell(arm, i, True, f"arm-{i % 8}"),
            len(mine),
            float(epochs.median()),
            float(epochs.min()),
            float(epochs.max()),
            span,
        )
    return table
