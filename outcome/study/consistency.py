"""What sections of a study file say of each other, and what they name that is not there.

Every finding comes with the sections that it is about: where one of these is wrong itself, nothing
can be said of it yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from outcome.endpoint import TimeToEvent, is_formula
from outcome.study.inputs import ReportTexts

if TYPE_CHECKING:
    from outcome.study.file import Study

__all__ = ["contradictions", "missing_places"]

Finding = tuple[set[str], str]


def contradictions(study: Study) -> Iterator[Finding]:
    """Yield the sections that contradict each other, and how."""
    yield from _of_arms(study)
    yield from _of_secondary(study)
    if study.risk_groups == "maxstat" and not isinstance(study.endpoint, TimeToEvent):
        yield {"risk_groups", "endpoint"}, "`risk_groups: maxstat` needs a survival endpoint"
    shares = study.risk_groups if isinstance(study.risk_groups, tuple) else (0.5,)
    if list(shares) != sorted(set(shares)) or not shares:
        yield {"risk_groups"}, "shares of `risk_groups` must be increasing"


def _of_arms(study: Study) -> Iterator[Finding]:
    names = [arm.name for arm in study.arms]
    if len(set(names)) < len(names):
        yield {"arms"}, "two arms have the same name"
    if study.baseline not in names:
        what = f"the baseline {study.baseline!r} is not among the arms {names}"
        yield {"arms", "baseline"}, what
    wanted = {i for arm in study.arms for i in arm.inputs}
    for need, key in (("image", "patches"), ("report", "reports")):
        if need in wanted and getattr(study.embeddings, key) is None:
            what = f"an arm uses {need!r}, but `embeddings.{key}` is not given"
            yield {"arms", "embeddings"}, what
    if "clinical" in wanted and not (study.covariates.numeric or study.covariates.categorical):
        yield {"arms", "covariates"}, "an arm uses 'clinical', but `covariates` names no column"
    for pair in study.contrasts:
        if pair[0] == pair[1] or not set(pair) <= set(names):
            yield {"arms", "contrasts"}, f"contrast {list(pair)} is not of two arms of {names}"
    if unsafe := [n for n in names if is_formula(n)]:
        what = f"the arm {unsafe[0]!r} begins like a formula, which a spreadsheet would run"
        yield {"arms"}, what


def _of_secondary(study: Study) -> Iterator[Finding]:
    about, called = {"secondary"}, [e.name for e in study.secondary]
    if "" in called or len(set(called)) < len(called):
        yield about, "give every secondary endpoint a `name` of its own"
    if any(not re.fullmatch(r"\w+", name) for name in called if name):
        yield about, "names of secondary endpoints are letters, digits and underscores"
    if any(e.strata for e in study.secondary):
        yield about, "`strata` belong to the primary endpoint: leave them out of `secondary`"


def missing_places(study: Study) -> Iterator[Finding]:
    """Yield the files and folders that a study names and that are not there."""
    if not _is_there(study.cohort):
        yield {"cohort"}, f"there is no cohort table {study.cohort}"
    for folder in study.embeddings.patches or ():
        if not _is_there(folder, Path.is_dir):
            yield {"embeddings"}, f"embeddings.patches: there is no folder {folder}"
    reports = study.embeddings.reports
    file = reports.texts if isinstance(reports, ReportTexts) else reports
    if file is not None and not _is_there(file):
        yield {"embeddings"}, f"embeddings.reports: there is no file {file}"
    if study.split.files is not None and not _is_there(study.split.files):
        yield {"split"}, f"split.files: there is no file or folder {study.split.files}"


def _is_there(path: Path, test: Callable[[Path], bool] = Path.exists) -> bool:
    try:
        return test(path)
    except (OSError, ValueError):  # no name that a file could have
        return False
