"""Checks of a study before training: what limits it, and whether the outcome has leaked into it."""

from __future__ import annotations

from outcome.checks.findings import Finding
from outcome.checks.leak_scan import LeakScan, scan_leaks
from outcome.checks.study_limits import study_limits
from outcome.dataset.study_data import StudyData
from outcome.study import Study

__all__ = ["Finding", "LeakScan", "scan_leaks", "study_limits", "study_warnings"]


def study_warnings(study: Study, study_data: StudyData) -> list[str]:
    """Return what limits a study and what may have leaked into it, in sentences.

    Parameters
    ----------
    study : Study
    study_data : StudyData
    """
    scan = scan_leaks(study, study_data)
    return [*scan.warnings, *study_limits(study, study_data)]
