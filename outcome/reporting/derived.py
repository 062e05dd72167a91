"""Tables that follow from a run folder alone: computed for the page, and written beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from outcome.evaluation.report_tables import FURTHER, Question, further_tables
from outcome.evaluation.table_one import characteristics
from outcome.run_folder.folder import Run

__all__ = ["DERIVED", "with_derived"]

DERIVED = (
    "characteristics",
    "characteristics_by_fold",
    "characteristics_by_site",
    *FURTHER,
)
RESAMPLES = 1000
MOST_LEVELS = 20
MOST_SITES = 8
MOST_FOLDS = 10


def with_derived(run: Run) -> tuple[Run, dict[str, pd.DataFrame]]:
    """Return the run with everything computed that its files allow, and the tables alone."""
    end, resamples = run.endpoint, run.manifest.get("resamples")
    seed = run.manifest.get("seed", run.part("split").get("seed"))
    question = Question(
        horizons=end.horizons,
        landmark=end.landmark,
        favourable=end.favourable,
        n_resamples=RESAMPLES if resamples is None else int(resamples),
        seed=int(seed) if isinstance(seed, int) else 0,
    )
    many = _many_levels(run.covariates)
    said = [
        f"covariate {c}: more than {MOST_LEVELS} levels, so it is in no table, ratio or subgroup"
        for c in many
    ]
    kept = run.covariates.drop(columns=many)
    run = replace(run, covariates=kept, problems=[*run.problems, *said])
    found = further_tables(
        run.predictions,
        question,
        covariates=run.covariates if len(run.covariates.columns) > 1 else None,
        subgrouping=_parts(run),
        acquisition=run.acquisition if len(run.acquisition.columns) > 1 else None,
    )
    described = {name: t for name, t in _described(run).items() if len(t)}
    tables: Mapping[str, pd.DataFrame] = {**described, **found}
    files = {f"{name}.csv": table for name, table in tables.items()}
    return replace(run, tables={**run.tables, **files}), dict(tables)


def _many_levels(covariates: pd.DataFrame) -> list[str]:
    """Name categories that are nearly one for each patient: free text, dates, ids."""
    names = [str(c) for c in covariates if c != "patient_id"]
    text = [c for c in names if not pd.api.types.is_numeric_dtype(covariates[c])]
    return [c for c in text if covariates[c].nunique() > MOST_LEVELS]


def _parts(run: Run) -> pd.DataFrame | None:
    """Return what subgroups are made by: covariates, site and stratum."""
    parts = run.covariates
    if "site" in run.acquisition and "site" not in parts:
        parts = parts.assign(site=run.acquisition["site"])
    table = run.predictions.table
    if "strata" in table:
        name = run.endpoint.strata or "stratum"
        once = table.drop_duplicates("patient_id")["strata"].astype(str).to_numpy()
        if name not in parts:
            parts = parts.assign(**{name: once})
    return parts if len(parts.columns) > 1 else None


def _described(run: Run) -> dict[str, pd.DataFrame]:
    covariates = run.covariates.set_index("patient_id")
    gathered = run.acquisition.set_index("patient_id")
    kept = [c for c in gathered if c not in covariates]
    everything = covariates.join(gathered[kept])
    if "report missing" in everything:
        missing = everything.pop("report missing").map({0: "yes", 1: "no"})
        everything["report"] = missing
    if everything.empty or not len(everything.columns):
        return {}
    numeric = [str(c) for c in everything if pd.api.types.is_numeric_dtype(everything[c])]
    status = run.status.reindex(everything.index)
    words = [w for w in run.outcome_words if w]
    found = {"characteristics": characteristics(everything, status, order=words, numeric=numeric)}
    first = run.first_repeat(run.arms[0]).set_index("patient_id")["fold"].astype(str)
    if 1 < first.nunique() <= MOST_FOLDS:
        found["characteristics_by_fold"] = characteristics(
            everything.assign(outcome=status), first, order=first.unique().tolist(), numeric=numeric
        )
    if "site" in everything:
        rest = everything.drop(columns="site").assign(outcome=status)
        site = everything["site"]
        largest = site.value_counts().index[:MOST_SITES]
        place = site.where(site.isin(largest) | site.isna(), "all others")
        order = sorted(place.dropna().unique(), key=lambda s: (s == "all others", s))
        found["characteristics_by_site"] = characteristics(
            rest, place, order=order, numeric=numeric
        )
    return found
