"""The chapter on discrimination: how well each arm ranks patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import Metric, metric
from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.number_text import estimate, number, plural
from outcome.reporting.page.blocks import (
    Picture,
    ReportSection,
)
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.formatting import Cell, Table, column, entry
from outcome.reporting.page.interval_words import interval_summary, models_held_fixed
from outcome.reporting.page.main_metric import main_scores, overall
from outcome.reporting.page.metric_tables import metric_table
from outcome.run_folder.folder import Run

__all__ = ["discrimination"]


def discrimination(run: Run, drawings: ReportFigures) -> ReportSection:
    """Show how well each arm ranks patients."""
    section = ReportSection("discrimination", "How well each arm ranks patients")
    metrics = overall(run.table("metrics.csv"))
    main, rows = main_scores(run)
    if main is None:
        section.say("This run has no metrics.csv.")
        return section
    section.show(draw_arms_forest(drawings, main, rows))
    kinds = [metric(key, run.endpoint.unit) for key in dict.fromkeys(metrics["metric"])]
    shown = [m for m in kinds if m.family == "discrimination"]
    table = metric_table(run, metrics, shown, "Discrimination: estimate and 95% interval")
    table.notes += [
        f"{m.label}: {text}"
        for m in shown
        if (text := m.explained(cross_validated=run.cross_validated))
    ]
    if "note" in metrics:
        mine = metrics[metrics["metric"].isin([m.key for m in shown]) & (metrics["note"] != "")]
        for row in mine[["arm", "metric", "note"]].drop_duplicates().itertuples():
            label = metric(str(row.metric), run.endpoint.unit).label
            table.notes.append(f"{row.arm}, {label}: {row.note}")
    section.show(table)
    section.say(_spread(run), quiet=True)
    section.show(_permutations(run))
    section.show(_permuted_inputs(run))
    return section


def _spread(run: Run) -> str:
    if not run.cross_validated:
        return ""
    given = interval_summary(run)
    if run.repeats == 1:
        return f"{given} The spread over repeats was not measured, because there was one repeat."
    main, _ = main_scores(run)
    table = run.table("metrics.csv")
    rows = table[table["metric"] == main.key] if main else table.iloc[:0]
    spread = column(rows, "repeat_sd")
    said = [
        f"{arm} {number(sd, 3)}" for arm, sd in zip(rows["arm"], spread, strict=True) if sd == sd
    ]
    found = f" Standard deviation over repeats: {', '.join(said)}." if said else ""
    return f"{given} Values are averages over {run.repeats} repeats.{found}"


def _permutations(run: Run) -> Table:
    table = Table("Permuted outcomes: is there any association?", _PERMUTED, numeric={2, 3, 4})
    for _, row in run.table("permutations.csv").iterrows():
        table.add(str(row["arm"]), *_permuted(row))
    table.notes.append(
        "The whole cross-validation was repeated on permuted outcomes, so this is an ordinary p "
        "value. It tests “no association”, not a difference between arms."
    )
    return table


def _permuted_inputs(run: Run) -> Table:
    columns = ["Arm", "Input", *_PERMUTED[1:3], "Permuted (mean)", *_PERMUTED[3:]]
    table = Table("Permuted inputs: does an input add information to the others?", columns)
    table.numeric |= {3, 4, 5, 6}
    for _, row in run.table("input_permutations.csv").iterrows():
        statistic, observed, *rest = _permuted(row)
        mean = Cell(number(row.get("permuted_mean"), 2))
        table.add(str(row["arm"]), str(row["exchanged"]), statistic, observed, mean, *rest)
    table.notes.append(
        "The input was permuted among patients, and the arm was fitted again on the same folds. "
        "p is one-sided: the proportion of permutations in which the arm performs at least as "
        "well. It tests whether the input adds information to the other inputs of the arm, not "
        "whether the metric improves."
    )
    return table


_PERMUTED = ["Arm", "Statistic", "Observed", "p", "Permutations", "Refitted"]


def _permuted(row: pd.Series) -> list[Cell | str | float]:
    """Return the cells shared by both tables of permutations."""
    words = {"harrell_c": "C-index", "auroc": "AUROC", "logrank": "log-rank"}
    name, p, model = str(row["statistic"]), entry(row, "p_value"), str(row.get("model", ""))
    refitted = {"linear": "linear models of the same inputs"}.get(model, model)
    observed = Cell(number(row.get("observed"), 2))
    count = entry(row, "n_permutations")
    return [words.get(name, name), observed, Cell(number(p, 3), p), count, refitted]


def draw_arms_forest(d: ReportFigures, main: Metric, rows: pd.DataFrame) -> Picture:
    """Draw the main metric of every arm with its interval."""
    data = rows.rename(columns={"arm": "label"})
    given = ", given these fitted models" if models_held_fixed(d.run) else ""
    listed = "; ".join(
        f"{r.label} {estimate(r.estimate, r.lower, r.upper, main.digits)}"
        for r in data.itertuples()
    )
    chance = f" Dashed line: guessing ({main.chance:g})." if main.chance == main.chance else ""
    return d.save(
        lambda ax: plot_forest(
            data,
            ax,
            xlabel=f"{main.label} (95% interval)",
            reference=main.chance,
            digits=main.digits,
            colours=d.colours,
        ),
        "arms",
        (2.6, 0.7 + 0.42 * len(data)),
        alt=f"{main.label} with 95% interval of each arm: {listed}.",
        caption=f"{main.label} of each arm with its 95% interval{given}; "
        f"{_sizes(rows, d.run.endpoint.word)}.{chance}",
    )


def _sizes(rows: pd.DataFrame, word: str) -> str:
    n, events = rows["n"].max(), rows["events"].max()
    if not np.isfinite(n):
        return "number of patients not recorded"
    text = plural(int(n), "patient")
    return f"{text}, {plural(int(events), word)}" if np.isfinite(events) else text
