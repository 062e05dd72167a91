from dataclasses import replace

import numpy as np
import pytest

from outcome.crossval.epoch_loss import epoch_losses
from outcome.crossval.executors import LocalProcesses
from outcome.crossval.outer_fold import chosen_network, few_events, linear_losses, member_scores
from outcome.crossval.scheduler import train
from outcome.models.heads import Target
from outcome.models.ridge import PENALTIES, fit_linear
from outcome.progress import no_progress
from outcome.training import linear_models
from outcome.training.arm_members import Member


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


@pytest.fixture
def strong_and_noise(make_grid, monkeypatch):
    """A grid whose clinical data follow the outcome, beside an image of 150 random features."""
    grid = make_grid()
    time = grid.study_data.cohort.patients["time"]

    def blocks(study_data, study, inputs, fold, patients):
        rng = np.random.default_rng(0)
        rank = time[list(patients)].rank().to_numpy()[:, None]
        return [rank + 10 * rng.normal(size=rank.shape), rng.normal(size=(len(rank), 150))]

    monkeypatch.setattr(linear_models, "design_rows", blocks)
    return grid


def test_a_linear_arm_has_a_penalty_per_input(strong_and_noise):
    grid = strong_and_noise
    fold, member = grid.study_data.folds[0], Member(("clinical", "image"), "linear")
    found = member_scores(grid, fold, member)
    assert found.penalty is None
    assert found.penalties["image"] >= 10 * found.penalties["clinical"]
    # The same model under one penalty for both, whichever is best, has a greater loss.
    losses = linear_losses(grid, fold)
    one = member_scores(grid, fold, member)
    best = losses([t[None] for t in one.tune])[0]
    x, y = linear_models.design_rows(None, None, None, None, fold.development)
    rows = np.concatenate([x, y], axis=1)
    place = {p: i for i, p in enumerate(fold.development)}
    common = []
    for inner in fold.inner:
        train, tune = ([place[p] for p in part] for part in (inner.train, inner.tune))
        target = Target.of(grid.study_data.cohort.outcomes(inner.train, fold.development))
        common.append(fit_linear(rows[train], target, grid.head, widths=[1, 150])(rows[tune]))
    assert best < losses(common).min()


def test_with_few_events_no_penalty_is_chosen(strong_and_noise):
    grid = strong_and_noise
    fold = grid.study_data.folds[0]
    event = grid.study_data.cohort.patients["event"]
    without = [p for p in fold.development if event[p] == 0]
    some = [p for p in fold.development if event[p] == 1][:10]
    few = replace(fold, development=(*some, *without))
    keep = set(few.development)
    inner = tuple(
        replace(i, train=tuple(p for p in i.train if p in keep),
                tune=tuple(p for p in i.tune if p in keep))
        for i in fold.inner
    )  # fmt: skip
    found = member_scores(grid, replace(few, inner=inner), Member(("clinical", "image"), "linear"))
    assert set(found.penalties.values()) == {PENALTIES[len(PENALTIES) // 2]}


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
