"""The items of REMARK, for studies of prognostic tumour markers."""

from __future__ import annotations

from outcome.reporting.checklists.items import Checklist, Item, has_table, where_trained
from outcome.run_folder.folder import Run

__all__ = ["REMARK"]


def _curves(run: Run) -> str:
    return "risk-groups" if run.endpoint.times and len(run.table("risk_groups.csv")) else ""


def _multivariable(run: Run) -> str:
    table = run.table("effects.csv")
    known = len(table) > 0 and "model" in table and (table["model"] == "multivariable").any()
    return "effects" if known else ""


REMARK = Checklist(
    "REMARK",
    "McShane et al., JNCI 2005; 97: 1180; Altman et al., PLoS Medicine 2012; 9: e1001216",
    "reporting of prognostic tumour markers; here the marker is the risk score",
    (
        Item("1", "The marker, the objectives and the prespecified hypotheses"),
        Item("2", "Patients: source, disease characteristics, reasons for inclusion"),
        Item(
            "3",
            "Treatments and how they were chosen",
            has_table("treatment_interaction.csv", "treatment"),
        ),
        Item("4", "Specimens: material, controls, preservation and storage"),
        Item("5", "Assay: protocol, quality control, reproducibility, blinding", where_trained),
        Item("6", "Design: how cases were selected, period, median follow-up", "cohort"),
        Item("7", "Clinical endpoints: exact definitions", "methods"),
        Item("8", "All variables examined or considered", "methods"),
        Item("9", "Sample size: rationale and power", "answers"),
        Item("10", "Statistical methods: models, assumptions, missing data", "methods"),
        Item(
            "11",
            "How the marker was handled in the analysis, and how cut-offs were set",
            "risk-groups",
        ),
        Item("12", "Flow of patients and numbers of events", "cohort"),
        Item(
            "13",
            "Distributions of demographic and standard prognostic variables",
            has_table("characteristics.csv", "cohort"),
        ),
        Item("14", "Relation of the marker to standard prognostic variables"),
        Item("15", "Univariable effect with interval, and survival curves", _curves),
        Item("16", "Multivariable effects with intervals", _multivariable),
        Item(
            "17",
            "Effect of the marker together with all standard prognostic variables",
            has_table("added_value.csv", "comparison"),
        ),
        Item("18", "Further analyses: assumptions, sensitivity, internal validation", "warnings"),
        Item("19", "Interpretation, other studies, limitations"),
        Item("20", "Implications for research and clinical value"),
    ),
)
