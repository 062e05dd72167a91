"""Kaplan-Meier curves with the numbers at risk below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from lifelines import KaplanMeierFitter
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import offset_copy

from outcome.plotting.palette import INK, MUTED, group_colours
from outcome.plotting.style import SMALL, clean, drawable, legend_above, shorten
from outcome.plotting.time_axis import in_time_unit
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.risk_sets import number_at_risk
from outcome.tables.codes import order_levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Steps", "plot_incidence", "plot_kaplan_meier", "write_at_risk"]

Floats = npt.NDArray[np.float64]
Steps = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Times, ascending from 0, and the numbers at risk just before each."""


def plot_kaplan_meier(
    table: pd.DataFrame,
    ax: Axes,
    *,
    unit: str = "",
    groups: Sequence[str] | None = None,
    colours: Mapping[str, str] | None = None,
    note: str = "",
    ylabel: str = "Probability of no event",
    time_unit: str = "",
) -> Axes:
    """Kaplan-Meier curves by risk group, with 95% bands and the numbers at risk below.

    Parameters
    ----------
    table : DataFrame
        One row per patient: `time`, `event` (1 = event, other values are censoring) and
        `risk_group`; with `entry`, patients are at risk only after it.
    ax : Axes
        Axes to draw on. The numbers at risk are drawn below, so save with `bbox_inches="tight"`.
    unit : str
        Unit of the times.
    groups : sequence of str, optional
        Groups from low to high; a group without patients is listed with n = 0.
    colours : mapping, optional
        Group to colour.
    note : str
        Text above the legend, e.g. the hazard ratio and the log-rank p.
    ylabel : str
        Name of the vertical axis.
    time_unit : str
        Unit of the time axis: `days`, `weeks`, `months`, `years`, or `auto` for a readable one; by
        default `unit`.

    Returns
    -------
    Axes
        The given Axes.

    Notes
    -----
    Bands are pointwise, from Greenwood's variance on the log(-log) scale. A number at risk
    counts the patients under observation just before that time.
    """
    table = table.assign(event=(table["event"].astype(float) == 1).astype(int))
    groups = order_levels(table["risk_group"].tolist()) if groups is None else list(groups)
    colours = group_colours(groups) if colours is None else colours
    table, unit = in_time_unit(table, unit, time_unit)
    ax.set(xlim=(0, float(table["time"].max())), ylim=(0, 1.02), ylabel=drawable(ylabel))
    ax.set_xlabel(f"Time ({unit})" if unit else "Time")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    at_risk = {}
    for group in groups:
        rows = table[table["risk_group"] == group]
        events = int(rows["event"].sum())
        label = f"{shorten(group, 30, 1)}  (n = {len(rows)}, events = {events})"
        at_risk[group] = _draw_curve(ax, rows, label, colours[group])
    legend_above(ax, note)
    clean(ax)
    write_at_risk(ax, at_risk, colours)
    return ax


def _draw_curve(ax: Axes, rows: pd.DataFrame, label: str, colour: str) -> Steps | None:
    """Draw the curve of a group, fitted by lifelines; returns its numbers at risk.

    The line is solid, because gaps of a dashed line look like steps and hide censoring marks.
    Under delayed entry the curve is not fitted by lifelines, in which a patient who enters at the
    time of an event is at risk of it.
    """
    line: dict[str, Any] = {"color": colour, "linewidth": 1.6}
    if rows.empty:
        ax.plot([], [], label=label, **line)
        return None
    if "entry" in rows:
        times, survival, band, at_risk = _late_curve(rows)
    else:
        fitted = KaplanMeierFitter().fit(rows["time"].astype(float), rows["event"].astype(float))
        times = fitted.survival_function_.index.to_numpy(dtype=float)
        survival = fitted.survival_function_.to_numpy(dtype=float)[:, 0]
        band = fitted.confidence_interval_.to_numpy(dtype=float)
        at_risk = fitted.event_table["at_risk"].to_numpy(dtype=np.int64)
    ax.step(times, survival, where="post", label=label, **line)
    ax.fill_between(
        times, band[:, 0], band[:, 1], step="post", color=colour, alpha=0.14, linewidth=0
    )
    censored = np.unique(rows.loc[rows["event"] == 0, "time"].to_numpy(dtype=float))
    heights = survival[np.searchsorted(times, censored, side="right") - 1]
    # Not clipped, because the mark of the last patient is on the edge of the axes.
    mark: dict[str, Any] = {"marker": "|", "markersize": 5.5, "mew": 0.9, "clip_on": False}
    ax.plot(censored, heights, linestyle="none", color=colour, **mark)
    return times, at_risk


def _late_curve(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    """Return times, survival, its band and numbers at risk of patients with delayed entry.

    Numbers at risk are just before each time; at 0, the patients under observation from the origin.
    """
    time, event, entry = (rows[c].to_numpy(dtype=float) for c in ("time", "event", "entry"))
    curve = kaplan_meier(time, event, entry)
    # A patient who enters at t is at risk just after t.
    times = np.unique([0.0, *curve.time, *np.nextafter(entry, np.inf)])
    at_risk = number_at_risk(time, times, entry)
    at_risk[0] = int((entry <= 0).sum())
    return times, curve.at(times), np.column_stack(curve.interval(times)), at_risk


def write_at_risk(
    ax: Axes, at_risk: Mapping[str, Steps | None], colours: Mapping[str, str]
) -> None:
    """Draw the numbers at risk of each group below the ticks of the time axis."""
    low, high = ax.get_xlim()
    ticks = np.array([t for t in ax.get_xticks() if low <= t <= high * (1 + 1e-9)])
    ax.set_xticks(ticks)
    figure = ax.get_figure(root=True)
    groups = list(at_risk)
    for i in range(-1, len(groups)):
        drop = offset_copy(ax.get_xaxis_transform(), figure, y=-56 - 12.5 * i, units="points")
        margin = offset_copy(drop, figure, x=-24, units="points")
        heading: dict[str, Any] = {"transform": margin, "ha": "right", "fontsize": SMALL}
        if i < 0:
            ax.text(0, 0, "At risk", color=MUTED, **heading)
            continue
        group = groups[i]
        ax.text(0, 0, shorten(group, 16, 1), color=INK, **heading)
        mark = offset_copy(drop, figure, x=-17, y=2.7, units="points")
        ax.plot([0], [0], "s", transform=mark, color=colours[group], markersize=5, clip_on=False)
        counts = _at_risk(at_risk[group], ticks)
        for tick, count in zip(ticks, counts, strict=True):
            ax.text(tick, 0, str(count), transform=drop, ha="center", fontsize=SMALL, color=INK)


def _at_risk(steps: Steps | None, ticks: npt.NDArray[np.float64]) -> list[int]:
    """Look up the patients under observation just before each tick."""
    if steps is None:
        return [0] * len(ticks)
    times, counts = steps
    place = np.searchsorted(times, ticks, side="left")
    return [int(counts[k]) if k < len(counts) else 0 for k in place]


def plot_incidence(
    curves: pd.DataFrame,
    ax: Axes,
    *,
    unit: str = "",
    groups: Sequence[str] | None = None,
    colours: Mapping[str, str] | None = None,
    note: str = "",
    time_unit: str = "",
) -> Axes:
    """Cumulative incidence of the event (solid) and of the competing one (dashed), by risk group.

    Parameters
    ----------
    curves : DataFrame
        Rows of one arm: `group, cause` (1, or 2 for the competing event), `time, incidence, lower,
        upper, n_risk, n_event` and, under delayed entry, `n`; see
        `outcome.evaluation.survival_curves.incidence_curves`.
    ax : Axes
        Axes to draw on; the numbers at risk are drawn below.
    unit, groups, colours, note, time_unit
        As for `plot_kaplan_meier`.

    Returns
    -------
    Axes
        The given Axes.

    Notes
    -----
    Aalen-Johansen estimates; bands are pointwise 95% intervals on the log(-log) scale.
    """
    groups = order_levels(curves["group"].tolist()) if groups is None else list(groups)
    colours = group_colours(groups) if colours is None else colours
    curves, unit = in_time_unit(curves, unit, time_unit)
    at_risk: dict[str, Steps | None] = {}
    for group in groups:
        rows = curves[curves["group"] == group]
        first, second = (rows[rows["cause"] == cause] for cause in (1, 2))
        n = int(first["n" if "n" in first else "n_risk"].iloc[0]) if len(first) else 0
        counts = [int(part["n_event"].sum()) for part in (first, second)]
        label = f"{shorten(group, 24, 1)}  (n = {n}, events = {counts[0]}, competing = {counts[1]})"
        style: dict[str, Any] = {"color": colours[group]}
        ax.plot([], [], label=label, linewidth=1.8, **style)
        if counts[0]:
            ax.step(first["time"], first["incidence"], where="post", linewidth=1.8, **style)
            band = (first["time"], first["lower"], first["upper"])
            ax.fill_between(*band, step="post", color=colours[group], alpha=0.14, linewidth=0)
        if counts[1]:
            thin: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (4, 2)), **style}
            ax.step(second["time"], second["incidence"], where="post", **thin)
        at_risk[group] = (
            (first["time"].to_numpy(dtype=float), first["n_risk"].to_numpy(dtype=np.int64))
            if n
            else None
        )
    ax.set(xlim=(0, float(curves["time"].max())), ylim=(0, 1.02))
    ax.set(ylabel="Cumulative incidence", xlabel=f"Time ({unit})" if unit else "Time")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend_above(ax, note)
    clean(ax)
    write_at_risk(ax, at_risk, colours)
    return ax
