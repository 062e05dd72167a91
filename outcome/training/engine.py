"""The grid of fits: members x outer folds x inner folds, over processes, resumable.

Two passes. The first trains every network and reads development patients only. The second reads
the test patients, once, with the epoch that the first has fixed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib
import torch

from outcome.cohort import Fold
from outcome.errors import InputError
from outcome.training.assembly import ArmFold, assemble
from outcome.training.fit import fit_network
from outcome.training.fits import fit_seed
from outcome.training.grid import Grid
from outcome.training.members import Member, MemberScores, members
from outcome.training.scoring import few_events, member_scores, pinned_threads
from outcome.training.vectors import write_vectors

__all__ = ["ArmFold", "Grid", "available_cpus", "choose_device", "run_grid", "train_grid"]

Progress = Callable[[str, int, int], None]


def available_cpus() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(asked: str) -> str:
    """Return `asked`, or for `auto` the GPU where there is one.

    Raises
    ------
    InputError
        There is no such device.
    """
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=asked)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"--device {asked!r} cannot be used here: {reason}") from None
    return asked


def run_grid(grid: Grid, jobs: int, progress: Progress) -> list[ArmFold]:
    """Train every fit that is not there yet, then predict every test fold.

    Parameters
    ----------
    grid : Grid
    jobs : int
        Processes. The results do not depend on it.
    progress : callable
        Called with what is being done, how much of it is done, and how much there is.
    """
    folds = grid.material.folds
    cells = [(fold, member) for fold in folds for member in grid.members]
    train_grid(grid, jobs, progress)
    scores: dict[tuple[tuple[int, str], Member], MemberScores] = {}
    progress("predicting", 0, len(cells))
    for key, found in _map(_score, grid, cells, jobs):
        scores[key] = found
        progress("predicting", len(scores), len(cells))
    if grid.save_vectors:
        write_vectors(grid.fits.parent / "slide_vectors.h5", grid, scores)
    few = {fold.key: few_events(grid, fold) for fold in folds}
    return [
        assemble(
            grid.study,
            grid.material,
            fold,
            arm,
            [scores[fold.key, member] for member in members(arm)],
            few=few[fold.key],
        )
        for arm in grid.study.arms
        for fold in folds
    ]


def train_grid(grid: Grid, jobs: int, progress: Progress) -> None:
    """Train every fit that is not there yet; parameters as `run_grid`."""
    # Members of one fold lie together, so that a worker projects the fold's vectors only once.
    fits = [
        (fold, variant, i)
        for fold in grid.material.folds
        for member in grid.members
        for variant in grid.variants(member)
        for i in range(len(fold.inner))
        if not member.linear
    ]
    waiting = [task for task in fits if not grid.folder(*task).finished]
    done = len(fits) - len(waiting)
    progress("training", done, len(fits))
    for _ in _map(_fit, grid, waiting, jobs):
        done += 1
        progress("training", done, len(fits))


def _map(
    work: Callable[..., Any], grid: Grid, tasks: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[Any]:
    """Yield results as they come; one process needs no pool."""
    if jobs == 1 or len(tasks) < 2:
        yield from (work(grid, *task) for task in tasks)
        return
    pool = joblib.Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator_unordered")
    yield from pool(joblib.delayed(work)(grid, *task) for task in tasks)


def _fit(grid: Grid, fold: Fold, member: Member, inner_index: int) -> None:
    """Train one network and leave it on disk."""
    inner, settings = fold.inner[inner_index], member.settings(grid.study.training)
    with pinned_threads(settings.threads):
        data = grid.data(fold)
        trained = fit_network(
            data.development(member, inner.train),
            data.development(member, inner.tune),
            grid.head,
            settings,
            member,
            seed=fit_seed(settings, fold, inner),
            device=torch.device(grid.device),
        )
    about = {"inputs": member.inputs, "repeat": fold.repeat, "fold": fold.name, "inner": inner.name}
    grid.folder(fold, member, inner_index).write(trained, about)


def _score(
    grid: Grid, fold: Fold, member: Member
) -> tuple[tuple[tuple[int, str], Member], MemberScores]:
    return (fold.key, member), member_scores(grid, fold, member)
