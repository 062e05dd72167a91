"""The items of TRIPOD+AI, for studies that develop or evaluate a prediction model."""

from __future__ import annotations

from outcome.reporting.checklists.items import (
    Checklist,
    Item,
    has_sites,
    has_table,
    weights_kept,
    where_trained,
)
from outcome.run_folder.folder import Run

__all__ = ["TRIPOD"]


def _fold_characteristics(run: Run) -> str:
    known = run.cross_validated and len(run.table("characteristics_by_fold.csv")) > 0
    return "cohort" if known else ""


TRIPOD = Checklist(
    "TRIPOD+AI",
    "Collins et al., BMJ 2024; 385: e078378",
    "reporting of clinical prediction models",
    (
        Item("1", "Title: developing or evaluating a model, population, outcome"),
        Item("2", "Abstract (TRIPOD+AI for abstracts)"),
        Item("3a", "Context, rationale, existing models"),
        Item("3b", "Target population, purpose, users, place in the care pathway"),
        Item("3c", "Known health inequalities between groups"),
        Item("4", "Objectives: development, validation, or both", "comparison"),
        Item("5a", "Sources of the data, and whether they are representative"),
        Item("5b", "Dates: start and end of accrual, end of follow-up"),
        Item("6a", "Setting: care level, number and place of centres"),
        Item("6b", "Eligibility criteria"),
        Item(
            "6c",
            "Treatments received, and how they were handled",
            has_table("treatment_interaction.csv", "treatment"),
        ),
        Item("7", "Data preparation and quality checks, similar across groups", where_trained),
        Item("8a", "Outcome: definition, time horizon, how assessed", "methods"),
        Item("8b", "Outcome assessors: training, demographics, where it is subjective"),
        Item("8c", "Blinding of the outcome assessment"),
        Item("9a", "Choice of initial predictors", "methods"),
        Item("9b", "Predictors: definition, how and when measured"),
        Item("9c", "Predictor assessors, where it is subjective"),
        Item("10", "Sample size: how it was determined, and whether it is sufficient", "answers"),
        Item("11", "Missing data: how handled, reasons for omitting any data", "cohort"),
        Item("12a", "How the data were used for development and evaluation", "methods"),
        Item("12b", "How predictors were handled (scaling, transformation)", where_trained),
        Item("12c", "Type of model, building steps, tuning, internal validation", where_trained),
        Item("12d", "Heterogeneity of performance between clusters (centres)", has_sites),
        Item("12e", "Performance measures and plots, and their rationale", "discrimination"),
        Item("12f", "Updating of the model (recalibration)"),
        Item("12g", "How predictions are computed from the model", where_trained),
        Item("13", "Class imbalance: methods used, and recalibration after"),
        Item("14", "Fairness: methods to address it, and their rationale", "subgroups"),
        Item("15", "Output of the model (probability, class), and thresholds", where_trained),
        Item(
            "16",
            "Differences between development and evaluation data",
            has_table("characteristics_by_fold.csv", "cohort"),
        ),
        Item("17", "Ethical approval and consent"),
        Item("18a", "Funding"),
        Item("18b", "Conflicts of interest"),
        Item("18c", "Protocol: where it can be read"),
        Item("18d", "Registration"),
        Item("18e", "Sharing of data"),
        Item("18f", "Sharing of code"),
        Item("19", "Patient and public involvement"),
        Item("20a", "Flow of participants, with and without the outcome, follow-up", "cohort"),
        Item(
            "20b",
            "Characteristics of participants overall and by source, missing values",
            has_table("characteristics.csv", "cohort"),
        ),
        Item(
            "20c", "Comparison with the development data (for an evaluation)", _fold_characteristics
        ),
        Item("21", "Number of participants and events in each analysis", "discrimination"),
        Item("22", "The full model, so that it can be used (code, object)", weights_kept),
        Item("23a", "Performance with intervals, also for key subgroups", "discrimination"),
        Item("23b", "Heterogeneity of performance between clusters: results", has_sites),
        Item("24", "Results of model updating"),
        Item("25", "Interpretation, including fairness, in the context of other studies"),
        Item(
            "26",
            "Limitations: representativeness, sample size, overfitting, missing data",
            "warnings",
        ),
        Item("27a", "Use: how poor or missing input is handled"),
        Item("27b", "Use: whether users must interact with it, and their required expertise"),
        Item("27c", "Next steps: applicability and generalisability"),
    ),
)
