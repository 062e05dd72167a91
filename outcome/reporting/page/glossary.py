"""Short explanations of the terms that this page uses."""

from __future__ import annotations

from outcome.reporting.page.metric_names import Metric
from outcome.run_folder.folder import Run

__all__ = ["glossary"]


def glossary(run: Run, main: Metric | None) -> list[tuple[str, str]]:
    """Return terms with their explanations, in the order of the page."""
    terms = []
    arms = "a model, named after the inputs that it sees"
    if run.baseline:
        arms += f"; the others are compared with “{run.baseline}”, on the same patients"
    terms.append(("Arm", f"{arms[0].upper()}{arms[1:]}."))
    terms.append(
        ("Risk score", "What a model gives each patient. A higher score means a worse outlook.")
    )
    if main is not None and main.meaning:
        terms.append((main.label, main.meaning))
    if run.folds > 1:
        terms.append(
            (
                "Cross-validated",
                f"The patients are divided into {run.folds} parts (folds). Each part is scored by "
                "models trained on the other parts, so no patient is scored by a model that knew "
                "their outcome.",
            )
        )
    if "risk_group" in run.predictions.table:
        terms.append(
            (
                "Risk group",
                "Patients with a low or high risk score. The cut-off between them is fixed before "
                "the scored patients are looked at.",
            )
        )
    terms.append(
        (
            "95% interval",
            "The range of values that fit with the data. A wide one means that the number of "
            "patients does not allow a firm statement.",
        )
    )
    if len(run.table("comparisons.csv")):
        terms.append(
            (
                "p",
                "How often a difference at least this large would arise by chance if there were "
                "none. A large p does not prove that two arms are equal.",
            )
        )
    return terms
