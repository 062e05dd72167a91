"""Figures of accuracy over time, of calibration and of usefulness; on the given Axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter

from outcome.plotting.style import SMALL, TEXT, clean, drawable, legend_above, shorten
from outcome.plotting.kaplan_meier_plot import write_at_risk
from outcome.plotting.palette import GROUP_DASHES, INK, MUTED, group_colours, order_groups
from outcome.statistics.aalen_johansen import cumulative_incidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_auc_over_time",
    "plot_calibration",
    "plot_decision_curve",
    "plot_folds",
    "plot_incidence",
]


def plot_auc_over_time(
    table: pd.DataFrame,
    ax: Axes,
    *,
    unit: str = "",
    colours: Mapping[str, str] | None = None,
    bands: bool = True,
) -> Axes:
    """AUC over time, one line per arm.

    Parameters
    ----------
    table : DataFrame
        `arm, time, auc, lower, upper`.
    ax : Axes
        Drawn on.
    unit : str
        Of the times.
    colours : mapping, optional
        Arm to colour.
    bands : bool
        Shade the intervals; with many arms they hide each other.

    Returns
    -------
    Axes
        The same one.
    """
    ax.axhline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    for i, (arm, rows) in enumerate(table.groupby("arm", sort=False)):
        colour = (colours or {}).get(str(arm), INK)
        style: dict[str, Any] = {"color": colour, "linestyle": _dashes(i)}
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
        `kind` (`group` or `smooth`), `predicted, observed, lower, upper`; a group whose observed
        probability is NaN has no dot.
    ax : Axes
        Drawn on.
    colour : str
        Of the arm.
    predicted : sequence of float
        Every prediction.
    what : str
        Of what the probability is.
    title : str
        Above the axes.

    Returns
    -------
    Axes
        The same one.
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


def plot_decision_curve(
    table: pd.DataFrame,
    ax: Axes,
    *,
    colours: Mapping[str, str] | None = None,
    everybody: str = "treat all",
    most: float = 1.0,
) -> Axes:
    """Net benefit over threshold probabilities, with treating all and treating nobody.

    Parameters
    ----------
    table : DataFrame
        `arm, threshold, net_benefit`; the arm named `everybody` is the reference. Lines have a
        gap where the net benefit is NaN.
    ax : Axes
        Drawn on.
    colours : mapping, optional
        Arm to colour.
    everybody : str
        Arm of the reference.
    most : float
        Largest threshold that is drawn.

    Returns
    -------
    Axes
        The same one.
    """
    table = table[table["threshold"] <= most]
    ax.axhline(0, color=MUTED, linewidth=1.2, label="act on nobody")
    reference = table[table["arm"] == everybody]
    ax.plot(
        reference["threshold"],
        reference["net_benefit"],
        color=MUTED,
        linewidth=1.2,
        linestyle=(0, (1.5, 1.5)),
        label="act on everybody",
    )
    arms = table[table["arm"] != everybody]
    for i, (arm, rows) in enumerate(arms.groupby("arm", sort=False)):
        ax.plot(
            rows["threshold"],
            rows["net_benefit"],
            color=(colours or {}).get(str(arm), INK),
            linestyle=_dashes(i),
            linewidth=1.8,
            label=shorten(str(arm), 34, 1),
        )
    top = max(0.02, float(table["net_benefit"].max()))
    ax.set(xlim=(0, most), ylim=(-0.25 * top, 1.08 * top))
    ax.set(xlabel="Threshold probability", ylabel="Net benefit per patient")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_above(ax, columns=1)
    return clean(ax)


def plot_folds(
    table: pd.DataFrame,
    ax: Axes,
    *,
    ylabel: str,
    reference: float = float("nan"),
    colours: Mapping[str, str] | None = None,
) -> Axes:
    """One metric in every test fold, a column of dots per arm, with their mean.

    Parameters
    ----------
    table : DataFrame
        `arm, estimate, n`; the area of a dot grows with the patients of the fold.
    ax : Axes
        Drawn on.
    ylabel : str
        Name of the metric.
    reference : float
        Where a line is drawn; NaN for none.
    colours : mapping, optional
        Arm to colour.

    Returns
    -------
    Axes
        The same one.
    """
    if np.isfinite(reference):
        ax.axhline(reference, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    names = []
    biggest = max(float(table["n"].max()), 1.0)
    for i, (arm, rows) in enumerate(table.groupby("arm", sort=False)):
        names.append(shorten(str(arm), 14, 3))
        rows = rows.dropna(subset="estimate")
        # Spread out by rank, so that dots of equal height can be told apart; the same every time.
        rank = rows["estimate"].rank(method="first").to_numpy()
        aside = ((rank * 0.618) % 1 - 0.5) * 0.5
        colour = (colours or {}).get(str(arm), INK)
        size = 12 + 30 * rows["n"].to_numpy(dtype=float) / biggest
        ax.scatter(i + aside, rows["estimate"], s=size, color=colour, alpha=0.75, linewidth=0)
        if len(rows):
            middle = float(rows["estimate"].mean())
            ax.plot([i - 0.32, i + 0.32], [middle] * 2, color=colour, linewidth=2.2)
    ax.set_xticks(range(len(names)), names)
    ax.set(xlim=(-0.6, len(names) - 0.4), ylabel=drawable(ylabel))
    clean(ax)
    ax.tick_params(axis="x", length=0, labelsize=SMALL)
    return ax


def plot_incidence(
    table: pd.DataFrame,
    ax: Axes,
    *,
    unit: str = "",
    groups: Sequence[str] | None = None,
    colours: Mapping[str, str] | None = None,
    note: str = "",
) -> Axes:
    """Cumulative incidence of the event (solid) and of the competing one (thin), by risk group.

    Parameters
    ----------
    table : DataFrame
        Each patient once: `time`, `event` (1, or 2 for the competing event), `risk_group`.
    ax : Axes
        Drawn on; the numbers at risk hang below it.
    unit, groups, colours, note
        As for `plot_kaplan_meier`.

    Returns
    -------
    Axes
        The same one.

    Notes
    -----
    Aalen-Johansen estimates; bands are pointwise 95% intervals on the log(-log) scale.
    """
    groups = order_groups(table["risk_group"].tolist()) if groups is None else list(groups)
    colours = group_colours(groups) if colours is None else colours
    for i, group in enumerate(groups):
        rows = table[table["risk_group"] == group]
        code = rows["event"].astype(int).to_numpy()
        counts = f"n = {len(rows)}, events = {(code == 1).sum()}, competing = {(code == 2).sum()}"
        label = f"{shorten(group, 24, 1)}  ({counts})"
        style: dict[str, Any] = {"color": colours[group], "linestyle": _dashes(i)}
        ax.plot([], [], label=label, linewidth=1.8, **style)
        for cause in (1, 2):
            if (code == cause).any():
                _step(ax, rows["time"].to_numpy(dtype=float), code, cause, style)
    ax.set(xlim=(0, float(table["time"].max())), ylim=(0, 1.02))
    ax.set(ylabel="Cumulative incidence", xlabel=f"Time ({unit})" if unit else "Time")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend_above(ax, note)
    clean(ax)
    write_at_risk(ax, table, groups, colours)
    return ax


def _step(ax: Axes, time: Any, code: Any, cause: int, style: dict[str, Any]) -> None:
    curve = cumulative_incidence(time, code, cause=cause)
    at = np.r_[0.0, curve.time]
    ax.step(
        at,
        curve.at(at),
        where="post",
        linewidth=1.8 if cause == 1 else 0.8,
        alpha=1.0 if cause == 1 else 0.7,
        **style,
    )
    if cause == 1:
        low, high = curve.interval(at)
        ax.fill_between(at, low, high, step="post", color=style["color"], alpha=0.14, linewidth=0)


def _dashes(i: int) -> Any:
    dashes = GROUP_DASHES[i % len(GROUP_DASHES)]
    return dashes if dashes[1] else "-"
