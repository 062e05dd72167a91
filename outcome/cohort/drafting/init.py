"""A first study file from a table and the names of feature files, for `outcome init`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort.drafting.drafts import Draft, endpoint_comments, relative
from outcome.cohort.drafting.endpoint_section import guessed_section
from outcome.cohort.drafting.guess_columns import FILE_SUFFIX, Guesses
from outcome.cohort.drafting.slides_of_patients import with_slides

__all__ = ["draft_init"]

HDF5 = (".h5", ".hdf5")


def draft_init(
    table: pd.DataFrame,
    path: Path,
    guesses: Guesses,
    files: Collection[str],
    *,
    out: Path,
    name: str,
    folders: Sequence[Path] = (),
    reports: Path | None = None,
    codes: Mapping[str, int] | None = None,
    positive: str = "",
) -> Draft:
    """Convert guesses to a commented study file.

    Parameters
    ----------
    table : DataFrame
        The cohort table as text, read from `path`.
    guesses : Guesses
    files : collection of str
        Names of the slides that have a feature file.
    out : Path
        Path of the study file.
    name, folders, reports, codes, positive
        As given by the user.

    Returns
    -------
    Draft
        With a new cohort table if slides were matched by patient.
    """
    # A table with this name in the same folder belongs to the user.
    file = f"{out.stem}-cohort.csv" if (out.parent / "cohort.csv").exists() else "cohort.csv"
    cohort, slide, understood = _slides(table, guesses, files, file)
    study: dict[str, Any] = {
        "name": re.sub(r"[^\w .+-]+", "-", name).strip(" -.+") or "study",
        "cohort": file if cohort is not None else relative(path, out.parent),
        "columns": {"patient": guesses.patient, "slide": slide},
        "endpoint": guessed_section(guesses, table, positive, codes),
    }
    embeddings: dict[str, Any] = {}
    if folders:
        places = [relative(f, out.parent) for f in folders]
        embeddings["patches"] = places[0] if len(places) == 1 else places
    if reports is not None:
        place = relative(reports, out.parent)
        vectors = reports.is_file() and reports.suffix.lower() in HDF5
        embeddings["reports"] = place if vectors else {"texts": place}
    study["embeddings"] = embeddings or {"patches": "features/"}
    inputs = [*(["image"] if folders or not reports else []), *(["report"] if reports else [])]
    covariates = {"numeric": list(guesses.numeric), "categorical": list(guesses.categorical)}
    if covariates := {kind: found for kind, found in covariates.items() if found}:
        study["covariates"] = covariates
        inputs.append("clinical")
    arms = _arms(inputs)
    study |= {"arms": arms, "baseline": arms[0]}
    if contrasts := [[f"image+{c}", c] for c in ("clinical", "report") if f"image+{c}" in arms]:
        study["contrasts"] = contrasts
    study["split"] = _split(guesses)
    if slide and not guesses.slide and cohort is not None and (cohort[slide] == "").any():
        study["on_missing"] = {"slide": "drop"}
    comments = _comments(guesses, study, folders)
    if cohort is not None:
        comments["name"] += (
            f"\nThe study reads {file}, a copy of {path.name} made by `outcome init`. Correct "
            f"{file}, or\ncorrect {path.name} and run `outcome init` again."
        )
    return Draft(study, comments, cohort, understood=understood)


def _arms(inputs: Sequence[str]) -> list[str]:
    """Return each input alone, the image with the clinical data, and all together."""
    arms = [*inputs, "+".join(inputs)]
    if {"image", "clinical"} <= set(inputs):
        arms.insert(len(inputs), "image+clinical")
    return list(dict.fromkeys(arms))


def _slides(
    table: pd.DataFrame, guesses: Guesses, files: Collection[str], file: str
) -> tuple[pd.DataFrame | None, str | None, list[str]]:
    """Find the slides by their column, or by the patient id at the start of a file name."""
    if not guesses.slide:
        return with_slides(table, guesses.patient, files, file)
    if table[guesses.slide].str.contains(FILE_SUFFIX).any():
        column = table[guesses.slide].str.replace(FILE_SUFFIX, "", regex=True)
        cohort = table.assign(**{guesses.slide: column})
        return cohort, guesses.slide, [f"slide ids without .h5 and the like: in {file}"]
    return None, guesses.slide, []


def _split(guesses: Guesses) -> dict[str, Any]:
    if guesses.folds:
        found: dict[str, Any] = {"column": guesses.folds[0], "seed": 0}
    else:
        found = {"folds": 5, "stratify": True, "seed": 0}
    return found | ({"site": guesses.site} if guesses.site else {})


def _comments(
    guesses: Guesses, study: Mapping[str, Any], folders: Sequence[Path]
) -> dict[str, str]:
    endpoint = study["endpoint"]
    comments = {
        "name": "Written by `outcome init`. The roles of the columns are guesses: check them.",
        "columns": "patients and slides; slides and files are matched by name",
        "endpoint": "GUESSED. " + endpoint_comments(endpoint),
        "embeddings": "relative to this file",
        "arms": "each is one model; all are compared with the baseline on the same folds",
        "split": "always by patient. `site_preserved: true` (with `site`) keeps hospitals together",
    }
    if "event_codes" in endpoint:
        comments["endpoint"] += "\nevent_codes: 1 = event, 0 = none, 2 = a competing event"
    if endpoint["kind"] == "survival":
        comments["endpoint"] += "\nhorizons: [...] in the same unit would add risks by that time"
    if "contrasts" in study:
        comments["contrasts"] = "does the image add to the clinical data?"
    if isinstance(endpoint.get("time"), dict):
        comments["endpoint"] += (
            "\ntime: from one date to the first available of several dates; or the first "
            "available of several columns of times\ndates: day-first or month-first, if the "
            "year is not first"
        )
    if not folders:
        comments["embeddings"] += ". CORRECT THIS: the folder of patch embeddings"
    if "covariates" in study:
        comments["covariates"] = (
            "GUESSED. Only what is known at the time of prediction; columns that depend on the"
            "\noutcome (treatment after relapse, cause of death) must not be here"
        )
    if "on_missing" in study:
        comments["on_missing"] = "patients without a slide are dropped, and counted"
    if len(guesses.folds) > 1:
        comments["split"] += (
            f"\nalso fold columns: {', '.join(guesses.folds[1:])}; a list is repeats"
        )
    return comments
