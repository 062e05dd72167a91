"""TCGA-CDR: the table of Liu et al. (Cell 2018), with OS, DSS, DFI and PFI of 11,160 patients.

`<NAME>` is 1 for an event and 0 for censored, `<NAME>.time` is in days. Missing values are blank,
`#N/A` or `[Not Available]`; patients without the endpoint are dropped, and counted, by the study.
A cancer type is chosen by its code, as in `endpoint="pfi:LUAD"`.
"""

from __future__ import annotations

import re

from outcome.cohort.drafting.importers.source import Imported, Source, require_columns
from outcome.errors import CohortError
from outcome.tables.missing import is_missing
from outcome.tables.read_table import read_table

__all__ = ["import_tcga_cdr"]

PATIENT = "bcr_patient_barcode"
NAMES = ("OS", "DSS", "DFI", "PFI")
COVARIATES = {
    "numeric": ["age_at_initial_pathologic_diagnosis"],
    "categorical": ["gender", "ajcc_pathologic_tumor_stage"],
}
BLANK = re.compile(r"|Unnamed.*")


def import_tcga_cdr(source: Source) -> Imported:
    """Read the table; see the module."""
    table = read_table(source.path).with_plain_numbers().frame
    require_columns(table, [PATIENT], source.path.name)
    table = table[[c for c in table if not BLANK.fullmatch(str(c))]]
    wanted, _, cancer = source.endpoint.partition(":")
    name = wanted.upper() or "OS"
    has = [n for n in NAMES if {n, f"{n}.time"} <= set(table)]
    if name not in has:
        raise CohortError(
            f"{source.path.name} has no endpoint {name!r} (it has {', '.join(has) or 'none'})"
        )
    notes = []
    if cancer:
        require_columns(table, ["type"], source.path.name)
        rows = table["type"].str.upper() == cancer.upper()
        if not rows.any():
            raise CohortError(
                f"{source.path.name} has no patients of type {cancer!r} (it has"
                f" {', '.join(sorted(set(table['type']))[:40])})"
            )
        table = table[rows].reset_index(drop=True)
    elif "type" in table and table["type"].nunique() > 1:
        notes.append(
            f"{table['type'].nunique()} cancer types: each is a stratum; to use a single type, "
            "give it with `endpoint=`, as in os:LUAD"
        )
    endpoint = {"kind": "survival", "time": f"{name}.time", "event": name, "unit": "days"}
    if notes:
        endpoint["strata"] = "type"
    unknown = int((is_missing(table[name]) | is_missing(table[f"{name}.time"])).sum())
    if unknown:
        notes.append(f"{unknown} of {len(table)} patients have no {name}: they will be dropped")
    covariates = {
        kind: [c for c in columns if c in table and not is_missing(table[c]).all()]
        for kind, columns in COVARIATES.items()
    }
    covariates = {kind: columns for kind, columns in covariates.items() if columns}
    return Imported(table, PATIENT, "", endpoint, notes=notes, covariates=covariates)
