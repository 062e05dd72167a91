"""Identical bags or reports of different patients, and slide ids with another patient's id."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping

import pandas as pd

from outcome.checks.findings import Finding, Severity
from outcome.dataset.study_data import StudyData

__all__ = ["foreign_slide_ids", "identical_bags", "identical_reports"]

SHORTEST_ID = 4
LONG_REPORT = 40  # words; shorter reports are often identical because of templates
LONG_BAG = 3  # chunks
PART = re.compile(r"[^\W_]+")


def _shared(keys: Iterable[tuple[str, Hashable]]) -> list[list[str]]:
    """Group patients with the same key, in the order of the first patient."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for patient, key in keys:
        if patient not in groups[key]:
            groups[key].append(patient)
    return [who for who in groups.values() if len(who) > 1]


def identical_bags(study_data: StudyData) -> list[Finding]:
    """Find slides of different patients with exactly the same patches."""
    bags = [(p, s.content) for p, slides in study_data.slides.items() for s in slides if s.n]
    groups = _shared(bags)
    if not groups:
        return []
    n = len({p for who in groups for p in who})
    return [
        Finding(
            "severe",
            f"{len(groups)} bags of patches are identical in different patients ({n} patients), "
            "so the same bag may be used for training and for testing",
            remedy="find out which patient each slide belongs to",
        )
    ]


def identical_reports(study_data: StudyData, texts: Mapping[str, str]) -> list[Finding]:
    """Find identical reports of different patients; long ones are severe findings."""
    if texts:
        keys = [(p, " ".join(t.split())) for p, t in texts.items()]
        long_ones = {k for _, k in keys if len(k.split()) >= LONG_REPORT}
    elif study_data.reports is not None:
        reports = study_data.reports
        keys = [(p, reports.content(p).hex()) for p in reports.rows]
        long_ones = {
            k for p, k in keys if (v := reports.vectors(p)) is not None and len(v) >= LONG_BAG
        }
    else:
        return []
    return [
        *_same_reports(_shared(k for k in keys if k[1] in long_ones), "severe", "reports"),
        *_same_reports(_shared(k for k in keys if k[1] not in long_ones), "note", "short reports"),
    ]


def _same_reports(groups: list[list[str]], severity: Severity, name: str) -> list[Finding]:
    if not groups:
        return []
    n = len({p for who in groups for p in who})
    what = f"{len(groups)} {name} are identical in different patients ({n} patients)"
    remedy = "find out which patient each report belongs to" if severity == "severe" else ""
    return [Finding(severity, what, remedy=remedy)]


def foreign_slide_ids(slides: pd.DataFrame) -> list[Finding]:
    """Find slides whose id contains the id of another patient, but not that of their own."""
    split = {p: tuple(PART.findall(p.lower())) for p in slides["patient_id"].unique()}
    parts = {who: p for p, who in split.items() if len(p) >= SHORTEST_ID}
    lengths = sorted({len(who) for who in parts})
    wrong = 0
    for patient, slide in slides[["patient_id", "slide_id"]].itertuples(index=False, name=None):
        words = PART.findall(slide.lower())
        runs = {tuple(words[i : i + n]) for n in lengths for i in range(len(words) - n + 1)}
        named = {parts[run] for run in runs if run in parts}
        wrong += bool(named) and patient not in named and patient not in slide
    if not wrong:
        return []
    return [
        Finding(
            "severe",
            f"{wrong} slides are named after a patient other than the one they are listed for",
            remedy="compare the ids of patients and slides in the cohort table",
        )
    ]
