"""Start of a run: all inputs are read and checked; only the packed store is written."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from outcome.progress import Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

    from outcome.crossval.executors import Workers
    from outcome.crossval.grid import Grid
    from outcome.run_folder.log import RunLog
    from outcome.study import Study

__all__ = ["default_folder", "note_finished", "processes", "start"]

LOGGER = logging.getLogger("outcome")


def start(
    study: Study,
    folder: Path,
    *,
    cohort: pd.DataFrame | None = None,
    jobs: int | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    cluster: str | None = None,
    save_vectors: bool = False,
    progress: Progress = no_progress,
) -> tuple[Grid, Workers]:
    """Read and check all inputs; only the packed store is written.

    Parameters
    ----------
    study : Study
    folder : Path
        The run folder.
    cohort, jobs, device, cache, cluster, save_vectors, progress
        As for `outcome.run`.

    Returns
    -------
    grid : Grid
        The fits of the study.
    workers : Workers
        Executor of the fits.

    Raises
    ------
    InputError
        The input is invalid; the message lists all problems.
    """
    from outcome.crossval.executors import DaskCluster, LocalProcesses
    from outcome.crossval.grid import Grid, network_errors
    from outcome.dataset.study_data import prepare
    from outcome.devices import choose_device
    from outcome.embeddings.patches.packed_store import default_cache
    from outcome.training.precision import resolved

    _check_folder(folder, study)
    device = choose_device(device)
    settled = resolved(study, device)
    n = processes(jobs, study, device)
    cache = (Path(cache) if cache is not None else default_cache()).absolute()
    LOGGER.debug(f"device {device}, {n} processes, cache {cache}")
    study_data = prepare(
        study,
        cache,
        frame=cohort,
        jobs=n,
        known=network_errors(settled),
        progress=lambda done, total: progress("reading", done, total),
    )
    grid = Grid(settled, study_data, folder.absolute() / "fits", device, save_vectors)
    if cluster is None:
        return grid, LocalProcesses(n)
    workers = DaskCluster(cluster)
    workers.check()
    return grid, workers


def default_folder(study: Study, suffix: str = "") -> Path:
    """Return the folder of results if none is given: `reports/<name>`.

    Raises
    ------
    RunFolderError
        The folder `reports` contains inputs of the study, e.g. its report texts.
    """
    from outcome.errors import RunFolderError
    from outcome.study import ReportTexts

    results = Path("reports")
    reports = study.embeddings.reports
    texts = reports.texts if isinstance(reports, ReportTexts) else reports
    inputs = [*(study.embeddings.patches or ()), *([texts] if texts is not None else [])]
    if any(place.is_dir() and place.resolve() == results.resolve() for place in inputs):
        raise RunFolderError(
            f"results would be written to {results / study.name}{suffix}, but {results}/ contains "
            "inputs of this study. To do: give another folder with `out=`"
        )
    return results / f"{study.name}{suffix}"


def note_finished(grid: Grid, log: RunLog) -> int:
    """Return the number of fits finished by an earlier run, and report it."""
    total = len(grid.tasks)
    finished = sum(grid.folder(*task).finished for task in grid.tasks)
    if finished:
        log.note(
            f"found {finished} of {total} fits of an earlier run; {total - finished} remain to "
            "be trained"
        )
    return finished


def processes(jobs: int | None, study: Study, device: str) -> int:
    """Return the number of processes: as requested, else one per processor; one on a GPU."""
    from outcome.processes import available_cpus

    if jobs is not None:
        return jobs
    return max(1, available_cpus() // study.training.threads) if device == "cpu" else 1


def _check_folder(folder: Path, study: Study) -> None:
    """Refuse a folder with files that do not belong to a run of this study."""
    import yaml

    from outcome.errors import RunFolderError

    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; give another folder")
    written = folder / "study.yaml"
    if not (folder / "manifest.json").is_file() and not (folder / "fits").is_dir():
        raise RunFolderError(f"{folder} contains other files; give another folder")
    try:
        name = yaml.safe_load(written.read_text()).get("name") if written.is_file() else study.name
    except (yaml.YAMLError, AttributeError, OSError):
        name = "something unreadable"
    if name != study.name:
        raise RunFolderError(
            f"{folder} contains a run of study {name!r}, not of {study.name!r}; give another "
            "folder, or remove this one"
        )
