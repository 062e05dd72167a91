"""Execution of tasks in this process, in several processes, or on a Dask cluster."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import joblib
import numpy as np
import torch
from joblib.externals.loky.process_executor import BrokenProcessPool
from threadpoolctl import threadpool_limits

from outcome.crossval.grid import Grid
from outcome.models.aggregators.abmil_blocks import can_compile
from outcome.processes import in_processes
from outcome.training.data_parallel import Ranks, WorkersError

__all__ = ["DaskCluster", "LocalProcesses", "TorchrunProcesses", "Workers", "WorkersError"]

Work = Callable[..., Any]
CONNECT = "10s"
WORKERS = 60
MOST_FAILURES = 3


class Workers(Protocol):
    """Runs `work(grid, *task)` for many tasks. Results do not depend on where a task ran."""

    def map(self, work: Work, grid: Grid, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield results in the order of completion."""
        ...


@dataclass(frozen=True)
class LocalProcesses:
    """Processes of this machine.

    Parameters
    ----------
    jobs : int
        With one process, no pool is used.
    """

    jobs: int = 1

    def map(self, work: Work, grid: Grid, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield results in the order of completion; tasks of a killed worker are repeated.

        Raises
        ------
        WorkersError
            Workers were killed repeatedly before a further task was finished.
        """
        if self.jobs == 1 or len(tasks) < 2:
            yield from (_pinned(work, grid, task) for task in tasks)
            return
        waiting = dict(enumerate(tasks))
        failures = 0
        while waiting:
            before = len(waiting)
            try:
                for number, result in self._pool(work, grid, waiting):
                    del waiting[number]
                    yield result
            except BrokenProcessPool:
                failures = failures + 1 if len(waiting) == before else 0
                if failures == MOST_FAILURES:
                    raise WorkersError(
                        "a worker process was killed (out of memory?). Finished fits are kept. "
                        "Run the study again with fewer jobs"
                    ) from None

    def _pool(
        self, work: Work, grid: Grid, tasks: dict[int, tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        calls = (joblib.delayed(_numbered)(i, work, grid, t) for i, t in list(tasks.items()))
        yield from in_processes(calls, min(self.jobs, len(tasks)))


@dataclass(frozen=True)
class TorchrunProcesses:
    """The processes started by torchrun. Each does a part of every task, synchronously.

    Parameters
    ----------
    ranks : Ranks
    """

    ranks: Ranks

    def map(self, work: Work, grid: Grid, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield results task by task."""
        for task in tasks:
            yield _pinned(work, grid, task)
            self.ranks.wait()


@dataclass(frozen=True)
class DaskCluster:
    """Workers of a Dask scheduler. All paths of the run must be the same on all workers.

    Parameters
    ----------
    address : str
        `tcp://host:port`, or the path of a scheduler file (`.json`).
    """

    address: str

    def check(self) -> None:
        """Check that there is a scheduler with a worker, before anything is written.

        Raises
        ------
        WorkersError
            There is no scheduler or no worker.
        """
        with self._connected():
            pass

    def map(self, work: Work, grid: Grid, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield results in the order of completion; tasks of a lost worker are repeated.

        Raises
        ------
        WorkersError
            There is no such scheduler, or no worker; a worker has other versions, several threads,
            or no access to the run folder; a task lost its worker repeatedly.
        """
        with self._connected() as client:
            versions = _versions()
            # Created on a worker instead of sent to it, so that it is not lost with the worker.
            held = client.submit(_itself, grid, pure=False)
            futures = [
                client.submit(partial(_checked, versions, work), held, task, pure=False)
                for task in tasks
            ]
            dask: Any = importlib.import_module("distributed")
            try:
                for future in dask.as_completed(futures, loop=client.loop):
                    yield future.result()
            except dask.KilledWorker:
                raise WorkersError(
                    "several workers of the cluster were killed by the same task (out of "
                    "memory?). Finished fits are kept. Run the study again"
                ) from None
            finally:
                client.cancel(futures)

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            dask: Any = importlib.import_module("distributed")
        except ImportError:
            raise WorkersError(
                "a cluster needs Dask: pip install 'slide-outcome[cluster]'"
            ) from None
        where = {"scheduler_file" if self.address.endswith(".json") else "address": self.address}
        try:
            client = dask.Client(**where, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise WorkersError(f"cluster {self.address}: no scheduler answers ({error})") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=WORKERS)
            except TimeoutError:
                raise WorkersError(
                    f"cluster {self.address}: the scheduler has no workers yet; start some"
                ) from None
            yield client


def _pinned(work: Work, grid: Grid, task: tuple[Any, ...]) -> Any:
    """Run a task with the number of threads of the settings: results of sums depend on it."""
    with threadpool_limits(grid.study.training.threads):
        return work(grid, *task)


def _numbered(number: int, work: Work, grid: Grid, task: tuple[Any, ...]) -> tuple[int, Any]:
    return number, _pinned(work, grid, task)


def _itself(grid: Grid) -> Grid:
    return grid


def _versions() -> tuple[str, str, str]:
    return torch.__version__, np.__version__, "compiled passes" if can_compile() else "no numba"


def _checked(versions: tuple[str, str, str], work: Work, grid: Grid, task: tuple[Any, ...]) -> Any:
    """Run a task on a worker of a cluster, after a check of the worker."""
    worker = importlib.import_module("distributed").get_worker()
    if _versions() != versions:
        raise WorkersError(
            f"worker {worker.address} has versions {_versions()} of torch, numpy and numba, but "
            f"this process has {versions}. Start workers from the same environment"
        )
    if worker.state.nthreads != 1:
        raise WorkersError(
            f"worker {worker.address} runs {worker.state.nthreads} tasks at once. Start workers "
            "with one thread each, and one worker per processor"
        )
    for path in (grid.fits.parent, grid.study_data.store.folder):
        if not path.is_dir():
            raise WorkersError(
                f"worker {worker.address} cannot access {path}. Put the run folder and the cache "
                "on a path shared by all machines"
            )
    return _pinned(work, grid, task)
