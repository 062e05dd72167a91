"""The main metric of a run, for headline and figures of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from outcome.evaluation.metric_descriptions import Metric, metric
from outcome.evaluation.outcome_kinds import EvaluatedOutcome
from outcome.reporting.page.formatting import column
from outcome.run_folder.folder import Run

__all__ = ["main_metric", "main_rows", "main_scores", "overall"]

_PREFERRED = ("harrell_c", "auroc", "harrell_c_pairs", "uno_c", "mean_auc", "auprc", "brier", "ibs")


def overall(metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows for all patients, without those for strata."""
    if "stratum" not in metrics:
        return metrics
    return metrics[metrics["stratum"].isin(["", "all", "overall"])]


def main_metric(declared: Any, present: Sequence[str], endpoint: EvaluatedOutcome) -> Metric | None:
    """Choose the metric of the headline.

    Parameters
    ----------
    declared : object
        The primary metric of the manifest, if given.
    present : sequence of str
        Metrics of the run.
    endpoint : EvaluatedOutcome
        Its kind decides if no metric is declared.

    Returns
    -------
    Metric or None
        None if the run has no metrics.
    """
    order = [str(declared), endpoint.primary, *_PREFERRED, *present]
    return next((metric(key, endpoint.unit) for key in order if key in present), None)


def main_rows(run: Run) -> tuple[Metric | None, pd.DataFrame]:
    """Return the main metric and its rows of `metrics.csv` over all patients; all rows for None."""
    table = overall(run.table("metrics.csv"))
    declared = run.part("protocol").get("primary_metric")
    main = main_metric(declared, list(dict.fromkeys(table["metric"])), run.endpoint)
    return main, table[table["metric"] == main.key] if main else table


def main_scores(run: Run) -> tuple[Metric | None, pd.DataFrame]:
    """Return the main metric and its row per arm, in the order of the arms.

    Returns
    -------
    metric : Metric or None
        None if the run has no metrics.
    rows : DataFrame
        `arm, estimate, lower, upper, n, events`, and `no_verdict` and `untested`: the reason if the
        arm is too small for a verdict or for validated intervals, else empty.
    """
    main, rows = main_rows(run)
    rows = rows.drop_duplicates("arm").set_index("arm").reindex(run.arms)
    wanted = ("estimate", "lower", "upper", "n", "events")
    values = pd.DataFrame({name: column(rows, name) for name in wanted}, index=rows.index)
    for name in ("no_verdict", "untested"):
        values[name] = rows[name].fillna("") if name in rows else ""
    return main, values.rename_axis("arm").reset_index()
