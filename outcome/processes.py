"""Processes of this machine, through joblib."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import joblib

__all__ = ["available_cpus", "in_processes"]


def available_cpus() -> int:
    """Return the processors that this process may use: those of its container, if it has fewer."""
    return int(joblib.cpu_count())


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
