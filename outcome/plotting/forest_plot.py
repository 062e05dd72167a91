"""Forest plots: estimates with intervals, one row each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
)

from outcome.plotting.number_text import estimate
from outcome.plotting.palette import ARM_COLOURS, INK, MUTED
from outcome.plotting.style import SMALL, clean, drawable, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_forest"]


def plot_forest(
    rows: pd.DataFrame,
    ax: Axes,
    *,
    xlabel: str,
    reference: float = math.nan,
    digits: int = 2,
    sign: bool = False,
    log: bool = False,
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """Estimates with their intervals, one row each, with the numbers at the right.

    Parameters
    ----------
    rows : DataFrame
        `label`, `estimate`, `lower`, `upper`; the first row is drawn at the top. Without bounds, no
        interval is drawn. A missing estimate is marked as not estimable, or with the text of the
        optional column `said`. Rows with `heading` (optional column) are lines of text; `colour`
        (optional column) overrides `colours`.
    ax : Axes
        Axes to draw on.
    xlabel : str
        Name and unit of the estimate.
    reference : float
        Position of a reference line, e.g. 0.5 for a C-index; NaN for none.
    digits : int
        Decimal places of the numbers.
    sign : bool
        Write the sign of positive numbers (for differences).
    log : bool
        Use a logarithmic axis, for ratios; values more than a thousandfold away from 1 are
        truncated.
    colours : mapping, optional
        Label to colour.

    Returns
    -------
    Axes
        The given Axes.
    """
    places = np.arange(len(rows))[::-1]
    if math.isfinite(reference):
        ax.axvline(reference, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    if log:
        ax.set_xscale("log")
    for y, row in zip(places, rows.to_dict("records"), strict=True):
        if row.get("heading") is not True:
            _forest_row(ax, int(y), row, colours or {}, digits, sign=sign, log=log)
    ax.set_yticks(places, [shorten(str(label), 24, 2) for label in rows["label"]])
    ax.set(ylim=(-0.6, len(rows) - 0.4), xlabel=drawable(xlabel))
    ax.margins(x=0.08)
    if log:
        _ratio_ticks(ax)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    clean(ax)
    for tick, heading in zip(
        ax.get_yticklabels(), rows.get("heading", [False] * len(rows)), strict=True
    ):
        tick.set_fontweight("bold" if heading is True else "normal")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _forest_row(
    ax: Axes,
    y: int,
    row: Mapping[Any, Any],
    colours: Mapping[str, str],
    digits: int,
    *,
    sign: bool,
    log: bool,
) -> None:
    colour = row.get("colour") or colours.get(str(row["label"]), ARM_COLOURS[0])
    value, lower, upper = (float(row[name]) for name in ("estimate", "lower", "upper"))
    low, high, point = lower, upper, value
    if log:
        low, high, point = (float(np.clip(v, 1e-3, 1e3)) for v in (lower, upper, value))
    if math.isfinite(low) and math.isfinite(high):
        ax.plot([low, high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
    marker = row.get("marker") or "s"
    ax.plot([point], [y], marker=marker, markersize=6, color=colour, linestyle="none")
    text = estimate(value, lower, upper, digits, sign=sign)
    said = row.get("said")
    ax.annotate(
        said if isinstance(said, str) and said and not math.isfinite(value) else text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=INK,
    )


def _ratio_ticks(ax: Axes) -> None:
    """Ticks at 1, 2, 5 and 10 and their inverses, as far as they fit."""
    low, high = ax.get_xlim()
    low, high = min(low, 0.8), max(high, 1.25)
    ax.set_xlim(low, high)
    steps = [0.01, 0.1, 1, 10, 100] if high / low > 60 else [0.1, 0.2, 0.5, 1, 2, 5, 10]
    if high / low < 6:
        steps = [0.25, 0.5, 0.75, 1, 1.5, 2, 3]
    shown = [t for t in steps if low <= t <= high]
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
