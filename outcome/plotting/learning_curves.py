"""Learning curves: loss, and ranking of the tune patients, by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from outcome.plotting.palette import ARM_COLOURS, INK, MUTED
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

    Where the history has a ranking metric of the tune patients, its mean is drawn on a second axis.

    Parameters
    ----------
    history : DataFrame
        Rows of one arm: `repeat, fold, epoch, train_loss, tune_loss`, and `tune_concordance` or
        `tune_auroc` where they are known.
    ax : Axes
        Drawn on.
    colour : str
        Of the arm.
    chosen : sequence of float
        Epochs that were chosen, marked at the bottom.
    title : str
        Name of the arm.

    Returns
    -------
    Axes
        The same one.
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
        reached = folds.groupby("epoch")[name].agg(["mean", "count"])
        mean = reached.loc[reached["count"] == reached["count"].max(), "mean"]
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
    ranking = next((k for k in RANKING if k in history and history[k].notna().any()), None)
    if ranking is not None:
        right = ax.twinx()
        mean = history.groupby("epoch")[ranking].mean()
        right.plot(mean.index, mean, color=MUTED, linewidth=1.2, linestyle=":")
        right.set_ylabel(f"{RANKING[ranking]}, tuning", color=MUTED)
        right.spines[["top", "left"]].set_visible(False)
    ax.set(xlabel="Epoch", ylabel="Loss")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend_above(ax, shorten(title, 60, 1) if title else "", columns=3)
    return clean(ax)
