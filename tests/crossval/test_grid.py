import pytest

from outcome import Study
from outcome.crossval.grid import network_errors
from outcome.models.heads import CoxHead, LogisticHead

LANDMARK = {"kind": "landmark", "time": "os_days", "event": "os_event", "horizon": 700}


def test_there_is_one_task_per_network_and_pair_of_folds(make_grid):
    grid = make_grid()
    assert len(grid.members) == 3
    assert grid.inputs == ["image"]
    assert len(grid.tasks) == 2 * 2
    assert {member.aggregator for _, member, _ in grid.tasks} == {"attention"}
    assert len({grid.folder(*task).path for task in grid.tasks}) == 4


def test_a_search_adds_its_candidates_and_the_settings_of_the_study_come_first(make_grid):
    grid = make_grid(training={"epochs": 3, "components": 4, "search": 2})
    (network,) = [m for m in grid.members if not m.linear]
    variants = grid.variants(network)
    assert variants[0].changes == ()
    assert len(set(variants)) == 3
    assert len(grid.tasks) == 3 * 2 * 2
    linear = next(m for m in grid.members if m.linear)
    assert grid.variants(linear) == [linear]


def test_arms_share_a_member(make_grid):
    late = {"name": "late", "inputs": ["image", "clinical"], "fusion": "late"}
    grid = make_grid(arms=["image", late])
    assert len(grid.members) == 2
    assert len(grid.tasks) == 4


@pytest.mark.parametrize(
    ("endpoint", "favourable"), [(LANDMARK, False), (None, None)], ids=["landmark", "survival"]
)
def test_the_head_is_that_of_the_endpoint(make_grid, endpoint, favourable):
    head = make_grid(**({"endpoint": endpoint} if endpoint else {})).head
    if endpoint is None:
        assert isinstance(head, CoxHead)
    else:
        assert isinstance(head, LogisticHead)
        assert head.favourable is favourable


def test_a_fit_has_a_new_name_where_what_it_depends_on_has_changed(make_grid):
    def names(**sections):
        grid = make_grid(**sections)
        return {grid.folder(*task).path.name for task in grid.tasks}

    plain = names()
    assert names(arms=["image"], risk_groups="tertiles") == plain
    assert not names(training={"epochs": 4, "components": 4, "attention_width": 4}) & plain
    one = names(endpoint=LANDMARK)
    assert not one & plain
    assert not names(endpoint=LANDMARK | {"horizon": 701}) & one


def test_networks_that_cannot_be_made_are_reported_once(simulated):
    folder, settings = simulated
    arms = [{"name": n, "inputs": ["image"], "aggregator": "no_such_package:Pool"} for n in "ab"]
    errors = network_errors(Study.parse(settings | {"arms": arms, "baseline": "a"}, folder=folder))
    assert len(errors) == 1
    assert "no_such_package" in str(errors[0])
