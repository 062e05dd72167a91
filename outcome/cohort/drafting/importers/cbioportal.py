"""cBioPortal: a study folder with `data_clinical_patient.txt` and `data_clinical_sample.txt`.

Endpoints are the pairs `<NAME>_STATUS, <NAME>_MONTHS` (OS, DSS, DFS, PFS). Since 2020 a status
begins with its code, as in `0:LIVING` and `1:DECEASED`; older ones are the words that cBioPortal's
"file formats" page lists. Clinical attributes with one value per patient are kept.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort.drafting.endpoint_section import UNDECLARED
from outcome.cohort.drafting.importers.source import Imported, Source, require_columns
from outcome.errors import CohortError
from outcome.tables.codes import canonical_code
from outcome.tables.missing import is_missing
from outcome.tables.read_table import read_table

__all__ = ["import_cbioportal"]

PATIENT = "PATIENT_ID"
PREFERRED = ("OS", "DSS", "PFS", "DFS")
CODE = re.compile(r"(?P<code>[01]):")
WORDS = {
    "living": 0, "alive": 0, "diseasefree": 0, "progressionfree": 0, "censored": 0,
    "deceased": 1, "dead": 1, "recurred/progressed": 1, "recurred": 1, "progressed": 1,
    "progression": 1,
}  # fmt: skip
COVARIATES = {
    "numeric": ("AGE",),
    "categorical": ("SEX", "AJCC_PATHOLOGIC_TUMOR_STAGE", "GRADE", "SUBTYPE"),
}


def import_cbioportal(source: Source) -> Imported:
    """Read the files; see the module."""
    folder = source.path if source.path.is_dir() else source.path.parent
    path = source.path if source.path.is_file() else folder / "data_clinical_patient.txt"
    table = read_table(path).with_plain_numbers().frame
    require_columns(table, [PATIENT], path.name)
    notes: list[str] = []
    samples = source.table or folder / "data_clinical_sample.txt"
    if samples.is_file():
        table = _with_samples(table, samples, notes)
    names = [c.removesuffix("_STATUS") for c in map(str, table) if c.endswith("_STATUS")]
    names = [n for n in names if f"{n}_MONTHS" in table]
    if not names:
        raise CohortError(f"{path.name} has no pair of columns such as OS_STATUS and OS_MONTHS")
    name = source.endpoint.upper() or next((n for n in PREFERRED if n in names), names[0])
    if name not in names:
        raise CohortError(f"{path.name} has no endpoint {name!r} (it has {', '.join(names)})")
    event = f"{name}_STATUS"
    endpoint: dict[str, Any] = {"kind": "survival", "time": f"{name}_MONTHS", "event": event}
    codes = {
        code: _meaning(code)
        for code in sorted(set(table.loc[~is_missing(table[event]), event].map(canonical_code)))
    }
    if set(codes) - {"0", "1"}:
        endpoint["event_codes"] = codes
    endpoint["unit"] = "months"
    covariates = {
        kind: [c for c in columns if c in table and not is_missing(table[c]).all()]
        for kind, columns in COVARIATES.items()
    }
    covariates = {kind: columns for kind, columns in covariates.items() if columns}
    if len(names) > 1:
        notes.append(f"endpoints: {', '.join(names)}; {name} is used")
    return Imported(table, PATIENT, "", endpoint, notes=notes, covariates=covariates)


def _meaning(code: str) -> int | str:
    match = CODE.match(code)
    return int(match["code"]) if match else WORDS.get(code.lower().replace(" ", ""), UNDECLARED)


def _with_samples(table: pd.DataFrame, path: Path, notes: list[str]) -> pd.DataFrame:
    """Add the attributes of samples with one value per patient."""
    samples = read_table(path).with_plain_numbers().frame
    require_columns(samples, [PATIENT], path.name)
    new = [str(c) for c in samples if c not in table and c != "SAMPLE_ID"]
    values = samples.groupby(PATIENT)[new]
    single = [str(c) for c, most in values.nunique().max().items() if most <= 1]
    if left := [c for c in new if c not in single]:
        notes.append(
            f"{len(left)} attributes differ between samples of a patient and are not used, e.g. "
            f"{', '.join(left[:3])}"
        )
    first = values.first()[single].reset_index()
    return table.merge(first, on=PATIENT, how="left").fillna("")
