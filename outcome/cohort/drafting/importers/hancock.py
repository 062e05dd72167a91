"""HANCOCK: the folder `features` of its repository, with `targets.csv` and `clinical.csv`.

Endpoints: `rfs` (the default: `days_to_rfs_event, rfs_event`), `os` (`survival_status`), `dss`
(`survival_status_with_cause`: death of the tumour, other deaths as competing events) and
`recurrence` (yes or no). Times are days. Patients are numbers with leading zeros.
"""

from __future__ import annotations

from typing import Any

from outcome.cohort.drafting.endpoint_section import UNDECLARED, binary_section
from outcome.cohort.drafting.importers.source import Imported, Source, require_columns
from outcome.errors import CohortError
from outcome.tables.read_table import read_table

__all__ = ["import_hancock"]

LAST = "days_to_last_information"
CODES: dict[str, dict[str, int | str]] = {
    "survival_status": {"living": 0, "deceased": 1},
    "survival_status_with_cause": {
        "living": 0,
        "deceased tumor specific": 1,
        "deceased not tumor specific": 2,
        "deceased": UNDECLARED,
    },
}
ENDPOINTS: dict[str, dict[str, Any]] = {
    "rfs": {"kind": "survival", "time": "days_to_rfs_event", "event": "rfs_event"},
    "os": {"kind": "survival", "time": LAST, "event": "survival_status"},
    "dss": {"kind": "survival", "time": LAST, "event": "survival_status_with_cause"},
}
COVARIATES: dict[str, list[str]] = {
    "numeric": ["age_at_initial_diagnosis"],
    "categorical": ["sex", "smoking_status", "primarily_metastasis"],
}


def import_hancock(source: Source) -> Imported:
    """Read the files; see the module."""
    folder = source.path if source.path.is_dir() else source.path.parent
    targets = folder / "targets.csv"
    table = read_table(targets).with_plain_numbers().frame
    require_columns(table, ["patient_id"], targets.name)
    clinical = source.table or folder / "clinical.csv"
    notes = []
    if clinical.is_file():
        more = read_table(clinical).with_plain_numbers().frame
        require_columns(more, ["patient_id"], clinical.name)
        if more["patient_id"].duplicated().any():
            raise CohortError(f"a patient occurs more than once in {clinical.name}")
        new = ["patient_id", *(c for c in more if c not in table)]
        table = table.merge(more[new], on="patient_id", how="left").fillna("")
    else:
        notes.append("no clinical.csv: no covariates")
    name = source.endpoint or "rfs"
    if name == "recurrence":
        endpoint = binary_section(table, "recurrence", source.positive or "yes")
    elif name in ENDPOINTS:
        endpoint = {**ENDPOINTS[name], "unit": "days"}
        require_columns(table, [endpoint["time"], endpoint["event"]], targets.name)
        held = set(table[endpoint["event"]].str.lower())
        if codes := CODES.get(endpoint["event"]):
            endpoint["event_codes"] = {code: v for code, v in codes.items() if code in held}
    else:
        raise CohortError(
            f"{targets.name}: endpoint {name!r} is not one of rfs, os, dss, recurrence"
        )
    covariates = {k: [c for c in names if c in table] for k, names in COVARIATES.items()}
    covariates = {kind: names for kind, names in covariates.items() if names}
    return Imported(table, "patient_id", "", endpoint, notes=notes, covariates=covariates)
