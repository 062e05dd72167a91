"""Figures from data: outcomes and scores in arrays, tables of predictions, or an Evaluation.

All numbers are computed by `outcome.evaluation`, as for the results page of a study. The functions
`plot_*` of this package draw its tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from outcome.errors import InputError
from outcome.evaluation import auc_over_time as auc_curves
from outcome.evaluation.arrays import ArmScores, Panel, read_arms
from outcome.evaluation.calibration import calibration_points
from outcome.evaluation.decision_curve import decision_curves
from outcome.evaluation.evaluation import Evaluation
from outcome.evaluation.metric_descriptions import metric as describe_metric
from outcome.evaluation.risk_groups import group_patients, risk_group_table
from outcome.evaluation.score_table import score_table
from outcome.plotting.calibration_plot import plot_calibration
from outcome.plotting.decision_curve_plot import plot_decision_curve
from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.kaplan_meier_plot import plot_kaplan_meier
from outcome.plotting.number_text import p_value
from outcome.plotting.over_time import plot_auc_over_time
from outcome.plotting.palette import ARM_COLOURS, arm_colours
from outcome.plotting.patch_map import patch_collection, patch_corners
from outcome.predictions import Predictions
from outcome.tables.codes import order_levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "attention_map",
    "auc_over_time",
    "calibration",
    "decision_curve",
    "forest",
    "kaplan_meier",
]

SIZE = (5.2, 4.0)
MOST_GROUPS = 12
PROBABILITIES = (
    "the figure needs predictions with `survival_<horizon>`, the probability of no event by that"
    " time (e.g. `survival_365`), or, for labels, `probability`"
)
Scores = ArrayLike | Mapping[str, ArrayLike]


def kaplan_meier(
    data: Any,
    groups: Any = None,
    ax: Axes | None = None,
    *,
    arm: str | None = None,
    unit: str | None = None,
    ylabel: str = "Probability of no event",
) -> Axes:
    """Kaplan-Meier curves of groups, with 95% bands, numbers at risk and the log-rank test.

    Parameters
    ----------
    data : Surv array, DataFrame, or the results of a study
        Outcomes, with columns `time` and `event` (and `entry` if it is delayed); or predictions,
        with their `risk_group`. An Evaluation has no data of patients and is refused. If there are
        several repeats, the first is used. If there are folds, the test is stratified by fold.
    groups : array, shape (n,), optional
        Group of each patient; by default the column `risk_group`, else one group.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure. The numbers at risk are drawn below the
        Axes, so save with `bbox_inches="tight"`.
    arm : str, optional
        Arm to draw, if the predictions have several.
    unit : str, optional
        Unit of the times, for the axis label; by default that of the results, if it is known.
    ylabel : str

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        The data have no times and events, or `groups` does not fit them.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from outcome import plotting
    >>> from sksurv.util import Surv
    >>> y = Surv.from_arrays([True] * 20, np.arange(1.0, 21.0))
    >>> ax = plotting.kaplan_meier(y, ["high"] * 10 + ["low"] * 10, Figure().subplots())
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['low  (n = 10, events = 10)', 'high  (n = 10, events = 10)']
    """
    unit = _unit(data, unit)
    data = _part(data, "predictions", pd.DataFrame)
    if isinstance(data, Evaluation):
        raise InputError(
            "an Evaluation has no data of patients, which Kaplan-Meier curves need. To do: give the"
            " predictions, e.g. `result.predictions`"
        )
    table = _one_arm(data, arm) if isinstance(data, pd.DataFrame) and "risk" in data else None
    if table is None:
        n = len(data)
        given = (
            data["risk_group"] if isinstance(data, pd.DataFrame) and "risk_group" in data else None
        )
        labels = given if groups is None else groups
        labels = ["all patients"] * n if labels is None else np.asarray(labels).astype(str)
        if len(labels) != n:
            raise InputError(f"`groups` has {len(labels)} entries for {n} patients")
        table = score_table(data, np.zeros(n)).table.assign(risk_group=labels)
    elif groups is not None:
        table = table.assign(risk_group=np.asarray(groups).astype(str))
    if (several := table["risk_group"].nunique() if "risk_group" in table else 2) > MOST_GROUPS:
        raise InputError(
            f"`groups` has {several} different values. To do: give labels of groups, such as those"
            " of `MILCox.predict_risk_group`"
        )
    if "time" not in table:
        raise InputError("the outcomes are labels, but Kaplan-Meier curves need times and events")
    _, arms = read_arms(Predictions(table))
    drawn = group_patients(arms[0])
    p = float(risk_group_table(arms)["logrank_p"].iloc[0]) if len(drawn.names) > 1 else np.nan
    late = {} if drawn.entry is None else {"entry": drawn.entry}
    return plot_kaplan_meier(
        pd.DataFrame({"time": drawn.time, "event": drawn.event, "risk_group": drawn.group, **late}),
        _axes(ax),
        unit=unit,
        groups=order_levels(drawn.names),
        note=p_value(p, "log-rank p"),
        ylabel=ylabel,
    )


def auc_over_time(
    data: Any,
    risk: Scores | None = None,
    ax: Axes | None = None,
    *,
    horizons: Sequence[float] = (),
    groups: Any = None,
    unit: str | None = None,
) -> Axes:
    """Cumulative/dynamic AUC over time, one line per model, with pointwise 95% intervals.

    Parameters
    ----------
    data : Surv array or DataFrame of outcomes, DataFrame of predictions, Evaluation, or results
    risk : array, shape (n,), or mapping of name to array, optional
        Risks of one or several models, if `data` are outcomes; higher is worse.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.
    horizons : sequence of float
        Further times at which the AUC is computed.
    groups : array, shape (n,), optional
        Folds of a cross-validation; risks are compared within folds.
    unit : str, optional
        Unit of the times, for the axis label; by default that of the results, if it is known.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from outcome import plotting
    >>> from sksurv.util import Surv
    >>> rng = np.random.default_rng(0)
    >>> y = Surv.from_arrays([True] * 40, np.arange(1.0, 41.0))
    >>> ax = plotting.auc_over_time(y, {"image": rng.normal(size=40)}, Figure().subplots())
    >>> ax.get_ylabel()
    'AUC'
    """
    unit = _unit(data, unit)
    data = _part(data, "evaluation", Evaluation)
    if isinstance(data, Evaluation):
        table = _table(data, "auc_over_time", "the figure needs times and events")
    else:
        panel, arms, folds = _scored(data, risk, "risk", groups=groups)
        table = auc_curves.auc_over_time(panel, arms, horizons, cross_validated=folds)
    names = table["arm"].unique().tolist()
    return plot_auc_over_time(table, _axes(ax), unit=unit, colours=arm_colours(names))


def calibration(
    data: Any,
    probability: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    horizon: float | None = None,
    arm: str | None = None,
) -> Axes:
    """Observed against predicted probability, by quintiles of the predictions.

    Parameters
    ----------
    data : Surv array, DataFrame, labels, DataFrame of predictions, Evaluation, or results
    probability : array, shape (n,), optional
        Probability of the event by `horizon`, or of the positive label, if `data` are outcomes.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.
    horizon : float, optional
        Horizon for times and events; by default the last one of the predictions.
    arm : str, optional
        Arm to draw, if there are several.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from outcome import plotting
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=100)
    >>> ax = plotting.calibration(rng.uniform(size=100) < p, p, Figure().subplots())
    >>> ax.get_xlabel()
    'Predicted probability of the event'
    """
    predicted: list[float] = []
    data = _part(data, "evaluation", Evaluation)
    if isinstance(data, Evaluation):
        points = _table(data, "calibration", PROBABILITIES)
        found = _picked(points["arm"].unique().tolist(), arm)
        points = points[points["arm"] == found]
    else:
        _, arms, folds = _scored(data, probability, "probability", horizon=horizon)
        mine = next(a for a in arms if a.name == _picked([a.name for a in arms], arm))
        at = list(mine.folds[0].survival) if horizon is None else [horizon]
        points = calibration_points([mine], at[-1:], cross_validated=folds)
        predicted = (
            np.concatenate(
                [1 - f.survival[at[-1]] if mine.timed else f.probability for f in mine.first_folds]
            ).tolist()
            if len(points)
            else []
        )
    if mine_at := points["horizon"].dropna().unique().tolist():
        wanted = mine_at[-1] if horizon is None else horizon
        points = points[points["horizon"] == wanted]
    if points.empty:
        raise InputError(f"there are no predicted probabilities{_at(horizon)}: {PROBABILITIES}")
    return plot_calibration(points, _axes(ax), colour=ARM_COLOURS[0], predicted=predicted)


def decision_curve(
    data: Any,
    probability: Scores | None = None,
    ax: Axes | None = None,
    *,
    horizon: float | None = None,
    most: float = 1.0,
) -> Axes:
    """Net benefit of treating patients above a threshold probability, or all, or none.

    Parameters
    ----------
    data : Surv array, DataFrame, labels, DataFrame of predictions, Evaluation, or results
    probability : array, shape (n,), or mapping of name to array, optional
        Probability of the event by `horizon`, or of the positive label, if `data` are outcomes.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.
    horizon : float, optional
        Horizon for times and events; by default the last one of the predictions.
    most : float
        Largest threshold to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from outcome import plotting
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=100)
    >>> ax = plotting.decision_curve(rng.uniform(size=100) < p, p, Figure().subplots())
    >>> ax.get_ylabel()
    'Net benefit per patient'
    """
    data = _part(data, "evaluation", Evaluation)
    if isinstance(data, Evaluation):
        table = _table(data, "decision_curves", PROBABILITIES)
    else:
        _, arms, _ = _scored(data, probability, "probability", horizon=horizon)
        at = (
            sorted({h for a in arms for h in a.folds[0].survival}) if horizon is None else [horizon]
        )
        table = decision_curves(arms, at)
    if known := table["horizon"].dropna().unique().tolist():
        wanted = known[-1] if horizon is None else horizon
        table = table[table["horizon"] == wanted]
    if table.empty:
        raise InputError(f"there are no predicted probabilities{_at(horizon)}: {PROBABILITIES}")
    names = [a for a in table["arm"].unique() if a != "treat all"]
    return plot_decision_curve(table, _axes(ax), colours=arm_colours(names), most=most)


def forest(
    data: Any,
    ax: Axes | None = None,
    *,
    metric: str | None = None,
    xlabel: str | None = None,
    reference: float | None = None,
    log: bool = False,
) -> Axes:
    """Estimates with their 95% intervals, one row each.

    Parameters
    ----------
    data : Evaluation, results, DataFrame, or mapping of label to MetricValue
        For an Evaluation, a metric of every arm is drawn. A table needs `label`, `arm` or `group`,
        and `estimate` (or `difference`, or `hazard_ratio`), `lower`, `upper`; with a column
        `metric`, only this metric is drawn.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.
    metric : str, optional
        Metric to draw; by default the first one.
    xlabel : str, optional
        Axis label; by default the name of the metric on the results page, e.g. `C-index`.
    reference : float, optional
        Position of a reference line; by default 0 for differences, 1 for ratios, and for a metric
        the value of an uninformative score, e.g. 0.5. NaN for none.
    log : bool
        Use a logarithmic axis, for ratios.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from outcome import plotting
    >>> rows = pd.DataFrame({"label": ["image"], "estimate": 0.7, "lower": 0.6, "upper": 0.8})
    >>> ax = plotting.forest(rows, Figure().subplots(), xlabel="Harrell's C", reference=0.5)
    >>> ax.get_xlabel()
    "Harrell's C"
    """
    unit = _unit(data, None)
    data = _part(data, "evaluation", Evaluation)
    if isinstance(data, Evaluation):
        data = data.metrics
    elif isinstance(data, Mapping):
        metric = metric or next((v.name for v in data.values()), None)
        data = pd.DataFrame(
            [
                {"label": str(k), "estimate": v.estimate, "lower": v.lower, "upper": v.upper}
                for k, v in data.items()
            ]
        )
    table: pd.DataFrame = data
    if "metric" in table:
        known = table["metric"].unique().tolist()
        metric = metric or known[0]
        if metric not in known:
            raise InputError(f"there is no metric {metric!r}{_meant(metric, known, unit)}")
        table = table[table["metric"] == metric]
    label = next((c for c in ("label", "arm", "group") if c in table), None)
    value = next((c for c in ("estimate", "difference", "hazard_ratio") if c in table), None)
    low, high = ("hr_lower", "hr_upper") if value == "hazard_ratio" else ("lower", "upper")
    if label is None or value is None or not {low, high} <= set(table):
        have = ", ".join(map(str, table.columns))
        raise InputError(
            "a forest plot needs the columns label, estimate, lower and upper; the columns are "
            f"{have}"
        )
    rows = pd.DataFrame(
        {"label": table[label], "estimate": table[value], "lower": table[low], "upper": table[high]}
    ).reset_index(drop=True)
    shown = None if metric is None else describe_metric(metric, unit)
    if reference is None:
        chance = np.nan if shown is None else shown.chance
        reference = {"difference": 0.0, "hazard_ratio": 1.0}.get(value, chance)
    return plot_forest(
        rows,
        _axes(ax),
        xlabel=xlabel or _forest_label(value, None if shown is None else shown.label),
        reference=reference,
        sign=value == "difference",
        log=log,
        colours=arm_colours([str(name) for name in rows["label"]]),
    )


def attention_map(
    coords: ArrayLike,
    values: ArrayLike,
    ax: Axes | None = None,
    *,
    side: float | None = None,
    kind: Literal["attention", "contribution"] = "attention",
    colorbar: bool = True,
) -> Axes:
    """Attention of a model on a slide, or contributions of patches to the risk.

    Parameters
    ----------
    coords : array, shape (n, 2)
        Upper left corners of the patches, x and y.
    values : array, shape (n,)
        Attention (drawn as percentiles) or signed contributions, as returned by `MILCox.attention`
        and `MILCox.contributions`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.
    side : float, optional
        Side length of a patch, in the unit of the coordinates; by default the smallest distance
        between two rows or columns.
    kind : {"attention", "contribution"}
    colorbar : bool
        Draw a colour bar next to the axes.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from outcome import plotting
    >>> places = 256 * np.argwhere(np.ones((3, 4)))
    >>> ax = plotting.attention_map(places, np.arange(12) / 66, Figure().subplots())
    >>> [int(x) for x in ax.get_xlim()]
    [-256, 1024]
    """
    places, shown = np.asarray(coords, dtype=float), np.asarray(values, dtype=float)
    if places.ndim != 2 or places.shape[1] != 2 or shown.shape != (len(places),):
        raise InputError(
            f"`coords` has shape {places.shape} and `values` has shape {shown.shape}; (n, 2) and "
            "(n,) are needed"
        )
    if not np.isfinite(places).all():
        raise InputError("`coords` contains NaN: the positions of these patches are unknown")
    steps = np.concatenate([np.diff(np.unique(column)) for column in places.T])
    length = side or (float(steps.min()) if len(steps) else 1.0)
    if kind == "attention":
        shown = 100 * pd.Series(shown).rank(pct=True).to_numpy()
    drawn = patch_collection(kind, shown, patch_corners(places[:, 0], places[:, 1], length))
    axes = _axes(ax)
    axes.add_collection(drawn)
    low, high = places.min(axis=0) - length, places.max(axis=0) + 2 * length
    axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal", xticks=[], yticks=[])
    axes.set_facecolor("0.88")
    figure = axes.get_figure(root=True)
    if colorbar and figure is not None:
        bar = figure.colorbar(drawn, ax=axes, shrink=0.8)
        bar.set_label(str(drawn.get_label()))
    return axes


def _part(data: Any, name: str, kind: type) -> Any:
    """Return one part of the results of a study, if the whole results are given."""
    found = None if isinstance(data, kind) else getattr(data, name, None)
    return found if isinstance(found, kind) else data


def _forest_label(value: str, metric: str | None) -> str:
    if metric is None:
        return value.replace("_", " ")
    return f"difference in {metric}" if value == "difference" else metric


def _meant(given: str, known: Sequence[str], unit: str) -> str:
    """Suggest a metric whose name or label is close to the one given, and list all."""
    labels = {describe_metric(name, unit).label.lower(): name for name in reversed(known)}
    spelt = given.lower().replace("_", " ").replace("-", " ")
    names = {**{k.replace("-", " "): v for k, v in labels.items()}, **{n: n for n in known}}
    close = get_close_matches(spelt, names, n=1, cutoff=0.8)
    hint = f". Did you mean {names[close[0]]!r}? Metrics" if close else "; metrics"
    return f"{hint} are {', '.join(known)}"


def _unit(data: Any, unit: str | None) -> str:
    """Return the unit of the times: the argument, else that of the results; else empty."""
    if unit is not None or isinstance(data, pd.DataFrame):
        return unit or ""
    if (study := getattr(data, "study", None)) is not None:  # nothing is evaluated for the unit
        return str(getattr(study.endpoint, "unit", ""))
    evaluation = _part(data, "evaluation", Evaluation)
    return evaluation.unit if isinstance(evaluation, Evaluation) else ""


def _table(evaluation: Evaluation, name: str, needed: str) -> pd.DataFrame:
    """Return a further table of an Evaluation, which has it only if the predictions allow it."""
    if name not in evaluation.further:
        raise InputError(f"the evaluation has no table {name!r}: {needed}")
    return evaluation.further[name]


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=SIZE, layout="constrained")[1]


def _one_arm(table: pd.DataFrame, arm: str | None) -> pd.DataFrame:
    full = _filled(table)
    name = _picked(full["arm"].unique().tolist(), arm)
    mine = full[full["arm"] == name]
    return pd.DataFrame(mine[mine["repeat"] == mine["repeat"].iloc[0]])


def _picked(names: Sequence[str], arm: str | None) -> str:
    if arm is None and len(names) == 1:
        return names[0]
    if arm is None or arm not in names:
        what = "choose one of the arms" if arm is None else f"there is no arm {arm!r}"
        raise InputError(f"{what} with `arm=`: {', '.join(map(str, names))}")
    return arm


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    """Return predictions with the optional columns filled in."""
    defaults: dict[str, Any] = {"arm": "model", "repeat": 0, "fold": "all"}
    return table.assign(**{k: v for k, v in defaults.items() if k not in table})


def _scored(
    data: Any,
    scores: Any,
    name: str,
    *,
    groups: Any = None,
    horizon: float | None = None,
) -> tuple[Panel, list[ArmScores], bool]:
    """Return the scores of every arm, and whether they come from several folds."""
    if scores is None and isinstance(data, pd.DataFrame) and "risk" in data:
        made = Predictions(_filled(data))
    elif scores is None:
        raise InputError(
            f"give `{name}` with the outcomes, a table of predictions, or an Evaluation"
        )
    else:
        made = score_table(
            data, scores, groups=groups, horizon=horizon,
            probabilities=name == "probability" and horizon is None,
        )  # fmt: skip
    folds = len(made.table[["repeat", "fold"]].drop_duplicates()) > 1
    panel, arms = read_arms(made)
    return panel, arms, folds


def _at(horizon: float | None) -> str:
    return "" if horizon is None else f" at {horizon:g}"
