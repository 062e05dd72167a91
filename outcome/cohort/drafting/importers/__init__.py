"""Import cohorts of other tools and registries: one module per layout, listed in `LAYOUTS`.

| layout | what is read |
|---|---|
| `patho-bench` | `k=all.tsv`: `case_id, slide_id`, a task or `<task>_event, _days`, `fold_0` ... |
| `panther` | a folder per fold, `train.csv` and `test.csv`: `os_survival_days, os_censorship` .. |
| `mcat` | a table with `survival_months, censorship` and `splits_0.csv` ... of cases |
| `survpath` | the same with `[_dss, _pfi]` endings, and a clinical table |
| `clam` | a table with `case_id, slide_id, label` and `splits_0.csv` ... of slides |
| `stamp` | a clinical table (`PATIENT`) and a slide table (`PATIENT, FILENAME`) |
| `nnmil` | `dataset.json`, `dataset.csv` and the folds of `dataset_plan.json` |
| `pathbench-mil` | a table with `slide, patient, dataset, time, event`, or `category` |
| `moozy` | `task.csv` and `config.yaml` |
| `hancock` | the folder `features` of HANCOCK: `targets.csv`, `clinical.csv`, `pathological.csv` |
| `cbioportal` | a study folder: `data_clinical_patient.txt`, `data_clinical_sample.txt` |
| `tcga-cdr` | the table of TCGA-CDR: `OS, OS.time`, the same for DSS, DFI and PFI |
| `gdc` | `clinical.tsv` of the GDC portal: vital status, days to death and to follow-up |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from outcome.cohort.drafting.drafts import Draft, endpoint_comments
from outcome.cohort.drafting.endpoint_section import UNDECLARED
from outcome.cohort.drafting.importers.cbioportal import import_cbioportal
from outcome.cohort.drafting.importers.clam import import_clam
from outcome.cohort.drafting.importers.gdc import import_gdc
from outcome.cohort.drafting.importers.hancock import import_hancock
from outcome.cohort.drafting.importers.mcat import import_mcat, import_survpath
from outcome.cohort.drafting.importers.moozy import import_moozy
from outcome.cohort.drafting.importers.nnmil import import_nnmil
from outcome.cohort.drafting.importers.panther import import_panther
from outcome.cohort.drafting.importers.pathbench_mil import import_pathbench_mil
from outcome.cohort.drafting.importers.patho_bench import import_patho_bench
from outcome.cohort.drafting.importers.source import Imported, Source
from outcome.cohort.drafting.importers.stamp import import_stamp
from outcome.cohort.drafting.importers.tcga_cdr import import_tcga_cdr
from outcome.cohort.drafting.slides_of_patients import with_slides
from outcome.errors import CohortError
from outcome.tables.missing import is_missing

__all__ = ["LAYOUTS", "Source", "draft_import"]

LAYOUTS: Mapping[str, Callable[[Source], Imported]] = {
    "patho-bench": import_patho_bench,
    "panther": import_panther,
    "mcat": import_mcat,
    "survpath": import_survpath,
    "clam": import_clam,
    "stamp": import_stamp,
    "nnmil": import_nnmil,
    "pathbench-mil": import_pathbench_mil,
    "moozy": import_moozy,
    "hancock": import_hancock,
    "cbioportal": import_cbioportal,
    "tcga-cdr": import_tcga_cdr,
    "gdc": import_gdc,
}
COVARIATES = {
    "age": "numeric", "is_female": "categorical", "sex": "categorical", "gender": "categorical",
    "stage": "categorical", "grade": "categorical", "subtype": "categorical",
}  # fmt: skip


def draft_import(
    layout: str,
    source: Source,
    name: str,
    patches: Sequence[str],
    files: Collection[str] = (),
) -> Draft:
    """Read the files of another tool.

    Parameters
    ----------
    layout : str
        One of `LAYOUTS`.
    source : Source
    name : str
        Name of the study.
    patches : sequence of str
        Folders of features, as written in the study file.
    files : collection of str
        Slides with a feature file. If a layout has no column of slides, they are matched to
        patients by the beginning of their names.

    Raises
    ------
    CohortError
        The files do not match the layout.
    """
    if not source.path.exists():
        raise CohortError(f"there is no file or folder {source.path}")
    found = LAYOUTS[layout](source)
    table, endpoint, slide, notes = found.table, found.endpoint, found.slide, list(found.notes)
    patches = patches or list(found.patches)
    if not slide:
        joined, column, said = with_slides(
            table, found.patient, files, "cohort.csv", found.slide_name
        )
        table, slide, notes = table if joined is None else joined, column or "", [*notes, *said]
    study: dict[str, Any] = {
        "name": name,
        "cohort": "cohort.csv",
        "columns": {"patient": found.patient, "slide": slide or None},
        "endpoint": endpoint,
        "embeddings": {
            "patches": list(patches) if len(patches) > 1 else (*patches, "features/")[0]
        },
    }
    covariates = found.covariates or _covariates(table, endpoint)
    if covariates:
        study["covariates"] = {kind: list(names) for kind, names in covariates.items()}
    study |= {"arms": ["image"], "baseline": "image"}
    study["split"] = {"files": "splits.csv"} if found.folds else {"folds": 5, "seed": 0}
    if "site" in table and not found.folds:
        study["split"]["site"] = "site"
    comments = {
        "name": f"Imported from {layout} files.",
        "endpoint": endpoint_comments(endpoint),
        "embeddings": "the folder (or folders) of patch embeddings, one file per slide",
    }
    on_missing = dict(found.on_missing or {})
    if slide and not found.slide and (table[slide] == "").any():
        on_missing["slide"] = "drop"
    if on_missing:
        study["on_missing"] = on_missing
        comments["on_missing"] = "patients that are dropped are counted in the report"
    if not patches:
        comments["embeddings"] += ": CORRECT THIS"
    return Draft(study, comments, table, found.folds, found.others or {}, _understood(found, notes))


def _understood(found: Imported, notes: Sequence[str]) -> list[str]:
    endpoint = found.endpoint
    said = []
    if endpoint["kind"] == "binary":
        said.append(f"outcome: column {endpoint['label']!r}, positive: {endpoint['positive']}")
        if endpoint["positive"] == UNDECLARED:
            codes = sorted(set(found.table[endpoint["label"]]) - {""})
            said.append(f"its codes are {', '.join(codes[:10])}; declare which is positive")
    else:
        time = endpoint["time"]
        named = time if isinstance(time, str) else " or ".join(time["to"])
        said.append(f"times: column {named!r}, in {endpoint['unit']}")
        if "censored" in endpoint:
            said.append(f"column {endpoint['censored']!r} is inverted: 1 = censored, 0 = event")
        elif UNDECLARED not in (codes := endpoint.get("event_codes", {"": UNDECLARED})).values():
            meaning = ", ".join(f"{code} = {value}" for code, value in codes.items())
            said.append(f"codes of {endpoint['event']!r}: {meaning}")
        elif "event_codes" in endpoint:
            said.append(f"declare the codes of {endpoint['event']!r}")
        else:
            said.append(f"column {endpoint['event']!r}: 1 = event")
    if found.folds:
        repeats = len({f.repeat for f in found.folds})
        said.append(f"{len(found.folds)} folds in {repeats} repeat{'s' if repeats > 1 else ''}")
    said += [f"also written: {name} ({len(t)} rows)" for name, t in (found.others or {}).items()]
    return [*said, *notes]


def _covariates(table: pd.DataFrame, endpoint: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for column, kind in COVARIATES.items():
        if column in table and column not in endpoint.values():
            blank = is_missing(table[column])
            numbers = pd.to_numeric(table[column].where(~blank), errors="coerce")
            if not blank.all() and (kind == "categorical" or numbers[~blank].notna().all()):
                found.setdefault(kind, []).append(column)
    return found
