"""Discrimination over time and by fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from outcome.plotting.palette import INK, MUTED, group_dashes
from outcome.plotting.style import SMALL, clean, drawable, legend_above, shorten
from outcome.plotting.time_axis import in_time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_auc_over_time", "plot_folds"]


def plot_auc_over_time(
    table: pd.DataFrame,
    ax: Axes,
    *,
    unit: str = "",
    colours: Mapping[str, str] | None = None,
    bands: bool = True,
    time_unit: str = "",
) -> Axes:
    """AUC over time, one line per arm.

    Parameters
    ----------
    table : DataFrame
        `arm, time, auc, lower, upper`.
    ax : Axes
        Axes to draw on.
    unit : str
        Unit of the times.
    colours : mapping, optional
        Arm to colour.
    bands : bool
        Shade the intervals; with many arms they overlap.
    time_unit : str
        Unit of the time axis, or `auto` for a readable one; by default `unit`.

    Returns
    -------
    Axes
        The given Axes.
    """
    table, unit = in_time_unit(table, unit, time_unit)
    ax.axhline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    for i, (arm, rows) in enumerate(table.groupby("arm", sort=False)):
        colour = (colours or {}).get(str(arm), INK)
        style: dict[str, Any] = {"color": colour, "linestyle": group_dashes(i)}
        alone = len(rows) == 1
        ax.plot(
            rows["time"],
            rows["auc"],
            linewidth=1.8,
            marker="o" if alone else None,
            markersize=4,
            label=shorten(str(arm), 34, 1),
            **style,
        )
        if bands and not alone:
            ax.fill_between(
                rows["time"], rows["lower"], rows["upper"], color=colour, alpha=0.14, linewidth=0
            )
    ax.set(ylabel="AUC", xlabel=f"Time ({unit})" if unit else "Time")
    low = min([0.4, *table["lower" if bands else "auc"].dropna().astype(float)])
    ax.set_ylim(max(0.0, low - 0.02), 1.0)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    legend_above(ax, columns=1)
    return clean(ax)


def plot_folds(
    table: pd.DataFrame,
    ax: Axes,
    *,
    ylabel: str,
    reference: float = float("nan"),
    colours: Mapping[str, str] | None = None,
    means: Mapping[str, float] | None = None,
) -> Axes:
    """One metric in every test fold, a column of dots per arm, with their mean.

    Parameters
    ----------
    table : DataFrame
        `arm, estimate, n`; the area of a dot increases with the number of patients of the fold.
    ax : Axes
        Axes to draw on.
    ylabel : str
        Name of the metric.
    reference : float
        Position of a reference line; NaN for none.
    colours : mapping, optional
        Arm to colour.
    means : mapping, optional
        Arm to the mean over its folds, drawn as a bar.

    Returns
    -------
    Axes
        The given Axes.
    """
    if np.isfinite(reference):
        ax.axhline(reference, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    names = []
    biggest = max(float(table["n"].max()), 1.0)
    for i, (arm, rows) in enumerate(table.groupby("arm", sort=False)):
        names.append(shorten(str(arm), 14, 3))
        rows = rows.dropna(subset="estimate")
        # Shifted by rank, so that equal values do not overlap; without randomness.
        rank = rows["estimate"].rank(method="first").to_numpy()
        aside = ((rank * 0.618) % 1 - 0.5) * 0.5
        colour = (colours or {}).get(str(arm), INK)
        size = 12 + 30 * rows["n"].to_numpy(dtype=float) / biggest
        ax.scatter(i + aside, rows["estimate"], s=size, color=colour, alpha=0.75, linewidth=0)
        if np.isfinite(middle := (means or {}).get(str(arm), np.nan)):
            ax.plot([i - 0.32, i + 0.32], [middle] * 2, color=colour, linewidth=2.2)
    ax.set_xticks(range(len(names)), names)
    ax.set(xlim=(-0.6, len(names) - 0.4), ylabel=drawable(ylabel))
    clean(ax)
    ax.tick_params(axis="x", length=0, labelsize=SMALL)
    return ax
