from dataclasses import replace

import pandas as pd
import pytest

from outcome.crossval.executors import LocalProcesses
from outcome.crossval.joined_predictions import joined_predictions
from outcome.crossval.scheduler import Shard, run_grid, train
from outcome.errors import InputError
from outcome.progress import no_progress


@pytest.mark.parametrize("n", [0, 1, 7, 24])
def test_shards_divide_the_fits(n):
    rows = [row for k in range(1, 6) for row in Shard.parse(f"{k}/5").rows(n)]
    assert rows == list(range(n))


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/2/3"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(InputError, match=r"give e\.g\. 3/25"):
        Shard.parse(text)


def test_parts_are_trained_apart_and_only_once(make_grid):
    grid = make_grid()
    seen = []
    assert train(grid, LocalProcesses(), lambda *now: seen.append(now), Shard(1, 2)) == 2
    assert ("training", 2, 2) in seen
    assert sum(grid.folder(*task).finished for task in grid.tasks) == 2
    assert train(grid, LocalProcesses(), no_progress, Shard(1, 2)) == 0
    assert train(grid, LocalProcesses(), no_progress) == 2
    assert all(grid.folder(*task).finished for task in grid.tasks)


def test_every_arm_predicts_every_patient_once_and_again_the_same(make_grid):
    grid = make_grid()
    finished = run_grid(grid, LocalProcesses())
    assert [(f.arm, f.fold) for f in finished] == [
        (arm.name, fold.name) for arm in grid.study.arms for fold in grid.study_data.folds
    ]
    table = joined_predictions(finished, grid.study_data)
    everybody = grid.study_data.cohort.patients.index.tolist()
    for _, rows in table.groupby("arm"):
        assert sorted(rows["patient_id"]) == everybody
    assert not grid.scratch.exists()
    made = {p: p.stat().st_mtime_ns for p in grid.fits.glob("*/done")}
    again = joined_predictions(run_grid(grid, LocalProcesses()), grid.study_data)
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert {p: p.stat().st_mtime_ns for p in grid.fits.glob("*/done")} == made


def test_no_prediction_depends_on_a_test_outcome(make_grid):
    grid = make_grid()
    before = run_grid(grid, LocalProcesses())
    fold = grid.study_data.folds[0]
    patients = grid.study_data.cohort.patients.copy()
    patients.loc[list(fold.test), "event"] = 1 - patients.loc[list(fold.test), "event"]
    patients.loc[list(fold.test), "time"] *= 3
    cohort = replace(grid.study_data.cohort, patients=patients)
    changed = replace(grid, study_data=replace(grid.study_data, cohort=cohort))
    for old, new in zip(before, run_grid(changed, LocalProcesses()), strict=True):
        if old.fold == fold.name:
            pd.testing.assert_frame_equal(new.test, old.test, check_exact=True)
            assert new.cuts == old.cuts
        elif old.arm == "clinical":  # there these patients are development
            assert not new.test["risk"].equals(old.test["risk"])
