"""Patients whom a trained model has not met: read, checked against what the model expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.bundle.bundle import Bundle, Contract
from outcome.cohort import Cohort, read_cohort
from outcome.embeddings.patches.bag import Bag
from outcome.embeddings.patches.find import (
    SlideFiles,
    SlidePatches,
    find_slide_files,
    patch_geometry,
)
from outcome.embeddings.patches.packed_store import PackedStore, half
from outcome.embeddings.reports.vectors import Reports, read_reports
from outcome.errors import BundleError, CohortError, EmbeddingError, Problems
from outcome.study import Covariates, Embeddings, OnMissing, Split, Study

__all__ = ["Newcomers", "as_study", "read_newcomers"]

Array = NDArray[Any]


class NoOutcome:
    """Stands for the endpoint where outcomes are not read."""

    columns: tuple[str, ...] = ()

    def __init__(self, strata: str | None) -> None:
        self.strata = strata

    def decode(self, table: pd.DataFrame, ids: Sequence[str], problems: Problems) -> pd.DataFrame:
        """Return no column."""
        return pd.DataFrame(index=table.index)

    def positive_outcome(self, patients: pd.DataFrame) -> pd.Series:
        """Nobody is known to have an event."""
        return pd.Series(0.0, index=patients.index)


@dataclass(frozen=True)
class Newcomers:
    """New patients and where their vectors are; patches are read one patient at a time.

    Parameters
    ----------
    study : Study
        As it was read.
    cohort : Cohort
    slides : mapping of patient to tuple of (slide, files)
        Empty where the model sees no image.
    reports : Reports or None
    clinical : mapping of patient to array
        Coded rows.
    contract : Contract or None
        What patch vectors must be.
    warnings : list of str
    """

    study: Study
    cohort: Cohort
    slides: Mapping[str, tuple[tuple[str, SlideFiles], ...]]
    reports: Reports | None
    clinical: Mapping[str, NDArray[np.float64]]
    contract: Contract | None
    warnings: list[str] = field(default_factory=list)

    def given(self, patient: str, image: Array | None = None) -> dict[str, Array | None]:
        """Read what there is of a patient: `image` (unless it is given), `report`, `clinical`.

        Raises
        ------
        EmbeddingError, BundleError
            A file is damaged, or was made by another encoder.
        """
        report = self.reports.vectors(patient) if self.reports is not None else None
        return {
            "image": self._image(patient) if image is None else image,
            "report": report,
            "clinical": self.clinical.get(patient),
        }

    def bag(self, patient: str) -> Bag:
        """Read patches with their coordinates; slides as in `slides`."""
        parts = [self._slide(files) for _, files in self.slides[patient]]
        index = np.repeat(np.arange(len(parts)), [len(p.features) for p in parts])
        features = np.concatenate([half(p.features) for p in parts if len(p.features)])
        return Bag(features, np.concatenate([p.coords for p in parts]), index)

    def _image(self, patient: str) -> Array | None:
        parts = [half(self._slide(files).features) for _, files in self.slides.get(patient, ())]
        parts = [p for p in parts if len(p)]
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _slide(self, files: SlideFiles) -> SlidePatches:
        slide = files.read()
        assert self.contract is not None
        if len(slide.features):
            _check(self.contract, files.first.name, slide.features.shape[1], slide.encoder)
        return slide


def as_study(
    bundle: Bundle,
    source: Study | str | Path,
    patches: Path | None = None,
    reports: Path | None = None,
) -> Study:
    """Return a study file as it is, or a cohort table as a study with the bundle's columns.

    Raises
    ------
    StudyError
        The study file cannot be understood.
    """
    if isinstance(source, Study):
        study = source
    elif Path(source).suffix.lower() in (".yaml", ".yml"):
        study = Study.read(source)
    else:
        study = Study(
            name=Path(source).stem.strip(" .+-") or "cohort",
            cohort=Path(source),
            columns=bundle.columns,
            endpoint=bundle.endpoint,
            embeddings=Embeddings(patches=(patches or Path(),), reports=reports or Path()),
            covariates=bundle.covariates,
            arms=(bundle.arm,),
            baseline=bundle.arm.name,
            on_missing=OnMissing(slide="drop"),
        )
        found = Embeddings(patches=_folders(patches), reports=reports)
        return study.model_copy(update={"embeddings": found})
    pairs = (("patches", _folders(patches)), ("reports", reports))
    given = {k: v for k, v in pairs if v is not None}
    return study.model_copy(update={"embeddings": study.embeddings.model_copy(update=given)})


def _folders(patches: Path | None) -> tuple[Path, ...] | None:
    return None if patches is None else (patches,)


def read_newcomers(bundle: Bundle, study: Study, cache: Path, *, outcomes: bool) -> Newcomers:
    """Read a cohort as the model needs it; patches stay in their files.

    Parameters
    ----------
    bundle : Bundle
    study : Study
        See `as_study`. Only columns and folders that the bundle's arm uses are read.
    cache : Path
        Where report vectors are kept.
    outcomes : bool
        Whether to read the study's endpoint.

    Raises
    ------
    CohortError
        With every problem of table and files at once.
    BundleError
        The files are not what the model was trained on.
    """
    problems = Problems(
        f"{study.name!r} (cohort table: {study.cohort}) for the model {bundle.arm.name!r} of"
        f" {bundle.name!r}"
    )
    wanted = _needed(bundle, study, outcomes, problems)
    cohort = read_cohort(wanted, problems) if not problems else None
    problems.raise_if_any(CohortError)
    assert cohort is not None
    warnings: list[str] = []
    slides: dict[str, tuple[tuple[str, SlideFiles], ...]] = {}
    reports = None
    if "image" in bundle.inputs:
        cohort, slides = _slides(wanted, cohort, problems, warnings)
    if "report" in bundle.inputs and wanted.embeddings.reports is not None:
        reports = read_reports(wanted, cohort, PackedStore(cache), problems)
    problems.raise_if_any(CohortError)
    _check_first(bundle, cohort, slides, reports, warnings)
    clinical: dict[str, NDArray[np.float64]] = {}
    if bundle.clinical is not None:
        rows = bundle.clinical(cohort.patients)
        clinical = dict(zip(cohort.patients.index, rows, strict=True))
    contract = bundle.contracts.get("image")
    return Newcomers(wanted, cohort, slides, reports, clinical, contract, warnings)


def _needed(bundle: Bundle, study: Study, outcomes: bool, problems: Problems) -> Study:
    """Leave out of the study what the model does not need."""
    embeddings = study.embeddings
    for name, key in (("image", "patches"), ("report", "reports")):
        place = getattr(embeddings, key)
        if name not in bundle.inputs:
            embeddings = embeddings.model_copy(update={key: None})
        elif place is None:
            problems.add(
                f"the model sees {name!r}, and no {key} are given",
                remedy=f"give them with --{key}, or `embeddings: {{{key}: ...}}` in a study file",
            )
        elif getattr(place, "learned", False):
            problems.add(
                f"the model sees vectors of one encoder, and `{place.encoder}` learns its own",
                remedy="embed the texts with the encoder of the model (`outcome embed-reports`)",
            )
    endpoint: Any = study.endpoint if outcomes else NoOutcome(bundle.endpoint.strata)
    changed: dict[str, Any] = {
        "embeddings": embeddings,
        "covariates": bundle.covariates if "clinical" in bundle.inputs else Covariates(),
        "endpoint": endpoint,
        "secondary": (),
        "split": Split(),
    }
    return study.model_copy(update=changed)


def _slides(
    study: Study, cohort: Cohort, problems: Problems, warnings: list[str]
) -> tuple[Cohort, dict[str, tuple[tuple[str, SlideFiles], ...]]]:
    assert study.embeddings.patches is not None
    try:
        located = find_slide_files(study.embeddings.patches, study.embeddings.layout)
    except EmbeddingError as error:
        problems.extend([str(error)])
        return cohort, {}
    found = located.files
    names = cohort.slides["slide_id"].tolist()
    if twice := [s for s in names if s in located.doubled]:
        problems.add("several feature files have the name of one slide", twice, "keep one of them")
    missing = [s for s in names if s not in found]
    without = sorted(set(cohort.patients.index) - set(cohort.slides["patient_id"]))
    if study.on_missing.slide == "error" and (missing or without):
        problems.add(
            f"slides without a feature file in {', '.join(map(str, study.embeddings.patches))},"
            " or patients without any",
            [*missing, *without],
            "add the files, correct the ids, or set `on_missing: {slide: drop}`",
        )
        return cohort, {}
    cohort = cohort.keep_slides(
        [s for s in names if s in found], "slides with a feature file",
        f"{len(missing)} slides without a file",
    )  # fmt: skip
    slides = {
        str(patient): tuple((s, found[s]) for s in rows["slide_id"])
        for patient, rows in cohort.slides.groupby("patient_id")
    }
    kept = [p for p in cohort.patients.index if p in slides]
    lost = [p for p in cohort.patients.index if p not in slides]
    if lost:
        shown = ", ".join(lost[:3])
        warnings.append(f"{len(lost)} patients without a slide are not scored, e.g. {shown}")
    if not kept:
        problems.add("no patient has a slide with a feature file", names, "correct the slide ids")
        return cohort, {}
    reason = f"{len(lost)} patients without any slide"
    return cohort.keep(kept, "patients with a slide", reason), slides


def _check_geometry(contract: Contract, files: Sequence[Path]) -> None:
    """Look at the patches of every file: cohorts with several magnifications exist."""
    if not contract.geometry:
        return
    found = {path: patch_geometry(path) for path in files}
    for key in ("magnification", "patch_px", "patch_um"):
        ours = contract.geometry.get(key)
        other = [
            f"{p.name} ({g[key]:g})"
            for p, g in found.items()
            if ours is not None and g.get(key, ours) != ours
        ]
        if other:
            raise BundleError(
                f"{key.replace('_', ' ')} of {len(other)} feature files is not {ours:g}, on which"
                f" the model was trained, e.g. {', '.join(other[:3])}. To do: extract patches as"
                " for the training cohort"
            )


def _check_first(
    bundle: Bundle,
    cohort: Cohort,
    slides: Mapping[str, tuple[tuple[str, SlideFiles], ...]],
    reports: Reports | None,
    warnings: list[str],
) -> None:
    """Look at the first file of each input before anything long begins."""
    if slides:
        files = next(iter(slides.values()))[0][1]
        contract = bundle.contracts["image"]
        _check_geometry(contract, [f.first for of in slides.values() for _, f in of])
        slide = files.read()
        if len(slide.features):
            _check(contract, files.first.name, slide.features.shape[1], slide.encoder)
        if contract.encoder and not slide.encoder:
            warnings.append(
                f"the feature files do not name their encoder, so it cannot be checked that it is"
                f" {contract.encoder!r}"
            )
    if reports is not None:
        contract = bundle.contracts["report"]
        _check(contract, "the reports", reports.dimension, reports.encoder)
        without = sum(p not in reports.rows for p in cohort.patients.index)
        if without:
            warnings.append(f"{without} of {len(cohort.patients)} patients have no report")
    strata = cohort.patients["strata"] if "strata" in cohort.patients else pd.Series(dtype=str)
    if new := sorted(set(strata) - set(bundle.strata)):
        raise BundleError(
            f"strata that the model was not trained on: {', '.join(new[:3])} (it knows"
            f" {', '.join(bundle.strata[:10])}). To do: leave these patients out"
        )


def _check(contract: Contract, where: str, dimension: int, encoder: str) -> None:
    if dimension != contract.dimension:
        raise BundleError(
            f"{where}: vectors of {dimension} numbers, and the model was trained on"
            f" {contract.dimension}. To do: use the encoder of training"
            + (f", {contract.encoder!r}" if contract.encoder else "")
        )
    if encoder and contract.encoder and encoder.lower() != contract.encoder.lower():
        raise BundleError(
            f"{where}: made by encoder {encoder!r}, and the model was trained on"
            f" {contract.encoder!r}. To do: embed these slides or reports with that encoder"
        )
