"""The data of a study, checked and joined by patient, for training and checks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.cohort import Cohort, Fold, make_folds, read_cohort, whole_fold
from outcome.counting import plural
from outcome.embeddings.patches.join import join_packed, join_slides
from outcome.embeddings.patches.packed_store import Packed, PackedStore
from outcome.embeddings.reports.study_texts import study_texts
from outcome.embeddings.reports.vectors import Reports, read_reports
from outcome.endpoint import is_blank
from outcome.errors import CohortError, InputError, Problems
from outcome.progress import CountProgress, no_progress
from outcome.study import ReportTexts, Study, missing_places

__all__ = ["GivenVectors", "PatientSample", "StudyData", "join_files", "prepare"]

FEW = 5


@dataclass(frozen=True)
class PatientSample:
    """The inputs of one patient, as stored; None for a missing input.

    Parameters
    ----------
    patches : array, shape (n, d), or None
    report : array, shape (chunks, d), or None
    patient : str
    coords : array, shape (n, 2), or None
        Coordinates of the patches; NaN if unknown.
    covariates : mapping, optional
    outcome : mapping, optional
        `time` and `event`, or `label`.
    """

    patches: NDArray[Any] | None
    report: NDArray[Any] | None
    patient: str = ""
    coords: NDArray[Any] | None = None
    covariates: Mapping[str, Any] | None = None
    outcome: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class GivenVectors:
    """Vectors that are already in the packed store, instead of in files of the study.

    Parameters
    ----------
    store : PackedStore
    slides : mapping of slide to Packed, or None
        None without patches.
    reports : Reports or None
    problems : tuple of str
        Reasons why some vectors cannot be used.
    """

    store: PackedStore
    slides: Mapping[str, Packed] | None
    reports: Reports | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyData:
    """A cohort joined with its embeddings and divided into folds.

    Parameters
    ----------
    cohort : Cohort
        The usable patients, and the cohort flow.
    folds : tuple of Fold
    store : PackedStore
    slides : mapping of patient to tuple of Packed
        Empty if the study uses no images.
    reports : Reports or None
    contents : mapping of patient to mapping of input to str
        Hashes of the inputs returned by `sample`, on which fits depend.
    notes : tuple of str
        Notes for the user that need no correction.
    """

    cohort: Cohort
    folds: tuple[Fold, ...]
    store: PackedStore
    slides: Mapping[str, tuple[Packed, ...]]
    reports: Reports | None
    contents: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]

    def sample(self, patient: str) -> PatientSample:
        """Return the inputs of one patient; patches stay on disk until they are accessed."""
        slides = self.slides.get(patient, ())
        report = self.reports.vectors(patient) if self.reports is not None else None
        return PatientSample(self.store.features(slides) if slides else None, report)

    def content(self, patient: str, inputs: Iterable[str]) -> list[str]:
        """Return the hashes of some inputs of a patient; clinical values have no hash here."""
        found = self.contents[patient]
        return [found[name] for name in inputs if name in found]

    def mean(self, name: str, patient: str) -> NDArray[np.float64] | None:
        """Return the mean vector of one input of a patient, shape (d,); None without it."""
        if name == "image":
            slides = self.slides.get(patient, ())
            return self.store.mean(slides) if slides else None
        report = self.reports.vectors(patient) if self.reports is not None else None
        return None if report is None else report.mean(axis=0, dtype=np.float64)

    def of_fold(self, fold: Fold) -> StudyData:
        """Return the data for the models of one outer fold.

        Report vectors that are learned from texts are learned from the development patients of the
        fold.
        """
        if self.reports is None:
            return self
        fitted = self.reports.fitted(fold.development)
        if fitted is self.reports:
            return self
        # The vectors are now specific to this fold, and so are their hashes. A cache by content
        # must not confuse them with the vectors of another fold.
        contents = {p: _contents(self.slides.get(p, ()), fitted, p) for p in self.contents}
        return replace(self, reports=fitted, contents=contents)

    @property
    def dimensions(self) -> dict[str, int]:
        """Length of the vectors per input."""
        found = {}
        if self.slides:
            found["image"] = next(iter(self.slides.values()))[0].dimension
        if self.reports is not None:
            found["report"] = self.reports.dimension
        return found

    def facts(self) -> dict[str, Any]:
        """Return counts for the manifest and the report."""
        cohort = self.cohort
        counts: dict[str, Any] = {
            "patients": len(cohort.patients),
            "slides": len(cohort.slides),
            "events": int(cohort.outcome.sum()),
        }
        if self.slides:
            bags = pd.Series({p: sum(s.n for s in slides) for p, slides in self.slides.items()})
            counts["patches"] = {
                "total": int(bags.sum()),
                "median": float(bags.median()),
                "min": int(bags.min()),
                "max": int(bags.max()),
            }
            first = next(iter(self.slides.values()))[0]
            counts |= {"dimension": first.dimension, "encoder": first.encoder or None}
            kinds = Counter(s.layout for slides in self.slides.values() for s in slides if s.n)
            counts["layout"] = ", ".join(sorted(kinds))
        if self.reports is not None:
            n = len(self.reports.rows)
            counts["reports"] = {
                "with": n,
                "without": len(cohort.patients) - n,
                "dimension": self.reports.dimension,
                "encoder": self.reports.encoder or None,
            }
        return counts


def prepare(
    study: Study,
    cache: Path,
    *,
    frame: pd.DataFrame | None = None,
    vectors: GivenVectors | None = None,
    whole: bool = False,
    jobs: int = 1,
    known: Sequence[InputError] = (),
    progress: CountProgress = no_progress,
) -> StudyData:
    """Read and check all data of a study. Only the packed store is written.

    Parameters
    ----------
    study : Study
    cache : Path
        Folder of the packed store.
    frame : DataFrame, optional
        The cohort table, instead of the file.
    vectors : GivenVectors, optional
        The vectors, instead of the files; with their store.
    whole : bool
        One fold with every patient in development, for a final model.
    jobs : int
        Processes that pack slides.
    known : sequence of InputError
        Problems found earlier; they are reported with the others.
    progress : callable
        Called with the number of slides read so far, and of all slides.

    Raises
    ------
    CohortError
        The table, the files or the folds are invalid; the message lists all problems.
    """
    table = "a DataFrame" if frame is not None else str(study.cohort)
    of_files = f"study {study.name!r} (cohort table: {table})"
    problems = Problems(of_files if vectors is None else study.name)
    for error in known:
        problems.take(error)
    notes: list[str] = []
    store = PackedStore(cache) if vectors is None else vectors.store
    cohort = read_cohort(study, problems, frame)
    if cohort is None:
        problems.extend(w for about, w in missing_places(study) if about != {"cohort"})
        problems.raise_if_any(CohortError)
        raise CohortError("no cohort")
    notes += cohort.notes
    if known:  # reported before the slides are read, which may take hours
        problems.raise_if_any(CohortError)
    if vectors is None:
        cohort, slides, reports = join_files(study, cohort, store, notes, problems, jobs, progress)
    else:
        cohort, slides, reports = _join_given(study, cohort, vectors, notes, problems)
    _check_strata(cohort, problems)
    folds = _folds(study, cohort, notes, problems, whole=whole)
    cohort = _in_a_fold(study, cohort, folds)
    if reports is not None and any("report" in arm.inputs for arm in study.arms):
        _check_reports_everywhere(folds, reports, problems)
    problems.raise_if_any(CohortError)
    slides = {p: s for p, s in slides.items() if p in cohort.patients.index}
    if reports is not None:
        reports = reports.only(cohort.patients.index)
    contents = {p: _contents(slides.get(p, ()), reports, p) for p in cohort.patients.index}
    return StudyData(cohort, tuple(folds), store, slides, reports, contents, tuple(notes))


Joined = tuple[Cohort, dict[str, tuple[Packed, ...]], Reports | None]


def join_files(
    study: Study,
    cohort: Cohort,
    store: PackedStore,
    notes: list[str],
    problems: Problems,
    jobs: int = 1,
    progress: CountProgress = no_progress,
) -> Joined:
    """Join a cohort with the files of vectors that the study names.

    Parameters
    ----------
    study : Study
    cohort : Cohort
    store : PackedStore
    notes : list of str
        Receives notes for the user.
    problems : Problems
        Receives problems of the files.
    jobs, progress
        As for `prepare`.

    Returns
    -------
    cohort : Cohort
        Without the dropped patients, who are counted in the cohort flow.
    slides : dict of patient to tuple of Packed
    reports : Reports or None
    """
    slides: dict[str, tuple[Packed, ...]] = {}
    reports = None
    if study.embeddings.reports is not None:
        reports = read_reports(study, cohort, store, problems, progress)
    if study.embeddings.patches is not None:
        cohort, slides = join_slides(study, cohort, store, notes, problems, jobs, progress)
    if reports is not None:
        notes += _redactions(study)
        cohort = _reports_in_flow(study, cohort, reports, notes)
    return cohort, slides, reports


def _join_given(
    study: Study, cohort: Cohort, vectors: GivenVectors, notes: list[str], problems: Problems
) -> Joined:
    problems.extend(vectors.problems)
    slides: dict[str, tuple[Packed, ...]] = {}
    reports = None
    if vectors.reports is not None:
        reports = vectors.reports.only(cohort.patients.index)
    if vectors.slides is not None:
        cohort, slides = join_packed(study, cohort, vectors.slides, notes, problems)
    if reports is not None:
        cohort = _reports_in_flow(study, cohort, reports, notes)
    return cohort, slides, reports


def _folds(
    study: Study, cohort: Cohort, notes: list[str], problems: Problems, *, whole: bool
) -> list[Fold]:
    if not whole:
        return make_folds(cohort, study.split, problems, notes, networks=study.networks)
    fold = whole_fold(cohort, study.split, problems, networks=study.networks)
    return [] if fold is None else [fold]


def _contents(slides: Sequence[Packed], reports: Reports | None, patient: str) -> dict[str, str]:
    parts = {"image": "".join(slide.content for slide in slides).encode()}
    if reports is not None:
        parts["report"] = reports.content(patient)
    return {name: hashlib.sha256(part).hexdigest()[:32] for name, part in parts.items()}


def _redactions(study: Study) -> list[str]:
    source = study.embeddings.reports
    if not isinstance(source, ReportTexts) or not source.redact:
        return []
    return [study_texts(source, study.columns.patient).said]


def _reports_in_flow(study: Study, cohort: Cohort, reports: Reports, notes: list[str]) -> Cohort:
    if reports.unmatched:
        notes.append(
            f"{plural(reports.unmatched, 'report')} without a patient in the cohort table, not used"
        )
    without = [p for p in cohort.patients.index if p not in reports.rows]
    if not without:
        return cohort
    if study.on_missing.report == "drop":
        kept = [p for p in cohort.patients.index if p in reports.rows]
        reason = f"{plural(len(without), 'patient')} without a report"
        return cohort.keep(kept, "patients with a report", reason)
    notes.append(
        f"{len(without)} of {len(cohort.patients)} patients have no report. They are kept; the "
        "network uses a learned vector instead"
    )
    return cohort


def _in_a_fold(study: Study, cohort: Cohort, folds: Sequence[Fold]) -> Cohort:
    """Drop and count patients that are not in any of the given folds."""
    if not study.split.given or not folds:
        return cohort
    used = {p for fold in folds for p in (*fold.test, *fold.development)}
    kept = [p for p in cohort.patients.index if p in used]
    reason = (
        f"{plural(len(cohort.patients) - len(kept), 'patient')} not in any fold of the given split"
    )
    return cohort.keep(kept, "in a fold", reason)


def _check_reports_everywhere(folds: Sequence[Fold], reports: Reports, problems: Problems) -> None:
    """Check that every inner fold trains on some patients with a report."""
    fewest = min(
        (sum(p in reports.rows for p in i.train) for f in folds for i in f.inner), default=FEW
    )
    if fewest < FEW:
        problems.add(
            f"some inner folds have only {fewest} training patients with a report, but {FEW} are "
            "needed",
            remedy="remove the arms with a report, or use fewer folds",
        )


def _check_strata(cohort: Cohort, problems: Problems) -> None:
    if "strata" not in cohort.patients:
        return
    blank = is_blank(cohort.patients["strata"])
    if blank.any():
        problems.add("the stratum is missing", cohort.patients.index[blank].tolist(), "fill it in")
