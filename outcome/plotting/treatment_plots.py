"""Survival by treatment within a risk group, and the effect of a treatment over the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from outcome.plotting.kaplan_meier_plot import Steps, write_at_risk
from outcome.plotting.palette import INK, MUTED
from outcome.plotting.style import clean, drawable, legend_above, shorten
from outcome.plotting.time_axis import in_time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_effect_by_score", "plot_treatment_curves"]

REFERENCE_COLOUR, TREATED_COLOUR = "#6e7781", "#8e5bb5"


def plot_treatment_curves(
    curves: pd.DataFrame,
    ax: Axes,
    *,
    treatments: Sequence[str],
    unit: str = "",
    title: str = "",
    ylabel: str = "Probability of no event",
    time_unit: str = "",
) -> Axes:
    """Proportion free of the event for each of two treatments, in one risk group.

    Parameters
    ----------
    curves : DataFrame
        Rows of one arm, model and group: `treatment, time, survival, lower, upper, n_risk,
        n_event, n_censored`; see `outcome.evaluation.treatment_effects`.
    ax : Axes
        Axes to draw on; the numbers at risk are drawn below.
    treatments : sequence of str
        The reference, then the other treatment.
    unit : str
        Unit of the times.
    title : str
        First line above the curves: the group, and the ratio in it.
    ylabel : str
        Name of the vertical axis.
    time_unit : str
        Unit of the time axis, or `auto` for a readable one; by default `unit`.

    Returns
    -------
    Axes
        The given Axes.

    Notes
    -----
    Bands are pointwise 95% intervals; ticks are patients whose follow-up ended. Numbers at risk are
    unweighted, even if the curves are weighted.
    """
    curves, unit = in_time_unit(curves, unit, time_unit)
    colours = dict(zip(treatments, (REFERENCE_COLOUR, TREATED_COLOUR), strict=True))
    at_risk: dict[str, Steps | None] = {}
    for treatment in treatments:
        rows = curves[curves["treatment"] == treatment]
        n = int(rows["n_risk"].iloc[0]) if len(rows) else 0
        line: dict[str, Any] = {"color": colours[treatment], "linewidth": 1.6}
        events = int(rows["n_event"].sum())
        label = f"{shorten(treatment, 22, 1)}  (n = {n}, events = {events})"
        ax.step(rows["time"], rows["survival"], where="post", label=label, **line)
        band = (rows["time"], rows["lower"], rows["upper"])
        ax.fill_between(*band, step="post", color=line["color"], alpha=0.14, linewidth=0)
        left = rows[rows["n_censored"] > 0]
        mark: dict[str, Any] = {"marker": "|", "markersize": 5.5, "mew": 0.9, "clip_on": False}
        ax.plot(left["time"], left["survival"], linestyle="none", color=line["color"], **mark)
        at_risk[treatment] = (
            (rows["time"].to_numpy(dtype=float), rows["n_risk"].to_numpy(dtype=np.int64))
            if n
            else None
        )
    ax.set(xlim=(0, float(curves["time"].max())), ylim=(0, 1.02), ylabel=drawable(ylabel))
    ax.set_xlabel(f"Time ({unit})" if unit else "Time")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend_above(ax, drawable(title))
    clean(ax)
    write_at_risk(ax, at_risk, colours)
    return ax


def plot_effect_by_score(
    table: pd.DataFrame,
    ax: Axes,
    *,
    ylabel: str,
    xlabel: str = "Risk score (standard deviations from the mean of its fold)",
    better: str = "",
    labels: Mapping[str, str] | None = None,
) -> Axes:
    """Hazard or odds ratio of a treatment over the score, with a pointwise band.

    Parameters
    ----------
    table : DataFrame
        Rows of one arm: `model, score, ratio, lower, upper`. The last model has the band; others
        are thin lines.
    ax : Axes
        Axes to draw on; the vertical axis is logarithmic.
    ylabel, xlabel : str
    better : str
        Text for ratios on the side of benefit.
    labels : mapping, optional
        Model to its label; a single model has no legend.

    Returns
    -------
    Axes
        The given Axes.
    """
    ax.set_yscale("log")
    ax.axhline(1.0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    models = list(dict.fromkeys(table["model"]))
    for model in models:
        rows = table[table["model"] == model]
        main = model == models[-1]
        style: dict[str, Any] = {"color": TREATED_COLOUR if main else INK}
        style |= {"linewidth": 1.8} if main else {"linewidth": 0.9, "linestyle": (0, (5, 2))}
        ax.plot(rows["score"], rows["ratio"], label=(labels or {}).get(model, model), **style)
        if main:
            shown = rows["lower"].clip(lower=1e-2), rows["upper"].clip(upper=1e2)
            ax.fill_between(rows["score"], *shown, color=TREATED_COLOUR, alpha=0.16, linewidth=0)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0.4), max(high, 2.5))
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
    shown_ticks = [t for t in ticks if ax.get_ylim()[0] <= t <= ax.get_ylim()[1]]
    ax.yaxis.set_major_locator(FixedLocator(shown_ticks))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=drawable(xlabel), ylabel=drawable(ylabel))
    if len(models) > 1 or better:
        legend_above(ax, drawable(better))
    return clean(ax)
