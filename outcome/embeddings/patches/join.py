"""Slides of a study: finding, packing and checking of files, grouped by patient."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from uuid import uuid4

import joblib

from outcome.cohort import Cohort
from outcome.counting import plural
from outcome.embeddings.patches.find import Found, SlideFiles, find_slide_files
from outcome.embeddings.patches.packed_store import Packed, PackedStore
from outcome.embeddings.patches.tcga import describe_tcga, tcga_kinds
from outcome.errors import EmbeddingError, Problems
from outcome.processes import in_processes
from outcome.progress import CountProgress
from outcome.study import Study
from outcome.tables.ids import join_ids, why_ids_differ

__all__ = ["join_packed", "join_slides", "leave_out_by_barcode", "locate_slides"]

LOGGER = logging.getLogger("outcome")

PACK_HERE = 32
"""Number of slides up to which packing is faster without further processes."""


def join_slides(
    study: Study,
    cohort: Cohort,
    store: PackedStore,
    notes: list[str],
    problems: Problems,
    jobs: int,
    progress: CountProgress,
) -> tuple[Cohort, dict[str, tuple[Packed, ...]]]:
    """Join a cohort with its feature files, packing those that are not packed yet.

    Parameters
    ----------
    study : Study
        With `embeddings.patches`.
    cohort : Cohort
    store : PackedStore
    notes : list of str
        Receives notes for the user.
    problems : Problems
        Receives problems: slides without a file, unusable files, and inconsistent files.
    jobs : int
    progress : callable
        Called with the number of slides read so far, and of all slides.

    Returns
    -------
    cohort : Cohort
        Without dropped slides and patients, which are counted in its flow.
    slides : dict of patient to tuple of Packed
    """
    cohort = leave_out_by_barcode(study, cohort, notes)
    cohort, files = locate_slides(study, cohort, notes, problems)
    return join_packed(
        study, cohort, _pack(store, files, problems, jobs, progress), notes, problems
    )


def join_packed(
    study: Study,
    cohort: Cohort,
    packed: Mapping[str, Packed],
    notes: list[str],
    problems: Problems,
) -> tuple[Cohort, dict[str, tuple[Packed, ...]]]:
    """Join a cohort with its packed slides; parameters and results as for `join_slides`.

    Parameters
    ----------
    packed : mapping of slide to Packed
        Of the slides of the cohort.
    """
    _check_same_extraction(packed, problems)
    notes += _notes(packed)
    return _by_patient(study, cohort, packed, problems)


def leave_out_by_barcode(study: Study, cohort: Cohort, notes: list[str]) -> Cohort:
    """Exclude frozen sections and normal tissue of TCGA if requested; else count them.

    Parameters
    ----------
    study : Study
        See `embeddings.tcga_leave_out`.
    cohort : Cohort
    notes : list of str
        Receives notes on slides that are kept.
    """
    kinds = tcga_kinds(cohort.slides["slide_id"])
    asked = set(study.embeddings.tcga_leave_out or ())
    notes += describe_tcga({kind: found for kind, found in kinds.items() if kind not in asked})
    gone = {slide for kind in asked for slide in kinds[kind]}
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in kinds.items() if kind in asked)
    return cohort.keep_slides(
        [s for s in cohort.slides["slide_id"] if s not in gone],
        "slides kept by their TCGA barcode",
        f"left out: {counts}",
    )


def locate_slides(
    study: Study, cohort: Cohort, notes: list[str], problems: Problems
) -> tuple[Cohort, dict[str, SlideFiles]]:
    """Find the feature files of a cohort's slides; parameters as for `join_slides`.

    Returns
    -------
    cohort : Cohort
        Without the slides that have no file; its patients are all there.
    files : dict of slide to SlideFiles
    """
    found = _slide_files(study, cohort, notes, problems)
    cohort = cohort.with_slide_names(found.files)
    return _link(study, cohort, found, notes, problems)


def _slide_files(study: Study, cohort: Cohort, notes: list[str], problems: Problems) -> Found:
    embeddings = study.embeddings
    try:
        found = find_slide_files(embeddings.patches or (), embeddings.layout)
    except EmbeddingError as error:
        problems.extend([str(error)])
        return Found({})
    notes += found.notes
    known = join_ids(found.files, cohort.named)
    if unmatched := sorted(set(found.files) - set(known)):
        notes.append(
            f"{plural(len(unmatched), 'feature file')} without a slide in the cohort table, not "
            "used"
        )
        # Only on the terminal and in run.log: the page shows no ids.
        LOGGER.info(f"feature files without a slide, e.g. {', '.join(unmatched[:3])}")
    return found


def _link(
    study: Study, cohort: Cohort, found: Found, notes: list[str], problems: Problems
) -> tuple[Cohort, dict[str, SlideFiles]]:
    """Find the files of each slide; a slide without one is an error, or dropped and counted."""
    wanted = cohort.slides["slide_id"].tolist()
    if twice := [
        f"{s} ({', '.join(map(str, found.doubled[s][:2]))})" for s in wanted if s in found.doubled
    ]:
        problems.add(
            "several feature files have the name of the same slide",
            twice,
            "set `patches` to one of the folders, or list several folders to concatenate their "
            "features",
        )
    missing = [s for s in wanted if s not in found.files]
    folders = ", ".join(map(str, study.embeddings.patches or ()))
    if missing and found.files and study.on_missing.slide == "error":
        partly = [s for s in missing if s in found.partial]
        if partly:
            problems.add(
                f"slides that are only in some of the folders ({folders})",
                partly,
                "extract them for every folder, or set `on_missing: {slide: drop}`; folders "
                "with different parts of one cohort must not share a slide",
            )
        if absent := [s for s in missing if s not in found.partial]:
            problems.add(
                f"slides without a feature file in {folders}"
                + (
                    f" ({reason})" if (reason := why_ids_differ(absent, found.files.keys())) else ""
                ),
                absent,
                "add the files, correct the slide ids, or set `on_missing: {slide: drop}`",
            )
    if missing and study.on_missing.slide == "drop" and 2 * len(missing) > len(wanted):
        few = f"only {len(wanted) - len(missing)} of {len(wanted)} slides have a feature file"
        reason = why_ids_differ(missing, found.files.keys())
        notes.append(f"{few} ({reason})" if reason else few)
    files = {s: found.files[s] for s in wanted if s in found.files}
    if found.files:
        cohort = cohort.keep_slides(
            list(files),
            "slides with a feature file",
            f"{plural(len(missing), 'slide')} without a file",
        )
    return cohort, files


def _pack(
    store: PackedStore,
    files: Mapping[str, SlideFiles],
    problems: Problems,
    jobs: int,
    progress: CountProgress,
) -> dict[str, Packed]:
    found: dict[str, Packed | str] = {}
    for slide, source in files.items():
        if (known := store.known(source)) is not None:
            found[slide] = known
    new = [s for s in files if s not in found]
    # Simultaneous runs on several machines begin at different slides and share the work.
    start = uuid4().int % len(new) if new else 0
    new = new[start:] + new[:start]
    progress(len(found), len(files))
    results: Iterator[tuple[str, Packed | str]]
    # A table of vectors is read once, here, rather than by every process.
    if jobs == 1 or len(new) < PACK_HERE or any(files[s].in_tables for s in new):
        results = (_pack_one(store, s, files[s]) for s in new)
    else:
        # Processes that stay from an earlier call may be in another folder than this one.
        there = {
            s: replace(files[s], paths=tuple(p.absolute() for p in files[s].paths)) for s in new
        }
        results = in_processes((joblib.delayed(_pack_one)(store, s, there[s]) for s in new), jobs)
    for slide, result in results:
        found[slide] = result
        progress(len(found), len(files))
    bad = [r for s in files if isinstance(r := found[s], str)]
    if bad:
        problems.add("feature files that cannot be used", bad, "extract these slides again")
    return {s: r for s in files if isinstance(r := found[s], Packed)}


def _pack_one(store: PackedStore, slide: str, source: SlideFiles) -> tuple[str, Packed | str]:
    """Pack one slide, or return its problem, so that all problems are reported at once."""
    try:
        return slide, store.pack(source)
    except EmbeddingError as error:
        return slide, str(error)


def _check_same_extraction(packed: Mapping[str, Packed], problems: Problems) -> None:
    for field in ("dimension", "encoder", "magnification", "patch_size"):
        values = {s: getattr(p, field) for s, p in packed.items() if p.n}
        if field in ("magnification", "patch_size"):  # most tools do not record it
            values = {s: v for s, v in values.items() if v}
        counts = Counter(values.values())
        if len(counts) > 1:
            usual = counts.most_common(1)[0][0]
            rare = [f"{s} ({v!r})" for s, v in values.items() if v != usual]
            of = "patches" if field in ("magnification", "patch_size") else "vectors"
            problems.add(
                f"feature files mix the {field.replace('patch_', '')} of their {of}"
                f" (most have {usual!r})",
                rare,
                "extract every slide with one encoder and one setting",
            )


def _notes(packed: Mapping[str, Packed]) -> list[str]:
    """Return notes on unusual properties of the files that do not prevent training."""
    notes = []
    if repeated := {s: p for s, p in packed.items() if p.repeated}:
        shown = ", ".join(f"{s} ({p.repeated} of {p.n})" for s, p in list(repeated.items())[:3])
        notes.append(
            f"{len(repeated)} slides contain patches more than once, e.g. {shown}. Repeated "
            "patches get more weight. Was extraction resumed into the same file? To do: extract "
            "these slides again"
        )
    if unreadable := {s: p.coords_problem for s, p in packed.items() if p.coords_problem}:
        slide, reason = next(iter(unreadable.items()))
        notes.append(
            f"coordinates of {len(unreadable)} slides cannot be read, e.g. {slide} ({reason}). "
            "Training does not need them, but no maps of these slides can be drawn"
        )
    return notes


def _by_patient(
    study: Study, cohort: Cohort, packed: Mapping[str, Packed], problems: Problems
) -> tuple[Cohort, dict[str, tuple[Packed, ...]]]:
    """Group slides by patient; empty slides, and patients left with none, are counted."""
    empty = [s for s, p in packed.items() if p.n == 0]
    if empty:
        kept = [s for s in cohort.slides["slide_id"] if s not in set(empty)]
        cohort = cohort.keep_slides(
            kept,
            "slides with at least one patch",
            f"{plural(len(empty), 'slide')} without any patch",
        )
    slides = {
        str(patient): tuple(packed[s] for s in rows["slide_id"] if s in packed)
        for patient, rows in cohort.slides.groupby("patient_id")
    }
    if not packed:
        if not problems:
            problems.add(
                "no slide of the cohort table has a feature file",
                remedy="correct `columns.slide`, the ids, or `embeddings.patches`",
            )
        return cohort, {}
    without = [p for p in cohort.patients.index if not slides.get(p)]
    if without and study.on_missing.slide == "error" and not problems:
        problems.add(
            "patients without any patch",
            without,
            "add their slides, or set `on_missing: {slide: drop}`",
        )
    kept = [p for p in cohort.patients.index if slides.get(p)]
    reason = f"{plural(len(without), 'patient')} without any usable slide"
    return cohort.keep(kept, "patients with a slide", reason), slides
