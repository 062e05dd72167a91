"""Figures for papers: each draws on the given Axes and returns it, and never shows or saves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from outcome.plotting.style import SMALL, clean, drawable, legend_above, shorten
from outcome.plotting.kaplan_meier_plot import at_risk, plot_kaplan_meier
from outcome.plotting.palette import ARM_COLOURS, INK, MUTED
from outcome.plotting.plots import (
    plot_auc_over_time,
    plot_calibration,
    plot_decision_curve,
    plot_folds,
    plot_incidence,
)
from outcome.reporting.page.formatting import estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

__all__ = [
    "at_risk",
    "plot_auc_over_time",
    "plot_calibration",
    "plot_decision_curve",
    "plot_folds",
    "plot_forest",
    "plot_incidence",
    "plot_kaplan_meier",
    "plot_loss",
    "plot_roc",
    "plot_scores",
    "roc_points",
]


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
    """Estimates with their intervals, one row each, the numbers written at the right.

    Parameters
    ----------
    rows : DataFrame
        `label`, `estimate`, `lower`, `upper`; the first row is drawn at the top. A missing bound
        leaves the interval out, a missing estimate is said to be not estimable, or what the
        optional column `said` says. A row that is `heading` (optional column) is a line of text;
        `colour` (optional column) overrides `colours`.
    ax : Axes
        Drawn on.
    xlabel : str
        Name and unit of the estimate.
    reference : float
        Where a line is drawn, e.g. 0.5 for a C-index; NaN for none.
    digits : int
        Decimal places of the numbers.
    sign : bool
        Write the sign of positive numbers (for differences).
    log : bool
        A logarithmic axis, for ratios; what lies outside a thousandfold of 1 is cut.
    colours : mapping, optional
        Label to colour.

    Returns
    -------
    Axes
        The same one.
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
    """Ticks at 1, 2, 5 and 10 and their inverses, no more than fit."""
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


def roc_points(label: Array, score: Array, weight: Array | None = None) -> tuple[Array, Array]:
    """Return false and true positive rates; tied scores share one point.

    Parameters
    ----------
    label, score : ndarray, shape (n,)
        1 = positive; higher = more likely positive.
    weight : ndarray, shape (n,), optional
        How many patients each stands for.

    Raises
    ------
    ValueError
        All labels are the same.

    Examples
    --------
    >>> fpr, tpr = roc_points(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.1]))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 1.0], [0.0, 0.5, 1.0])
    """
    positive = np.asarray(label, dtype=float) == 1
    if positive.all() or not positive.any():
        raise ValueError("a ROC curve needs positive and negative patients")
    order = np.argsort(-np.asarray(score, dtype=float), kind="stable")
    ranked, hit = np.asarray(score, dtype=float)[order], positive[order]
    stands_for = np.ones(len(hit)) if weight is None else np.asarray(weight, dtype=float)[order]
    last = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]
    found, false = stands_for * hit, stands_for * ~hit
    tpr = np.r_[0.0, np.cumsum(found)[last] / found.sum()]
    fpr = np.r_[0.0, np.cumsum(false)[last] / false.sum()]
    return fpr, tpr


def plot_roc(
    table: pd.DataFrame,
    ax: Axes,
    *,
    colour: str = ARM_COLOURS[0],
    label: str = "",
    each_fold: bool = True,
) -> Axes:
    """ROC curve within folds: one thin line per fold, and their vertical mean.

    Parameters
    ----------
    table : DataFrame
        `label` (1 = positive), `score` (higher = more likely positive), `repeat`, `fold` and
        optionally `strata`; scores of different folds are never compared. Optional `weight`:
        how many patients each stands for.
    ax : Axes
        Drawn on; several arms can share it.
    colour : str
        Of this arm.
    label : str
        For the legend.
    each_fold : bool
        Draw the lines of the folds; without, only their mean.

    Returns
    -------
    Axes
        The same one.
    """
    keys = [k for k in ("repeat", "fold", "strata") if k in table]
    grid = np.linspace(0, 1, 201)
    curves = []
    for _, rows in table.groupby(keys):
        if rows["label"].nunique() < 2:
            continue
        weight = rows["weight"].to_numpy(float) if "weight" in rows else None
        fpr, tpr = roc_points(rows["label"].to_numpy(float), rows["score"].to_numpy(float), weight)
        if each_fold:
            ax.plot(fpr, tpr, color=colour, linewidth=0.8, alpha=0.5)
        curves.append(np.interp(grid, fpr, tpr))
    if not ax.get_xlabel():
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
        ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        ax.set(xlabel="1 − specificity", ylabel="Sensitivity")
    if curves:
        mean = np.mean(curves, axis=0)
        mean[0] = 0.0
        ax.plot(grid, mean, color=colour, linewidth=2.0, label=label or None)
    return clean(ax)


def plot_scores(
    values: pd.Series,
    label: pd.Series,
    ax: Axes,
    *,
    xlabel: str,
    names: tuple[str, str],
    colours: tuple[str, str],
) -> Axes:
    """Distribution of a score in patients without and with the outcome.

    Parameters
    ----------
    values : Series
        One per patient, between 0 and 1.
    label : Series
        1 = positive.
    ax : Axes
        Drawn on.
    xlabel : str
        What the score is.
    names, colours : pair of str
        Of the negative and the positive patients.

    Returns
    -------
    Axes
        The same one.
    """
    edges = np.linspace(0, 1, 21 if len(values) >= 200 else 11)
    for code, name, colour, hatch in zip((0, 1), names, colours, ("", "////"), strict=True):
        chosen = values[label == code].to_numpy(dtype=float)
        if not len(chosen):
            continue
        share = np.full(len(chosen), 1 / len(chosen))
        text = f"{shorten(name, 30, 1)}  (n = {len(chosen)})"
        style: dict[str, Any] = {"bins": edges, "weights": share}
        ax.hist(chosen, color=colour, alpha=0.25, linewidth=0, **style)
        ax.hist(chosen, color=colour, histtype="step", linewidth=1.5, label=text, **style)
        ax.patches[-1].set_hatch(hatch)
    ax.set(xlim=(0, 1), xlabel=drawable(xlabel), ylabel="Share of these patients")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_above(ax)
    return clean(ax)


def plot_loss(
    history: pd.DataFrame,
    ax: Axes,
    *,
    colour: str = ARM_COLOURS[0],
    chosen: Sequence[float] = (),
    title: str = "",
) -> Axes:
    """Training and tuning loss over epochs, the mean over the inner folds of each outer fold.

    Parameters
    ----------
    history : DataFrame
        Rows of one arm: `repeat, fold, epoch, train_loss, tune_loss`.
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
    ax.set(xlabel="Epoch", ylabel="Loss")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend_above(ax, shorten(title, 60, 1) if title else "", columns=3)
    return clean(ax)
