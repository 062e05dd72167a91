"""The chapter on ROC curves and scores by outcome, for a yes/no outcome."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from outcome.evaluation.roc_curves import MEAN
from outcome.plotting.number_text import estimate, plural
from outcome.plotting.palette import INK, group_colours
from outcome.plotting.roc_plot import plot_roc, plot_scores
from outcome.plotting.style import shorten
from outcome.reporting.page.blocks import (
    Block,
    Picture,
    ReportSection,
)
from outcome.reporting.page.figures import WIDTH, ReportFigures, arm_tabs
from outcome.reporting.page.main_metric import main_scores
from outcome.run_folder.folder import Run

__all__ = ["scores"]


def scores(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """ROC curves and the distribution of the scores, for a yes/no outcome."""
    curves, values = run.table("roc_curves.csv"), run.table("score_distribution.csv")
    if curves.empty and values.empty:
        return None
    section = ReportSection("scores", "Scores and outcome")
    within = " Scores are compared only within a test fold." if run.cross_validated else ""
    section.say(
        "For every threshold of the score, a ROC curve shows the proportion of positive "
        "patients who are detected (sensitivity) and the proportion of negative patients who "
        "are called positive (1 − specificity)."
        f"{within}"
    )
    if run.endpoint.favourable:
        section.say(
            "The outcome is a favourable one. Without untreated patients for comparison, the "
            "score shows an association with the outcome among treated patients. It does not "
            "show who benefits from the treatment."
        )
    if len(run.arms) > 1:
        section.show(draw_mean_roc(drawings, curves))

    def make(arm: str) -> list[Block]:
        mine = values[values["arm"] == arm]
        blocks: list[Block] = [draw_roc(drawings, arm, curves[curves["arm"] == arm])]
        return [*blocks, draw_scores(drawings, arm, mine)] if len(mine) else blocks

    section.show(arm_tabs(run, drawings, "scores", make))
    return section


def draw_mean_roc(d: ReportFigures, curves: pd.DataFrame) -> Picture:
    """Draw mean ROC curves of all arms."""
    main, rows = main_scores(d.run)
    values = rows.set_index("arm")

    def draw(ax: Axes) -> None:
        for arm in d.run.arms:
            text = shorten(arm, 30, 2)
            if main is not None and main.key == "auroc":
                r = values.loc[arm]
                text += f"\nAUROC {estimate(r['estimate'], r['lower'], r['upper'])}"
            table = curves[curves["arm"] == arm]
            plot_roc(table, ax, colour=d.colours[arm], label=text, each_fold=False)
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            frameon=False,
            labelcolor=INK,
            fontsize=8,
            labelspacing=0.8,
        )

    within = ", the vertical mean of the curves of the folds" if d.run.folds > 1 else ""
    return d.save(
        draw,
        "roc",
        (3.3, 3.3),
        alt=f"ROC curves of {', '.join(d.run.arms)}.",
        caption=f"ROC curve of each arm{within}. Dashed: guessing.{_weighted(d.run)}",
    )


def draw_roc(d: ReportFigures, arm: str, table: pd.DataFrame) -> Picture:
    """Draw ROC curves of the folds of one arm."""
    usable = len(table.loc[table["fold"] != MEAN, ["repeat", "fold", "stratum"]].drop_duplicates())
    lines = f"Thin: the {plural(usable, 'test fold')}; thick: their vertical mean. "
    return d.save(
        lambda ax: plot_roc(table, ax, colour=d.colours[arm]),
        f"roc-{d.slugs[arm]}",
        (3.3, 3.3),
        alt=f"ROC curve of {arm}, {plural(usable, 'test fold')}.",
        caption=f"{arm}: ROC curve. {lines if usable > 1 else ''}Dashed: guessing."
        + _weighted(d.run),
    )


def draw_scores(d: ReportFigures, arm: str, table: pd.DataFrame) -> Picture:
    """Draw the distribution of the probability, or of the rank within the fold, by outcome."""
    end = d.run.endpoint
    what = "Rank of the risk score" + (" within its fold" if d.run.cross_validated else "")
    if table["scale"].iloc[0] == "probability":
        by = f"the event by {end.landmark:g} {end.unit}" if end.landmark is not None else ""
        what = f"Predicted probability of {by or f'“{end.positive_name}”'}"
    blue, red = group_colours(["low", "high"]).values()
    yes, no, _, _ = end.status_words
    n = table.groupby("outcome")["n"].first().reindex([0, 1], fill_value=0).astype(int)
    return d.save(
        lambda ax: plot_scores(
            table,
            ax,
            xlabel=what if len(what) < 60 else "Predicted probability",
            names=(no, yes),
            colours=(red, blue) if end.favourable else (blue, red),
        ),
        f"scores-{d.slugs[arm]}",
        (WIDTH - 0.4, 2.5),
        alt=f"{what} by {arm}: {n[0]} patients without and {n[1]} with the outcome.",
        caption=f"{arm}: {what[0].lower()}{what[1:]}, in patients with and without the "
        "outcome; each distribution adds up to 100%.",
    )


def _weighted(run: Run) -> str:
    if run.endpoint.landmark is None:
        return ""
    return (
        f" Event by {run.endpoint.landmark:g} {run.endpoint.unit}; patients censored earlier are "
        "represented by the other patients, weighted by the inverse probability of censoring."
    )
