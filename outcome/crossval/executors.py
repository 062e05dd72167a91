"""Where the work is done: in this process, in several of this machine, or on a Dask cluster."""

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
    """Runs `work(grid, *task)` for many tasks. What it returns never depends on where it ran."""

    def map(self, work: Work, grid: Grid, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield results as they come, in any order."""
        ...


@dataclass(frozen=True)
class LocalProcesses:
    """Processes of this machine.

    Parameters
    ----------
    jobs : int
        One needs no pool.
    """

    jobs: int = 1

    def map(self, work: Work, grid: Grid, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield results as they come; tasks of a worker that was killed are done by another.

        Raises
        ------
        WorkersError
            Workers were killed again and again before any further task was done.
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
    """The processes that torchrun has started: each does a part of every task, all in step.

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
    """Workers of a Dask scheduler; every path of the run must be the same for all of them.

    Parameters
    ----------
    address : str
        `tcp://host:port`, or the path of a scheduler file (`.json`).
    """

    address: str

    def check(self) -> None:
        """Find out whether a scheduler with a worker is there, before anything is written.

        Raises
        ------
        WorkersError
            There is none.
        """
        with self._connected():
            pass

    def map(self, work: Work, grid: Grid, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield results as they come; the scheduler gives tasks of a lost worker to another.

        Raises
        ------
        WorkersError
            There is no such scheduler, or no worker; a worker has other versions, several threads,
            or does not see the run folder; a task lost its worker again and again.
        """
        with self._connected() as client:
            versions = _versions()
            # Made on a worker rather than sent to it, so that it is not lost with the worker.
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
    """Do a task with the threads of the settings: the result of a sum depends on their number."""
    with threadpool_limits(grid.study.training.threads):
        return work(grid, *task)


def _numbered(number: int, work: Work, grid: Grid, task: tuple[Any, ...]) -> tuple[int, Any]:
    return number, _pinned(work, grid, task)


def _itself(grid: Grid) -> Grid:
    return grid


def _versions() -> tuple[str, str, str]:
    return torch.__version__, np.__version__, "compiled passes" if can_compile() else "no numba"


def _checked(versions: tuple[str, str, str], work: Work, grid: Grid, task: tuple[Any, ...]) -> Any:
    """Do a task on a worker of a cluster, if the worker is as it must be."""
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
