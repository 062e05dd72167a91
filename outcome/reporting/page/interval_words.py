"""Explanations of intervals and p values, depending on the source of their variance."""

from __future__ import annotations

import pandas as pd

from outcome.evaluation.metric_descriptions import metric
from outcome.evaluation.notes import COVERAGE
from outcome.plotting.number_text import plural
from outcome.reporting.page.main_metric import main_rows
from outcome.run_folder.folder import Run

__all__ = [
    "given_models",
    "interval_sentences",
    "interval_summary",
    "models_held_fixed",
    "narrow_note",
]

FIXED = "fixed models"
OLD = (
    "The intervals of this folder treat the fitted models as fixed. They ignore how much "
    "models trained on other patients would differ, and are too narrow. Evaluate the run "
    "again to get intervals that include this variation."
)
SHORT = {
    "inner models": (
        "The intervals refer to the mean performance of the fitted models on new patients. Every "
        "patient tests one model and trains the others; the intervals include the variation from "
        "training. In simulated studies with 25 events or more, 94% to 98% of such intervals "
        "covered the C-index of the fitted models on new patients."
    ),
    "twice the fixed-model variance": (
        "This folder has no scores of inner models. The intervals therefore use twice the "
        "variance of fixed models, to allow for the variation from training. In simulated "
        "studies with 25 events or more, 95% to 99% of such intervals covered the C-index of "
        "the fitted models on new patients."
    ),
}


def models_held_fixed(run: Run) -> bool:
    """Whether intervals of a cross-validated run treat its models as fixed, as in older folders."""
    return run.cross_validated and not set(_sources(run)) & set(SHORT)


def given_models(run: Run, table: pd.DataFrame) -> str:
    """Words of a caption for intervals that treat the models as fixed."""
    known = set(table["variance"]) & set(SHORT) if "variance" in table else set()
    return ", given these fitted models" if run.cross_validated and not known else ""


def interval_summary(run: Run) -> str:
    """Explain briefly what the intervals cover; empty for one test set."""
    if models_held_fixed(run):
        return OLD
    return " ".join(SHORT[source] for source in _sources(run) if source in SHORT)


def interval_sentences(run: Run) -> list[str]:
    """Explain in full what the intervals cover, and how this was validated."""
    if models_held_fixed(run):
        return [OLD]
    return [f"{COVERAGE[s][:1].upper()}{COVERAGE[s][1:]}." for s in _sources(run) if s in COVERAGE]


def narrow_note(run: Run, rows: pd.DataFrame) -> str:
    """Name metrics whose intervals treat the models as fixed, if those of others do not."""
    if not run.cross_validated or models_held_fixed(run) or "variance" not in rows:
        return ""
    keys = list(dict.fromkeys(rows.loc[rows["variance"] == FIXED, "metric"]))
    if not keys:
        return ""
    labels = [metric(str(key), run.endpoint.unit).label for key in keys]
    named = ", ".join(labels) if len(labels) <= 4 else plural(len(labels), "metric")
    return (
        f"The intervals of {named} treat the fitted models as fixed and are too narrow in "
        "cross-validation."
    )


def _sources(run: Run) -> list[str]:
    """Return the sources of the variance of the main metric, over the arms."""
    main, rows = main_rows(run)
    if main is None or "variance" not in rows:
        return []
    found = set(rows["variance"])
    return [source for source in COVERAGE if source in found]
