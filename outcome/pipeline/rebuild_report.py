"""The results page of a run folder, or of several, for `outcome report`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from outcome.errors import PredictionsError, Problems
from outcome.evaluation.evaluation import further_tables
from outcome.reporting.report import render_report
from outcome.run_folder.folder import Run
from outcome.run_folder.read import read_inner_models, read_run
from outcome.run_folder.write import write_study_tables

__all__ = ["report"]

RESAMPLES = 1000


def report(folder: str | Path, *, show_ids: bool = False) -> Path:
    """Write the results page of a run folder again, without training.

    Tables missing in a folder of an earlier version are computed first and written into the folder.

    Parameters
    ----------
    folder : path
        Folder of `outcome.run` or another command. `manifest.json` and `predictions.csv` are
        needed; every other file is used if it exists.
    show_ids : bool
        Add a table of all patients. Otherwise the page contains no patient ids.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    RunFolderError
        The folder is not a run folder.
    PredictionsError
        Its predictions cannot be used.
    """
    run = read_run(Path(folder), show_ids=show_ids)
    if not _complete(run):
        warnings = _evaluate(run)
        run = read_run(run.path, show_ids=show_ids)
        run = replace(run, problems=[*run.problems, *warnings])
    return render_report(run)


def _complete(run: Run) -> bool:
    """Whether the folder contains every table listed in its manifest."""
    listed = run.manifest.get("tables")
    if not isinstance(listed, list):
        return False
    return all((run.path / f"{name}.csv").is_file() for name in listed)


def _evaluate(run: Run) -> list[str]:
    """Compute and write tables from the files of the folder; returns warnings."""
    resamples = run.manifest.get("resamples")
    seed = run.manifest.get("seed", run.part("split").get("seed"))
    problems = Problems("inner scores")
    inner = read_inner_models(run.path, problems)
    problems.raise_if_any(PredictionsError)
    tables, warnings = further_tables(
        run.predictions,
        run.endpoint,
        run.patients,
        inner=[] if inner is None else [inner],
        n_resamples=RESAMPLES if resamples is None else int(resamples),
        seed=int(seed) if isinstance(seed, int) else 0,
    )
    write_study_tables(run.path, tables)
    said = run.manifest.get("warnings") or []
    return [w for w in warnings if w not in said]
