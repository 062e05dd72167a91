"""Writes simulated patch and report vectors in the layout of real feature extractors (TRIDENT)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.progress import CountProgress
from outcome.simulation.world import PatchWorld, ReportWorld

__all__ = ["N_COMMON", "PATCH_PX", "TISSUES", "features_folder", "write_features", "write_reports"]

TISSUES = ("stroma", "fat", "muscle", "necrosis", "normal", "blood", "tumour front", "immune")
N_COMMON = 6
PATCH_PX = 384


def features_folder(out: Path) -> Path:
    """Folder of the patch vectors of a simulated cohort."""
    return out / f"20x_{PATCH_PX}px_0px_overlap" / "features_simulated"


def write_features(
    world: PatchWorld,
    folder: Path,
    patients: pd.DataFrame,
    slides: pd.DataFrame,
    tissue: list[NDArray[np.int64]],
    rng: np.random.Generator,
    progress: CountProgress,
) -> None:
    """Write one file per slide.

    Parameters
    ----------
    world : PatchWorld
        Must contain all sites.
    folder : Path
        An existing folder.
    patients : DataFrame
        Column `site`.
    slides : DataFrame
        Columns `slide_id` and `of`, the row of the patient.
    tissue : list of ndarray
        Tissue of each patch, per slide.
    rng : Generator
    progress : callable
        Called with the number of slides written so far, and of all slides.
    """
    w, (rank, d) = world, world.within.shape
    row: Any
    for done, (row, kinds) in enumerate(zip(slides.itertuples(), tissue, strict=True)):
        progress(done, len(slides))
        n = len(kinds)
        site = w.sites[patients["site"].iloc[row.of]]
        shift = w.base + site + rng.normal(size=4) @ w.slide_axes
        noise = rng.standard_normal(size=(n, d), dtype=np.float32)
        x = w.prototypes[kinds] + rng.normal(size=(n, rank)) @ w.within + shift + noise
        _write_slide(folder, str(row.slide_id), x.astype(np.float16), kinds, rng)
    progress(len(slides), len(slides))


def _write_slide(
    folder: Path,
    name: str,
    features: NDArray[np.float16],
    kinds: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    n = len(features)
    side = int(np.ceil(np.sqrt(n * 1.4)))
    cell = np.sort(rng.permutation(side * side)[:n])
    cell = _regions(cell, side, kinds, name)
    coords = np.stack([cell % side, cell // side], axis=1) * 2 * PATCH_PX
    with h5py.File(folder / f"{name}.h5", "w") as file:
        data = file.create_dataset("features", data=features, chunks=(1, features.shape[1]))
        data.attrs.update({"name": name, "savetodir": "", "encoder": "simulated"})
        where = file.create_dataset("coords", data=coords.astype(np.int64))
        where.attrs.update(
            {
                "patch_size": PATCH_PX,
                "patch_size_level0": 2 * PATCH_PX,
                "level0_magnification": 40,
                "target_magnification": 20,
                "overlap": 0,
                "name": name,
                "savetodir": "",
                "level0_width": side * 2 * PATCH_PX,
                "level0_height": side * 2 * PATCH_PX,
            }
        )
        file.create_dataset("simulated_tissue", data=kinds.astype(np.int8))


def _regions(
    cell: NDArray[np.int64], side: int, kinds: NDArray[np.int64], name: str
) -> NDArray[np.int64]:
    """Assign a position to each patch, so that a tissue is in one or two regions of the slide."""
    # A separate generator: positions of patches must not change their content.
    rng = np.random.default_rng(list(name.encode()))
    free = np.stack([cell % side, cell // side], axis=1).astype(float)
    left, placed = np.arange(len(cell)), np.empty_like(cell)
    for kind in reversed(range(len(TISSUES))):
        for part in np.array_split(np.flatnonzero(kinds == kind), int(rng.integers(1, 3))):
            if not len(part):
                continue
            centre = free[left[rng.integers(len(left))]]
            near = np.argsort(((free[left] - centre) ** 2).sum(axis=1), kind="stable")
            placed[part] = cell[left[near[: len(part)]]]
            left = np.delete(left, near[: len(part)])
    return placed


def write_reports(
    world: ReportWorld, path: Path, patients: pd.DataFrame, rng: np.random.Generator
) -> None:
    """Write unit-length chunk vectors; one per patient is shifted in the direction of the grade.

    `patients` has columns `patient_id`, `grade` and `has_report`.
    """
    n_topics, d = world.topics.shape
    with h5py.File(path, "w") as file:
        file.attrs["encoder"] = "simulated"
        for patient, grade, has in zip(
            patients["patient_id"], patients["grade"], patients["has_report"], strict=True
        ):
            n = int(rng.integers(3, 8))
            chunks = world.topics[rng.integers(n_topics, size=n)]
            chunks[rng.integers(n)] = world.about + 3 * grade * world.direction
            chunks = chunks + rng.normal(size=(n, d)) * 2 / np.sqrt(d)
            if has:
                chunks /= np.linalg.norm(chunks, axis=1, keepdims=True)
                file.create_dataset(patient, data=chunks.astype(np.float32))
