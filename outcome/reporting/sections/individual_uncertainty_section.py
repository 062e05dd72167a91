"""The chapter on the uncertainty of individual predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from outcome.evaluation.metric_descriptions import horizon_text
from outcome.plotting.number_text import estimate, number
from outcome.plotting.set_aside_plot import plot_set_aside
from outcome.reporting.page.blocks import ReportSection
from outcome.reporting.page.figures import WIDTH, ReportFigures
from outcome.reporting.page.formatting import Cell, Table
from outcome.run_folder.folder import Run

__all__ = ["individual_uncertainty"]


def individual_uncertainty(run: Run, drawings: ReportFigures) -> ReportSection | None:
    """Spread over inner models, patients set aside, and bounds of survival times."""
    spread, bounds = run.table("set_aside.csv"), run.table("survival_bounds.csv")
    if spread.empty and bounds.empty:
        return None
    section = ReportSection("individual-uncertainty", "Uncertainty of individual predictions")
    if len(spread):
        _spread(run, drawings, section, spread)
    if len(bounds):
        _bounds(run, section, bounds)
    return section


def _spread(run: Run, d: ReportFigures, section: ReportSection, table: pd.DataFrame) -> None:
    section.say(
        "Each fold has several inner models, trained on overlapping parts of the development "
        "patients. The spread of their predictions for one patient shows how much the "
        "prediction depends on the choice of training patients. It is not a confidence interval "
        "for the patient’s outcome: models can agree and be wrong, and the outcome remains "
        "uncertain even if the risk is known.",
        "The curves show the patients who remain when those with the largest spread in each "
        "fold are set aside. The spread of a probability is largest near one half. A rising "
        "curve may therefore only mean that the risks of the remaining patients are further "
        "apart. These curves were not used to choose anything.",
    )
    what = "C-index" if run.endpoint.times else "AUROC"
    at = ""
    if run.endpoint.times and np.isfinite(table["horizon"].iloc[0]):
        at = f" at {horizon_text(float(table['horizon'].iloc[0]), run.endpoint.unit)}"
    ends = "; ".join(
        f"{arm}: {number(rows['estimate'].iloc[0], 2)} with all patients, "
        f"{number(rows['estimate'].iloc[-1], 2)} with half"
        for arm, rows in table.groupby("arm", sort=False)
    )
    section.show(
        d.save(
            lambda ax: plot_set_aside(table, ax, ylabel=what, reference=0.5, colours=d.colours),
            "set-aside-discrimination",
            (WIDTH, 2.8),
            alt=f"{what} when the least certain patients are set aside. {ends}.",
            caption=f"{what} (pairs of the same fold) of the remaining patients, when those with "
            f"the largest spread of the predicted probability{at} over the inner models "
            "are set aside. Bands: 95% intervals, given the models. Dashed: guessing.",
        )
    )
    if table["calibration_ratio"].notna().any():
        section.show(
            d.save(
                lambda ax: plot_set_aside(
                    table, ax, value="calibration_ratio", ylabel="Observed / expected events",
                    reference=1.0, colours=d.colours,
                ),
                "set-aside-calibration",
                (WIDTH, 2.6),
                alt="Observed over expected events when the least certain patients are set aside.",
                caption=f"Observed over expected events{at} of the same patients; 1 is ideal.",
            )
        )  # fmt: skip
    section.fold(f"{what} and calibration of the remaining patients", _table(run, table, what))


def _table(run: Run, rows: pd.DataFrame, what: str) -> Table:
    columns = ["Arm", "Set aside", "Patients", run.endpoint.counted, "Largest spread (SD)"]
    columns += [f"{what} (95% interval)", "Mean predicted risk", "Observed / expected", "Note"]
    table = Table("Remaining patients", columns, numeric=set(range(1, 8)))
    for row in rows.to_dict("records"):
        table.add(
            Cell(str(row["arm"]), header=True),
            Cell(f"{100 * row['share']:.0f} %", row["share"]), row["n"], row["events"],
            Cell(number(row["largest_sd"], 3), row["largest_sd"]),
            Cell(estimate(row["estimate"], row["lower"], row["upper"]), row["estimate"]),
            Cell(number(row["predicted"], 2), row["predicted"]),
            Cell(number(row["calibration_ratio"], 2), row["calibration_ratio"]),
            row["note"] if isinstance(row["note"], str) else "",
        )  # fmt: skip
    return table


def _bounds(run: Run, section: ReportSection, rows: pd.DataFrame) -> None:
    nominal = f"{100 * rows['nominal'].iloc[0]:.0f}%"
    section.say(
        f"A lower bound of the survival time is chosen such that {nominal} of patients have "
        "their event at or after it (conformal prediction, calibrated on development patients). "
        "Valid even if the model is misspecified, provided that censoring is independent of the "
        "covariates. Read a bound as the time up to which patients with this prediction usually "
        f"remain free of the event: {nominal} of patients do so at least as long. It is not an "
        "estimate of the survival time of a patient, and a bound near 0 carries no information. "
        "The coverage holds on average over patients, not in every risk group. Each patient’s "
        "bound is in the column survival_bound of predictions.csv."
    )
    unit = f", {run.endpoint.unit}" if run.endpoint.unit else ""
    columns = ["Arm", "Covered, test patients (95% interval)", "Patients", run.endpoint.counted]
    columns += [f"Lowest bound{unit}", f"Median bound{unit}", f"Highest bound{unit}"]
    table = Table(f"Lower bounds of survival times, {nominal}", columns, numeric=set(range(1, 7)))
    for row in rows.to_dict("records"):
        share, low, high = (100 * float(row[k]) for k in ("coverage", "lower", "upper"))
        table.add(
            Cell(str(row["arm"]), header=True), Cell(f"{estimate(share, low, high, 0)} %", share),
            row["n"], row["events"], row["lowest_bound"], row["median_bound"],
            row["highest_bound"],
        )  # fmt: skip
    table.notes.append(
        "Test patients, events weighted by the inverse probability of not being censored; interval "
        "given the models."
    )
    section.show(table)
