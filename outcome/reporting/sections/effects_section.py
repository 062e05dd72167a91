"""The chapter on hazard (odds) ratios of the score and the covariates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.number_text import estimate, number, p_number
from outcome.plotting.palette import MUTED
from outcome.reporting.page.blocks import (
    Block,
    Picture,
    ReportSection,
    TableBlock,
)
from outcome.reporting.page.figures import MOST_ROWS, ReportFigures, arm_tabs, forest_heading
from outcome.reporting.page.fold_words import block_name
from outcome.reporting.page.formatting import Cell, Table, column
from outcome.reporting.page.metric_tables import only_covariates
from outcome.reporting.page.subdistribution_cells import (
    HOW_TO_READ,
    specific,
    subdistribution_cell,
)
from outcome.run_folder.folder import Run

__all__ = ["effects"]


def effects(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Show hazard (odds) ratios of the score and the covariates, univariable and multivariable."""
    table = run.table("effects.csv")
    if table.empty:
        return None
    ratio = specific(run, run.endpoint.ratio)
    section = ReportSection(
        "effects", f"{run.endpoint.ratio.capitalize()}s of the score and the covariates"
    )
    model = run.endpoint.regression_models
    each = f" for each {name}" if (name := block_name(run)) else ""
    section.say(f"From {model}{each}, of patients with complete values.")
    section.say(*_conditions(run))

    def make(arm: str) -> Sequence[Block]:
        mine = table[table["arm"] == arm]
        if mine["ratio"].notna().sum() == 0:
            return []
        return [
            draw_effects(drawings, arm, mine, ratio),
            TableBlock(_effect_table(run, arm, mine, ratio).without_empty_columns()),
        ]

    section.show(arm_tabs(run, drawings, "effects", make))
    if run.cross_validated:
        section.say(
            "The p value of an out-of-fold score is exploratory, because the folds share "
            "training patients.",
            quiet=True,
        )
    return section


def _conditions(run: Run) -> list[str]:
    """Return the notes needed to interpret the ratios of this endpoint."""
    said, end = list[str](), run.endpoint
    if run.repeats > 1:
        said.append("The score is that of the first repeat.")
    if end.landmark is not None:
        said.append("They refer to the whole follow-up, not only to events up to the landmark.")
    if end.competing:
        said.append("Cause-specific hazard ratios treat competing events as censoring.")
        if len(run.table("subdistribution.csv")):
            said.append(HOW_TO_READ)
    if end.favourable:
        said.append(
            f"The odds are those of {end.positive_name}, the better outcome. A useful risk score "
            "therefore has an odds ratio below 1."
        )
    if len(run.covariates.columns) < 2:
        said.append("The run folder has no covariates, so there is no multivariable model.")
    elif any(only_covariates(run, arm) for arm in run.arms):
        said.append(
            "The multivariable model does not include a score that is computed from the "
            "covariates alone, because their effects could not be separated."
        )
    return said


def _effect_table(run: Run, arm: str, rows: pd.DataFrame, ratio: str) -> Table:
    columns = ["Term", "Model", f"{ratio.capitalize()} (95% interval)", "p"]
    columns += ["Subdistribution hazard ratio (95% interval)", "p, proportional hazards"]
    columns += ["Patients", run.endpoint.counted, "Note"]
    table = Table(f"{ratio.capitalize()}s, {arm}", columns, numeric={2, 3, 4, 5, 6, 7})
    for row in rows.to_dict("records"):
        p, ph = float(row["p_value"]), float(row["ph_p"])
        note = row["note"] if isinstance(row["note"], str) else ""
        table.add(
            term_name(str(row["term"])), str(row["model"]),
            Cell(estimate(row["ratio"], row["lower"], row["upper"]), row["ratio"]),
            Cell(p_number(p), p),
            subdistribution_cell(run, arm, str(row["model"]), str(row["term"])),
            Cell(number(ph, 3) if np.isfinite(ph) else "", ph), row["n"], row["events"], note,
        )  # fmt: skip
    if column(rows, "ph_p").notna().any():
        table.notes.append(
            "A small p for proportional hazards (Grambsch-Therneau) means that the ratio "
            "changes over time; the value given is an average."
        )
    return table


def draw_effects(d: ReportFigures, arm: str, table: pd.DataFrame, ratio: str) -> Picture:
    """Draw hazard or odds ratios of the score and the covariates of one arm."""
    rows: list[dict[str, object]] = []
    for model, part in table.groupby("model", sort=False):
        rows.append(forest_heading(f"{str(model).capitalize()}"))
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
    within = " within its fold" if d.run.cross_validated else ""
    risk = table[table["term"] == "risk"]
    listed = "; ".join(
        f"{r.model} {estimate(r.ratio, r.lower, r.upper)}" for r in risk.itertuples()
    )
    return d.save(
        lambda ax: plot_forest(
            data, ax, xlabel=f"{ratio[0].upper()}{ratio[1:]} (95% interval)", reference=1.0,
            log=True,
        ),
        f"effects-{d.slugs[arm]}",
        (2.6, 0.7 + 0.27 * len(data)),
        alt=f"Forest plot of {ratio}s of {arm} and the covariates. Risk score: {listed}.",
        caption=f"{arm}: {ratio}s with 95% intervals, alone (univariable) and together "
        f"(multivariable). The risk score is per standard deviation{within}; "
        "categories are compared with their first level, numbers are per unit.",
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
