"""Processes of this machine, through joblib."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import joblib

from outcome.errors import InputError

__all__ = ["available_cpus", "end_with_parent", "in_processes", "processes_of"]

CHECK_PARENT_S = 1.0


def available_cpus() -> int:
    """Return the number of processors that this process may use, limited by its container."""
    return int(joblib.cpu_count())


def end_with_parent(parent: int | None = None) -> None:
    """End this process soon after its parent has ended for any reason.

    If the parent is killed (`kill -9`, out of memory), workers of a pool would wait forever, or
    finish fits that no process collects. A thread checks every second whether the parent is still
    the same; an orphaned process gets another parent.

    Linux can send a signal instead (`PR_SET_PDEATHSIG`), but it does so when the *thread* that
    started the process ends. joblib starts workers from its own threads, which end earlier.

    Parameters
    ----------
    parent : int, optional
        Process id of the parent; by default the current parent. If the id is given, a parent that
        ended before this call is also detected.
    """
    expected = os.getppid() if parent is None else parent
    threading.Thread(target=_watch_parent, args=(expected,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    waiting = threading.Event()
    while os.getppid() == parent:
        waiting.wait(CHECK_PARENT_S)
    os._exit(1)  # from a thread, and whatever the main thread is doing


def in_processes(calls: Iterable[Any], jobs: int, *, ordered: bool = False) -> Iterator[Any]:
    """Yield results of `joblib.delayed` calls, one call at a time per process.

    The processes end with this one.

    Parameters
    ----------
    calls : iterable
    jobs : int
    ordered : bool
        Yield results in the order of the calls, else in the order of completion.
    """
    kind = "generator" if ordered else "generator_unordered"
    pool = joblib.Parallel(
        n_jobs=jobs,
        return_as=kind,
        batch_size=1,
        initializer=end_with_parent,
        initargs=(os.getpid(),),
    )
    with warnings.catch_warnings():
        # joblib ends idle or large workers and starts them again when needed. If warnings are
        # errors, this warning would end the thread that does so, and all workers would wait
        # forever.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        yield from pool(calls)


def processes_of(n_jobs: int | None) -> int:
    """Return the number of processes for `n_jobs` as defined by scikit-learn.

    Parameters
    ----------
    n_jobs : int, optional
        None is 1, -1 is one per processor.

    Raises
    ------
    InputError
        `n_jobs` is invalid.
    """
    if n_jobs is None:
        return 1
    if not isinstance(n_jobs, int) or n_jobs == 0 or n_jobs < -1:
        raise InputError(f"`n_jobs` is {n_jobs!r}: give 1 or more, or -1 for one per processor")
    return available_cpus() if n_jobs == -1 else n_jobs
