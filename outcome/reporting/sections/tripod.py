"""The TRIPOD+AI items (Collins et al. 2024, BMJ 385:e078378), and where each is answered."""

from __future__ import annotations

from collections.abc import Callable

from outcome.reporting.page.blocks import ReportSection
from outcome.reporting.page.formatting import Cell, Table
from outcome.run_folder.folder import Run

__all__ = ["tripod"]

Where = str | Callable[[Run], str]
"""Anchor of a section, or what decides it; nothing: not reported."""


def _if(condition: Callable[[Run], bool], anchor: str) -> Callable[[Run], str]:
    return lambda run: anchor if condition(run) else ""


_TRAINED = _if(lambda run: bool(run.part("training")), "methods")
_ITEMS: tuple[tuple[str, str, Where], ...] = (
    ("1", "Title: developing or evaluating a model, population, outcome", ""),
    ("2", "Abstract (TRIPOD+AI for abstracts)", ""),
    ("3a", "Context, rationale, existing models", ""),
    ("3b", "Target population, purpose, users, place in the care pathway", ""),
    ("3c", "Known health inequalities between groups", ""),
    ("4", "Objectives: development, validation, or both", "comparison"),
    ("5a", "Sources of the data, and whether they are representative", ""),
    ("5b", "Dates: start and end of accrual, end of follow-up", ""),
    ("6a", "Setting: care level, number and place of centres", ""),
    ("6b", "Eligibility criteria", ""),
    ("6c", "Treatments received, and how they were handled", ""),
    ("7", "Data preparation and quality checks, alike across groups", _TRAINED),
    ("8a", "Outcome: definition, time horizon, how assessed", "methods"),
    ("8b", "Outcome assessors: training, demographics, where it is subjective", ""),
    ("8c", "Blinding of the outcome assessment", ""),
    ("9a", "Choice of initial predictors", "methods"),
    ("9b", "Predictors: definition, how and when measured", ""),
    ("9c", "Predictor assessors, where it is subjective", ""),
    ("10", "Sample size: how it was arrived at, and whether it is enough", "answers"),
    ("11", "Missing data: how handled, why left out", "cohort"),
    ("12a", "How the data were used for development and evaluation", "methods"),
    ("12b", "How predictors were handled (scaling, transformation)", _TRAINED),
    ("12c", "Type of model, building steps, tuning, internal validation", _TRAINED),
    (
        "12d",
        "Heterogeneity of performance between clusters (centres)",
        _if(lambda r: "site" in r.acquisition and len(r.table("subgroups.csv")) > 0, "subgroups"),
    ),
    ("12e", "Performance measures and plots, and their rationale", "discrimination"),
    ("12f", "Updating of the model (recalibration)", ""),
    ("12g", "How predictions are computed from the model", _TRAINED),
    ("13", "Class imbalance: methods used, and recalibration after", ""),
    ("14", "Fairness: methods to address it, and their rationale", "subgroups"),
    ("15", "Output of the model (probability, class), and thresholds", _TRAINED),
    (
        "16",
        "Differences between development and evaluation data",
        _if(lambda r: len(r.table("characteristics_by_fold.csv")) > 0, "cohort"),
    ),
    ("17", "Ethical approval and consent", ""),
    ("18a", "Funding", ""),
    ("18b", "Conflicts of interest", ""),
    ("18c", "Protocol: where it can be read", ""),
    ("18d", "Registration", ""),
    ("18e", "Sharing of data", ""),
    ("18f", "Sharing of code", ""),
    ("19", "Patient and public involvement", ""),
    ("20a", "Flow of participants, with and without the outcome, follow-up", "cohort"),
    (
        "20b",
        "Characteristics of participants overall and by source, missing values",
        _if(lambda r: len(r.table("characteristics.csv")) > 0, "cohort"),
    ),
    (
        "20c",
        "Comparison with the development data (for an evaluation)",
        _if(lambda r: r.cross_validated and len(r.table("characteristics_by_fold.csv")) > 0,
            "cohort"),
    ),
    ("21", "Number of participants and events in each analysis", "discrimination"),
    (
        "22",
        "The full model, so that it can be used (code, object)",
        _if(lambda r: (r.path / "fits").is_dir(), "reproducibility"),
    ),
    ("23a", "Performance with intervals, also for key subgroups", "discrimination"),
    (
        "23b",
        "Heterogeneity of performance between clusters: results",
        _if(lambda r: "site" in r.acquisition and len(r.table("subgroups.csv")) > 0, "subgroups"),
    ),
    ("24", "Results of model updating", ""),
    ("25", "Interpretation, with fairness, in the light of other studies", ""),
    ("26", "Limitations: representativeness, sample size, overfitting, missing data", "warnings"),
    ("27a", "Use: what happens with poor or missing input", ""),
    ("27b", "Use: whether users must act on it, and their expertise", ""),
    ("27c", "Next steps: applicability and generalisability", ""),
)  # fmt: skip

_TITLES = {
    "answers": "In short",
    "cohort": "Cohort",
    "comparison": "Comparison of the arms",
    "discrimination": "How well each arm ranks patients",
    "methods": "Methods",
    "subgroups": "Subgroups and fairness",
    "warnings": "Warnings and notes",
    "reproducibility": "Reproducibility",
}


def tripod(run: Run, present: set[str]) -> ReportSection:
    """List the items of TRIPOD+AI with the section that answers them, or `not reported`.

    Parameters
    ----------
    run : Run
    present : set of str
        Anchors of the sections of this page.
    """
    section = ReportSection("tripod", "TRIPOD+AI checklist")
    table = Table("Where each item is answered", ["Item", "What it asks for", "Answered in"])
    answered = 0
    for i, (item, what, where) in enumerate(_ITEMS):
        anchor = where(run) if callable(where) else where
        anchor = anchor if anchor in present else ""
        answered += bool(anchor)
        answer = Cell(_TITLES[anchor], link=anchor) if anchor else Cell("not reported")
        table.add(Cell(item, i, True), what, answer)
    section.say(
        f"This page says something on {answered} of {len(_ITEMS)} items of TRIPOD+AI (Collins et "
        "al., BMJ 2024; 385: e078378; items in our own words). A run knows nothing of the others, "
        "such as eligibility, dates, ethics or funding: they are for the authors to write. "
        "“Answered” does not mean “answered well”."
    )
    section.show(table)
    return section
