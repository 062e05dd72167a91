"""Makes the figures of a report from a run: sizes, colours, file names, captions, alt texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from outcome.plotting.forest import plot_forest
from outcome.plotting.kaplan_meier_plot import plot_kaplan_meier
from outcome.plotting.learning_curves import plot_loss
from outcome.plotting.numbers import estimate, p_value, plural
from outcome.plotting.palette import INK, arm_colours, group_colours
from outcome.plotting.roc_plot import plot_roc, plot_scores
from outcome.plotting.style import shorten
from outcome.reporting.page.blocks import Picture
from outcome.reporting.page.figure_files import Gallery
from outcome.reporting.page.formatting import column, slug
from outcome.reporting.page.metric_names import Metric
from outcome.reporting.sections.summary_section import main_scores, quote
from outcome.run_folder.folder import Run

__all__ = ["Drawings"]

WIDTH = 4.6


class Drawings:
    """The figures of one run.

    Parameters
    ----------
    run : Run
        What is drawn.
    gallery : Gallery
        Where it is saved.
    """

    def __init__(self, run: Run, gallery: Gallery) -> None:
        self.run = run
        self.gallery = gallery
        self.colours = arm_colours(run.arms)
        taken: set[str] = set()
        self.slugs = {arm: slug(arm, taken) for arm in run.arms}

    def hang(
        self, draw: Callable[[Axes], object], name: str, size: tuple[float, float], **words: str
    ) -> Picture:
        """Draw on fresh Axes of a size in inches, save, and return the picture for the page."""
        figure = Figure(figsize=size)
        draw(figure.add_subplot())
        return self.gallery.hang(figure, name, **words)

    def arms_forest(self, main: Metric, rows: pd.DataFrame) -> Picture:
        """Draw the main metric of every arm with its interval."""
        data = rows.rename(columns={"arm": "label"})
        given = ", given these fitted models" if self.run.cross_validated else ""
        listed = "; ".join(
            f"{r.label} {estimate(r.estimate, r.lower, r.upper, main.digits)}"
            for r in data.itertuples()
        )
        chance = f" Dashed line: guessing ({main.chance:g})." if main.chance == main.chance else ""
        return self.hang(
            lambda ax: plot_forest(
                data,
                ax,
                xlabel=f"{main.label} (95% interval)",
                reference=main.chance,
                digits=main.digits,
                colours=self.colours,
            ),
            "arms",
            (2.6, 0.7 + 0.42 * len(data)),
            alt=f"{main.label} with 95% interval of each arm: {listed}.",
            caption=f"{main.label} of each arm with its 95% interval{given}; "
            f"{_sizes(rows, self.run.endpoint.word)}.{chance}",
        )

    def difference_forest(self, main: Metric, rows: pd.DataFrame) -> Picture:
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
        colours = {str(x): self.colours.get(a, "") for x, a in zip(labels, names, strict=True)}
        colours = {k: v for k, v in colours.items() if v}
        listed = "; ".join(
            f"{r.label} {estimate(r.estimate, r.lower, r.upper, main.fine, sign=True)}"
            for r in data.itertuples()
        )
        against = "the baseline of each" if several else quote(str(bases[0]))
        return self.hang(
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

    def kaplan_meier(self, arm: str, p: float) -> Picture | None:
        """Draw curves of the risk groups of an arm; None where the run has no groups."""
        rows = self.run.first_repeat(arm)
        groups = self.run.groups(arm)
        if "risk_group" not in rows or not groups:
            return None
        end = self.run.endpoint
        note = p_value(p, "log-rank p")
        note += ", exploratory" if note and self.run.cross_validated else ""
        had = rows["event"].astype(float) == 1
        sizes = "; ".join(
            f"{g}: {plural(int(mine.sum()), 'patient')}, {plural(int((mine & had).sum()), 'event')}"
            for g in groups
            for mine in [rows["risk_group"] == g]
        )
        first = " First of several repeats." if self.run.repeats > 1 else ""
        return self.hang(
            lambda ax: plot_kaplan_meier(
                rows,
                ax,
                unit=end.unit,
                groups=groups,
                colours=group_colours(groups),
                note=note,
            ),
            f"kaplan-meier-{self.slugs[arm]}",
            (WIDTH, 3.1),
            alt=f"Kaplan-Meier curves of {arm} by risk group, with numbers at risk. {sizes}.",
            caption=f"{arm}: patients without the event ({end.name}) over time, by risk group. "
            "Bands: pointwise 95% intervals. Ticks: patients whose follow-up ended. "
            f"At risk: under observation just before that time.{first}",
        )

    def roc_all(self) -> Picture:
        """Draw mean ROC curves of all arms."""
        main, rows = main_scores(self.run)
        values = rows.set_index("arm")

        def draw(ax: Axes) -> None:
            for arm in self.run.arms:
                text = shorten(arm, 30, 2)
                if main is not None and main.key == "auroc":
                    r = values.loc[arm]
                    text += f"\nAUROC {estimate(r['estimate'], r['lower'], r['upper'])}"
                table = _scored(self.run, arm)
                plot_roc(table, ax, colour=self.colours[arm], label=text, each_fold=False)
            ax.legend(
                loc="upper left",
                bbox_to_anchor=(1.0, 1.0),
                frameon=False,
                labelcolor=INK,
                fontsize=8,
                labelspacing=0.8,
            )

        within = ", the vertical mean of the curves of the folds" if self.run.folds > 1 else ""
        return self.hang(
            draw,
            "roc",
            (3.3, 3.3),
            alt=f"ROC curves of {', '.join(self.run.arms)}.",
            caption=f"ROC curve of each arm{within}. Dashed: guessing.{_weighted(self.run)}",
        )

    def roc(self, arm: str) -> Picture:
        """Draw ROC curves of the folds of one arm."""
        table = _scored(self.run, arm)
        keys = [k for k in ("repeat", "fold", "strata") if k in table]
        usable = int((table.groupby(keys)["label"].nunique() > 1).sum())
        lines = f"Thin: the {plural(usable, 'test fold')}; thick: their vertical mean. "
        return self.hang(
            lambda ax: plot_roc(table, ax, colour=self.colours[arm]),
            f"roc-{self.slugs[arm]}",
            (3.3, 3.3),
            alt=f"ROC curve of {arm}, {plural(usable, 'test fold')}.",
            caption=f"{arm}: ROC curve. {lines if usable > 1 else ''}Dashed: guessing."
            + _weighted(self.run),
        )

    def scores(self, arm: str) -> Picture:
        """Draw the distribution of the probability, or of the rank within the fold, by outcome."""
        end = self.run.endpoint
        rows = _known(self.run, self.run.first_repeat(arm))
        at_horizon = "" if end.landmark is None else f"survival_{end.landmark:g}"
        if "probability" in rows:
            values, what = column(rows, "probability"), "Predicted probability"
            what = f"{what} of “{end.positive_name}”"
        elif at_horizon in rows:
            values = 1 - column(rows, at_horizon)
            what = f"Predicted probability of the event by {end.landmark:g} {end.unit}"
        else:
            rank = rows.groupby("fold")["risk"].rank(method="average")
            count = rows.groupby("fold")["risk"].transform("size")
            values, what = (rank - 0.5) / count, "Rank of the risk score within its fold"
        blue, red = group_colours(["low", "high"]).values()
        colours = (red, blue) if end.favourable else (blue, red)
        label = rows["label"].astype(float)
        counts = [int((label == code).sum()) for code in (0, 1)]
        words = self.run.outcome_words
        return self.hang(
            lambda ax: plot_scores(
                values,
                label,
                ax,
                xlabel=what if len(what) < 60 else "Predicted probability",
                names=(words[1], words[0]),
                colours=colours,
            ),
            f"scores-{self.slugs[arm]}",
            (WIDTH - 0.4, 2.5),
            alt=f"{what} by {arm}: {counts[0]} patients without and {counts[1]} with the outcome.",
            caption=f"{arm}: {what[0].lower()}{what[1:]}, in patients with and without the "
            "outcome; each distribution adds up to 100%.",
        )

    def loss(self, arm: str, history: pd.DataFrame, name: str = "") -> Picture:
        """Draw the loss over epochs of one model of an arm, with the epochs that were chosen.

        Parameters
        ----------
        arm : str
        history : DataFrame
            Of one model.
        name : str
            Ends the file's name, where the arm has several models.
        """
        models = set(history["model"]) if "model" in history else set()
        model = f" ({next(iter(models))})" if len(models) == 1 and name else ""
        chosen = [
            float(e["epochs"])
            for e in self.run.manifest.get("epochs") or []
            if e.get("arm") == arm
            and e.get("epochs") is not None
            and (not models or e.get("model") in {*models, None})
        ]
        marks = " Triangles: the epoch chosen in each outer fold." if chosen else ""
        return self.hang(
            lambda ax: plot_loss(history, ax, colour=self.colours[arm], chosen=chosen),
            f"loss-{self.slugs[arm]}{name}",
            (WIDTH - 0.4, 2.5),
            alt=f"Training and tuning loss of {arm}{model} over epochs.",
            caption=f"{arm}{model}: loss over epochs. Thin: one outer fold (mean over its inner "
            f"folds); thick: their mean, as far as every fold was trained. "
            f"Dotted, right axis: ranking of the tuning patients; nothing is chosen by it.{marks}",
        )


def _sizes(rows: pd.DataFrame, word: str) -> str:
    n, events = rows["n"].max(), rows["events"].max()
    if not np.isfinite(n):
        return "number of patients not recorded"
    text = plural(int(n), "patient")
    return f"{text}, {plural(int(events), word)}" if np.isfinite(events) else text


def _scored(run: Run, arm: str) -> pd.DataFrame:
    """Rows of an arm with `score`, higher where the positive label is more likely."""
    rows = _known(run, run.predictions.arm(arm))
    return rows.assign(score=-rows["risk"] if run.endpoint.favourable else rows["risk"])


def _known(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with a `label`: of the event by the landmark, those of whom it is known."""
    if "label" in rows:
        return rows
    yes, _, unknown, _ = run.outcome_words
    status = rows["patient_id"].map(run.status)
    return rows.assign(label=(status == yes).astype(int))[status != unknown].reset_index(drop=True)


def _weighted(run: Run) -> str:
    if run.endpoint.landmark is None:
        return ""
    return (
        f" Event by {run.endpoint.landmark:g} {run.endpoint.unit}; patients censored before are "
        "stood for by the others, weighted by the inverse probability of censoring."
    )
