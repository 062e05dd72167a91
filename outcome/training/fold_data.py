"""Patients of one outer fold for a network: projected vectors and outcome tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outcome.cohort import Fold
from outcome.dataset.study_data import StudyData
from outcome.models.heads import Target
from outcome.models.network import Inputs
from outcome.study import Study
from outcome.training.arm_members import Member
from outcome.training.batching import Patients
from outcome.training.clinical import ClinicalCoding
from outcome.training.projection import Projection, Vectors, development_vectors, test_vectors

__all__ = [
    "FoldData",
    "clinical_coding",
    "clinical_rows",
    "fold_data",
    "outcome_rows",
]


@dataclass(frozen=True)
class FoldData:
    """Development patients of one outer fold, their vectors projected, and the projections.

    Parameters
    ----------
    study_data : StudyData
    fold : Fold
    projections : mapping of input to Projection
        Fitted on the development patients.
    clinical : ClinicalCoding, optional
        Likewise.
    vectors : mapping of input to mapping of patient to Tensor
        None for a patient without the input.
    study : Study
    scratch : Path
        Folder of projected vectors during a run.
    """

    study_data: StudyData
    fold: Fold
    projections: Mapping[str, Projection]
    clinical: ClinicalCoding | None
    vectors: Mapping[str, Vectors]
    study: Study
    scratch: Path

    def development(self, member: Member, patients: Sequence[str]) -> Patients:
        """Return some development patients with the inputs of the member."""
        bags = {name: self.vectors[name].of(patients) for name in member.inputs}
        return Patients(bags, self._target(patients))

    def test(self, member: Member, patients: Sequence[str]) -> Patients:
        """Read and project other patients, with the inputs of the member."""
        bags: dict[str, Inputs] = {}
        for name in member.inputs:
            if self.clinical is not None and name == "clinical":
                found = _coded(self.study_data, self.clinical, patients)
            else:
                found = self._projected(name, patients)
            bags[name] = found.of(patients)
        return Patients(bags, self._target(patients))

    def _target(self, patients: Sequence[str]) -> Target:
        return Target.of(self.study_data.cohort.outcomes(patients, self.fold.development))

    def slides(self, patients: Sequence[str]) -> tuple[list[str], Inputs]:
        """Return the ids and the projected patches of every slide of these patients."""
        table, vectors = self.study_data.cohort.slides, self._projected("image", patients)
        names, starts, lengths = [], [], []
        for patient, start in zip(patients, vectors.of(patients).starts.tolist(), strict=True):
            slides = self.study_data.slides.get(patient, ())
            if not slides:
                continue
            names += table.loc[table["patient_id"] == patient, "slide_id"].tolist()
            for slide in slides:
                starts.append(start)
                lengths.append(slide.n)
                start += slide.n
        return names, Inputs(vectors.inputs.matrix, np.array(starts), np.array(lengths))

    def _projected(self, name: str, patients: Sequence[str]) -> Vectors:
        low = self.study.training.precision == "bfloat16"
        return test_vectors(
            self.study_data,
            name,
            patients,
            self.projections[name],
            low_precision=low,
            scratch=self.scratch,
        )

    def dimensions(self, member: Member) -> dict[str, int]:
        """Length of the vectors of the member's inputs."""
        widths = {name: found.components for name, found in self.projections.items()}
        if self.clinical is not None:
            widths["clinical"] = self.clinical.components
        return {name: widths[name] for name in member.inputs}


@dataclass(frozen=True, eq=False)
class _Source:
    """Inputs of `fold_data`, compared by key, for caching in a process."""

    study_data: StudyData
    fold: Fold
    inputs: tuple[str, ...]
    study: Study
    scratch: Path
    key: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def fold_data(
    study_data: StudyData, fold: Fold, inputs: Iterable[str], study: Study, scratch: Path
) -> FoldData:
    """Map the development patients of a fold; a process caches the last fold.

    Vectors that are not in `scratch` yet are projected and written there.
    """
    inputs, settings = tuple(inputs), study.training
    rows = [fold.repeat, fold.name, inputs, settings.components, settings.threads]
    rows += [settings.precision, str(scratch.absolute())]
    rows += [" ".join([p, *study_data.content(p, inputs)]) for p in fold.development]
    rows += ["test", *(" ".join([p, *study_data.content(p, inputs)]) for p in fold.test)]
    if "clinical" in inputs:
        rows.append(clinical_rows(study_data, study, fold.development))
    key = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return _remembered(_Source(study_data, fold, inputs, study, scratch, key))


@lru_cache(maxsize=1)
def _remembered(source: _Source) -> FoldData:
    projections: dict[str, Projection] = {}
    vectors: dict[str, Vectors] = {}
    clinical, settings = None, source.study.training
    study_data = source.study_data.of_fold(source.fold)
    for name in source.inputs:
        if name == "clinical":
            clinical = clinical_coding(study_data, source.study, source.fold)
            vectors[name] = _coded(study_data, clinical, source.fold.development)
            continue
        projections[name], vectors[name] = development_vectors(
            study_data,
            name,
            source.fold.development,
            components=settings.components,
            low_precision=settings.precision == "bfloat16",
            scratch=source.scratch,
        )
    return FoldData(
        study_data,
        source.fold,
        projections,
        clinical,
        vectors,
        source.study,
        source.scratch,
    )


def clinical_coding(study_data: StudyData, study: Study, fold: Fold) -> ClinicalCoding:
    """Fit the coding of clinical columns on the development patients of a fold."""
    rows = study_data.cohort.patients.loc[list(fold.development)]
    return ClinicalCoding.fit(rows, study.covariates)


def clinical_rows(study_data: StudyData, study: Study, patients: Sequence[str]) -> list[Any]:
    """Clinical values of each patient, on which fits with clinical data depend."""
    names = [*study.covariates.numeric, *study.covariates.categorical]
    columns = [f"column:{name}" for name in names]
    values = study_data.cohort.patients.loc[list(patients), columns].astype(str)
    return [names, values.to_numpy().tolist()]


def _coded(study_data: StudyData, coding: ClinicalCoding, patients: Sequence[str]) -> Vectors:
    """Clinical vectors as bags of one."""
    rows = coding(study_data.cohort.patients.loc[list(patients)])
    return Vectors(torch.from_numpy(rows).float(), dict.fromkeys(patients, 1))


def outcome_rows(
    study_data: StudyData, patients: Sequence[str], inputs: Iterable[str]
) -> list[list[Any]]:
    """Id, content of the inputs and outcome of each patient, on which a fit depends."""
    table, endpoint = study_data.cohort.patients, study_data.cohort.endpoint
    columns = [*endpoint.outcome_columns, *(["strata"] if endpoint.strata else [])]
    values = table.loc[list(patients), columns].to_numpy(dtype=object).tolist()
    inputs = tuple(inputs)
    return [[p, study_data.content(p, inputs), *v] for p, v in zip(patients, values, strict=True)]
