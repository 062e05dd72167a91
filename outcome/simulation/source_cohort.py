"""The cohort table of a study as input of a simulation; embeddings are not needed."""

from __future__ import annotations

from outcome.cohort import Cohort, read_cohort
from outcome.errors import CohortError, InputError, Problems
from outcome.study import Study

__all__ = ["read_source_cohort"]


def read_source_cohort(study: Study) -> Cohort:
    """Read the cohort table of a study.

    Raises
    ------
    CohortError
        The table is invalid; the message lists all problems.
    InputError
        All patients have the event, or none has.
    """
    problems = Problems(str(study.cohort))
    cohort = read_cohort(study, problems)
    problems.raise_if_any(CohortError)
    if cohort is None or cohort.outcome.nunique() < 2:
        raise InputError(f"{study.cohort}: patients with and without the event are needed")
    return cohort
