"""ROC curves, and scores by outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.ticker import (
    PercentFormatter,
)

from outcome.plotting.palette import ARM_COLOURS, MUTED
from outcome.plotting.style import clean, drawable, legend_above, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

__all__ = ["plot_roc", "plot_scores", "roc_points"]


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
