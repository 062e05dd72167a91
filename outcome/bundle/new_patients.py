"""New patients for a trained model, read and checked against its requirements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.bundle.bundle import Bundle
from outcome.bundle.contracts import Contract
from outcome.cohort import Cohort, read_cohort
from outcome.counting import plural
from outcome.embeddings.patches.bag import Bag
from outcome.embeddings.patches.find import SlideFiles, SlidePatches
from outcome.embeddings.patches.geometry import patch_sides
from outcome.embeddings.patches.join import leave_out_by_barcode, locate_slides
from outcome.embeddings.patches.packed_store import PackedStore, default_cache, half
from outcome.embeddings.reports.vectors import Reports, read_reports
from outcome.errors import BundleError, CohortError, Problems
from outcome.study import Covariates, Embeddings, OnMissing, Split, Study

__all__ = [
    "NewPatients",
    "as_study",
    "check_strata",
    "patients_of_study",
    "read_new_patients",
]

Array = NDArray[Any]
Slides = Mapping[str, tuple[tuple[str, SlideFiles], ...]]


@dataclass(frozen=True)
class NewPatients:
    """New patients and the location of their vectors; patches are read one patient at a time.

    Parameters
    ----------
    study : Study
        The study as read.
    cohort : Cohort
    slides : mapping of patient to tuple of (slide, files)
        Empty if the model uses no images.
    reports : Reports or None
    clinical : mapping of patient to array
        Coded rows.
    contract : Contract or None
        Requirements for patch vectors.
    warnings : list of str
    """

    study: Study
    cohort: Cohort
    slides: Slides
    reports: Reports | None
    clinical: Mapping[str, NDArray[np.float64]]
    contract: Contract | None
    warnings: list[str] = field(default_factory=list)

    @property
    def unusable(self) -> tuple[str, str]:
        """Description of files that cannot be used, and what to do."""
        return "feature files that cannot be used", "extract these slides again"

    @property
    def ids(self) -> list[str]:
        """Ids of the patients, in the order of the predictions."""
        return [str(p) for p in self.cohort.patients.index]

    def given(self, patient: str, image: Array | None = None) -> dict[str, Array | None]:
        """Read the inputs of a patient: `image` (unless it is given), `report`, `clinical`.

        Raises
        ------
        EmbeddingError, BundleError
            A file is damaged, or comes from another encoder.
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
        sides = np.concatenate([patch_sides(p.files, p.coords) for p in parts])
        return Bag(features, np.concatenate([p.coords for p in parts]), index, sides)

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
            self.contract.check(files.first.name, slide.features.shape[1], slide.encoder)
        return slide


def as_study(
    bundle: Bundle,
    source: Study | str | Path,
    patches: str | Path | None = None,
    reports: str | Path | None = None,
) -> Study:
    """Return a study, or a cohort table as a study with the columns and the arm of the bundle.

    Parameters
    ----------
    bundle : Bundle
    source : Study or path
        A study file (`.yaml`), or a cohort table.
    patches, reports : path, optional
        Location of the vectors, instead of that given in the study.

    Raises
    ------
    StudyError
        The study file is invalid.
    CohortError
        With a cohort table, the vectors of an input of the model were not given.
    """
    given: dict[str, Any] = {}
    if patches is not None:
        given["patches"] = (Path(patches),)
    if reports is not None:
        given["reports"] = Path(reports)
    if not isinstance(source, Study):
        if Path(source).suffix.lower() not in (".yaml", ".yml"):
            return _study_of_table(bundle, Path(source), Embeddings(**given))
        source = Study.read(source)
    embeddings = source.embeddings.model_copy(update=given)
    return source.model_copy(update={"embeddings": embeddings})


def _study_of_table(bundle: Bundle, table: Path, embeddings: Embeddings) -> Study:
    if not table.is_file():
        raise CohortError(f"there is no cohort table {table}")
    problems = Problems(_where(bundle, table.stem, table))
    _check_given(bundle, embeddings, problems)
    problems.raise_if_any(CohortError)
    return Study(
        name=table.stem.strip(" .+-") or "cohort",
        cohort=table,
        columns=bundle.columns,
        endpoint=bundle.endpoint,
        embeddings=embeddings,
        covariates=bundle.covariates,
        arms=(bundle.arm,),
        baseline=bundle.arm.name,
        on_missing=OnMissing(slide="drop"),
    )


def _where(bundle: Bundle, name: str, table: Path) -> str:
    return f"{name!r} (cohort table: {table}) for the model {bundle.arm.name!r} of {bundle.name!r}"


def _check_given(bundle: Bundle, embeddings: Embeddings, problems: Problems) -> None:
    """Check that the vectors of every input of the model are given."""
    for name, key in (("image", "patches"), ("report", "reports")):
        place = getattr(embeddings, key)
        if name not in bundle.inputs:
            continue
        if place is None:
            problems.add(
                f"the model needs {name!r}, but no {key} are given",
                remedy=f"give `{key}`, or `embeddings: {{{key}: ...}}` in a study file",
            )
        elif getattr(place, "learned", False):
            problems.add(
                f"the model needs vectors of a fixed encoder, but `{place.encoder}` is learned "
                "from the data",
                remedy="embed the texts with the encoder of the model (`outcome embed-reports`)",
            )


def read_new_patients(
    bundle: Bundle,
    study: Study,
    cache: str | Path | None = None,
    *,
    with_outcomes: bool,
) -> NewPatients:
    """Read the parts of a cohort that the model needs; patches stay in their files.

    Parameters
    ----------
    bundle : Bundle
    study : Study
        See `as_study`. Only columns and folders used by the arm of the bundle are read.
    cache : path, optional
        Folder for report vectors; by default the cache of the user.
    with_outcomes : bool
        Also read the outcomes of the study's endpoint.

    Raises
    ------
    CohortError
        The table or the files are invalid; the message lists all problems.
    BundleError
        The files do not match the training data.
    """
    problems = Problems(_where(bundle, study.name, study.cohort))
    _check_given(bundle, study.embeddings, problems)
    wanted = _needed(bundle, study, with_outcomes=with_outcomes)
    cohort = None
    if not problems:
        cohort = read_cohort(wanted, problems, with_outcomes=with_outcomes)
    problems.raise_if_any(CohortError)
    assert cohort is not None
    return _located(bundle, wanted, cohort, cache, problems)


def patients_of_study(
    bundle: Bundle,
    study: Study,
    cohort: Cohort,
    patients: Sequence[str],
    cache: str | Path | None = None,
) -> NewPatients:
    """Return patients of the cohort of a study as new patients for a model of this study.

    Parameters
    ----------
    bundle : Bundle
        Trained without these patients.
    study : Study
    cohort : Cohort
        Cohort of the study.
    patients : sequence of str
        Patients whose vectors are located.
    cache : path, optional
        As for `read_new_patients`.

    Raises
    ------
    CohortError, BundleError
        Files are missing or changed.
    """
    problems = Problems(_where(bundle, study.name, study.cohort))
    kept = cohort.keep(list(patients), "patients to explain", "not to be explained")
    return _located(bundle, _needed(bundle, study, with_outcomes=False), kept, cache, problems)


def _located(
    bundle: Bundle,
    wanted: Study,
    cohort: Cohort,
    cache: str | Path | None,
    problems: Problems,
) -> NewPatients:
    """Find the vectors of a cohort, and check them against the requirements of the model."""
    warnings: list[str] = []
    slides: Slides = {}
    reports = None
    if "image" in bundle.inputs:
        cohort, slides = _slides(wanted, cohort, problems, warnings)
    if "report" in bundle.inputs and wanted.embeddings.reports is not None:
        store = PackedStore(default_cache() if cache is None else Path(cache))
        reports = read_reports(wanted, cohort, store, problems)
    problems.raise_if_any(CohortError)
    if slides:
        _check_slides(bundle.contracts["image"], slides, warnings)
    if reports is not None:
        _check_reports(bundle.contracts["report"], reports, cohort, warnings)
    check_strata(bundle, cohort)
    clinical: dict[str, NDArray[np.float64]] = {}
    if bundle.clinical is not None:
        rows = bundle.clinical(cohort.patients)
        clinical = dict(zip(cohort.patients.index, rows, strict=True))
    contract = bundle.contracts.get("image")
    return NewPatients(wanted, cohort, slides, reports, clinical, contract, warnings)


def _needed(bundle: Bundle, study: Study, *, with_outcomes: bool) -> Study:
    """Remove the parts of the study that the model does not need."""
    inputs = {"patches": "image", "reports": "report"}
    unused = {key: None for key, name in inputs.items() if name not in bundle.inputs}
    changed: dict[str, Any] = {
        "embeddings": study.embeddings.model_copy(update=unused),
        "covariates": bundle.covariates if "clinical" in bundle.inputs else Covariates(),
        "endpoint": study.endpoint if with_outcomes else bundle.endpoint,
        "secondary": (),
        "split": Split(),
    }
    return study.model_copy(update=changed)


def _slides(
    study: Study, cohort: Cohort, problems: Problems, warnings: list[str]
) -> tuple[Cohort, Slides]:
    """Find the files of every slide; patients without any are dropped and counted."""
    cohort = leave_out_by_barcode(study, cohort, warnings)
    cohort, files = locate_slides(study, cohort, [], problems)
    slides = {
        str(patient): tuple((s, files[s]) for s in rows["slide_id"] if s in files)
        for patient, rows in cohort.slides.groupby("patient_id")
    }
    kept = [p for p in cohort.patients.index if slides.get(p)]
    lost = [p for p in cohort.patients.index if not slides.get(p)]
    if problems:
        return cohort, {}
    if not kept:
        names = cohort.slides["slide_id"].tolist()
        problems.add("no patient has a slide with a feature file", names, "correct the slide ids")
        return cohort, {}
    if lost and study.on_missing.slide == "error":
        problems.add(
            "patients without any slide",
            lost,
            "add their slides, or set `on_missing: {slide: drop}`",
        )
        return cohort, {}
    if lost:
        shown = ", ".join(lost[:3])
        warnings.append(f"{len(lost)} patients have no slide and are not scored, e.g. {shown}")
    reason = f"{plural(len(lost), 'patient')} without any slide"
    return cohort.keep(kept, "patients with a slide", reason), slides


def _check_slides(contract: Contract, slides: Slides, warnings: list[str]) -> None:
    """Check the geometry of every file, and the vectors of the first file."""
    contract.check_geometry([files.first for own in slides.values() for _, files in own])
    files = next(iter(slides.values()))[0][1]
    slide = files.read()
    if len(slide.features):
        contract.check(files.first.name, slide.features.shape[1], slide.encoder)
    if contract.encoder and not slide.encoder:
        warnings.append(
            "the feature files do not name their encoder, so it was not checked that it is "
            f"{contract.encoder!r}"
        )


def _check_reports(
    contract: Contract, reports: Reports, cohort: Cohort, warnings: list[str]
) -> None:
    contract.check("the reports", reports.dimension, reports.encoder)
    if without := sum(p not in reports.rows for p in cohort.patients.index):
        warnings.append(f"{without} of {len(cohort.patients)} patients have no report")


def check_strata(bundle: Bundle, cohort: Cohort) -> None:
    """Refuse strata without training patients, because their baseline hazard is unknown."""
    strata = set(cohort.strata(cohort.patients.index.tolist()))
    if bundle.endpoint.strata and (new := sorted(strata - set(bundle.strata))):
        raise BundleError(
            f"the model was not trained on the strata {', '.join(new[:3])} (its strata: "
            f"{', '.join(bundle.strata[:10])}). To do: exclude these patients"
        )
