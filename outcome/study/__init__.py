"""The study file: what to run. Read with `Study.read`."""

from outcome.study.file import Study, missing_places
from outcome.study.inputs import (
    ArrayNames,
    Columns,
    Covariates,
    Embeddings,
    Layout,
    ReportColumns,
    ReportTexts,
    Treatment,
)
from outcome.study.settings import Arm, OnMissing, Report, RiskGroups, Split, SplitLayout, Training

__all__ = [
    "Arm",
    "ArrayNames",
    "Columns",
    "Covariates",
    "Embeddings",
    "Layout",
    "OnMissing",
    "Report",
    "ReportColumns",
    "ReportTexts",
    "RiskGroups",
    "Split",
    "SplitLayout",
    "Study",
    "Training",
    "Treatment",
    "missing_places",
]
