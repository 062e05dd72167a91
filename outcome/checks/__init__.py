"""Checks of a study before training: its limits, and leakage of the outcome into the inputs."""

from __future__ import annotations

from dataclasses import dataclass

from outcome.checks.findings import Finding
from outcome.checks.leak_scan import LeakScan, scan_leaks
from outcome.checks.single_vectors import single_vectors
from outcome.checks.study_limits import study_limits
from outcome.dataset.study_data import StudyData
from outcome.study import Study

__all__ = [
    "Finding",
    "LeakScan",
    "StudyCheck",
    "check_study",
    "scan_leaks",
    "single_vectors",
    "study_limits",
]


@dataclass(frozen=True)
class StudyCheck:
    """Results of the checks of a study.

    Parameters
    ----------
    scan : LeakScan
        Findings on leakage of the outcome into the inputs.
    limits : list of str
        Few events, few inner folds, sites spread over folds.
    """

    scan: LeakScan
    limits: list[str]

    @property
    def warnings(self) -> list[str]:
        """Warnings about the results, as sentences."""
        return [*self.scan.warnings, *self.limits]


def check_study(study: Study, study_data: StudyData) -> StudyCheck:
    """Check a study before any model is trained.

    Parameters
    ----------
    study : Study
    study_data : StudyData
        The joined data of its patients.
    """
    return StudyCheck(scan_leaks(study, study_data), study_limits(study, study_data))
