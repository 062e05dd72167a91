"""The chapters on effects and on parts of the cohort: hazard ratios, subgroups, fairness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.evaluation.subgroups import FEWEST_EVENTS
from outcome.plotting.numbers import estimate, number, p_value
from outcome.reporting.page.blocks import Block, ReportSection, TableBlock
from outcome.reporting.page.figures import Drawings
from outcome.reporting.page.formatting import Cell, Table, column
from outcome.reporting.page.metric_names import metric
from outcome.reporting.sections.discrimination_section import only_covariates
from outcome.reporting.sections.risk_groups_section import arm_panels
from outcome.reporting.sections.section_figures import effects as draw_effects
from outcome.reporting.sections.section_figures import subgroup_forest, term_name
from outcome.reporting.sections.summary_section import main_scores
from outcome.run_folder.folder import Run

__all__ = ["effects", "subgroups"]


def effects(run: Run, drawings: Drawings) -> ReportSection | None:
    """Tell hazard (odds) ratios of the score and the covariates, alone and together."""
    table = run.table("effects.csv")
    if table.empty:
        return None
    binary = run.predictions.kind == "binary"
    ratio = "odds ratio" if binary else "hazard ratio"
    section = ReportSection("effects", f"{ratio.capitalize()}s of the score and the covariates")
    model = (
        "logistic models with an intercept"
        if binary
        else "Cox models (ties after Efron) with a baseline hazard"
    )
    section.say(f"From {model} for each fold and stratum, of patients with complete values.")
    section.say(*_conditions(run))

    def make(arm: str) -> Sequence[Block]:
        mine = table[table["arm"] == arm]
        if only_covariates(run, arm):
            # The score is a function of the same columns: together they cannot be told apart.
            mine = mine[mine["model"] == "univariable"]
        if mine["ratio"].notna().sum() == 0:
            return []
        return [
            draw_effects(drawings, arm, mine, ratio),
            TableBlock(_effect_table(run, arm, mine, ratio).without_empty_columns()),
        ]

    section.show(arm_panels(run, drawings, "effects", make))
    if run.cross_validated:
        section.say(
            "For out-of-fold scores the p of the score is exploratory: the folds share training "
            "patients.",
            quiet=True,
        )
    return section


def _conditions(run: Run) -> list[str]:
    """Say what has to be known to read the ratios of this endpoint."""
    said, end = list[str](), run.endpoint
    if run.repeats > 1:
        said.append("The score is that of the first repeat.")
    if end.landmark is not None:
        said.append("They are about the whole follow-up, not only the event by the landmark.")
    if end.competing:
        said.append("Competing events are censored: these are cause-specific hazard ratios.")
    if end.favourable:
        said.append(
            f"The odds are those of {end.positive_name}, the better outcome: a useful risk score "
            "has an odds ratio below 1."
        )
    if len(run.covariates.columns) < 2:
        said.append("The run folder has no covariates, so there is no multivariable model.")
    elif any(only_covariates(run, arm) for arm in run.arms):
        said.append(
            "A score made of the covariates alone is left out of the multivariable model, where "
            "it could not be told apart from them."
        )
    return said


def _effect_table(run: Run, arm: str, rows: pd.DataFrame, ratio: str) -> Table:
    columns = ["Term", "Model", f"{ratio.capitalize()} (95% interval)", "p"]
    columns += ["p, proportional hazards", "Patients", run.endpoint.counted, "Note"]
    table = Table(f"{ratio.capitalize()}s, {arm}", columns, numeric={2, 3, 4, 5, 6})
    for row in rows.to_dict("records"):
        p, ph = float(row["p_value"]), float(row["ph_p"])
        note = row["note"] if isinstance(row["note"], str) else ""
        table.add(
            term_name(str(row["term"])), str(row["model"]),
            Cell(estimate(row["ratio"], row["lower"], row["upper"]), row["ratio"]),
            Cell(p_value(p).removeprefix("p ").removeprefix("= "), p),
            Cell(number(ph, 3) if np.isfinite(ph) else "", ph), row["n"], row["events"], note,
        )  # fmt: skip
    if column(rows, "ph_p").notna().any():
        table.notes.append(
            "A small p for proportional hazards (Grambsch-Therneau) means that the ratio changes "
            "over time, and is an average."
        )
    return table


def subgroups(run: Run, drawings: Drawings) -> ReportSection | None:
    """Tell how the score does in parts of the cohort."""
    table = run.table("subgroups.csv")
    if table.empty:
        return None
    section = ReportSection("subgroups", "Subgroups and fairness")
    word = "patients of the rarer class" if run.endpoint.kind == "binary" else "events"
    section.say(
        "Does the score work alike for everybody? Each row is judged by itself. Subgroups with "
        f"fewer than {FEWEST_EVENTS} {word} are named and not estimated. Nothing is corrected for "
        "the number of subgroups: among many, some differ by chance."
    )
    main, _ = main_scores(run)
    shown = metric(str(table["metric"].iloc[0]), run.endpoint)

    def make(arm: str) -> Sequence[Block]:
        mine = table[table["arm"] == arm]
        if mine.empty:
            return []
        blocks: list[Block] = []
        if main is not None and mine["estimate"].notna().any():
            blocks.append(subgroup_forest(drawings, arm, mine, shown))
        return [*blocks, TableBlock(_subgroup_table(run, arm, mine).without_empty_columns())]

    section.show(arm_panels(run, drawings, "subgroups", make))
    return section


def _subgroup_table(run: Run, arm: str, rows: pd.DataFrame) -> Table:
    label = metric(str(rows["metric"].iloc[0]), run.endpoint).label
    columns = ["Subgroup", "Patients", run.endpoint.counted, f"{label} (95% interval)"]
    columns += ["Observed / predicted", "Interaction p"]
    table = Table(f"Subgroups, {arm}", columns, numeric={1, 2, 3, 4, 5})
    for row in rows.to_dict("records"):
        value, ratio, p = (
            float(row[k]) for k in ("estimate", "calibration_ratio", "interaction_p")
        )
        note = row["note"] if isinstance(row["note"], str) else ""
        text = estimate(value, row["lower"], row["upper"]) if np.isfinite(value) else note
        table.add(
            f"{row['covariate']}: {row['level']}", row["n"], row["events"], Cell(text, value),
            Cell(number(ratio) if np.isfinite(ratio) else "", ratio),
            Cell(p_value(p).removeprefix("p ").removeprefix("= "), p),
        )  # fmt: skip
    table.notes.append(
        "Pairs of the same fold, pooled; normal intervals. Numbers with more than five values are "
        "cut at the median. Interaction p (likelihood ratio): does the effect of the score differ "
        "between the levels?"
    )
    if column(rows, "calibration_ratio").notna().any():
        at = run.endpoint.horizons
        by = f" by {at[-1]:g} {run.endpoint.unit}" if at else ""
        table.notes.append(f"Observed / predicted events{by}: above 1 the risk is underestimated.")
    return table
