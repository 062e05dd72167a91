"""What a study file declares and the names of the columns contradict."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from outcome.endpoint import Binary, Endpoint, Landmark, TimeToEvent
from outcome.errors import Problems
from outcome.study import Study
from outcome.tables.column_names import (
    event_contradiction,
    follow_up_columns,
    label_contradiction,
    unit_contradiction,
)

__all__ = ["check_units", "column_warnings"]


def check_units(study: Study, problems: Problems) -> None:
    """Refuse a unit that is left out where the name of the times says another than days."""
    for said, declared in _units(study):
        if not declared:
            problems.add(said)


def column_warnings(study: Study, table: pd.DataFrame) -> list[str]:
    """Return what is declared and most likely meant otherwise.

    Parameters
    ----------
    study : Study
    table : DataFrame
        The cohort table as text, every column of it.
    """
    found = [said for said, declared in _units(study) if declared]
    for endpoint in _endpoints(study):
        if isinstance(endpoint, Binary):
            said = label_contradiction(endpoint.label_column, follow_up_columns(table))
        else:
            said = event_contradiction(
                endpoint.indicator,
                censored=endpoint.censored is not None,
                codes=endpoint.event_codes,
            )
        found += [said] if said else []
    return found


def _endpoints(study: Study) -> list[Endpoint]:
    """Return the endpoints that are read; a model in use may read none."""
    every = (study.endpoint, *study.secondary)
    return [e for e in every if isinstance(e, TimeToEvent | Landmark | Binary)]


def _units(study: Study) -> Iterator[tuple[str, bool]]:
    for endpoint in _endpoints(study):
        if isinstance(endpoint, Binary):
            continue
        declared = "unit" in endpoint.model_fields_set
        time = endpoint.time
        # Dates have no unit: whatever is declared is what they are turned into.
        columns = (time,) if isinstance(time, str) else () if time.origin else time.to
        for column in columns:
            if said := unit_contradiction(column, endpoint.unit, declared=declared):
                yield said, declared
