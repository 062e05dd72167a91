"""The grid of fits: arms x outer folds x inner folds, over processes, resumable.

Two passes. The first trains every network and reads development patients only. The second reads
the test patients, once, with the epoch that the first has fixed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from outcome.cohort import Fold
from outcome.embeddings.material import Material
from outcome.endpoint import Binary
from outcome.errors import InputError
from outcome.models.heads import CoxHead, Head, LogisticHead
from outcome.models.linear import PENALTIES
from outcome.study import Arm, Study
from outcome.training.crossfit import choose_epoch, combine, cut_offs, risk_groups
from outcome.training.dataset import FoldData, fold_data, target
from outcome.training.fit import build, fit_network, predict
from outcome.training.fits import FitFolder, fit_key, fit_seed
from outcome.training.linear import fit_linear_fold, mean_vectors

__all__ = ["ArmFold", "Grid", "available_cpus", "choose_device", "run_grid"]

FEW_EVENTS = 16
HISTORY = ["arm", "repeat", "fold", "inner_fold", "epoch", "train_loss", "tune_loss"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Grid:
    """Everything a worker process needs; small, since vectors stay in the packed store.

    Parameters
    ----------
    study : Study
    material : Material
    fits : Path
        Folder of finished fits.
    device : str
    """

    study: Study
    material: Material
    fits: Path
    device: str

    @property
    def head(self) -> Head:
        """What the endpoint means to a network."""
        endpoint = self.study.endpoint
        return LogisticHead(endpoint.favourable) if isinstance(endpoint, Binary) else CoxHead()

    def data(self, fold: Fold) -> FoldData:
        """Return the fold's vectors, of every input that some arm sees."""
        arms = [arm for arm in self.study.arms if arm.aggregator != "linear"]
        inputs = sorted({i for arm in arms for i in arm.inputs})
        return fold_data(self.material, fold, inputs, self.study.training)

    def folder(self, fold: Fold, arm: Arm, inner_index: int) -> FitFolder:
        """Return where a fit is, or will be."""
        inner, settings = fold.inner[inner_index], self.study.training
        key = fit_key(self.material, settings, arm, fold, inner, self.device)
        return FitFolder(self.fits / key)


@dataclass(frozen=True)
class ArmFold:
    """One arm on one outer fold, finished.

    Parameters
    ----------
    development, test : DataFrame
        Rows of `development.csv` and `predictions.csv`, without the outcomes.
    history : DataFrame
        Losses per inner fold and epoch; empty for a linear arm.
    epochs : int, optional
        The epoch that every inner network uses.
    penalty : float, optional
        The penalty that every inner linear model uses.
    """

    arm: str
    repeat: int
    fold: str
    development: pd.DataFrame
    test: pd.DataFrame
    history: pd.DataFrame
    epochs: int | None = None
    penalty: float | None = None


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
    folds, arms = grid.material.folds, grid.study.arms
    # Arms of one fold lie together, so that a worker projects the fold's vectors only once.
    cells = [(fold, arm) for fold in folds for arm in arms]
    fits = [
        (fold, arm, i)
        for fold, arm in cells
        for i in range(len(fold.inner))
        if arm.aggregator != "linear"
    ]
    waiting = [task for task in fits if not grid.folder(*task).finished]
    done = len(fits) - len(waiting)
    progress("training", done, len(fits))
    for _ in _map(_fit, grid, waiting, jobs):
        done += 1
        progress("training", done, len(fits))
    results: list[ArmFold] = []
    progress("predicting", 0, len(cells))
    for result in _map(_predict, grid, cells, jobs):
        results.append(result)
        progress("predicting", len(results), len(cells))
    order = {
        (arm.name, *fold.key): k
        for k, (arm, fold) in enumerate((a, f) for a in arms for f in folds)
    }
    return sorted(results, key=lambda r: order[r.arm, r.repeat, r.fold])


def _map(
    work: Callable[..., Any], grid: Grid, tasks: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[Any]:
    """Yield results as they come; one process needs no pool."""
    if jobs == 1 or len(tasks) < 2:
        yield from (work(grid, *task) for task in tasks)
        return
    pool = joblib.Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator_unordered")
    yield from pool(joblib.delayed(work)(grid, *task) for task in tasks)


def _fit(grid: Grid, fold: Fold, arm: Arm, inner_index: int) -> None:
    """Train one network and leave it on disk."""
    inner, settings = fold.inner[inner_index], grid.study.training
    with _threads(settings.threads):
        data = grid.data(fold)
        trained = fit_network(
            data.development(arm, inner.train),
            data.development(arm, inner.tune),
            grid.head,
            settings,
            seed=fit_seed(settings, fold, inner),
            device=torch.device(grid.device),
        )
    about = {"inputs": arm.inputs, "repeat": fold.repeat, "fold": fold.name, "inner": inner.name}
    grid.folder(fold, arm, inner_index).write(trained, about)


def _predict(grid: Grid, fold: Fold, arm: Arm) -> ArmFold:
    """Fix the epoch of one arm and fold, then score its development and its test patients."""
    if arm.aggregator == "linear":
        return _linear(grid, fold, arm)
    head, device = grid.head, torch.device(grid.device)
    folders = [grid.folder(fold, arm, i) for i in range(len(fold.inner))]
    epochs = _epochs(grid, fold, [folder.tune_raw() for folder in folders])
    tune, test = [], []
    with _threads(grid.study.training.threads):
        data = grid.data(fold)
        held_out = data.test(arm, fold.test)
        for inner, folder in zip(fold.inner, folders, strict=True):
            network = build(data.dimensions(arm), grid.study.training)
            network.load_state_dict(folder.state(epochs))
            network.to(device)
            watched = data.development(arm, inner.tune)
            tune.append(head.risk(predict(network, watched, device)))
            test.append(head.risk(predict(network, held_out, device)))
    centred, risk = combine(tune, test)
    losses = [
        pd.DataFrame([asdict(e) for e in folder.history()]).assign(inner_fold=i.name)
        for i, folder in zip(fold.inner, folders, strict=True)
    ]
    history = pd.concat(losses, ignore_index=True).assign(
        arm=arm.name, repeat=fold.repeat, fold=fold.name
    )
    done = _finish(grid, arm, fold, centred, risk)
    return replace(done, history=history[HISTORY], epochs=epochs)


def _linear(grid: Grid, fold: Fold, arm: Arm) -> ArmFold:
    """Fit, choose the penalty as an epoch is chosen, and score."""
    head = grid.head
    patients = [*fold.development, *fold.test]
    rows = mean_vectors(grid.material, arm.inputs, patients)
    targets = {i.name: target(grid.material, i.train) for i in fold.inner}
    with _threads(grid.study.training.threads):
        found = fit_linear_fold(fold, dict(zip(patients, rows, strict=True)), targets, head)
    chosen = _epochs(grid, fold, found.tune) - 1
    centred, risk = combine(
        [head.risk(r[chosen]) for r in found.tune], [head.risk(r[chosen]) for r in found.test]
    )
    return replace(_finish(grid, arm, fold, centred, risk), penalty=PENALTIES[chosen])


def _finish(
    grid: Grid,
    arm: Arm,
    fold: Fold,
    centred: Sequence[NDArray[np.float64]],
    risk: NDArray[np.float64],
) -> ArmFold:
    where = {"arm": arm.name, "repeat": fold.repeat, "fold": fold.name}
    inner = [
        pd.DataFrame({**where, "inner_fold": i.name, "patient_id": i.tune, "risk": r})
        for i, r in zip(fold.inner, centred, strict=True)
    ]
    development = pd.concat(inner, ignore_index=True)
    patients = grid.material.cohort.patients
    strata = patients.get("strata")
    cuts = cut_offs(development, patients, strata)
    test = pd.DataFrame({"arm": arm.name, "patient_id": fold.test})
    test = test.assign(repeat=fold.repeat, fold=fold.name, risk=risk)
    test["risk_group"] = risk_groups(test, cuts, strata)
    return ArmFold(
        arm=arm.name,
        repeat=fold.repeat,
        fold=fold.name,
        development=development,
        test=test,
        history=pd.DataFrame(columns=HISTORY),
    )


def _epochs(grid: Grid, fold: Fold, raw: Sequence[NDArray[np.float64]]) -> int:
    targets = [target(grid.material, i.tune) for i in fold.inner]
    if sum(int(t.event.sum()) for t in targets) < FEW_EVENTS:
        # Too few to choose by: half of the epochs, whatever the losses say.
        return max(1, len(raw[0]) // 2)
    return choose_epoch(raw, targets, grid.head)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Give torch this many threads: the result of a sum depends on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
