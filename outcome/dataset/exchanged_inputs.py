"""A study in which each patient has one input of another patient."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.dataset.study_data import StudyData
from outcome.embeddings.reports.vectors import Reports
from outcome.study import Study

__all__ = ["exchanged_input"]


def exchanged_input(
    study: Study, study_data: StudyData, name: str, source: Mapping[str, str]
) -> StudyData:
    """Give each patient the image, the report or the clinical values of another patient.

    Outcomes, folds and the other inputs are unchanged. If the source patient lacks the input, it is
    missing.

    Parameters
    ----------
    study : Study
    study_data : StudyData
    name : {"image", "report", "clinical"}
    source : mapping of patient to patient
        Source of the input of each patient.

    Returns
    -------
    StudyData
    """
    cohort = study_data.cohort
    contents = {
        p: {i: study_data.contents[source[p] if i == name else p][i] for i in own}
        for p, own in study_data.contents.items()
    }
    changed = replace(study_data, contents=contents)
    if name == "image":
        slides = study_data.slides
        return replace(changed, slides={p: slides[s] for p, s in source.items() if s in slides})
    if name == "report" and study_data.reports is not None:
        return replace(changed, reports=ExchangedReports(study_data.reports, dict(source)))
    covariates = study.covariates
    columns = [f"column:{c}" for c in (*covariates.numeric, *covariates.categorical)]
    patients = cohort.patients.copy()
    of_source = cohort.patients.loc[[source[p] for p in patients.index], columns]
    patients[columns] = of_source.to_numpy(dtype=object)
    return replace(changed, cohort=replace(cohort, patients=patients))


@dataclass(frozen=True)
class ExchangedReports:
    """Reports that belong to other patients.

    Parameters
    ----------
    reports : Reports
    source : mapping of patient to patient
    """

    reports: Reports
    source: Mapping[str, str]

    @property
    def rows(self) -> Mapping[str, Any]:
        """An entry for each patient with a report."""
        known = self.reports.rows
        return {p: known[s] for p, s in self.source.items() if s in known}

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.reports.dimension

    @property
    def encoder(self) -> str:
        """Encoder of the vectors."""
        return self.reports.encoder

    @property
    def unmatched(self) -> int:
        """Reports of patients who are not in the cohort."""
        return self.reports.unmatched

    def only(self, patients: Collection[str]) -> ExchangedReports:
        """Return the reports of some patients."""
        return replace(self, source={p: s for p, s in self.source.items() if p in patients})

    def content(self, patient: str) -> bytes:
        """Return a hash of the report of a patient, on which fits depend."""
        return self.reports.content(self.source[patient])

    def fitted(self, development: Sequence[str]) -> ExchangedReports:
        """Return vectors, learned from the reports of the development set if they are learned."""
        return replace(self, reports=self.reports.fitted([self.source[p] for p in development]))

    def vectors(self, patient: str) -> NDArray[np.float32] | None:
        """Chunks of one patient, shape (chunks, d); None without a report."""
        return self.reports.vectors(self.source[patient])
