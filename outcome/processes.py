"""Processes of this machine, through joblib."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import joblib

from outcome.errors import InputError

__all__ = ["available_cpus", "in_processes", "processes_of"]


def available_cpus() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(calls: Iterable[Any], jobs: int, *, ordered: bool = False) -> Iterator[Any]:
    """Yield results of `joblib.delayed` calls, one call at a time per process.

    Parameters
    ----------
    calls : iterable
    jobs : int
    ordered : bool
        In the order of the calls; else as they come.
    """
    kind = "generator" if ordered else "generator_unordered"
    pool = joblib.Parallel(n_jobs=jobs, return_as=kind, batch_size=1)
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
