"""Required columns of the cohort table of a study, and their spelling."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

import pandas as pd

from outcome.errors import Problems
from outcome.study import Study

__all__ = [
    "declared_codes",
    "id_columns",
    "needed_columns",
    "number_columns",
    "same_spelling",
    "with_follow_up",
    "with_slide_column",
    "without_columns",
]


def with_slide_column(study: Study, table: pd.DataFrame, notes: list[str]) -> Study:
    """Fill in the column of slides; without one, files are named after patients."""
    if study.columns.slide is not None:
        return study
    slide = "slide_id"
    if slide not in table.columns and study.embeddings.patches is not None:
        slide = study.columns.patient
        notes.append(
            "the cohort table has no column 'slide_id'; feature files are matched by patient id"
        )
    columns = study.columns.model_copy(update={"slide": slide})
    return study.model_copy(update={"columns": columns})


def same_spelling(table: pd.DataFrame, needed: Collection[str]) -> pd.DataFrame:
    """Rename columns as in the study file, for any Unicode form."""
    forms = {unicodedata.normalize("NFC", c): c for c in needed}
    return table.rename(columns=lambda c: forms.get(c, c))


def number_columns(study: Study) -> tuple[str, ...]:
    """Return the columns of the table that must be numeric."""
    times = [c for e in (study.endpoint, *study.secondary) for c in e.time_inputs]
    return tuple(dict.fromkeys([*times, *study.covariates.numeric]))


def with_follow_up(
    study: Study, patients: pd.DataFrame, places: Sequence[str], problems: Problems
) -> pd.DataFrame:
    """Add times computed from dates or from several columns."""
    for endpoint in (study.endpoint, *study.secondary):
        for computed in endpoint.computed_times:
            times = computed.times(patients, endpoint.unit, places, problems)
            patients = patients.assign(**{str(computed): times})
    return patients


def declared_codes(study: Study) -> dict[str, set[str]]:
    """Return the codes and levels declared in the study file, by column."""
    found: dict[str, set[str]] = {c: set(v) for c, v in study.covariates.levels.items()}
    if study.treatment is not None:
        # `none` is a common name of the reference.
        found.setdefault(study.treatment.column, set()).add(study.treatment.reference)
    for endpoint in (study.endpoint, *study.secondary):
        column, codes = endpoint.declared_codes
        found.setdefault(column, set()).update(codes)
    return found


def needed_columns(study: Study, *, with_outcomes: bool = True) -> dict[str, str]:
    """Column -> its key in the study file."""
    wanted: list[tuple[str | None, str]] = [(study.columns.patient, "columns.patient")]
    if study.embeddings.patches is not None:
        wanted.append((study.columns.slide, "columns.slide"))
    wanted += [(c, "endpoint") for c in study.endpoint.columns if with_outcomes]
    wanted += [(c, "secondary") for e in study.secondary for c in e.columns]
    wanted += [(study.endpoint.strata, "endpoint.strata"), (study.split.site, "split.site")]
    wanted += [(c, "split.column") for c in study.split.column]
    if study.treatment is not None and with_outcomes:
        wanted.append((study.treatment.column, "treatment.column"))
    wanted += [(c, "covariates.numeric") for c in study.covariates.numeric]
    wanted += [(c, "covariates.categorical") for c in study.covariates.categorical]
    named: dict[str, str] = {}
    for column, where in wanted:
        if column is not None:
            # An id column with a second role is listed under that role.
            named[column] = where if "columns." not in where else named.get(column, where)
    return named


def id_columns(study: Study) -> set[str]:
    """Columns of patient and slide ids."""
    return {study.columns.patient, study.columns.slide or study.columns.patient}


def without_columns(
    study: Study, table: pd.DataFrame, missing: Collection[str]
) -> tuple[Study, pd.DataFrame]:
    """Remove the parts of a study with missing columns, so that the others can be checked.

    A partly missing outcome is filled in with values that cause no message.
    """
    split, covariates, endpoint = study.split, study.covariates, study.endpoint
    kept = {
        "columns": study.columns.model_copy(
            update={"slide": None if study.columns.slide in missing else study.columns.slide}
        ),
        "covariates": covariates.model_copy(
            update={
                "numeric": tuple(c for c in covariates.numeric if c not in missing),
                "categorical": tuple(c for c in covariates.categorical if c not in missing),
            }
        ),
        "secondary": tuple(e for e in study.secondary if not set(e.columns) & set(missing)),
        "on_missing": study.on_missing.model_copy(update={"endpoint": "drop"}),
        "split": split.model_copy(
            update={
                "site": None if split.site in missing else split.site,
                "column": tuple(c for c in split.column if c not in missing),
            }
        ),
    }
    if endpoint.strata in missing:
        kept["endpoint"] = endpoint.model_copy(update={"strata": None})
    filled = {c: endpoint.placeholder for c in endpoint.columns if c in missing}
    if study.treatment is not None and study.treatment.column in missing:
        kept["treatment"] = None
    return study.model_copy(update=kept), table.assign(**filled)
