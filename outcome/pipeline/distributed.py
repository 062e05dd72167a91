"""Training by several processes with a shared run folder; `run` then evaluates."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from outcome.pipeline.prepare import default_folder, note_finished, start
from outcome.progress import Progress, no_progress

if TYPE_CHECKING:
    from outcome.study import Study

__all__ = ["run_shard", "train_together"]

LOGGER = logging.getLogger("outcome")


def run_shard(
    study: Study,
    shard: str,
    *,
    out: str | Path | None = None,
    jobs: int | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    command: str = "",
    progress: Progress = no_progress,
) -> tuple[int, int]:
    """Train one part of the fits of a study; `run` with the same settings uses them.

    Parameters
    ----------
    study, out, jobs, device, cache, command, progress
        See `run`. The run folder and the cache are shared by all parts.
    shard : str
        `3/25`: the third of 25 parts.

    Returns
    -------
    finished, total : int
        Number of existing fits of the study, and of all fits.

    Raises
    ------
    InputError
        The input is invalid, or the run folder was started with other settings.
    """
    from outcome.crossval.run_changes import claim
    from outcome.crossval.scheduler import Shard, train
    from outcome.run_folder.log import RunLog

    part = Shard.parse(shard)
    folder = Path(out) if out is not None else default_folder(study)
    with RunLog(command) as log:
        progress = log.following(progress)
        grid, workers = start(
            study, folder, jobs=jobs, device=device, cache=cache, progress=progress
        )
        LOGGER.info(f"run folder: {folder}")
        claim(folder, study)
        # A separate file: in one file, lines of several machines would be mixed.
        log.open(folder / f"run-{part.number}-of-{part.of}.log")
        note_finished(grid, log)
        train(grid, workers, progress, part)
    return sum(grid.folder(*task).finished for task in grid.tasks), len(grid.tasks)


def train_together(
    study: Study,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    command: str = "",
    progress: Progress = no_progress,
) -> tuple[int, int]:
    """Train all fits of a study with all processes of torchrun, one fit at a time.

    `run` with the same settings uses the fits. Gradients are those of a single process up to the
    rounding of sums (about 1e-6), so fits are not identical to those of a single process.

    Parameters
    ----------
    study, out, device, cache, command, progress
        See `run`. The run folder and the cache are shared by all processes; `auto` and `cuda` are
        the GPU of the process, if there are any.

    Returns
    -------
    finished, total : int
        Number of existing fits of the study, and of all fits.

    Raises
    ------
    InputError
        The input is invalid; the run folder was started with other settings; or the processes do
        not have the same study, patients, devices and fits.
    """
    from outcome.crossval.executors import TorchrunProcesses
    from outcome.crossval.run_changes import claim
    from outcome.crossval.scheduler import train
    from outcome.processes import end_with_parent
    from outcome.run_folder.log import LOG, RunLog
    from outcome.training.data_parallel import Ranks, device_of_rank

    end_with_parent()
    folder = Path(out) if out is not None else default_folder(study)
    device = device_of_rank(device)
    with Ranks.joined() as ranks, RunLog(command) as log:
        if ranks.first:
            progress = log.following(progress)
        grid, _ = start(study, folder, jobs=1, device=device, cache=cache, progress=progress)
        # Also a barrier: all processes have checked the folder before anything is written to it.
        fits = [grid.folder(*task) for task in grid.tasks]
        ranks.check_same([(fit.path.name, fit.finished) for fit in fits])
        if ranks.first:
            claim(folder, study)
            log.open(folder / LOG)
            note_finished(grid, log)
        ranks.wait()
        train(grid, TorchrunProcesses(ranks), progress)
    return sum(fit.finished for fit in fits), len(fits)
