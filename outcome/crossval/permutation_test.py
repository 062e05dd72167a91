"""Permutation test of a whole study: outcomes permuted, everything fitted again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.cohort import Cohort, make_folds
from outcome.crossval.executors import LocalProcesses
from outcome.crossval.grid import Grid
from outcome.crossval.joined_predictions import joined_predictions
from outcome.crossval.scheduler import run_grid
from outcome.dataset.study_data import StudyData
from outcome.errors import InputError, Problems
from outcome.evaluation.evaluation import evaluate_endpoint
from outcome.predictions import Predictions
from outcome.progress import CountProgress
from outcome.study import Study

__all__ = [
    "FEWEST_PERMUTATIONS",
    "permutation_notes",
    "permutation_test",
    "permuted",
]

FEWEST_PERMUTATIONS = 199


def permutation_test(
    study: Study,
    study_data: StudyData,
    *,
    n: int,
    networks: bool,
    device: str,
    jobs: int,
    progress: CountProgress,
) -> pd.DataFrame:
    """Compare each arm's discrimination with that under permuted outcomes.

    Parameters
    ----------
    study, study_data
        As they were run.
    n : int
        Permutations; at least 199.
    networks : bool
        Refit the arms as they are; else linear models of the same inputs, which take seconds
        instead of the time of the study.
    device : str
    jobs : int
        Processes. The results do not depend on it.
    progress : callable
        Called with permutations done, and in all.

    Returns
    -------
    DataFrame
        `arm, statistic, observed, p_value, n_permutations, model`: the main metric and the
        log-rank test of the risk groups [1]_. p = (b + 1) / (n + 1) for b permutations that reach
        the observed value.

    Notes
    -----
    Rows of outcomes are permuted within stratum and site, folds are drawn anew, and all is fitted
    again. The hypothesis is that the inputs of the arm have nothing to do with the outcome; it
    says nothing of the difference between two arms.

    References
    ----------
    .. [1] Simon et al. (2011), Briefings in Bioinformatics 12:203-214.
    """
    if n < FEWEST_PERMUTATIONS:
        raise InputError(f"{n} permutations: give at least {FEWEST_PERMUTATIONS}")
    if not networks:
        arms = tuple(arm.model_copy(update={"aggregator": "linear"}) for arm in study.arms)
        study = study.model_copy(update={"arms": arms})
    observed = _statistics(study, study_data, device)
    found = []
    grid = Grid(study, study_data, Path(), device)
    for one in LocalProcesses(jobs).map(_one, grid, [(k,) for k in range(n)]):
        found.append(one)
        progress(len(found), n)
    table = pd.concat(found)
    rows = []
    for (arm, statistic), value in observed.items():
        drawn = table[arm, statistic].to_numpy()
        p = permutation_p_value(value, drawn)
        rows.append((arm, statistic, value, p, n, "networks" if networks else "linear"))
    columns = ["arm", "statistic", "observed", "p_value", "n_permutations", "model"]
    return pd.DataFrame(rows, columns=columns)


def permutation_p_value(observed: float, drawn: NDArray[np.float64]) -> float:
    """Share of permutations that reach what was observed; one without a value may have."""
    if np.isnan(observed):
        return np.nan
    return (1 + int(np.sum(~(drawn < observed - 1e-12)))) / (len(drawn) + 1)


def permutation_notes(tested: pd.DataFrame) -> list[str]:
    """Return the result in sentences for the report."""
    words = {"harrell_c": "C-index", "auroc": "AUROC", "logrank": "log-rank"}
    notes = []
    for arm, rows in tested.groupby("arm", sort=False):
        parts = ", ".join(
            f"{words[str(r.statistic)]} p = {r.p_value:.3f}" for r in rows.itertuples()
        )
        first = rows.iloc[0]
        model = "linear models of the same inputs" if first.model == "linear" else "the networks"
        notes.append(
            f"Permutation test of arm {arm} ({first.n_permutations} permutations of the outcomes,"
            f" all of cross-validation repeated with {model}): {parts}"
        )
    return notes


def permuted(cohort: Cohort, rng: np.random.Generator) -> Cohort:
    """Exchange the outcomes of patients of the same stratum and site."""
    patients = cohort.patients
    columns = list(cohort.endpoint.outcome_columns)
    groups = [patients[c] for c in ("strata", "site") if c in patients]
    codes = pd.Series(0, index=patients.index)
    if groups:
        codes = patients.groupby(groups, sort=True, dropna=False).ngroup()
    order = np.arange(len(patients))
    for code in sorted(set(codes)):
        rows = np.flatnonzero(codes == code)
        order[rows] = rng.permutation(rows)
    changed = patients.copy()
    changed[columns] = patients[columns].to_numpy()[order]
    return replace(cohort, patients=changed)


def _one(grid: Grid, k: int) -> pd.DataFrame:
    study, study_data = grid.study, grid.study_data
    rng = np.random.default_rng([study.split.seed, k, 20110301])
    cohort = permuted(study_data.cohort, rng)
    problems = Problems("permutation")
    folds = make_folds(cohort, study.split, problems, networks=study.networks)
    # A fold that permutation leaves without enough events is skipped, as it would be in a study.
    changed = replace(study_data, cohort=cohort, folds=tuple(folds))
    return pd.DataFrame([_statistics(study, changed, grid.device)])


def _statistics(study: Study, study_data: StudyData, device: str) -> dict[tuple[str, str], float]:
    """Return the main metric and the log-rank statistic (-log10 p) of every arm."""
    with TemporaryDirectory() as scratch:
        grid = Grid(study, study_data, Path(scratch), device)
        finished = run_grid(grid, LocalProcesses())
    evaluation = evaluate_endpoint(
        Predictions(joined_predictions(finished, study_data)), study.endpoint, n_resamples=0
    )
    metric = study.endpoint.main_metric
    rows = evaluation.metrics[evaluation.metrics["metric"] == metric]
    named = zip(rows["arm"], rows["estimate"].to_numpy(dtype=float), strict=True)
    found = {(str(arm), metric): float(c) for arm, c in named}
    if "logrank_p" in evaluation.risk_groups:
        groups = evaluation.risk_groups.drop_duplicates("arm")
        for arm, p in zip(groups["arm"], groups["logrank_p"], strict=True):
            found[str(arm), "logrank"] = 0.0 if np.isnan(p) else float(-np.log10(max(p, 1e-300)))
    return found
