"""What a model could profit from without seeing tissue: site, bag size, a missing report.

A score that ranks no better than the number of patches has shown nothing. Each of these is
therefore judged alone, under the protocol of the study.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from outcome.embeddings.material import Material
from outcome.evaluation.endpoints import evaluate_endpoint
from outcome.predictions import Predictions
from outcome.study import Arm, Covariates, Study
from outcome.training.assembly import joined_predictions
from outcome.training.engine import run_grid
from outcome.training.grid import Grid

__all__ = ["nuisance_baselines", "nuisance_notes"]

SITE = "site"
COLUMNS = ["variable", "metric", "estimate", "lower", "upper", "n", "events"]


def nuisance_baselines(
    study: Study,
    material: Material,
    *,
    jobs: int = 1,
    n_resamples: int = 1000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Discrimination of each nuisance variable alone.

    Parameters
    ----------
    study, material
        As they are run.
    jobs : int
        Processes. The results do not depend on it.
    n_resamples : int
        Of the bootstrap.
    progress : callable
        Called with variables done, and in all.

    Returns
    -------
    DataFrame
        `variable, metric, estimate, lower, upper, n, events`: the C-index or AUROC of a ridge
        model of one variable, cross-validated on the folds of the study. Empty where no variable
        differs between patients.
    """
    values = _variables(material)
    parts = []
    for done, name in enumerate(values):
        progress(done, len(values.columns))
        parts.append(_scores(study, material, values[name], jobs))
    progress(len(values.columns), len(values.columns))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    table = Predictions(pd.concat(parts, ignore_index=True))
    found = evaluate_endpoint(table, study.endpoint, n_resamples=n_resamples).metrics
    metric = "harrell_c" if study.endpoint.kind == "survival" else "auroc"
    rows = found[found["metric"] == metric].rename(columns={"arm": "variable"})
    return rows[COLUMNS].reset_index(drop=True)


def nuisance_notes(found: pd.DataFrame) -> list[str]:
    """Return the result in one sentence."""
    if found.empty:
        return []
    said = ", ".join(
        f"{r.variable} {r.estimate:.3f} ({r.lower:.3f} to {r.upper:.3f})"
        for r in found.itertuples()
    )
    return [f"What needs no tissue, each alone under the same protocol: {said}"]


def _variables(material: Material) -> pd.DataFrame:
    """One text column per variable that differs between patients."""
    patients = material.cohort.patients.index
    columns: dict[str, pd.Series] = {}
    if SITE in material.cohort.patients:
        columns[SITE] = material.cohort.patients[SITE]
    if material.slides:
        slides = material.slides
        columns["patch count"] = pd.Series({p: sum(s.n for s in slides[p]) for p in patients})
        columns["slide count"] = pd.Series({p: len(slides[p]) for p in patients})
    if material.reports is not None:
        missing = {p: float(p not in material.reports.rows) for p in patients}
        columns["report missing"] = pd.Series(missing)
    table = pd.DataFrame(columns, index=patients).astype(str)
    return table[[c for c in table if table[c].nunique() > 1]]


def _scores(study: Study, material: Material, value: pd.Series, jobs: int) -> pd.DataFrame:
    """Cross-validate the variable as a clinical arm of one column."""
    name = str(value.name)
    kind = "categorical" if name == SITE else "numeric"
    alone = study.model_copy(
        update={
            "arms": (Arm(name=name, inputs=("clinical",)),),
            "baseline": name,
            "covariates": Covariates.model_validate({kind: (name,)}),
            "secondary": (),
            "contrasts": (),
        }
    )
    patients = material.cohort.patients.assign(**{f"column:{name}": value})
    cohort = replace(material.cohort, patients=patients)
    grid = Grid(alone, replace(material, cohort=cohort), Path("fits"), "cpu")
    finished = run_grid(grid, jobs, lambda what, done, total: None)
    return joined_predictions(finished, grid.material)
