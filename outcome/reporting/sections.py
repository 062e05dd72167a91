"""The chapters of the report, each made from the run alone; None where it has no subject."""

from __future__ import annotations

from collections.abc import Callable

from outcome.reporting.attention import attention
from outcome.reporting.blocks import Section
from outcome.reporting.cohort import cohort
from outcome.reporting.documents import how, patients, reproducibility, warnings
from outcome.reporting.drawings import Drawings
from outcome.reporting.fitting import training
from outcome.reporting.folder import Run
from outcome.reporting.panels import risk_groups, scores
from outcome.reporting.parts import effects, subgroups
from outcome.reporting.performance import (
    auc_over_time,
    comparison,
    discrimination,
    nuisance,
    secondary,
)
from outcome.reporting.probability import calibration, decision
from outcome.reporting.tripod import tripod

__all__ = ["SECTIONS", "Maker", "make_sections"]

Maker = Callable[[Run, Drawings], Section | None]

SECTIONS: tuple[Maker, ...] = (
    cohort,
    discrimination,
    comparison,
    risk_groups,
    scores,
    effects,
    auc_over_time,
    calibration,
    decision,
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
"""In the order of the page; a further chapter is one more function here."""


def make_sections(run: Run, drawings: Drawings) -> list[Section]:
    """Make every chapter that has a subject, and the checklist that says where things are."""
    made = [section for make in SECTIONS if (section := make(run, drawings)) is not None]
    present = {"answers", *(s.anchor for s in made)}
    place = next(i for i, s in enumerate(made) if s.anchor == "reproducibility")
    made.insert(place, tripod(run, present))
    return made
