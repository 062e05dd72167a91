"""Calibration curves: predicted against observed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter

from outcome.plotting.palette import INK, MUTED
from outcome.plotting.style import TEXT, clean, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration"]


def plot_calibration(
    points: pd.DataFrame,
    ax: Axes,
    *,
    colour: str,
    predicted: Sequence[float] = (),
    what: str = "event",
    title: str = "",
) -> Axes:
    """Observed against predicted probability, with the predictions as a histogram below.

    Parameters
    ----------
    points : DataFrame
        `kind` (`group` or `smooth`), `predicted, observed, lower, upper`; a group with an observed
        probability of NaN has no dot.
    ax : Axes
        Axes to draw on.
    colour : str
        Colour of the arm.
    predicted : sequence of float
        All predictions.
    what : str
        Name of the predicted event.
    title : str
        Title above the axes.

    Returns
    -------
    Axes
        The given Axes.
    """
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    groups = points[points["kind"] == "group"].dropna(subset="observed")
    smooth = points[points["kind"] == "smooth"]
    ax.plot(smooth["predicted"], smooth["observed"], color=colour, linewidth=1.5)
    reach = groups[["observed", "lower", "upper"]].to_numpy(dtype=float)
    away = np.abs(reach[:, 1:] - reach[:, :1]).T
    away[np.isnan(away)] = 0.0
    ax.errorbar(
        groups["predicted"],
        groups["observed"],
        yerr=away,
        fmt="o",
        color=colour,
        markersize=4.5,
        linewidth=1.3,
    )
    values = np.asarray(predicted, dtype=float)
    values = values[np.isfinite(values)]
    drawn = points.dropna(subset="observed")
    known = drawn[["predicted", "observed", "upper"]].to_numpy(dtype=float).ravel()
    furthest = max([0.1, *values.tolist(), *known[np.isfinite(known)].tolist()])
    most = min(1.0, math.ceil(10 * furthest) / 10)
    if len(values):
        counts, edges = np.histogram(values, bins=np.linspace(0, most, 41))
        heights = 0.12 * most * counts / max(counts.max(), 1)
        ax.bar(edges[:-1], heights, width=most / 40, align="edge", color=colour, alpha=0.35, lw=0)
    ax.set(xlim=(0, most), ylim=(0, most), aspect="equal")
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.set(xlabel=f"Predicted probability of the {what}", ylabel="Observed")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if title:
        ax.set_title(drawable(title), loc="left", fontsize=TEXT, color=INK)
    return clean(ax)
