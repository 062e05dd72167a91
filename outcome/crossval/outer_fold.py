"""One member on one outer fold: choice of epoch or penalty, then scores of the test patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from outcome.cohort import Fold
from outcome.crossval.epoch_loss import combine, epoch_losses
from outcome.crossval.grid import Grid
from outcome.crossval.late_fusion import MemberScores
from outcome.crossval.slide_vectors import held_out_vectors
from outcome.devices import pinned_threads
from outcome.models.heads import Target
from outcome.training.arm_members import Member
from outcome.training.linear_models import Losses, fit_linear_fold
from outcome.training.trainer import build, predict

__all__ = ["HISTORY", "chosen_network", "few_events", "linear_losses", "member_scores"]

FEW_EVENTS = 16
HISTORY = ["arm", "model", "repeat", "fold", "inner_fold", "epoch", "train_loss", "tune_loss"]


def member_scores(grid: Grid, fold: Fold, member: Member) -> MemberScores:
    """Score the development (out of fold) and the test patients of one outer fold."""
    return _linear(grid, fold, member) if member.linear else _network(grid, fold, member)


def few_events(grid: Grid, fold: Fold) -> bool:
    """Whether the development patients have too few events for choices and calibration."""
    outcomes = grid.study_data.cohort.outcomes(fold.development, fold.development)
    return int(outcomes.event.sum()) < FEW_EVENTS


def _network(grid: Grid, fold: Fold, member: Member) -> MemberScores:
    head, device = grid.head, torch.device(grid.device)
    member, epochs = chosen_network(grid, fold, member)
    folders = [grid.folder(fold, member, i) for i in range(len(fold.inner))]
    settings = member.settings(grid.study.training)
    tune, test, networks = [], [], []
    vectors: dict[str, tuple[list[str], NDArray[np.float32]]] = {}
    with pinned_threads(grid.study.training.threads):
        data = grid.data(fold)
        held_out = data.test(member, fold.test)
        for inner, folder in zip(fold.inner, folders, strict=True):
            network = build(data.dimensions(member), settings, member)
            network.load_state_dict(folder.state(epochs))
            network.to(device)
            watched = data.development(member, inner.tune)
            tune.append(head.risk(predict(network, watched, device)))
            test.append(head.risk(predict(network, held_out, device)))
            networks.append(network)
        if grid.save_vectors:
            vectors = held_out_vectors(data, member, networks, device)
    centred, by_inner = combine(tune, test)
    losses = [
        pd.DataFrame([asdict(e) for e in folder.history()]).assign(inner_fold=i.name)
        for i, folder in zip(fold.inner, folders, strict=True)
    ]
    history = pd.concat(losses, ignore_index=True).assign(
        model=member.name, repeat=fold.repeat, fold=fold.name
    )
    return MemberScores(
        centred, by_inner, history, epochs=epochs, changes=dict(member.changes), vectors=vectors
    )


def chosen_network(grid: Grid, fold: Fold, member: Member) -> tuple[Member, int]:
    """Return the settings and the epoch with the lowest loss on the held-out inner folds."""
    best: tuple[float, Member, int] | None = None
    for variant in grid.variants(member):
        raw = [grid.folder(fold, variant, i).tune_raw() for i in range(len(fold.inner))]
        epoch, loss = _judged(grid, fold, raw)
        if best is None or loss < best[0]:
            best = (loss, variant, epoch)
    assert best is not None
    return best[1], best[2]


def _linear(grid: Grid, fold: Fold, member: Member) -> MemberScores:
    """Fit, choose the penalties by the inner loss, and score."""
    head, losses = grid.head, linear_losses(grid, fold)
    with pinned_threads(grid.study.training.threads):
        found = fit_linear_fold(grid.study_data, grid.study, member.inputs, fold, head, losses)
    centred, by_inner = combine(
        [head.risk(r) for r in found.tune], [head.risk(r) for r in found.test]
    )
    history = pd.DataFrame(columns=HISTORY[1:])
    return MemberScores(centred, by_inner, history, penalties=found.penalties)


def linear_losses(grid: Grid, fold: Fold) -> Losses | None:
    """Return the function for the inner loss of linear models; None with too few events."""
    if few_events(grid, fold):
        return None
    targets = _targets(grid, fold)
    return lambda raw: epoch_losses(raw, targets, grid.head)


def _targets(grid: Grid, fold: Fold) -> list[Target]:
    """Outcomes of the tune patients of each inner fold."""
    cohort = grid.study_data.cohort
    return [Target.of(cohort.outcomes(i.tune, fold.development)) for i in fold.inner]


def _judged(grid: Grid, fold: Fold, raw: Sequence[NDArray[np.float64]]) -> tuple[int, float]:
    """Return the best step and its loss."""
    if few_events(grid, fold):
        # Too few events for a choice: half of the epochs are used, regardless of the losses.
        return max(1, len(raw[0]) // 2), 0.0
    losses = epoch_losses(raw, _targets(grid, fold), grid.head)
    best = int(np.argmin(losses))
    return best + 1, float(losses[best])
