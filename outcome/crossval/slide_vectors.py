"""Out-of-fold slide and patient vectors of the test patients, pooled by the networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from outcome.cohort import Fold
from outcome.crossval.grid import Grid
from outcome.crossval.late_fusion import MemberScores
from outcome.models.network import OutcomeNetwork
from outcome.training.arm_members import Member, members
from outcome.training.batching import Patients
from outcome.training.fold_data import FoldData
from outcome.training.trainer import pooled

__all__ = ["held_out_vectors", "write_vectors"]

Vectors = tuple[list[str], NDArray[np.float32]]


def held_out_vectors(
    data: FoldData, member: Member, networks: Sequence[OutcomeNetwork], device: torch.device
) -> dict[str, Vectors]:
    """Pool the patches of each test patient of a fold, and of each single slide.

    Returns
    -------
    dict
        `patients`: ids and vectors, shape (n, width), with the inputs concatenated, averaged over
        the inner networks. `slides`: the same for each slide, only with the image part; absent for
        a member without images.
    """
    patients = list(data.fold.test)
    seen = data.test(member, patients)
    found = {"patients": (patients, _mean(seen, networks, device))}
    if "image" in member.inputs:
        names, slides = data.slides(patients)
        # Pooling does not use outcomes: those of the first patient are placeholders.
        placeholder = seen.target[torch.zeros(len(slides), dtype=torch.long)]
        pooled_slides = _mean(Patients({"image": slides}, placeholder), networks, device)
        found["slides"] = (names, pooled_slides)
    return found


def _mean(
    patients: Patients, networks: Sequence[OutcomeNetwork], device: torch.device
) -> NDArray[np.float32]:
    mean = np.mean([pooled(n, patients, device) for n in networks], axis=0)
    return np.asarray(mean, dtype=np.float32)


def write_vectors(
    path: Path, grid: Grid, scores: dict[tuple[tuple[int, str], Member], MemberScores]
) -> None:
    """Write `slide_vectors.h5`: arm / repeat / model / patients or slides.

    Each has `vectors` (rows, width), `id` and `fold`. Vectors of different folds come from
    different networks and have no common axes: use them within a fold. Linear models have none.
    """
    building = path.with_name(f".{path.name}.part")
    with h5py.File(building, "w") as file:
        for arm in grid.study.arms:
            for member in members(arm):
                for fold in grid.study_data.folds:
                    _append(file, arm.name, member, fold, scores[fold.key, member])
    building.replace(path)


def _append(file: h5py.File, arm: str, member: Member, fold: Fold, scores: MemberScores) -> None:
    for level, (ids, vectors) in scores.vectors.items():
        # A slash would create a new group.
        names = [part.replace("/", "_") for part in (arm, f"repeat {fold.repeat}", member.name)]
        group = file.require_group("/".join([*names, level]))
        _extend(group, "vectors", vectors, np.dtype("f4"))
        _extend(group, "id", ids, h5py.string_dtype())
        _extend(group, "fold", [fold.name] * len(ids), h5py.string_dtype())


def _extend(group: h5py.Group, name: str, values: Any, kind: Any) -> None:
    tail = np.shape(values)[1:]
    if name not in group:
        group.create_dataset(name, (0, *tail), maxshape=(None, *tail), dtype=kind)
    n = len(group[name])
    group[name].resize(n + len(values), axis=0)
    group[name][n:] = values
