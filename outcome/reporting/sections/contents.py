"""The chapters of the report, each made only from the run; None if it does not apply."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from outcome.reporting.page.blocks import ReportSection
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.sections.acquisition_section import nuisance
from outcome.reporting.sections.attention_section import attention
from outcome.reporting.sections.auc_over_time_section import auc_over_time
from outcome.reporting.sections.calibration_section import calibration
from outcome.reporting.sections.checklists_section import checklist_table, checklists
from outcome.reporting.sections.cohort_section import cohort
from outcome.reporting.sections.comparison_section import comparison
from outcome.reporting.sections.decision_curve_section import decision
from outcome.reporting.sections.discrimination_section import discrimination
from outcome.reporting.sections.effects_section import effects
from outcome.reporting.sections.individual_uncertainty_section import individual_uncertainty
from outcome.reporting.sections.reproducibility_section import (
    how,
    patients,
    reproducibility,
    warnings,
)
from outcome.reporting.sections.risk_groups_section import risk_groups
from outcome.reporting.sections.scores_section import scores
from outcome.reporting.sections.secondary_section import secondary
from outcome.reporting.sections.subgroups_section import subgroups
from outcome.reporting.sections.training_section import training
from outcome.reporting.sections.treatment_section import treatment
from outcome.run_folder.folder import Run

__all__ = ["SECTIONS", "Maker", "make_sections"]

Maker = Callable[[Run, ReportFigures], ReportSection | None]

SECTIONS: tuple[Maker, ...] = (
    cohort,
    discrimination,
    comparison,
    risk_groups,
    treatment,
    scores,
    effects,
    auc_over_time,
    calibration,
    decision,
    individual_uncertainty,
    subgroups,
    nuisance,
    secondary,
    attention,
    training,
    how,
    warnings,
    reproducibility,
    patients,
)
"""In the order of the page. A new chapter needs one more function here."""

OPEN = (cohort, discrimination, comparison, risk_groups, treatment, calibration, warnings)
"""Chapters that are open at first; the others are closed, but open in print."""


def make_sections(run: Run, drawings: ReportFigures) -> tuple[list[ReportSection], pd.DataFrame]:
    """Make every applicable chapter, and the checklists with the chapters that answer them.

    Returns
    -------
    list of ReportSection
    DataFrame
        See `outcome.reporting.sections.checklists_section.checklist_table`.
    """
    made = []
    for make in SECTIONS:
        if (section := make(run, drawings)) is not None:
            section.folded = make not in OPEN
            made.append(section)
    anchors = [("answers", "In short"), *((s.anchor, s.title) for s in made)]
    table = checklist_table(run, dict(anchors))
    section = checklists(table, anchors)
    section.folded = True
    place = next(i for i, s in enumerate(made) if s.anchor == "reproducibility")
    made.insert(place, section)
    return made, table
