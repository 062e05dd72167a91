"""Warnings if the name of a column contradicts the study file."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from outcome.errors import Problems
from outcome.study import Study
from outcome.tables.column_names import unit_contradiction

__all__ = ["check_units", "column_warnings"]


def check_units(study: Study, problems: Problems) -> None:
    """Refuse a missing unit if the name of the time column indicates a unit other than days."""
    for said, declared in _units(study):
        if not declared:
            problems.add(said)


def column_warnings(study: Study, table: pd.DataFrame) -> list[str]:
    """Return warnings about declarations that are probably wrong.

    Parameters
    ----------
    study : Study
    table : DataFrame
        The cohort table as text, every column of it.
    """
    found = [said for said, declared in _units(study) if declared]
    said = [e.name_contradiction(table) for e in (study.endpoint, *study.secondary)]
    return [*found, *(s for s in said if s)]


def _units(study: Study) -> Iterator[tuple[str, bool]]:
    for endpoint in (study.endpoint, *study.secondary):
        declared = "unit" in endpoint.model_fields_set
        for column in endpoint.time_inputs:
            if said := unit_contradiction(column, endpoint.unit, declared=declared):
                yield said, declared
