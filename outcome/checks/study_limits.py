"""Limits of a study: few events, few inner folds, sites in several folds."""

from __future__ import annotations

from outcome.cohort import count_events
from outcome.dataset.study_data import StudyData
from outcome.study import Study

__all__ = ["study_limits"]

FEW_EVENTS = 50


def study_limits(study: Study, study_data: StudyData) -> list[str]:
    """Return the limits of a study as sentences; empty if there are none.

    Parameters
    ----------
    study : Study
    study_data : StudyData
    """
    cohort, found = study_data.cohort, [*study_data.cohort.warnings]
    what = cohort.endpoint.limiting
    events = count_events(cohort, list(cohort.patients.index))
    if events < FEW_EVENTS:
        found.append(
            f"There are only {events} {what}. Intervals are wide, and differences between arms "
            "below about 0.05 cannot be distinguished from chance."
        )
    if events == len(cohort.patients):
        found.append(
            "Every patient has the event; none is censored. Survivors may have been dropped "
            "because their time is missing: in GDC tables, days_to_death is empty for "
            "survivors. Enter days_to_last_follow_up for them in the same column."
        )
    reduced = [f for f in study_data.folds if len(f.inner) < study.split.inner_folds]
    if reduced:
        fewest = min(len(f.inner) for f in reduced)
        found.append(
            f"{len(reduced)} of {len(study_data.folds)} outer folds have fewer than "
            f"{study.split.inner_folds} inner folds (as few as {fewest}), so that each has "
            f"enough {what}."
        )
    bare = [f for f in study_data.folds if count_events(cohort, f.test) == 0]
    if bare:
        names = ", ".join(f"{f.name} (repeat {f.repeat})" for f in bare[:3])
        found.append(f"Test folds without {what} cannot be evaluated and are skipped: {names}.")
    several = "site" in cohort.patients and cohort.patients["site"].nunique() > 1
    if several and not study.split.site_preserved and not study.split.given:
        found.append(
            "Patients of one site are in several folds, so a model may profit from recognising "
            "the site. `split: {site_preserved: true}` keeps sites together."
        )
    return found
