"""GDC: `clinical.tsv` of the portal, with vital status, days to death and to last follow-up.

Overall survival: the time to death, else to the last follow-up. Columns have their current names
(`cases.submitter_id`, `demographic.vital_status`) or those before 2024 (`case_submitter_id`,
`vital_status`). The portal repeats a case for each diagnosis and treatment: rows that are identical
in the kept columns are merged.
"""

from __future__ import annotations

from typing import Any

from outcome.cohort.drafting.endpoint_section import UNDECLARED
from outcome.cohort.drafting.importers.source import Imported, Source, find_table
from outcome.errors import CohortError
from outcome.tables.missing import is_missing

__all__ = ["import_gdc"]

COLUMNS = {
    "case_id": ("cases.submitter_id", "case_submitter_id", "submitter_id"),
    "vital_status": ("demographic.vital_status", "vital_status"),
    "days_to_death": ("demographic.days_to_death", "days_to_death"),
    "days_to_last_follow_up": (
        "diagnoses.days_to_last_follow_up", "days_to_last_follow_up",
    ),
    "age_at_index": ("demographic.age_at_index", "age_at_index"),
    "gender": ("demographic.gender", "gender"),
    "ajcc_pathologic_stage": ("diagnoses.ajcc_pathologic_stage", "ajcc_pathologic_stage"),
}  # fmt: skip
NEEDED = ("case_id", "vital_status", "days_to_death", "days_to_last_follow_up")
CODES = {"alive": 0, "dead": 1}
NUMERIC = ("age_at_index",)
CATEGORICAL = ("gender", "ajcc_pathologic_stage")


def import_gdc(source: Source) -> Imported:
    """Read the table; see the module."""
    if source.endpoint not in ("", "os"):
        raise CohortError(
            f"the GDC's table has no endpoint {source.endpoint!r}, only os. To do: import the"
            " table of TCGA-CDR, which has dss, dfi and pfi"
        )
    found = find_table(source.path, lambda t: any(c in t for c in COLUMNS["vital_status"]))
    if found is None:
        raise CohortError(f"{source.path} contains no table with vital_status")
    path, whole = found
    names = {new: next((c for c in olds if c in whole), "") for new, olds in COLUMNS.items()}
    if absent := [new for new in NEEDED if not names[new]]:
        raise CohortError(
            f"{path.name} has no column {', '.join(absent)} (it has"
            f" {', '.join(map(str, whole.columns[:12]))})"
        )
    table = whole[[old for old in names.values() if old]]
    table = table.set_axis([new for new, old in names.items() if old], axis=1)
    for column in table.columns:
        table = table.assign(**{column: table[column].mask(is_missing(table[column]), "")})
    table = table.drop_duplicates().reset_index(drop=True)
    if twice := sorted(set(table.loc[table["case_id"].duplicated(), "case_id"])):
        raise CohortError(
            f"{path.name}: {len(twice)} cases have different values in several rows, e.g."
            f" {', '.join(twice[:3])}. To do: keep one row per case"
        )
    codes = sorted(set(table["vital_status"]) - {""})
    endpoint: dict[str, Any] = {
        "kind": "survival",
        "time": {"to": ["days_to_death", "days_to_last_follow_up"]},
        "event": "vital_status",
        "event_codes": {code: CODES.get(code.lower(), UNDECLARED) for code in codes},
        "unit": "days",
    }
    covariates = {
        "numeric": [c for c in NUMERIC if c in table and (table[c] != "").any()],
        "categorical": [c for c in CATEGORICAL if c in table and (table[c] != "").any()],
    }
    covariates = {kind: columns for kind, columns in covariates.items() if columns}
    return Imported(table, "case_id", "", endpoint, covariates=covariates)
