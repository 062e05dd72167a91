"""Warnings if the name of a column contradicts the study file."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from outcome.errors import Problems
from outcome.study import Study
from outcome.tables.codes import canonical_code
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
    return [*found, *(s for s in said if s), *_spellings(study, table)]


def _spellings(study: Study, table: pd.DataFrame) -> Iterator[str]:
    """Levels that differ only in upper and lower case or in spaces."""
    columns = [*study.covariates.categorical, study.split.site, study.endpoint.strata]
    for column in dict.fromkeys(c for c in columns if c in table):
        levels = pd.Series(sorted(set(table[column].map(canonical_code)) - {""}))
        for _, same in levels.groupby(levels.str.casefold().str.split().str.join(" ")):
            if len(same) > 1:
                yield (
                    f"column {column!r}: {' and '.join(map(repr, same))} are different levels. If "
                    "they mean the same, write them in the same way"
                )


def _units(study: Study) -> Iterator[tuple[str, bool]]:
    for endpoint in (study.endpoint, *study.secondary):
        declared = "unit" in endpoint.model_fields_set
        for column in endpoint.time_inputs:
            if said := unit_contradiction(column, endpoint.unit, declared=declared):
                yield said, declared
