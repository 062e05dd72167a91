"""Simulated embeddings for an existing cohort table, as a rehearsal of a study.

The model
---------
Patients, slides, outcomes and covariates of the table are not changed. The information in images
and reports is simulated. A patient's *standing* measures how bad the outcome is: for follow-up, the
martingale residual (the event, 1 or 0, minus the Nelson-Aalen hazard up to the end of follow-up,
within strata), converted to a normal score by its rank; for a label, the label itself, with the
worse class above. The image latent and the report latent are each::

    rho * standing + sqrt(1 - rho^2) * noise

with the two noises correlated by `shared`, and with rho chosen so that the concordance (Harrell's
C within strata; for a label the AUROC) of the latent with the outcome is `image_c` and `report_c`.
From the latents, tissues, patch vectors and report chunks are drawn as in `outcome.simulate`. The
performance of a model is limited to less than that of the latent, because a slide has a finite
number of patches. `truth.csv` contains the realised score of each input.

In a study with two treatments, the standing of patients with the reference is multiplied by
`reference_share`. Below 1, the inputs are more strongly associated with the outcome of treated
patients than with that of the others, so the treatment effect depends on the inputs.

Vectors are generated from the outcomes. This is sufficient to test a whole study (columns, folds,
arms, run time, report) before slides are processed. The results have no scientific value.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from outcome.cohort import Cohort
from outcome.errors import InputError
from outcome.progress import CountProgress, no_progress
from outcome.simulation.files import (
    N_COMMON,
    TISSUES,
    features_folder,
    write_features,
    write_reports,
)
from outcome.simulation.simulate import Simulation, draw_tissues
from outcome.simulation.source_cohort import read_source_cohort
from outcome.simulation.world import PatchWorld, ReportWorld
from outcome.statistics.concordance import harrell
from outcome.study import Study
from outcome.tables.codes import canonical_code
from outcome.tables.treatment import TREATMENT

__all__ = ["Rehearsal", "rehearse"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rehearsal:
    """Result of a rehearsal.

    Attributes
    ----------
    study : Path
        The study file to run.
    patients, slides : int
    carried : mapping
        Input (`image`, `report`) -> realised concordance or AUROC of its information.
    """

    study: Path
    patients: int
    slides: int
    carried: dict[str, float]


def rehearse(
    out: Path,
    study: Study,
    simulation: Simulation | None = None,
    *,
    image_c: float = 0.68,
    report_c: float = 0.64,
    reference_share: float = 1.0,
    progress: CountProgress = no_progress,
) -> Rehearsal:
    """Write simulated embeddings for the cohort table of a study.

    Parameters
    ----------
    out : Path
        A new or empty folder; it receives study.yaml, a copy of the cohort table, patch features,
        reports.h5 and truth.csv.
    study : Study
        Study whose embeddings need not exist; they are neither read nor written.
    simulation : Simulation, optional
        Only `patches`, `dimension`, `informative`, `shared`, `site_shift`, `missing_reports` and
        `seed` are used.
    image_c, report_c : float
        Concordance (or AUROC) of the information in each input, in [0.5, 0.95]; 0.5 is none.
    reference_share : float
        With two treatments: factor of the standing of patients with the reference, from 0 to 1.
        With 1 there is no interaction.
    progress : callable
        Called with the number of slides written so far, and of all slides.

    Raises
    ------
    InputError
        The folder is not empty, a concordance is out of range, or the table is invalid.
    """
    s = simulation or Simulation()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not empty; give a new folder")
    for name, value in (("image_c", image_c), ("report_c", report_c)):
        if not 0.5 <= value <= 0.95:
            raise InputError(f"simulate: {name} must be in [0.5, 0.95], not {value}")
    if not 0 <= reference_share <= 1:
        raise InputError(f"simulate: reference_share must be in [0, 1], not {reference_share}")
    if reference_share != 1 and study.treatment is None:
        raise InputError("simulate: reference_share needs a study that declares a `treatment`")
    if study.embeddings.patches is None:
        raise InputError("the study names no `embeddings.patches`, so there is nothing to simulate")
    cohort = read_source_cohort(study)
    rng = np.random.default_rng([s.seed, 20261125])
    standing = _standing(cohort)
    if study.treatment is not None:
        reference = cohort.patients[TREATMENT].map(canonical_code) == study.treatment.reference
        standing = np.where(reference, reference_share * standing, standing)
    patients = _latents(cohort, standing, s, {"image": image_c, "report": report_c}, rng)
    slides = _slides(cohort, s, rng)
    tissue = [draw_tissues(s, patients, row, rng) for row in slides.itertuples()]
    features = features_folder(out)
    features.mkdir(parents=True)
    patches = PatchWorld.draw(s, len(TISSUES), patients["site"], rng)
    write_features(patches, features, patients, slides, tissue, rng, progress)
    write_reports(ReportWorld.draw(s, rng), out / "reports.h5", patients, rng)
    truth = _truth(patients, slides, tissue)
    truth.to_csv(out / "truth.csv", index=False)
    shutil.copyfile(study.cohort, out / study.cohort.name)
    path = _write_study(out, study, features, s, image_c, report_c)
    carried = {part: _agreement(cohort, truth[part].to_numpy()) for part in ("image", "report")}
    return Rehearsal(path, len(patients), len(slides), carried)


def _latents(
    cohort: Cohort,
    standing: Array,
    s: Simulation,
    wanted: dict[str, float],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Columns as drawn by `outcome.simulate`: tumour, immune, grade, site, has_report."""
    n = len(cohort.patients)
    first, second, own = rng.normal(size=(3, n))
    noise = {"image": first, "report": s.shared * first + np.sqrt(1 - s.shared**2) * second}
    latent = {
        part: _mixed(standing, noise[part], c, lambda x: _agreement(cohort, x))
        for part, c in wanted.items()
    }
    site = cohort.patients.get("site", pd.Series("one site", index=cohort.patients.index))
    # Tumour minus immune carries the latent; their sum is uninformative.
    return pd.DataFrame(
        {
            "patient_id": list(cohort.patients.index),
            "site": site.to_numpy(),
            "tumour": (latent["image"] + own) / np.sqrt(2),
            "immune": (own - latent["image"]) / np.sqrt(2),
            "grade": latent["report"],
            "has_report": rng.random(n) >= s.missing_reports,
        }
    )


def _standing(cohort: Cohort) -> Array:
    """How bad the outcome of each patient is: mean 0, SD about 1, higher is worse."""
    seen = cohort.endpoint.observed(cohort.patients)
    score: Array
    if seen.time is None:
        label = seen.event.astype(float)
        score = (label - label.mean()) / label.std()
        return -score if seen.favourable else score
    score = np.zeros(len(seen))
    for stratum in np.unique(seen.strata):
        rows = np.flatnonzero(seen.strata == stratum)
        time, event = seen.time[rows], seen.event[rows].astype(float)
        entry = np.full(len(rows), -np.inf) if seen.entry is None else seen.entry[rows]
        at_risk = ((time[None, :] >= time[:, None]) & (entry[None, :] < time[:, None])).sum(axis=1)
        spans = zip(entry, time, strict=True)
        hazard = np.array([(event / at_risk)[(e < time) & (time <= t)].sum() for e, t in spans])
        score[rows] = norm.ppf((rankdata(event - hazard) - 0.5) / len(rows))
    return score


def _agreement(cohort: Cohort, score: Array) -> float:
    """Harrell's C within strata, or the AUROC of the worse class."""
    seen = cohort.endpoint.observed(cohort.patients)
    if seen.time is None:
        worse = seen.worse
        high = rankdata(score)[worse].sum() - worse.sum() * (worse.sum() + 1) / 2
        return float(high / (worse.sum() * (~worse).sum()))
    group = seen.strata if seen.stratified else None
    return harrell(seen.time, seen.event.astype(float), score, group=group, entry=seen.entry).c


def _mixed(
    standing: Array, noise: Array, wanted: float, agreement: Callable[[Any], float]
) -> Array:
    """Standing and noise, mixed to reach the desired concordance."""
    low, high = -1.0, 1.0
    mixed = noise
    for _ in range(20):
        rho = (low + high) / 2
        mixed = rho * standing + np.sqrt(1 - rho**2) * noise
        low, high = (rho, high) if agreement(mixed) < wanted else (low, rho)
    return mixed


def _slides(cohort: Cohort, s: Simulation, rng: np.random.Generator) -> pd.DataFrame:
    slides = cohort.slides.copy()
    if not len(slides):  # no slide column: one file per patient
        ids = list(cohort.patients.index)
        slides = pd.DataFrame({"patient_id": ids, "slide_id": ids})
    slides["of"] = cohort.patients.index.get_indexer(pd.Index(slides["patient_id"]))
    size = s.patches * np.exp(0.3 * rng.normal(size=len(slides)))
    slides["n"] = np.maximum(5, size.astype(int))
    return slides


def _truth(patients: pd.DataFrame, slides: pd.DataFrame, tissue: list[Any]) -> pd.DataFrame:
    share = np.zeros((len(patients), len(TISSUES)))
    np.add.at(
        share, slides["of"].to_numpy(), [np.bincount(t, minlength=len(TISSUES)) for t in tissue]
    )
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1)
    spread = share.std(axis=0)
    rare = (share - share.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return pd.DataFrame(
        {
            "patient_id": patients["patient_id"],
            "image": rare[:, N_COMMON] - rare[:, N_COMMON + 1],
            "report": patients["grade"].where(patients["has_report"], 0.0),
            "tumour_fraction": share[:, N_COMMON],
            "immune_fraction": share[:, N_COMMON + 1],
        }
    )


def _write_study(
    out: Path, study: Study, features: Path, s: Simulation, image_c: float, report_c: float
) -> Path:
    data = study.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data |= {
        "name": study.name if "simulated" in study.name else f"{study.name}-simulated",
        "cohort": study.cohort.name,
        "embeddings": {
            "patches": features.relative_to(out).as_posix(),
            "reports": "reports.h5",
        },
    }
    if study.split.files is not None:
        data["split"]["files"] = Path(os.path.relpath(study.split.files, out)).as_posix()
    text = (
        "# SIMULATED embeddings for a given cohort table; they have no scientific value.\n# "
        f"Made with patches={s.patches} dimension={s.dimension} informative={s.informative} "
        f"image_c={image_c} report_c={report_c} seed={s.seed}\n"
    )
    path = out / "study.yaml"
    path.write_text(text + yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return path
