"""Short explanations of the terms that this page uses."""

from __future__ import annotations

from outcome.evaluation.metric_descriptions import Metric
from outcome.reporting.page.formatting import joined
from outcome.reporting.page.group_words import group_names_text, grouping
from outcome.run_folder.folder import Run

__all__ = ["glossary"]


def glossary(run: Run, main: Metric | None) -> list[tuple[str, str]]:
    """Return terms with their explanations, in the order of the page."""
    terms = []
    arms = "a model, named after its inputs" if any(run.inputs.values()) else "a model"
    if run.baseline and len(run.arms) > 1:
        arms += f"; the others are compared with “{run.baseline}”, on the same patients"
    terms.append(("Arm", f"{arms[0].upper()}{arms[1:]}."))
    terms.append(
        (
            "Risk score",
            "The output of a model for each patient. A higher score means a worse prognosis.",
        )
    )
    if main is not None and (text := main.explained(cross_validated=run.cross_validated)):
        terms.append((main.label, text))
    if run.folds > 1:
        terms.append(
            (
                "Cross-validated",
                f"The patients are divided into {run.folds} parts (folds). Each part is scored "
                f"by models trained on the other parts. {_apart(run)}",
            )
        )
    if "risk_group" in run.predictions.table:
        terms.append(
            (
                "Risk group",
                f"A part of the patients by their risk score: {group_names_text(run)}. "
                f"{grouping(run)}",
            )
        )
    terms.append(
        (
            "95% interval",
            "The range of values that are compatible with the data. A wide interval means that "
            "there are too few patients for a firm conclusion.",
        )
    )
    if len(run.table("comparisons.csv")):
        terms.append(
            (
                "p",
                "How often a difference at least this large would arise by chance if there were "
                "no true difference. A large p does not prove that two arms are equal.",
            )
        )
    return terms


def _apart(run: Run) -> str:
    """Say whether it is on record that no patient was scored by a model trained on it."""
    if run.fixed_arms:
        return (
            f"{joined(run.fixed_arms)} is a fixed score without folds; in comparisons, it is "
            "evaluated within the folds of the other arm."
            if len(run.fixed_arms) == 1
            else f"{joined(run.fixed_arms)} are fixed scores without folds; in comparisons, they "
            "are evaluated within the folds of the other arm."
        )
    if run.tested_apart:
        return "No patient is scored by a model that was trained on that patient’s outcome."
    if run.tested_apart is None:
        return (
            "This holds as far as the table of predictions is right: there is no record of the "
            "patients on whom each model was trained."
        )
    return "In this run, some scored patients were not test patients of their fold."
