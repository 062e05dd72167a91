"""HANCOCK: the folder `features` of its repository: `targets.csv` and tables of covariates.

Endpoints: `rfs` (the default: `days_to_rfs_event, rfs_event`), `os` (`survival_status`), `dss`
(`survival_status_with_cause`: death of the tumour, other deaths as competing events) and
`recurrence` (yes or no). Times are days: of `rfs` from the first treatment, of `os` and `dss` from
the diagnosis. An event or a last contact that is not after the first treatment (12 of 763 patients)
has a time of zero or less; the study drops these patients and counts them.

Covariates are those of `clinical.csv` and `pathological.csv`. The repository writes categories as
numbers, in the order of their names, with missing values last: `sex` is 0 for male and 1 for
female, and 3 in `smoking_status` is missing. Patients are numbers with leading zeros. Their slides
are called `PrimaryTumor_HE_001` or `LymphNode_HE_001`, a second one `PrimaryTumor_HE_036_a`.

Written from the repository ankilab/HANCOCK_MultimodalDataset (`targets.csv` and `clinical.csv` of
commit 27d1908, `pathological.csv` of 3d106a5, and the code that writes them, of 40b1817).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort.drafting.endpoint_section import UNDECLARED, binary_section
from outcome.cohort.drafting.importers.source import Imported, Source, require_columns
from outcome.errors import CohortError
from outcome.tables.read_table import read_table

__all__ = ["import_hancock"]

PATIENT = "patient_id"
SLIDE_NAME = re.compile(r"(?:PrimaryTumor|LymphNode)_HE_(?P<patient>\d+)(?:_[a-z])?")
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
    "categorical": [
        "sex", "smoking_status", "primarily_metastasis", "primary_tumor_site", "pT_stage",
        "pN_stage", "hpv_association_p16",
    ],
}  # fmt: skip


def import_hancock(source: Source) -> Imported:
    """Read the files; see the module."""
    folder = source.path if source.path.is_dir() else source.path.parent
    targets = folder / "targets.csv"
    if not targets.is_file():
        raise CohortError(
            f"{folder} holds no targets.csv. To do: name the folder `features` of the repository"
            " ankilab/HANCOCK_MultimodalDataset, which derives it from `StructuredData`"
        )
    table = read_table(targets).with_plain_numbers().frame
    require_columns(table, [PATIENT], targets.name)
    notes: list[str] = []
    for path in (source.table or folder / "clinical.csv", folder / "pathological.csv"):
        table = _with_covariates(table, path, notes)
    name = source.endpoint or "rfs"
    on_missing = {}
    if name == "recurrence":
        endpoint = binary_section(table, "recurrence", source.positive or "yes")
    elif name in ENDPOINTS:
        endpoint = {**ENDPOINTS[name], "unit": "days"}
        require_columns(table, [endpoint["time"], endpoint["event"]], targets.name)
        held = set(table[endpoint["event"]].str.lower())
        if codes := CODES.get(endpoint["event"]):
            endpoint["event_codes"] = {code: v for code, v in codes.items() if code in held}
        early = pd.to_numeric(table[endpoint["time"]], errors="coerce") <= 0
        if early.any():
            on_missing["invalid_time"] = "drop"
            notes.append(
                f"{int(early.sum())} of {len(table)} patients have a {endpoint['time']} of zero or"
                " less: they will be dropped"
            )
    else:
        raise CohortError(
            f"{targets.name}: endpoint {name!r} is not one of rfs, os, dss, recurrence"
        )
    covariates = {k: [c for c in names if c in table] for k, names in COVARIATES.items()}
    covariates = {kind: names for kind, names in covariates.items() if names}
    return Imported(
        table, PATIENT, "", endpoint, notes=notes, covariates=covariates, slide_name=SLIDE_NAME,
        on_missing=on_missing,
    )  # fmt: skip


def _with_covariates(table: pd.DataFrame, path: Path, notes: list[str]) -> pd.DataFrame:
    """Add the columns of a table with a row per patient, where it is there."""
    if not path.is_file():
        notes.append(f"no {path.name}: its covariates are left out")
        return table
    more = read_table(path).with_plain_numbers().frame
    require_columns(more, [PATIENT], path.name)
    if more[PATIENT].duplicated().any():
        raise CohortError(f"a patient occurs more than once in {path.name}")
    new = [PATIENT, *(c for c in more if c not in table)]
    return table.merge(more[new], on=PATIENT, how="left").fillna("")
