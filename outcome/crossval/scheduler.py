"""The grid of fits: members x outer folds x inner folds, on several processes, resumable.

There are three passes. The first projects the vectors of every outer fold, once for all of its
fits. The second trains all networks and reads only development patients. The third reads the test
patients once, with the epoch fixed by the second.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
import pandas as pd
import torch

from outcome.cohort import Fold
from outcome.crossval.arm_fold import ArmFold, predict_arm_fold
from outcome.crossval.executors import Workers
from outcome.crossval.grid import Grid
from outcome.crossval.late_fusion import MemberScores
from outcome.crossval.outer_fold import few_events, member_scores
from outcome.crossval.slide_vectors import write_vectors
from outcome.devices import pinned_threads
from outcome.errors import InputError
from outcome.progress import Progress, no_progress
from outcome.training.arm_members import Member, members
from outcome.training.checkpoints import fit_seed, remove_unfinished
from outcome.training.data_parallel import Ranks
from outcome.training.trainer import fit_network

__all__ = ["Shard", "run_grid", "train"]

LOGGER = logging.getLogger("outcome")


@dataclass(frozen=True)
class Shard:
    """One of several parts of the fits, for machines that do not communicate.

    Parameters
    ----------
    number : int
        Number of the part, from 1.
    of : int
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `3/25`.

        Raises
        ------
        InputError
            The text is not a valid part.
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise InputError(f"`shard=` {text!r}: give e.g. 3/25, from 1/25 to 25/25")
        return cls(int(number), int(of))

    def rows(self, n: int) -> range:
        """Tasks of this part: neighbouring tasks, which share the vectors of an outer fold."""
        edges = np.linspace(0, n, self.of + 1).round().astype(int).tolist()
        return range(edges[self.number - 1], edges[self.number])


def train(grid: Grid, workers: Workers, progress: Progress, shard: Shard | None = None) -> int:
    """Train all missing fits (of a shard); returns the number of trained fits."""
    tasks = grid.tasks
    if shard is not None:
        tasks = [tasks[row] for row in shard.rows(len(tasks))]
    waiting = [task for task in tasks if not grid.folder(*task).finished]
    _prepare(grid, list(dict.fromkeys(fold for fold, _, _ in waiting)), workers, progress)
    done = len(tasks) - len(waiting)
    progress("training", done, len(tasks))
    for fitted in workers.map(_fit, grid, waiting):
        done += 1
        LOGGER.debug(fitted)
        progress("training", done, len(tasks))
    return len(waiting)


def run_grid(grid: Grid, workers: Workers, progress: Progress = no_progress) -> list[ArmFold]:
    """Train all missing fits, then predict every test fold.

    Parameters
    ----------
    grid : Grid
    workers : Workers
        Executor of the tasks. Results do not depend on it.
    progress : callable
        Called with the name of the stage, the number of finished items, and the number of all
        items.
    """
    folds = grid.study_data.folds
    train(grid, workers, progress)
    _prepare(grid, folds, workers, progress)
    # Members of one fold are adjacent, so that a worker maps the vectors of the fold only once.
    cells = [(fold, member) for fold in folds for member in grid.members]
    scores: dict[tuple[tuple[int, str], Member], MemberScores] = {}
    progress("predicting", 0, len(cells))
    for key, found in workers.map(_score, grid, cells):
        scores[key] = found
        progress("predicting", len(scores), len(cells))
    for fold, member in cells:
        if not member.linear:
            key = fold.key, member
            scores[key] = _with_tune_metrics(grid, fold, member, scores[key])
    if grid.save_vectors:
        write_vectors(grid.fits.parent / "slide_vectors.h5", grid, scores)
    few = {fold.key: few_events(grid, fold) for fold in folds}
    shutil.rmtree(grid.scratch, ignore_errors=True)
    remove_unfinished(grid.fits)
    return [
        predict_arm_fold(
            grid.study,
            grid.study_data,
            fold,
            arm,
            [scores[fold.key, member] for member in members(arm)],
            few=few[fold.key],
        )
        for arm in grid.study.arms
        for fold in folds
    ]


def _prepare(grid: Grid, folds: Sequence[Fold], workers: Workers, progress: Progress) -> None:
    """Project the shared vectors of a fold, before several fits need them at once."""
    tasks = [(fold, name) for fold in folds for name in grid.inputs if name != "clinical"]
    progress("projecting", 0, len(tasks))
    for done, _ in enumerate(workers.map(_project, grid, tasks), 1):
        progress("projecting", done, len(tasks))


def _project(grid: Grid, fold: Fold, name: str) -> None:
    if Ranks.current().first:
        with pinned_threads(grid.study.training.threads):
            grid.data(fold, [name])


def _fit(grid: Grid, fold: Fold, member: Member, inner_index: int) -> str:
    """Train one network and save it; returns its identity and the time taken."""
    started = monotonic()
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
    fitted = (
        f"fitted {'+'.join(member.inputs)}, repeat {fold.repeat}, fold {fold.name}, inner fold"
        f" {inner.name} in {monotonic() - started:.1f} s"
    )
    ranks = Ranks.current()
    if not ranks.first:
        return fitted
    about = {"inputs": member.inputs, "repeat": fold.repeat, "fold": fold.name, "inner": inner.name}
    about["processes"] = ranks.world
    grid.folder(fold, member, inner_index).write(trained, about)
    return fitted


def _with_tune_metrics(
    grid: Grid, fold: Fold, member: Member, scores: MemberScores
) -> MemberScores:
    """Add the ranking of tune patients after every epoch to the learning curves.

    This is done once here, because importing torchmetrics takes seconds in every process.
    """
    from outcome.crossval.tune_metrics import tune_metrics

    used = replace(member, changes=tuple(scores.changes.items()))
    found = [
        tune_metrics(
            grid.folder(fold, used, i).tune_raw(),
            grid.study_data.cohort.outcomes(inner.tune, fold.development),
        )
        for i, inner in enumerate(fold.inner)
    ]
    measured = pd.concat(found, ignore_index=True)
    return replace(scores, history=pd.concat([scores.history, measured], axis=1))


def _score(
    grid: Grid, fold: Fold, member: Member
) -> tuple[tuple[tuple[int, str], Member], MemberScores]:
    return (fold.key, member), member_scores(grid, fold, member)
