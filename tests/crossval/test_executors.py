import numpy as np
import pytest
from threadpoolctl import threadpool_info

from outcome.crossval import executors
from outcome.crossval.executors import DaskCluster, LocalProcesses, WorkersError


def doubled(grid, number):
    return grid.device, 2 * number


def threads(grid):
    np.ones((4, 4)) @ np.ones((4, 4))
    return max(pool["num_threads"] for pool in threadpool_info())


def refused(grid, number):
    raise ValueError(f"task {number}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_is_done_once_wherever_it_runs(make_grid, jobs):
    found = list(LocalProcesses(jobs).map(doubled, make_grid(), [(n,) for n in range(7)]))
    assert sorted(found) == [("cpu", 2 * n) for n in range(7)]


def test_results_come_one_by_one_and_no_task_is_begun_before_it_is_asked_for(make_grid):
    begun = []

    def work(grid, number):
        begun.append(number)
        return number

    results = LocalProcesses().map(work, make_grid(), [(0,), (1,)])
    assert next(results) == 0
    assert begun == [0]
    assert list(results) == [1]


def test_a_task_has_the_threads_of_the_settings(make_grid):
    assert list(LocalProcesses().map(threads, make_grid(), [()])) == [1]


def test_an_error_of_a_task_is_raised(make_grid):
    with pytest.raises(ValueError, match="task 3"):
        list(LocalProcesses().map(refused, make_grid(), [(3,)]))


def test_a_cluster_without_a_scheduler_is_refused(monkeypatch):
    monkeypatch.setattr(executors, "CONNECT", "0.2s")
    with pytest.raises(WorkersError, match=r"cluster tcp://127.0.0.1:9: no scheduler answers"):
        DaskCluster("tcp://127.0.0.1:9").check()
