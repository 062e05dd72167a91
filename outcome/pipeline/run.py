"""A whole study: read, train, evaluate, report. This is the function behind `outcome run`."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outcome.pipeline.prepare import default_folder, note_finished, processes, start
from outcome.pipeline.study_evaluation import N_RESAMPLES, evaluate_run, inner_scores_table
from outcome.progress import Progress, as_progress

if TYPE_CHECKING:
    import pandas as pd

    from outcome.checks import StudyCheck
    from outcome.crossval.arm_fold import ArmFold
    from outcome.crossval.grid import Grid
    from outcome.evaluation.evaluation import Evaluation
    from outcome.study import Study

__all__ = ["Results", "run"]

LOGGER = logging.getLogger("outcome")
ON_REQUEST = ("permutations.csv", "input_permutations.csv", "slide_vectors.h5")


@dataclass(frozen=True)
class Results:
    """Results of a study; `folder` contains the same tables as CSV.

    Parameters
    ----------
    folder : Path
        The run folder.
    report : Path
        The results page.
    predictions : DataFrame
        One row per arm, repeat and patient, each scored by models that were not trained on the
        patient. A higher `risk` is worse.
    development : DataFrame
        Out-of-fold risks of development patients. They are optimistic: use them only for
        calibration and cut-offs.
    evaluation : Evaluation
        All tables of the evaluation: metrics, comparisons, risk groups and further tables.
    permutations : DataFrame or None
        p of each arm under permuted outcomes, if requested.
    input_permutations : DataFrame or None
        p of each arm with a permuted input, if requested.
    cohort_flow, splits, history : DataFrame
        Excluded patients with reasons; role of each patient in each fold; losses of every fit and
        epoch.
    manifest : dict
        Settings, versions, hashes, notes and warnings.
    """

    folder: Path
    report: Path
    predictions: pd.DataFrame
    development: pd.DataFrame
    evaluation: Evaluation
    cohort_flow: pd.DataFrame
    splits: pd.DataFrame
    history: pd.DataFrame
    manifest: dict[str, Any]
    permutations: pd.DataFrame | None = None
    input_permutations: pd.DataFrame | None = None

    @property
    def metrics(self) -> pd.DataFrame:
        """Discrimination and calibration of every arm, with intervals."""
        return self.evaluation.metrics

    @property
    def comparisons(self) -> pd.DataFrame:
        """Differences from the baseline."""
        return self.evaluation.comparisons

    @property
    def risk_groups(self) -> pd.DataFrame:
        """Risk groups: survival, hazard ratios, log-rank tests."""
        return self.evaluation.risk_groups

    @property
    def warnings(self) -> list[str]:
        """Warnings about the results."""
        return list(self.manifest["warnings"])

    @property
    def notes(self) -> list[str]:
        """Notes on excluded or imputed data."""
        return list(self.manifest["notes"])


def run(
    study: Study,
    cohort: pd.DataFrame | None = None,
    *,
    out: str | Path | None = None,
    jobs: int | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    cluster: str | None = None,
    permutations: int = 0,
    permute_inputs: Sequence[str] = (),
    permute_networks: bool = False,
    save_vectors: bool = False,
    strict: bool = False,
    command: str = "",
    progress: Progress | bool = False,
) -> Results:
    """Train every arm of a study under cross-validation, compare them, and write the report.

    Parameters
    ----------
    study : Study
    cohort : DataFrame, optional
        The cohort table, used instead of the file of the study; same columns.
    out : path, optional
        The run folder; by default `reports/<study name>` in the working folder.
    jobs : int, optional
        Number of processes; by default one per processor (on a GPU, one). Results do not depend on
        it.
    device : str
        `auto`, `cpu`, `cuda:N` or `mps`.
    cache : path, optional
        Folder of the packed store; by default $SLIDE_OUTCOME_CACHE or the user's cache folder.
    cluster : str, optional
        Train on the workers of this Dask scheduler (`tcp://host:port`, or a scheduler file)
        instead of processes of this machine. Results are the same. The run folder and the cache
        must be on paths that all machines share.
    permutations : int
        Also test each arm against this many permutations of the outcomes (199 or more).
    permute_inputs : sequence of {"image", "report", "clinical"}
        Permute these inputs, one at a time, instead of the outcomes, and test the arms that have
        the input. This tests whether the input adds information to the others.
    permute_networks : bool
        Refit the arms in each permutation, instead of linear models of the same inputs. Each
        permutation then takes as long as the study.
    save_vectors : bool
        Also write `slide_vectors.h5`: vectors of test patients and slides, pooled by the networks.
    strict : bool
        Stop before training if the leak scan has a severe finding.
    command : str
        Command line that is recorded in the manifest.
    progress : bool or callable
        True writes lines to stderr. A function is called with the name of the stage, the number of
        finished items, and the number of all items.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        The input is invalid. The message lists all problems, and nothing is written.
    LeakageError
        With `strict`: the inputs contain the outcome.

    Notes
    -----
    The logger `outcome` logs warnings of the checks before the first fit.

    Examples
    --------
    >>> import outcome
    >>> few = outcome.Simulation(patients=40, patches=5, dimension=16)
    >>> path = outcome.simulate("cohort", few)
    >>> quick = ["split.folds=2", "split.inner_folds=2", "training.epochs=1", "arms=[image]"]
    >>> results = outcome.run(outcome.Study.read(path, quick), out="run", jobs=1)
    >>> results.report.name, len(results.predictions)
    ('report.html', 40)
    """
    from time import monotonic

    from outcome.checks import check_study
    from outcome.crossval.manifest import hashes
    from outcome.crossval.permutation_test import (
        OUTCOMES,
        check_permutations,
        permutation_test,
    )
    from outcome.crossval.run_changes import changes_since_last_run
    from outcome.crossval.scheduler import run_grid
    from outcome.errors import LeakageError
    from outcome.run_folder.log import LOG, RunLog

    started = monotonic()
    _check_arguments(study, cohort, jobs)
    check_permutations(study, permutations, permute_inputs)
    folder = Path(out) if out is not None else default_folder(study)
    with RunLog(command) as log:
        progress = log.following(as_progress(progress))
        grid, workers = start(
            study,
            folder,
            cohort=cohort,
            jobs=jobs,
            device=device,
            cache=cache,
            cluster=cluster,
            save_vectors=save_vectors,
            progress=progress,
        )
        LOGGER.info(f"run folder: {folder}")
        checked = check_study(study, grid.study_data)
        for warning in checked.warnings:
            LOGGER.warning(warning)
        if strict and checked.scan.severe:
            found = "; ".join(f.text for f in checked.scan.severe)
            raise LeakageError(
                f"study {study.name!r}: severe findings, so nothing was trained: {found}"
            )
        changed = changes_since_last_run(folder, study, hashes(study, grid.study_data, cohort))
        # The fits are written first: they distinguish a run folder from other folders of the user.
        grid.fits.mkdir(parents=True, exist_ok=True)
        log.open(folder / LOG)
        kept = note_finished(grid, log)
        finished = run_grid(grid, workers, progress)
        n = processes(jobs, study, grid.device)
        tested = [
            permutation_test(
                grid.study,
                grid.study_data,
                n=permutations,
                exchanged=exchanged,
                networks=permute_networks,
                device=grid.device,
                jobs=n,
                progress=partial(progress, f"permuting {exchanged}"),
            )
            for exchanged in (permute_inputs or [OUTCOMES])
            if permutations
        ]
        about: dict[str, Any] = {
            "precision": grid.study.training.precision,
            "fits": {"total": len(grid.tasks), "kept": kept, "trained": len(grid.tasks) - kept},
            "changed": changed,
        }
        results = _results(
            study, grid, finished, tested, cohort, folder, about, checked, command, started,
            cache, progress,
        )  # fmt: skip
        log.write(f"report: {results.report}")
        return results


def _check_arguments(study: Any, cohort: Any, jobs: Any) -> None:
    """Check the arguments of a call from Python."""
    import pandas as pd

    from outcome.errors import InputError
    from outcome.study import Study

    if not isinstance(study, Study):
        raise InputError(
            f"`study` is {type(study).__name__}: give outcome.Study.read('study.yaml'), or"
            " outcome.Study.parse({...}, folder=...)"
        )
    if cohort is not None and not isinstance(cohort, pd.DataFrame):
        raise InputError(f"`cohort` is {type(cohort).__name__}: give a pandas DataFrame, or none")
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise InputError(f"`jobs` is {jobs!r}: give 1 or more")


def _results(
    study: Study,
    grid: Grid,
    finished: list[ArmFold],
    tested: list[pd.DataFrame],
    frame: pd.DataFrame | None,
    folder: Path,
    fits: dict[str, Any],
    checked: StudyCheck,
    command: str,
    started: float,
    cache: str | Path | None,
    progress: Progress,
) -> Results:
    from time import monotonic

    import pandas as pd

    from outcome.cohort import splits_table
    from outcome.crossval import manifest
    from outcome.crossval.fit_notes import fit_notes, fit_warnings
    from outcome.crossval.joined_predictions import joined_predictions
    from outcome.crossval.permutation_test import OUTCOMES, permutation_notes
    from outcome.dataset.patient_tables import patient_tables
    from outcome.evaluation.crossfit_estimates import InnerModelTables
    from outcome.evaluation.outcome_kinds import described_outcome
    from outcome.pipeline.attention_examples import draw_examples
    from outcome.predictions import Predictions
    from outcome.reporting.report import write_report
    from outcome.run_folder.write import write_manifest, write_run_folder

    progress("evaluating", 0, 1)
    study_data = grid.study_data
    predictions = Predictions(joined_predictions(finished, study_data, study.secondary))
    about = manifest.describe(study, study_data, grid.device, command, frame) | fits
    of_patients = patient_tables(study, study_data)
    inner_scores = inner_scores_table(finished)
    splits = splits_table(study_data.folds, study_data.cohort)
    inner = InnerModelTables(inner_scores, splits)
    evaluation = evaluate_run(study, predictions, of_patients, inner)
    progress("evaluating", 1, 1)
    if fits["changed"]:
        about["notes"].append(
            f"changed since the last run in this folder: {'; '.join(fits['changed'])}. "
            f"{fits['fits']['trained']} fits were trained and {fits['fits']['kept']} kept"
        )
    about["resamples"] = N_RESAMPLES
    about["epochs"] = manifest.epochs(finished)
    about["notes"] += [
        *fit_notes(finished, study.split.inner_folds),
        *evaluation.notes,
    ]
    about["warnings"] = [
        *checked.warnings, *fit_warnings(finished), *evaluation.warnings,
    ]  # fmt: skip
    tables = {
        "predictions": predictions.table,
        "development": pd.concat([f.development for f in finished], ignore_index=True),
        "cohort_flow": study_data.cohort.flow_table(),
        "splits": splits,
        "history": pd.concat(
            [f.history for f in finished if len(f.history)] or [finished[0].history]
        ),
    }
    further = {
        "inner_scores": inner_scores,
        "cohort_lost": study_data.cohort.lost_table(),
        **of_patients,
    }
    if tested:
        inputs = tested[0]["exchanged"].iloc[0] != OUTCOMES
        further["input_permutations" if inputs else "permutations"] = pd.concat(tested)
        about["notes"] += [note for table in tested for note in permutation_notes(table)]
    stale = _stale(folder, fits["changed"], {f"{n}.csv" for n in further}, grid.save_vectors)
    if stale:
        about["notes"].append(
            f"{' and '.join(stale)} of an earlier version of the study were removed; request "
            "them again"
        )
    about["seconds"] = round(monotonic() - started, 1)
    about["tables"] = evaluation.manifest_part["tables"]
    write_run_folder(
        folder, {**tables, **evaluation.tables, **further}, about, study.to_yaml(folder), stale
    )
    # Only now: whatever happens to the maps, the results are safe.
    if without_maps := draw_examples(
        study, grid, predictions.table, evaluation,
        described_outcome(about["endpoint"], predictions), folder,
        cache=cache, progress=progress,
    ):  # fmt: skip
        about["notes"] += without_maps
        write_manifest(folder, about)
    progress("reporting", 0, 1)
    report = write_report(folder)
    progress("reporting", 1, 1)
    return Results(
        folder=folder,
        report=report,
        manifest=about,
        permutations=further.get("permutations"),
        input_permutations=further.get("input_permutations"),
        evaluation=evaluation,
        **tables,
    )


def _stale(
    folder: Path, changed: Sequence[str], written: Collection[str], vectors: bool
) -> list[str]:
    """Name tables that are made only on request, and were made before the study changed."""
    kept = {*written, *(["slide_vectors.h5"] if vectors else [])}
    asked = [name for name in ON_REQUEST if name not in kept and (folder / name).is_file()]
    return asked if changed else []
