"""A study of data in memory, with the settings and checks of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.dataset.slide_dataset import SlideDataset
from outcome.errors import InputError, Problems
from outcome.study import Study

__all__ = ["cohort_table", "memory_study"]

RESERVED = ("patient_id", "slide_id", "time", "event", "label")


def memory_study(data: SlideDataset, settings: Mapping[str, Any], where: str) -> Study:
    """Return a study with the vectors of a dataset.

    Parameters
    ----------
    data : SlideDataset
    settings : mapping
        Sections of a study file: `endpoint`, `arms`, `split`, `training` and so on. Covariates are
        those of the dataset, without the columns of strata and sites.
    where : str
        Name of the calling function, for messages.

    Raises
    ------
    InputError
        The settings contradict each other or the dataset; the message lists all problems.
    """
    problems = Problems(where)
    columns = [] if data.covariates is None else [str(c) for c in data.covariates.columns]
    reserved = (*RESERVED, settings.get("endpoint", {}).get("entry"))
    if taken := [c for c in columns if c in reserved]:
        problems.add("`covariates` has columns with reserved names", taken, "rename them")
    strata = settings.get("endpoint", {}).get("strata")
    site = settings.get("split", {}).get("site")
    for name, column in (("strata", strata), ("site", site)):
        if column is not None and column not in columns:
            problems.add(
                f"`{name}` is {column!r}, but the covariates have no such column",
                remedy=f"their columns are {columns}",
            )
    asked = {i for arm in settings.get("arms", ()) for i in arm["inputs"]} - set(data.inputs)
    words = {"image": "`bags`", "report": "`reports`", "clinical": "`covariates`"}
    if lacking := [words[i] for i in sorted(asked) if i in words]:
        problems.add(
            f"the data have no {' and no '.join(lacking)}, which a model needs",
            remedy=f"add them to the SlideDataset, or use inputs {'+'.join(data.inputs)}",
        )
    problems.raise_if_any(InputError)
    aside = {strata, site}
    declared = data.declared.model_dump(mode="json")
    covariates: dict[str, Any] = {
        k: [c for c in declared[k] if c not in aside] for k in ("numeric", "categorical")
    }
    covariates["levels"] = {
        k: v for k, v in declared["levels"].items() if k in covariates["categorical"]
    }
    places = {"image": "patches", "report": "reports"}
    study = Study.parse(
        {
            "name": "data in memory",
            "cohort": ".",
            "columns": {"slide": "slide_id"},
            "embeddings": {places[i]: "." for i in data.inputs if i in places},
            "covariates": covariates,
            **settings,
        },
        folder=Path(),
        where=where,
    )
    # No folder, because the vectors are given; slides are named in the table.
    patches = () if "image" in data.inputs else None
    return study.model_copy(
        update={
            "cohort": Path("the data"),
            "embeddings": study.embeddings.model_copy(update={"patches": patches}),
        }
    )


def cohort_table(data: SlideDataset, outcomes: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the cohort table of a dataset: one row per slide, or per patient without any.

    Parameters
    ----------
    data : SlideDataset
    outcomes : DataFrame, optional
        `time` and `event` (and `entry`), or `label`, in the order of the patients.
    """
    patients = data.patients.tolist()
    table = pd.DataFrame({"patient_id": patients})
    if outcomes is not None:
        table = table.assign(**{str(c): outcomes[c].to_numpy() for c in outcomes})
    if data.covariates is not None:
        columns = {str(c): data.covariates[c].to_numpy() for c in data.covariates}
        table = table.assign(**columns)
    slides = pd.Series([data.slides(p) or [""] for p in patients], dtype=object)
    return table.assign(slide_id=slides).explode("slide_id", ignore_index=True)
