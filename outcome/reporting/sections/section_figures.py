"""Makes the figures of accuracy, calibration, usefulness, effects and subgroups of a report."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from outcome.evaluation.horizon_columns import horizon_name
from outcome.plotting.calibration_plot import plot_calibration
from outcome.plotting.decision_curve_plot import plot_decision_curve
from outcome.plotting.forest import plot_forest
from outcome.plotting.kaplan_meier_plot import plot_incidence
from outcome.plotting.numbers import estimate, plural
from outcome.plotting.over_time import plot_auc_over_time, plot_folds
from outcome.plotting.palette import MUTED, group_colours
from outcome.reporting.page.blocks import Picture
from outcome.reporting.page.figures import WIDTH, Drawings
from outcome.reporting.page.formatting import column
from outcome.reporting.page.metric_names import Metric, horizon_text
from outcome.reporting.sections.summary_section import main_scores

__all__ = [
    "auc_over_time",
    "calibration",
    "decision",
    "effects",
    "folds",
    "incidence",
    "subgroup_forest",
    "term_name",
]

MOST_ROWS = 40


def auc_over_time(d: Drawings, table: pd.DataFrame) -> Picture:
    """Draw AUC(t) of every arm."""
    end = d.run.endpoint
    few = table["arm"].nunique() <= 3
    given = ", given these fitted models" if d.run.cross_validated else ""
    shaded = f" Bands: pointwise 95% intervals{given}." if few else ""
    return d.hang(
        lambda ax: plot_auc_over_time(table, ax, unit=end.unit, colours=d.colours, bands=few),
        "auc-over-time",
        (WIDTH, 2.8),
        alt=f"AUC over time of {', '.join(d.run.arms)}, from {table['time'].min():g} to "
        f"{table['time'].max():g} {end.unit}.",
        caption="AUC over time: of pairs of a patient who had the event by then and one who was "
        "still free of it, the share in the right order (censoring weighted, within folds). "
        f"Dashed: guessing.{shaded}",
    )


def folds(d: Drawings, table: pd.DataFrame, main: Metric) -> Picture:
    """Draw the main metric of every test fold."""
    listed = "; ".join(
        f"{arm} {rows['estimate'].min():.2f} to {rows['estimate'].max():.2f}"
        for arm, rows in table.groupby("arm", sort=False)
        if rows["estimate"].notna().any()
    )
    return d.hang(
        lambda ax: plot_folds(
            table, ax, ylabel=f"{main.label} in one test fold", reference=main.chance,
            colours=d.colours,
        ),
        "folds",
        (max(2.6, 0.9 * table["arm"].nunique() + 0.8), 2.8),
        alt=f"{main.label} of each arm in every test fold: {listed}.",
        caption=f"{main.label} in every test fold; a bigger dot is a bigger fold, the bar is the "
        "mean of the folds. The spread over folds is no confidence interval: folds are small, and "
        "their models share training patients.",
    )  # fmt: skip


def effects(d: Drawings, arm: str, table: pd.DataFrame, ratio: str) -> Picture:
    """Draw hazard or odds ratios of the score and the covariates of one arm."""
    rows: list[dict[str, object]] = []
    for model, part in table.groupby("model", sort=False):
        rows.append(_heading(f"{str(model).capitalize()}"))
        rows += [
            {
                "label": term_name(str(r.term)),
                "estimate": r.ratio,
                "lower": r.lower,
                "upper": r.upper,
                "colour": d.colours[arm] if r.term == "risk" else MUTED,
            }
            for r in part.itertuples()
        ]
    data = pd.DataFrame(rows[:MOST_ROWS])
    risk = table[table["term"] == "risk"]
    listed = "; ".join(
        f"{r.model} {estimate(r.ratio, r.lower, r.upper)}" for r in risk.itertuples()
    )
    return d.hang(
        lambda ax: plot_forest(
            data, ax, xlabel=f"{ratio[0].upper()}{ratio[1:]} (95% interval)", reference=1.0,
            log=True,
        ),
        f"effects-{d.slugs[arm]}",
        (2.6, 0.7 + 0.27 * len(data)),
        alt=f"Forest plot of {ratio}s of {arm} and the covariates. Risk score: {listed}.",
        caption=f"{arm}: {ratio}s with 95% intervals, alone (univariable) and together "
        "(multivariable). The risk score is per standard deviation within folds; an indicator is "
        "against the first level, a number per unit.",
    )  # fmt: skip


def term_name(term: str) -> str:
    """Name a term of a model.

    Examples
    --------
    >>> term_name("risk"), term_name("stage=III")
    ('risk score, per SD', 'stage: III')
    """
    if term == "risk":
        return "risk score, per SD"
    name, sign, level = term.partition("=")
    return f"{name}: {level}" if sign else term


def _heading(text: str) -> dict[str, object]:
    missing = float("nan")
    return {
        "label": text,
        "estimate": missing,
        "lower": missing,
        "upper": missing,
        "heading": True,
    }


def calibration(d: Drawings, arm: str, table: pd.DataFrame) -> Picture:
    """Draw observed against predicted probability of one arm, an axes for each horizon."""
    end = d.run.endpoint
    horizons = [float(h) for h in table["horizon"].drop_duplicates()]
    first = d.run.first_repeat(arm)
    figure = Figure(figsize=(2.75 * len(horizons), 2.9))
    for k, h in enumerate(horizons):
        binary = not np.isfinite(h)
        points = table[table["horizon"].isna()] if binary else table[table["horizon"] == h]
        name = "" if binary else f"survival_{horizon_name(h)}"
        values = column(first, "probability") if binary else 1 - column(first, name)
        what = end.positive_name if binary else "event"
        plot_calibration(
            points,
            figure.add_subplot(1, len(horizons), k + 1),
            colour=d.colours[arm],
            predicted=values.tolist(),
            what=what if len(what) < 24 else "outcome",
            title="" if binary else f"by {horizon_text(h, end.unit).partition(' (')[0]}",
        )
    figure.tight_layout(w_pad=2)
    at = "" if end.kind == "binary" else f" at {plural(len(horizons), 'horizon')}"
    by = _observed_by(d)
    weighted = "" if end.landmark is None else " of the event by then, weighted for censoring"
    return d.gallery.hang(
        figure,
        f"calibration-{d.slugs[arm]}",
        alt=f"Calibration of {arm}{at}: observed against predicted probability.",
        caption=f"{arm}: observed against predicted probability{at}, pooled over folds. Dots: "
        f"groups of about equal size{by}, with 95% intervals; line: smooth curve{weighted} (only "
        "with 100 events or more); bars: how often each prediction was made. Dashed: perfect "
        f"agreement.{_without_dot(table)}",
    )


def _without_dot(table: pd.DataFrame) -> str:
    n = int((table["kind"].eq("group") & table["observed"].isna()).sum())
    return f" No dot for {plural(n, 'group')} that nobody follows to the horizon." if n else ""


def _observed_by(d: Drawings) -> str:
    if d.run.endpoint.kind == "binary":
        return ""
    return " (observed by Aalen-Johansen)" if d.run.endpoint.competing else " (by Kaplan-Meier)"


def decision(d: Drawings, table: pd.DataFrame, horizon: float, name: str) -> Picture:
    """Draw decision curves of all arms at one horizon."""
    end = d.run.endpoint
    # Beyond the highest predictions the curves are those of a handful of patients.
    arms = table[(table["arm"] != "treat all") & (table["net_benefit"] != 0)]
    arms = arms.dropna(subset="net_benefit")
    most = float(arms["threshold"].max()) if len(arms) else 0.5
    unknown = table["net_benefit"].isna().any()
    gaps = " Not drawn: where nobody above the threshold is followed so long." if unknown else ""
    at = "" if not np.isfinite(horizon) else f" at {horizon_text(horizon, end.unit)}"
    return d.hang(
        lambda ax: plot_decision_curve(
            table, ax, colours=d.colours, most=min(1.0, max(0.1, most + 0.03))
        ),
        name,
        (WIDTH - 0.4, 2.7),
        alt=f"Decision curves{at} of {', '.join(d.run.arms)}: net benefit over thresholds.",
        caption=f"Decision curves{at}. Net benefit: true positives per patient, less false "
        f"positives weighted by the odds of the threshold.{gaps} A score is of use at a "
        "threshold only where it lies above both grey lines.",
    )


def subgroup_forest(d: Drawings, arm: str, table: pd.DataFrame, main: Metric) -> Picture:
    """Draw the concordance in each level of each covariate, beside that of everybody."""
    _, overall = main_scores(d.run)
    whole = overall.set_index("arm").loc[arm]
    rows: list[dict[str, object]] = []
    for name, part in table.groupby("covariate", sort=False):
        rows.append(_heading(str(name)))
        rows += [
            {
                "label": f"{r.level} ({r.n:.0f} / {r.events:.0f})",
                "estimate": r.estimate,
                "lower": r.lower,
                "upper": r.upper,
                "said": "too few events" if str(r.note).startswith("suppressed") else "",
            }
            for r in part.itertuples()
        ]
    data = pd.DataFrame(rows[:MOST_ROWS])
    cut = f" The first {MOST_ROWS} rows." if len(rows) > MOST_ROWS else ""
    return d.hang(
        lambda ax: plot_forest(
            data, ax, xlabel=f"{main.label} (95% interval)",
            reference=float(whole["estimate"]),
            colours=dict.fromkeys(data["label"], d.colours[arm]),
        ),
        f"subgroups-{d.slugs[arm]}",
        (2.6, 0.7 + 0.27 * len(data)),
        alt=f"{main.label} of {arm} in {plural(len(table), 'subgroup')}.",
        caption=f"{arm}: {main.label} in subgroups (patients / {d.run.endpoint.word}s), pairs of "
        f"the same fold pooled. Dashed: all patients.{cut}",
    )  # fmt: skip


def incidence(d: Drawings, arm: str, note: str) -> Picture | None:
    """Draw the cumulative incidence of competing events by risk group."""
    rows, groups = d.run.first_repeat(arm), d.run.groups(arm)
    if "risk_group" not in rows or not groups:
        return None
    end = d.run.endpoint
    code = rows["event"].astype(int)
    return d.hang(
        lambda ax: plot_incidence(
            rows, ax, unit=end.unit, groups=groups, colours=group_colours(groups), note=note
        ),
        f"incidence-{d.slugs[arm]}",
        (WIDTH, 3.1),
        alt=f"Cumulative incidence by risk group of {arm}: {(code == 1).sum()} events and "
        f"{(code == 2).sum()} competing events.",
        caption=f"{arm}: cumulative incidence ({end.name}) by risk group, with the competing event "
        "allowed for (Aalen-Johansen). Thick: the event, with pointwise 95% intervals; thin: the "
        "competing event.",
    )
