"""Patients of one outer fold as a network wants them: projected vectors and outcome tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outcome.cohort import Fold
from outcome.embeddings.material import Material
from outcome.models.heads import Target
from outcome.study import Arm, Training
from outcome.training.fit import Patients
from outcome.training.projection import Projection

__all__ = ["FoldData", "fold_data", "outcome_rows", "target"]

Vectors = Mapping[str, Tensor | None]


@dataclass(frozen=True)
class FoldData:
    """Development patients of one outer fold, their vectors projected, and the projections.

    Parameters
    ----------
    material : Material
    projections : mapping of input to Projection
        Fitted on the development patients.
    vectors : mapping of input to mapping of patient to Tensor
        None for a patient who lacks the input.
    """

    material: Material
    projections: Mapping[str, Projection]
    vectors: Mapping[str, Vectors]

    def development(self, arm: Arm, patients: Sequence[str]) -> Patients:
        """Return some development patients as the arm sees them."""
        bags: dict[str, list[Tensor | None]] = {
            name: [self.vectors[name][p] for p in patients] for name in arm.inputs
        }
        return Patients(bags, target(self.material, patients))

    def test(self, arm: Arm, patients: Sequence[str]) -> Patients:
        """Read and project other patients, as the arm sees them."""
        bags: dict[str, list[Tensor | None]] = {
            name: [_project(self.material, name, p, self.projections[name]) for p in patients]
            for name in arm.inputs
        }
        return Patients(bags, target(self.material, patients))

    def dimensions(self, arm: Arm) -> dict[str, int]:
        """Length of the projected vectors of the arm's inputs."""
        return {name: self.projections[name].components for name in arm.inputs}


@dataclass(frozen=True, eq=False)
class _Source:
    """What `fold_data` depends on; equal where its key is, so that a process can remember it."""

    material: Material
    fold: Fold
    inputs: tuple[str, ...]
    components: int
    key: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def fold_data(
    material: Material, fold: Fold, inputs: Iterable[str], settings: Training
) -> FoldData:
    """Project the development patients of a fold; a process remembers the last one it made."""
    inputs = tuple(inputs)
    rows = [fold.repeat, fold.name, inputs, settings.components, settings.threads]
    rows += [[p, material.contents[p]] for p in fold.development]
    key = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return _remembered(_Source(material, fold, inputs, settings.components, key))


@lru_cache(maxsize=1)
def _remembered(source: _Source) -> FoldData:
    projections, vectors = {}, {}
    for name in source.inputs:
        bags = (_raw(source.material, name, p) for p in source.fold.development)
        projections[name] = Projection.fit((b for b in bags if b is not None), source.components)
        vectors[name] = {
            p: _project(source.material, name, p, projections[name])
            for p in source.fold.development
        }
    return FoldData(source.material, projections, vectors)


def _raw(material: Material, name: str, patient: str) -> Tensor | None:
    sample = material.sample(patient)
    array = sample.patches if name == "image" else sample.report
    # A copy: the store is mapped read-only, and torch wants memory that it may write to.
    return None if array is None else torch.from_numpy(np.array(array))


def _project(material: Material, name: str, patient: str, projection: Projection) -> Tensor | None:
    vectors = _raw(material, name, patient)
    return None if vectors is None else projection(vectors)


def target(material: Material, patients: Sequence[str]) -> Target:
    """Outcomes of these patients as tensors."""
    rows = material.cohort.patients.loc[list(patients)]
    event = torch.from_numpy(rows["event" if "event" in rows else "label"].to_numpy() == 1)
    time = torch.from_numpy(rows["time"].to_numpy(dtype=float)) if "time" in rows else None
    strata = None
    if "strata" in rows:
        codes = {s: i for i, s in enumerate(sorted(set(material.cohort.patients["strata"])))}
        strata = torch.tensor([codes[s] for s in rows["strata"]])
    return Target(time, event, strata)


def outcome_rows(material: Material, patients: Sequence[str]) -> list[list[Any]]:
    """Id, content and outcome of each patient: what a fit depends on."""
    table = material.cohort.patients
    columns = [c for c in ("time", "event", "label", "strata") if c in table]
    values = table.loc[list(patients), columns].to_numpy(dtype=object).tolist()
    return [[p, material.contents[p], *v] for p, v in zip(patients, values, strict=True)]
