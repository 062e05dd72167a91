"""The chapter on training: epochs, penalties, weights, losses, and the spread over folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from outcome.evaluation.metric_descriptions import Metric, metric
from outcome.plotting.learning_curves import plot_loss
from outcome.plotting.number_text import number
from outcome.plotting.over_time import plot_folds
from outcome.reporting.page.blocks import Block, Picture, ReportSection
from outcome.reporting.page.figures import WIDTH, ReportFigures, arm_tabs
from outcome.reporting.page.formatting import Cell, Table, column
from outcome.reporting.page.main_metric import main_scores
from outcome.run_folder.folder import Run

__all__ = ["models_of", "penalties_of", "training"]


def models_of(run: Run, arm: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the models of an arm with a record for each outer fold, in the order of the run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in run.manifest.get("epochs") or []:
        if isinstance(record, dict) and record.get("arm") == arm:
            found.setdefault(str(record.get("model") or ""), []).append(record)
    return list(found.items())


def penalties_of(record: Mapping[str, Any]) -> list[float]:
    """Return the penalties of a linear model, one per input; empty for a network."""
    several = record.get("penalties")
    found = list(several.values()) if isinstance(several, dict) else [record.get("penalty")]
    return [float(p) for p in found if isinstance(p, int | float)]


def training(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show how the models of each arm were fitted, and how much the folds differ."""
    history = run.table("history.csv")
    scores = run.table("fold_scores.csv")
    models = _model_table(run)
    spread = run.cross_validated and len(scores) > 0 and scores["estimate"].notna().any()
    if history.empty and not models.rows and not spread:
        return None
    section = ReportSection("training", "Training")
    section.show(models)
    if history.empty:
        section.say("This run has no history.csv, so loss curves cannot be shown.")
    else:
        section.say(
            "A tuning loss that falls and then rises shows overfitting. Training beyond its "
            "minimum is not useful. Test patients are not used here."
        )

        def make(arm: str) -> Sequence[Block]:
            mine = history[history["arm"] == arm]
            if "model" not in mine or mine["model"].nunique() < 2:
                return [draw_loss(drawings, arm, mine)] if len(mine) else []
            each = list(mine.groupby("model", sort=False))
            return [draw_loss(drawings, arm, rows, f"-{i + 1}") for i, (_, rows) in enumerate(each)]

        section.show(arm_tabs(run, drawings, "training", make))
    if spread:
        _show_folds(run, drawings, section, scores)
    return section


def _show_folds(
    run: Run, drawings: ReportFigures, section: ReportSection, scores: pd.DataFrame
) -> None:
    main, _ = main_scores(run)
    kind = str(scores["metric"].iloc[0])
    shown = main if main is not None and main.key == kind else metric(kind, run.endpoint.unit)
    section.show(draw_folds(drawings, scores, shown))
    columns = ["Arm", "Test folds", "Estimable", "Mean", "Lowest", "Highest", "SD over folds"]
    table = Table(f"{shown.label} over the test folds", columns, numeric=set(range(1, 7)))
    rows = {row["arm"]: row for row in run.table("fold_spread.csv").to_dict("records")}
    for i, arm in enumerate(a for a in run.arms if a in rows):
        cells = [float(rows[arm][c]) for c in ("mean", "lowest", "highest", "sd")]
        table.add(
            Cell(arm, i, True, f"arm-{i % 8}"), rows[arm]["folds"], rows[arm]["estimable"],
            *(Cell(number(c, shown.digits), c) for c in cells),
        )  # fmt: skip
    section.show(table)


def _model_table(run: Run) -> Table:
    columns = ["Arm", "Model", "Outer folds", "Epochs, median", "Fewest", "Most", "Ridge penalty"]
    columns += ["Weight", "Calibration slope", "Inner folds"]
    table = Table("Fitted models, over the outer folds", columns, numeric=set(range(2, 10)))
    for i, arm in enumerate(run.arms):
        models = models_of(run, arm)
        for name, records in models:
            data = pd.DataFrame(records)
            epochs = column(data, "epochs").dropna()
            slopes = [r.get("calibration") for r in records]
            slope = pd.Series([s.get("slope") for s in slopes if isinstance(s, dict)], dtype=float)
            middle = [float(epochs.median()), float(epochs.min()), float(epochs.max())]
            table.add(
                Cell(arm, i, True, f"arm-{i % 8}"), name, len(records),
                *(middle if len(epochs) else [None] * 3),
                _span(pd.Series([p for r in records for p in penalties_of(r)], dtype=float), "g"),
                _span(column(data, "weight").dropna(), ".2f") if len(models) > 1 else "",
                _span(slope, ".2f"), _span(column(data, "inner_folds").dropna(), ".0f"),
            )  # fmt: skip
    if any(row[8].text for row in table.rows):
        table.notes.append(
            "Calibration slope: the factor by which the risk of the arm was multiplied, "
            "estimated on development patients. A slope near 0 means that the score had no "
            "association with the outcome in these patients."
        )
    if any(row[7].text for row in table.rows):
        table.notes.append(
            "Weight: the factor by which the score of a model is multiplied in its arm."
        )
    return table


def _span(values: pd.Series, digits: str) -> Cell:
    """Write the smallest and the largest of some numbers."""
    if values.empty:
        return Cell("")
    low, high = (f"{float(v):{digits}}" for v in (values.min(), values.max()))
    return Cell(low if low == high else f"{low} to {high}", float(values.median()))


def draw_folds(d: ReportFigures, table: pd.DataFrame, main: Metric) -> Picture:
    """Draw the main metric of every test fold."""
    listed = "; ".join(
        f"{arm} {rows['estimate'].min():.2f} to {rows['estimate'].max():.2f}"
        for arm, rows in table.groupby("arm", sort=False)
        if rows["estimate"].notna().any()
    )
    spread = d.run.table("fold_spread.csv")
    means = dict(zip(spread["arm"], spread["mean"], strict=True)) if len(spread) else {}
    return d.save(
        lambda ax: plot_folds(
            table, ax, ylabel=f"{main.label} in one test fold", reference=main.chance,
            colours=d.colours, means=means,
        ),
        "folds",
        (max(2.6, 0.9 * table["arm"].nunique() + 0.8), 2.8),
        alt=f"{main.label} of each arm in every test fold: {listed}.",
        caption=f"{main.label} in every test fold. Larger dots are larger folds; the bar is the "
        "mean of the folds. The spread over folds is not a confidence interval: folds "
        "are small, and their models share training patients.",
    )  # fmt: skip


def draw_loss(d: ReportFigures, arm: str, history: pd.DataFrame, name: str = "") -> Picture:
    """Draw the loss over epochs of one model of an arm, with the chosen epochs.

    Parameters
    ----------
    arm : str
    history : DataFrame
        Losses of one model.
    name : str
        Last part of the file name, if the arm has several models.
    """
    models = set(history["model"]) if "model" in history else set()
    model = f" ({next(iter(models))})" if len(models) == 1 and name else ""
    chosen = [
        float(e["epochs"])
        for e in d.run.manifest.get("epochs") or []
        if e.get("arm") == arm
        and e.get("epochs") is not None
        and (not models or e.get("model") in {*models, None})
    ]
    marks = " Triangles: the epoch chosen in each outer fold." if chosen else ""
    return d.save(
        lambda ax: plot_loss(history, ax, colour=d.colours[arm], chosen=chosen),
        f"loss-{d.slugs[arm]}{name}",
        (WIDTH - 0.4, 2.5),
        alt=f"Training and tuning loss of {arm}{model} over epochs.",
        caption=f"{arm}{model}: loss over epochs. Thin: one outer fold (mean over its inner "
        "folds); thick: their mean, up to the last epoch that every fold reached. "
        "Dotted, right axis: ranking of the tuning patients; it is not used to choose "
        f"anything.{marks}",
    )
