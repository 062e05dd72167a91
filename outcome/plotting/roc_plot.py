"""ROC curves, and scores by outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import (
    PercentFormatter,
)

from outcome.evaluation.roc_curves import MEAN
from outcome.plotting.palette import ARM_COLOURS, MUTED
from outcome.plotting.style import clean, drawable, legend_above, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_roc", "plot_scores"]


def plot_roc(
    curves: pd.DataFrame,
    ax: Axes,
    *,
    colour: str = ARM_COLOURS[0],
    label: str = "",
    each_fold: bool = True,
) -> Axes:
    """ROC curve within folds: one thin line per fold, and their vertical mean.

    Parameters
    ----------
    curves : DataFrame
        Rows of one arm: `repeat, fold, stratum, fpr, tpr`, with fold `mean` for the mean; see
        `outcome.evaluation.roc_curves.roc_curves`.
    ax : Axes
        Axes to draw on; several arms can share them.
    colour : str
        Colour of this arm.
    label : str
        Label in the legend.
    each_fold : bool
        Draw the curves of the folds, else only their mean.

    Returns
    -------
    Axes
        The given Axes.
    """
    mean = curves["fold"] == MEAN
    if each_fold:
        for _, rows in curves[~mean].groupby(["repeat", "fold", "stratum"], sort=False):
            ax.plot(rows["fpr"], rows["tpr"], color=colour, linewidth=0.8, alpha=0.5)
    if not ax.get_xlabel():
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
        ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        ax.set(xlabel="1 − specificity", ylabel="Sensitivity")
    if mean.any():
        rows = curves[mean]
        ax.plot(rows["fpr"], rows["tpr"], color=colour, linewidth=2.0, label=label or None)
    return clean(ax)


def plot_scores(
    table: pd.DataFrame,
    ax: Axes,
    *,
    xlabel: str,
    names: tuple[str, str],
    colours: tuple[str, str],
) -> Axes:
    """Distribution of a score in patients without and with the outcome.

    Parameters
    ----------
    table : DataFrame
        Rows of one arm: `outcome` (0 or 1), `lower, upper, share, n`; see
        `outcome.evaluation.roc_curves.score_distribution`.
    ax : Axes
        Axes to draw on.
    xlabel : str
        Name of the score.
    names, colours : pair of str
        For the negative and the positive patients.

    Returns
    -------
    Axes
        The given Axes.
    """
    for code, name, colour, hatch in zip((0, 1), names, colours, ("", "////"), strict=True):
        rows = table[table["outcome"] == code]
        if rows.empty:
            continue
        share = rows["share"].to_numpy(dtype=float)
        edges = np.append(rows["lower"].to_numpy(dtype=float), float(rows["upper"].iloc[-1]))
        text = f"{shorten(name, 30, 1)}  (n = {int(rows['n'].iloc[0])})"
        ax.stairs(share, edges, fill=True, color=colour, alpha=0.25, linewidth=0)
        ax.stairs(share, edges, color=colour, linewidth=1.5, label=text, hatch=hatch or None)
    ax.set(xlim=(0, 1), xlabel=drawable(xlabel), ylabel="Share of these patients")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_above(ax)
    return clean(ax)
