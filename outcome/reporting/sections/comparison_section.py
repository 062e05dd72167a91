"""The chapter on the comparison of arms, and on the added value of a score over covariates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import Metric, metric
from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.number_text import estimate, interval, number, p_number
from outcome.reporting.page.blocks import (
    Folded,
    Picture,
    ReportSection,
    Tab,
    TableBlock,
    Tabs,
)
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.fold_words import stratified_words
from outcome.reporting.page.formatting import Cell, Table, column, entry, quote
from outcome.reporting.page.interval_words import models_held_fixed, narrow_note
from outcome.reporting.page.main_metric import main_scores
from outcome.run_folder.folder import Run

__all__ = ["comparison", "comparison_table"]


def comparison(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Compare every arm with the baseline."""
    if len(run.arms) < 2:
        return None
    section = ReportSection("comparison", "Comparison of the arms")
    rows = run.table("comparisons.csv")
    if rows.empty:
        section.say("This run has no comparisons.csv.")
        return section
    folds = " and folds" if run.cross_validated else ""
    section.say(
        f"Both arms are evaluated on the same patients{folds}. A difference above zero "
        "favours the first arm, except for error measures such as the Brier score, where lower "
        "is better."
    )
    main, _ = main_scores(run)
    mine = rows[rows["metric"] == main.key] if main else rows.iloc[:0]
    if main is not None and mine["difference"].notna().any():
        section.show(draw_difference_forest(drawings, main, mine))
    rest = rows.drop(index=mine.index)
    if mine.empty:
        mine, rest = rest, rest.iloc[:0]
    section.show(comparison_table(run, mine, "Differences between arms"))
    section.say(_about_p(run), quiet=True)
    if len(rest):
        tabs: list[Tab] = []
        for (arm, base), part in rest.groupby(["arm", "baseline"], sort=False):
            title = f"{arm} against {base}"
            table = comparison_table(run, part, title).without_empty_columns()
            tabs.append(Tab(f"others-{len(tabs) + 1}", title, [TableBlock(table)]))
        title = "Differences in all other metrics (descriptive, without correction)"
        section.show(Folded(title, [Tabs("Comparison", tabs)]))
    section.show(_added_value(run))
    return section


def _about_p(run: Run) -> str:
    if models_held_fixed(run):
        return (
            "All p values are exploratory: intervals and tests treat the fitted models as "
            "fixed. They ignore that other training patients would give other models, and find "
            "differences too often."
        )
    if not run.cross_validated:
        return ""
    return (
        "Interval and p come from the same t test. It asks whether the fitted models of the two "
        "arms differ on new patients, on average over the folds; its variance includes the "
        "variation from training. The columns *_fixed of comparisons.csv treat the patients as "
        "independent of the models; that test finds differences too often."
    )


def comparison_table(run: Run, rows: pd.DataFrame, caption: str) -> Table:
    """Put differences between arms into a table, one row per pair and metric."""
    columns = ["Arm", "Against", "Metric", "Difference", "95% interval", "p", "p, corrected"]
    columns += ["Patients", "Note"]
    table = Table(caption, columns, numeric={3, 4, 5, 6, 7})
    for _, row in rows.iterrows():
        m = metric(str(row["metric"]), run.endpoint.unit)
        between = interval(row.get("lower"), row.get("upper"), m.fine, sign=True)
        value = float(row["difference"])
        cells = [Cell(estimate(value, digits=m.fine, sign=True), value)]
        cells.append(Cell(between, entry(row, "lower")))
        cells += [
            Cell(p_number(entry(row, name)), entry(row, name)) for name in ("p_value", "p_adjusted")
        ]
        remarks = [r for r in str(row.get("note", "")).split("; ") if r != "descriptive"]
        last = (entry(row, "n_patients_common"), "; ".join(remarks))
        table.add(str(row["arm"]), str(row["baseline"]), m.label, *cells, *last)
    if "p_adjusted" in rows and rows["p_adjusted"].notna().any():
        table.notes.append(
            "Corrected: Holm’s correction over the comparisons; rows without it are descriptive."
        )
    if note := narrow_note(run, rows):
        table.notes.append(note)
    return table


def _added_value(run: Run) -> Table:
    rows = run.table("added_value.csv")
    names = ", ".join(str(c) for c in run.covariates if c != "patient_id")
    columns = ["Arm", "Chi-square", "p", "C, covariates", "C, with the score"]
    columns += ["Change in C", "Patients", run.endpoint.counted, "Note"]
    table = Table(f"Does the score add to {names}?", columns, numeric={1, 2, 3, 4, 5, 6, 7})
    for i, row in enumerate(rows.to_dict("records")):
        change = estimate(row["c_difference"], row["lower"], row["upper"], 3, sign=True)
        table.add(
            Cell(str(row["arm"]), i, True), Cell(number(row["chi_square"], 1), row["chi_square"]),
            Cell(p_number(row["p_value"]), float(row["p_value"])),
            Cell(number(row["c_covariates"]), row["c_covariates"]),
            Cell(number(row["c_both"]), row["c_both"]), Cell(change, row["c_difference"]),
            row["n"], row["events"],
            str(row["note"]) if np.isnan(row["chi_square"]) else "",
        )  # fmt: skip
    model = run.endpoint.regression
    exploratory = (
        "; p and intervals take the out-of-fold scores as given and are exploratory"
        if run.cross_validated
        else ""
    )
    how = f", {words}" if (words := stratified_words(run)) else ""
    table.notes.append(
        f"Likelihood-ratio test of the score added to a {model} model of the "
        f"covariates{how}{exploratory}. C-indices are apparent: the models were fitted on the "
        "same patients. Compare them with each other, not with the tables above. Only patients "
        "with complete covariates are included."
    )
    return table


def draw_difference_forest(d: ReportFigures, main: Metric, rows: pd.DataFrame) -> Picture:
    """Draw the difference of every arm from the baseline."""
    names = rows["arm"].astype(str)
    bases = rows["baseline"].unique()
    several = len(bases) > 1
    labels = names + " − " + rows["baseline"].astype(str) if several else names
    data = pd.DataFrame(
        {
            "label": labels,
            "estimate": column(rows, "difference"),
            "lower": column(rows, "lower"),
            "upper": column(rows, "upper"),
        }
    )
    colours = {str(x): d.colours.get(a, "") for x, a in zip(labels, names, strict=True)}
    colours = {k: v for k, v in colours.items() if v}
    listed = "; ".join(
        f"{r.label} {estimate(r.estimate, r.lower, r.upper, main.fine, sign=True)}"
        for r in data.itertuples()
    )
    against = "the baseline of each" if several else quote(str(bases[0]))
    return d.save(
        lambda ax: plot_forest(
            data,
            ax,
            xlabel=f"Difference in {main.label} (95% interval)",
            reference=0.0,
            digits=main.fine,
            sign=True,
            colours=colours,
        ),
        "differences",
        (2.6, 0.7 + 0.42 * len(data)),
        alt=f"Difference in {main.label} from {against}, with 95% interval: {listed}.",
        caption=f"Difference in {main.label} from {against}, with 95% interval. "
        "Dashed line: no difference.",
    )
