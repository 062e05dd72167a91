"""Performance in the remaining patients when the least certain ones are set aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import PercentFormatter

from outcome.plotting.palette import INK, MUTED, group_dashes
from outcome.plotting.style import clean, legend_above, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_set_aside"]


def plot_set_aside(
    table: pd.DataFrame,
    ax: Axes,
    *,
    value: str = "estimate",
    ylabel: str = "",
    reference: float = float("nan"),
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """One measure over the proportion of patients set aside, one line per arm.

    Parameters
    ----------
    table : DataFrame
        See `outcome.evaluation.individual_uncertainty.set_aside`.
    ax : Axes
        Axes to draw on.
    value : str
        The column to draw: `estimate` or `calibration_ratio`.
    ylabel : str
        Name of the measure.
    reference : float
        Position of a reference line; NaN for none.
    colours : mapping, optional
        Arm to colour.

    Returns
    -------
    Axes
        The given Axes.
    """
    if reference == reference:
        ax.axhline(reference, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    shaded = value == "estimate" and table["arm"].nunique() <= 3
    for i, (arm, rows) in enumerate(table.groupby("arm", sort=False)):
        colour, dashes = (colours or {}).get(str(arm), INK), group_dashes(i)
        ax.plot(
            rows["share"], rows[value], color=colour, linestyle=dashes, linewidth=1.8, marker="o",
            markersize=3.5, label=shorten(str(arm), 34, 1),
        )  # fmt: skip
        if shaded:
            low, high = rows["lower"].astype(float), rows["upper"].astype(float)
            ax.fill_between(rows["share"], low, high, color=colour, alpha=0.14, linewidth=0)
    ax.set(xlabel="Patients set aside, least certain first", ylabel=ylabel)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_above(ax, columns=1)
    return clean(ax)
