from dataclasses import replace

import numpy as np
import pytest

from outcome.crossval.epoch_loss import epoch_losses
from outcome.crossval.executors import LocalProcesses
from outcome.crossval.outer_fold import chosen_network, few_events, member_scores
from outcome.crossval.scheduler import train
from outcome.models.heads import Target
from outcome.models.ridge import PENALTIES
from outcome.progress import no_progress


def test_few_events_are_counted_in_development_alone(make_grid):
    grid = make_grid()
    fold = grid.study_data.folds[0]
    assert not few_events(grid, fold)
    event = grid.study_data.cohort.patients["event"]
    with_event = [p for p in fold.development if event[p] == 1]
    for n, few in ((15, True), (16, False)):
        assert few_events(grid, replace(fold, development=tuple(with_event[:n]), inner=())) is few


def test_a_linear_member_scores_both_sets_and_is_centred(make_grid):
    grid = make_grid()
    fold = grid.study_data.folds[0]
    for member in grid.members:
        if member.linear:
            found = member_scores(grid, fold, member)
            assert found.penalty in PENALTIES
            assert found.epochs is None
            assert [len(r) for r in found.tune] == [len(i.tune) for i in fold.inner]
            assert found.test.shape == (len(fold.test),)
            for risk in found.tune:
                assert risk.mean() == pytest.approx(0, abs=1e-12)


def test_the_epoch_has_the_least_loss_of_the_held_out_patients(make_grid):
    grid = make_grid()
    train(grid, LocalProcesses(), no_progress)
    fold = grid.study_data.folds[0]
    (member,) = [m for m in grid.members if not m.linear]
    raw = [grid.folder(fold, member, i).tune_raw() for i in range(len(fold.inner))]
    cohort = grid.study_data.cohort
    targets = [Target.of(cohort.outcomes(i.tune, fold.development)) for i in fold.inner]
    chosen, epoch = chosen_network(grid, fold, member)
    assert chosen == member
    assert epoch == 1 + np.argmin(epoch_losses(raw, targets, grid.head))
    found = member_scores(grid, fold, member)
    assert found.epochs == epoch
    assert found.history.groupby("inner_fold").size().tolist() == [3, 3]
    for risk, outputs in zip(found.tune, raw, strict=True):
        expected = outputs[epoch - 1] - outputs[epoch - 1].mean()
        np.testing.assert_allclose(risk, expected, atol=1e-6)


def test_with_few_events_half_of_the_epochs_are_used(make_grid):
    grid = make_grid(training={"epochs": 6, "components": 4, "attention_width": 4})
    train(grid, LocalProcesses(), no_progress)
    fold = grid.study_data.folds[0]
    (member,) = [m for m in grid.members if not m.linear]
    cohort = grid.study_data.cohort
    patients = cohort.patients.copy()
    patients.loc[patients.index[patients["event"] == 1][15:], "event"] = 0
    fewer = replace(grid.study_data, cohort=replace(cohort, patients=patients))
    few = replace(grid, study_data=fewer)
    assert few_events(few, fold)
    train(few, LocalProcesses(), no_progress)
    assert chosen_network(few, fold, member)[1] == 3
