"""The cohort: patients, outcomes, and folds."""

from outcome.cohort.splits import Fold, InnerFold, make_folds, splits_table, whole_fold
from outcome.cohort.table import Cohort, FlowStep, count_events, read_cohort
from outcome.tables.ids import slide_name

__all__ = [
    "Cohort",
    "FlowStep",
    "Fold",
    "InnerFold",
    "count_events",
    "make_folds",
    "read_cohort",
    "slide_name",
    "splits_table",
    "whole_fold",
]
