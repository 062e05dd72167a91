"""Slide vectors as AnnData, with the cohort in `obs`, for analysis with scanpy.

`X` is the vector of each slide, or the mean over its patches; `uns` contains which of the two, and
the encoder. The file is read back as a table of slide vectors (`embeddings: {patches:
vectors.h5ad}`).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from outcome.dataset.study_data import StudyData
from outcome.errors import InputError

__all__ = ["import_anndata", "slide_vectors", "write_slide_vectors"]


def import_anndata() -> Any:
    """Return the anndata package.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        return importlib.import_module("anndata")
    except ImportError:
        raise InputError(
            "writing AnnData files needs anndata, which is not installed. To do: pip install "
            "'slide-outcome[zarr]'"
        ) from None


def slide_vectors(data: StudyData) -> Any:
    """Return an AnnData with a row per slide.

    Parameters
    ----------
    data : StudyData

    Raises
    ------
    InputError
        anndata is not installed, or the study has no image.
    """
    anndata = import_anndata()
    if not data.slides:
        raise InputError("the study has no patch or slide vectors")
    patients = data.cohort.patients.rename(columns=lambda c: str(c).removeprefix("column:"))
    # Slides are packed in the order of the slide table of the cohort, by patient.
    names = data.cohort.slides.groupby("patient_id")["slide_id"].agg(list)
    rows, vectors, encoders, patches = [], [], set(), []
    for patient, slides in data.slides.items():
        for name, packed in zip(names[patient], slides, strict=True):
            rows.append((name, patient))
            vectors.append(data.store.mean([packed]))
            encoders.add(packed.encoder)
            patches.append(packed.n)
    obs = pd.DataFrame(rows, columns=["slide_id", "patient_id"]).set_index("slide_id")
    obs["patches"] = patches
    own = patients.loc[obs["patient_id"]].set_axis(obs.index, axis=0)
    obs = obs.join(own[[c for c in own if c not in obs]])
    text = obs.select_dtypes("object").columns
    obs[text] = obs[text].astype(str)
    obs.index.name = None
    table = anndata.AnnData(np.stack(vectors).astype(np.float32), obs=obs)
    table.uns["encoder"] = "+".join(sorted(encoders))
    table.uns["vectors"] = "mean of patches" if max(patches) > 1 else "slide"
    return table


def write_slide_vectors(data: StudyData, path: Path) -> int:
    """Write the vectors of all slides as `.h5ad`; returns their number."""
    table = slide_vectors(data)
    building = path.with_name(f".{path.name}.part")
    try:
        table.write_h5ad(building)
        building.replace(path)
    finally:
        building.unlink(missing_ok=True)
    return int(table.n_obs)
