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
    """Return the processors that this process may use: those of its container, if it has fewer."""
    return int(joblib.cpu_count())


def end_with_parent(parent: int | None = None) -> None:
    """End this process soon after its parent has ended, however that happened.

    Workers of a pool wait for work that a killed parent (`kill -9`, out of memory) will never
    send, and finish fits that no process collects. A thread looks every second whether the parent
    is still the same: an orphan is given another one.

    Linux can send a signal instead (`PR_SET_PDEATHSIG`), but it does so when the *thread* that
    started the process ends. joblib starts workers from threads of its own, which end earlier.

    Parameters
    ----------
    parent : int, optional
        Process id of the parent; by default, that of now. With the id given, a parent
        that ended before this call is noticed too.
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
        In the order of the calls; else as they come.
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
        # Workers that rest or have grown are ended by joblib, and started again at need. Where
        # warnings are errors, this one would end the thread that does so, and all would wait.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        yield from pool(calls)


def processes_of(n_jobs: int | None) -> int:
    """Return the number of processes that `n_jobs` of scikit-learn means.

    Parameters
    ----------
    n_jobs : int, optional
        None is 1, -1 is one per processor.

    Raises
    ------
    InputError
        It is no such number.
    """
    if n_jobs is None:
        return 1
    if not isinstance(n_jobs, int) or n_jobs == 0 or n_jobs < -1:
        raise InputError(f"`n_jobs` is {n_jobs!r}: give 1 or more, or -1 for one per processor")
    return available_cpus() if n_jobs == -1 else n_jobs
