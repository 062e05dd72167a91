"""Learning curves: the loss, and the ranking of tune patients, by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from outcome.plotting.palette import ARM_COLOURS, INK
from outcome.plotting.style import clean, legend_above, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_loss"]

RANKING = {"tune_concordance": "C-index", "tune_auroc": "AUROC"}


def plot_loss(
    history: pd.DataFrame,
    ax: Axes,
    *,
    colour: str = ARM_COLOURS[0],
    chosen: Sequence[float] = (),
    title: str = "",
) -> Axes:
    """Training and tuning loss over epochs, the mean over the inner folds of each outer fold.

    If available, the C-index or AUROC of the tune patients is drawn on a second axis at the right,
    from 0 to 1, as the mean over all folds.

    Parameters
    ----------
    history : DataFrame
        Rows of one arm: `repeat, fold, epoch, train_loss, tune_loss`, and `tune_concordance` or
        `tune_auroc` where known.
    ax : Axes
        Axes to draw on.
    colour : str
        Colour of the arm.
    chosen : sequence of float
        Chosen epochs, marked at the bottom.
    title : str
        Name of the arm.

    Returns
    -------
    Axes
        The given Axes.
    """
    outer = [k for k in ("repeat", "fold") if k in history]
    for name, text, dashes in (
        ("train_loss", "training", (0, (4, 2))),
        ("tune_loss", "tuning", "-"),
    ):
        if name not in history or history[name].isna().all():
            continue
        folds = history.groupby([*outer, "epoch"])[name].mean().reset_index()
        for _, rows in folds.groupby(outer) if outer else [("", folds)]:
            ax.plot(rows["epoch"], rows[name], color=colour, lw=0.6, alpha=0.35, ls=dashes)
        mean = _mean_over_folds(folds, name)
        ax.plot(mean.index, mean, color=colour, linewidth=1.9, linestyle=dashes, label=text)
    if len(chosen):
        where = np.asarray(chosen, dtype=float)
        zero = np.zeros(len(where))
        ax.plot(
            where,
            zero,
            transform=ax.get_xaxis_transform(),
            linestyle="none",
            marker="^",
            markersize=6,
            color=INK,
            clip_on=False,
            label="chosen",
            zorder=5,
        )
    _draw_ranking(history, outer, ax, colour)
    ax.set(xlabel="Epoch", ylabel="Loss")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend_above(ax, shorten(title, 60, 1) if title else "", columns=4)
    return clean(ax)


def _mean_over_folds(folds: pd.DataFrame, name: str) -> pd.Series:
    """Mean by epoch, up to the last epoch reached by all folds."""
    reached = folds.groupby("epoch")[name].agg(["mean", "count"])
    mean: pd.Series = reached.loc[reached["count"] == reached["count"].max(), "mean"]
    return mean


def _draw_ranking(history: pd.DataFrame, outer: list[str], ax: Axes, colour: str) -> None:
    """Draw the ranking of tune patients on a separate axis."""
    name = next((n for n in RANKING if n in history and history[n].notna().any()), None)
    if name is None:
        return
    folds = history.groupby([*outer, "epoch"])[name].mean().reset_index()
    mean = _mean_over_folds(folds, name)
    style: dict[str, Any] = {"color": colour, "linewidth": 1.3, "linestyle": ":"}
    ax.plot([], [], label=f"{RANKING[name]} of tuning patients (right)", **style)
    right = ax.twinx()
    right.plot(mean.index, mean, **style)
    right.set(ylim=(0, 1), ylabel=RANKING[name])
    clean(right)
    right.spines["right"].set_visible(True)
