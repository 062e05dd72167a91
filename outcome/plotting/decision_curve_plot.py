"""Decision curves: net benefit by threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import PercentFormatter

from outcome.plotting.palette import INK, MUTED, group_dashes
from outcome.plotting.style import clean, legend_above, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_decision_curve"]


def plot_decision_curve(
    table: pd.DataFrame,
    ax: Axes,
    *,
    colours: Mapping[str, str] | None = None,
    everybody: str = "treat all",
    most: float = 1.0,
) -> Axes:
    """Net benefit over threshold probabilities, compared with treating all or none.

    Parameters
    ----------
    table : DataFrame
        `arm, threshold, net_benefit`; the arm named `everybody` is the reference. Lines have a
        gap if the net benefit is NaN.
    ax : Axes
        Axes to draw on.
    colours : mapping, optional
        Arm to colour.
    everybody : str
        Name of the reference arm.
    most : float
        Largest threshold to draw.

    Returns
    -------
    Axes
        The given Axes.
    """
    table = table[table["threshold"] <= most]
    ax.axhline(0, color=MUTED, linewidth=1.2, label="treat none")
    reference = table[table["arm"] == everybody]
    ax.plot(
        reference["threshold"],
        reference["net_benefit"],
        color=MUTED,
        linewidth=1.2,
        linestyle=(0, (1.5, 1.5)),
        label="treat all",
    )
    arms = table[table["arm"] != everybody]
    for i, (arm, rows) in enumerate(arms.groupby("arm", sort=False)):
        ax.plot(
            rows["threshold"],
            rows["net_benefit"],
            color=(colours or {}).get(str(arm), INK),
            linestyle=group_dashes(i),
            linewidth=1.8,
            label=shorten(str(arm), 34, 1),
        )
    top = max(0.02, float(table["net_benefit"].max()))
    ax.set(xlim=(0, most), ylim=(-0.25 * top, 1.08 * top))
    ax.set(xlabel="Threshold probability", ylabel="Net benefit per patient")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_above(ax, columns=1)
    return clean(ax)
