"""Tables of patients written by a run, for Table 1 and subgroups."""

from __future__ import annotations

import pandas as pd

from outcome.dataset.study_data import StudyData
from outcome.study import Study
from outcome.tables.treatment import TREATMENT

__all__ = ["patient_tables"]


def patient_tables(study: Study, study_data: StudyData) -> dict[str, pd.DataFrame]:
    """Return the declared covariates, and the acquisition of the material of each patient.

    Returns
    -------
    dict
        `covariates`: `patient_id` and the columns of the study, as in the cohort table.
        `acquisition`: `patient_id` and, if available, `site`, numbers of `slides` and
        `patches`, and `report missing` (1 = missing).
        `treatments`: `patient_id` and `treatment`, if declared in the study.
    """
    patients = study_data.cohort.patients
    names = [*study.covariates.numeric, *study.covariates.categorical]
    covariates = pd.DataFrame({n: patients[f"column:{n}"] for n in names}, index=patients.index)
    gathered = pd.DataFrame(index=patients.index)
    if "site" in patients:
        gathered["site"] = patients["site"]
    if study_data.slides:
        bags = [study_data.slides.get(p, ()) for p in patients.index]
        gathered["slides"] = [len(b) for b in bags]
        gathered["patches"] = [sum(s.n for s in b) for b in bags]
    if study_data.reports is not None:
        gathered["report missing"] = [int(p not in study_data.reports.rows) for p in patients.index]
    tables = {"covariates": covariates, "acquisition": gathered}
    if TREATMENT in patients:
        tables["treatments"] = patients[[TREATMENT]]
    return {k: t.rename_axis("patient_id").reset_index() for k, t in tables.items()}
