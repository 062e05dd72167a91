"""Permutation tests: outcomes or one input are permuted among patients, and all models refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
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
from outcome.dataset.exchanged_inputs import exchanged_input
from outcome.dataset.study_data import StudyData
from outcome.errors import InputError, Problems
from outcome.evaluation.evaluation import evaluate_endpoint
from outcome.predictions import Predictions
from outcome.progress import CountProgress
from outcome.study import Study

__all__ = [
    "FEWEST_PERMUTATIONS",
    "OUTCOMES",
    "check_permutations",
    "permutation_notes",
    "permutation_test",
    "permuted",
]

FEWEST_PERMUTATIONS = 199
OUTCOMES = "outcomes"
INPUTS = ("image", "report", "clinical")


def check_permutations(study: Study, n: int, inputs: Sequence[str]) -> None:
    """Refuse an impossible test before anything is fitted.

    Parameters
    ----------
    study : Study
    n : int
        Number of permutations; 0 for none.
    inputs : sequence of str
        Inputs to be permuted.

    Raises
    ------
    InputError
        Fewer than 199 permutations, or an input that is unknown, or that every arm or no arm has.
    """
    problems = Problems("permutations")
    if n < FEWEST_PERMUTATIONS and (n or inputs):
        problems.add(
            f"{n} permutations are too few", remedy=f"give at least {FEWEST_PERMUTATIONS}, or none"
        )
    used = sorted({i for arm in study.arms for i in arm.inputs})
    for name in inputs:
        have = [name in arm.inputs for arm in study.arms]
        if name not in INPUTS:
            close = get_close_matches(name, INPUTS, n=1)
            problems.add(
                f"there is no input {name!r}",
                remedy=f"write {close[0]}" if close else "use image, report or clinical",
            )
        elif not any(have):
            problems.add(
                f"no arm has the input {name!r}", remedy=f"the arms have {', '.join(used)}"
            )
        elif all(have):
            problems.add(
                f"every arm has the input {name!r}, so its added value cannot be tested",
                remedy="add an arm without it",
            )
    problems.raise_if_any(InputError)


def permutation_test(
    study: Study,
    study_data: StudyData,
    *,
    n: int,
    exchanged: str = OUTCOMES,
    networks: bool,
    device: str,
    jobs: int,
    progress: CountProgress,
) -> pd.DataFrame:
    """Compare the discrimination of each arm with that after permutation of outcomes or one input.

    Parameters
    ----------
    study, study_data
        The study and its data, as run.
    n : int
        Permutations.
    exchanged : {"outcomes", "image", "report", "clinical"}
        What is permuted among patients of the same stratum and site. If an input is permuted, the
        arms that have it are tested; folds, other inputs and outcomes are unchanged.
    networks : bool
        Refit the arms themselves; else linear models of the same inputs, which take seconds.
    device : str
    jobs : int
        Number of processes. Results do not depend on it.
    progress : callable
        Called with the number of finished permutations, and of all permutations.

    Returns
    -------
    DataFrame
        `arm, exchanged, statistic, observed, permuted_mean, p_value, n_permutations, model`: the
        main metric and, if outcomes are permuted, the log-rank test of the risk groups [1]_. p = (b
        + 1) / (n + 1), where b permutations reach the observed value; the test is one-sided.

    Notes
    -----
    If outcomes are permuted, folds are drawn again. The null hypothesis is that the inputs of the
    arm are not associated with the outcome; the test does not compare two arms. If an input is
    permuted, the null hypothesis is that it is associated neither with the outcome nor with the
    other inputs. This differs from the hypothesis that the metric does not improve: a
    high-dimensional input may contain information and still lower the metric by its noise. In
    simulations with 200 patients and 80 events, this test detected a real gain two to three times
    as often as the test of the difference in C. If the input repeats the information of the others,
    p is approximate: 7% of p values were below .05.

    References
    ----------
    .. [1] Simon et al. (2011), Briefings in Bioinformatics 12:203-214.
    """
    if exchanged != OUTCOMES:
        study = _with_arms(study, [a.name for a in study.arms if exchanged in a.inputs])
    if not networks:
        arms = tuple(arm.model_copy(update={"aggregator": "linear"}) for arm in study.arms)
        study = study.model_copy(update={"arms": arms})
    grid = Grid(study, study_data, Path(), device)
    observed = _statistics(grid, study_data, exchanged)
    drawn: dict[int, dict[tuple[str, str], float]] = {}
    tasks = [(exchanged, k) for k in range(n)]
    for k, found in LocalProcesses(jobs).map(_one, grid, tasks):
        drawn[k] = found
        progress(len(drawn), n)
    # In their order, so that the mean does not depend on which process was first.
    table = pd.DataFrame([drawn[k] for k in range(n)])
    rows = []
    for (arm, statistic), value in observed.items():
        values = table[arm, statistic].to_numpy(dtype=float)
        p = permutation_p_value(value, values)
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
        model = "networks" if networks else "linear"
        rows.append((arm, exchanged, statistic, value, mean, p, n, model))
    columns = [
        "arm", "exchanged", "statistic", "observed", "permuted_mean", "p_value", "n_permutations",
        "model",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def permutation_p_value(observed: float, drawn: NDArray[np.float64]) -> float:
    """Proportion of permutations that reach the observed value, or have no value."""
    if np.isnan(observed):
        return np.nan
    return (1 + int(np.sum(~(drawn < observed - 1e-12)))) / (len(drawn) + 1)


def permutation_notes(tested: pd.DataFrame) -> list[str]:
    """Return the result as sentences for the report."""
    words = {"harrell_c": "C-index", "auroc": "AUROC", "logrank": "log-rank"}
    notes = []
    for (exchanged, arm), rows in tested.groupby(["exchanged", "arm"], sort=False):
        parts = ", ".join(
            f"{words[str(r.statistic)]} p = {r.p_value:.3f}" for r in rows.itertuples()
        )
        first = rows.iloc[0]
        model = "linear models of the same inputs" if first.model == "linear" else "the networks"
        what = "outcomes" if exchanged == OUTCOMES else f"input {exchanged}"
        notes.append(
            f"Permutation test of arm {arm} ({first.n_permutations} permutations of the {what}; "
            f"the whole cross-validation was repeated with {model}): {parts}"
        )
    return notes


def exchange(cohort: Cohort, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a permutation of rows within stratum and site, shape (n,)."""
    patients = cohort.patients
    groups = [patients[c] for c in ("strata", "site") if c in patients]
    codes = pd.Series(0, index=patients.index)
    if groups:
        codes = patients.groupby(groups, sort=True, dropna=False).ngroup()
    order = np.arange(len(patients))
    for code in sorted(set(codes)):
        rows = np.flatnonzero(codes == code)
        order[rows] = rng.permutation(rows)
    return order


def permuted(cohort: Cohort, rng: np.random.Generator) -> Cohort:
    """Permute the outcomes of patients of the same stratum and site."""
    columns = list(cohort.endpoint.outcome_columns)
    changed = cohort.patients.copy()
    changed[columns] = cohort.patients[columns].to_numpy()[exchange(cohort, rng)]
    return replace(cohort, patients=changed)


def _one(grid: Grid, exchanged: str, k: int) -> tuple[int, dict[tuple[str, str], float]]:
    rng = np.random.default_rng([grid.study.split.seed, k, 20110301])
    return k, _statistics(grid, _exchanged(grid, exchanged, rng), exchanged)


def _exchanged(grid: Grid, exchanged: str, rng: np.random.Generator) -> StudyData:
    """Return the data of one permutation."""
    study, study_data = grid.study, grid.study_data
    if exchanged != OUTCOMES:
        ids = study_data.cohort.patients.index
        source = dict(zip(ids, ids[exchange(study_data.cohort, rng)], strict=True))
        return exchanged_input(study, study_data, exchanged, source)
    cohort = permuted(study_data.cohort, rng)
    problems = Problems("permutation")
    folds = make_folds(cohort, study.split, problems, networks=study.networks)
    # A fold without enough events after permutation is skipped, as in a study.
    return replace(study_data, cohort=cohort, folds=tuple(folds))


def _statistics(grid: Grid, study_data: StudyData, exchanged: str) -> dict[tuple[str, str], float]:
    """Return the main metric of every arm, and for outcomes the log-rank -log10 p."""
    study = grid.study
    with TemporaryDirectory() as scratch:
        refit = Grid(study, study_data, Path(scratch), grid.device)
        finished = run_grid(refit, LocalProcesses())
    evaluation = evaluate_endpoint(
        Predictions(joined_predictions(finished, study_data)), study.endpoint, n_resamples=0
    )
    metric = study.endpoint.main_metric
    rows = evaluation.metrics[evaluation.metrics["metric"] == metric]
    named = zip(rows["arm"], rows["estimate"].to_numpy(dtype=float), strict=True)
    found = {(str(arm), metric): float(c) for arm, c in named}
    if exchanged == OUTCOMES and "logrank_p_fixed" in evaluation.risk_groups:
        groups = evaluation.risk_groups.drop_duplicates("arm")
        for arm, p in zip(groups["arm"], groups["logrank_p_fixed"], strict=True):
            found[str(arm), "logrank"] = _log_p(float(p))
    return found


def _log_p(p: float) -> float:
    return 0.0 if np.isnan(p) else float(-np.log10(max(p, 1e-300)))


def _with_arms(study: Study, names: Sequence[str]) -> Study:
    return study.model_copy(update={"arms": tuple(a for a in study.arms if a.name in names)})
