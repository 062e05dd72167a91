import numpy as np
import pandas as pd
import pytest

from outcome.cohort import Cohort, Fold, InnerFold, count_events, make_folds
from outcome.endpoint import TimeToEvent
from outcome.errors import CohortError, LeakageError, Problems
from outcome.study import Split

ENDPOINT = TimeToEvent(kind="survival", time="t", event="e")


def cohort(n=100, events=40, **columns):
    rng = np.random.default_rng(0)
    event = np.zeros(n)
    event[:events] = 1
    patients = pd.DataFrame(
        {"time": rng.exponential(size=n), "event": rng.permutation(event), **columns},
        index=pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id"),
    )
    return Cohort(patients, pd.DataFrame({"patient_id": [], "slide_id": []}), ENDPOINT)


def folds_of(people, **split):
    problems = Problems("test")
    return make_folds(people, Split(**split), problems), problems


def test_every_patient_is_tested_once_and_events_are_spread():
    people = cohort()
    folds, _ = folds_of(people, folds=5)
    tested = [p for f in folds for p in f.test]
    assert sorted(tested) == people.patients.index.tolist()
    assert [count_events(people, f.test) for f in folds] == [8] * 5
    for fold in folds:
        tuned = [p for i in fold.inner for p in i.tune]
        assert sorted(tuned) == list(fold.development)


def test_repeats_divide_differently():
    folds, _ = folds_of(cohort(), repeats=2)
    assert len(folds) == 10
    assert {f.test for f in folds if f.repeat == 0} != {f.test for f in folds if f.repeat == 1}


@pytest.mark.parametrize(("events", "inner"), [(100, 5), (40, 4), (25, 2), (20, 2)])
def test_inner_folds_have_events_enough(events, inner):
    """Floor of development events by 8, between 2 and what is asked for."""
    folds, problems = folds_of(cohort(events=events), folds=5)
    assert not problems
    assert {len(f.inner) for f in folds} == {inner}


def test_too_few_events_to_train():
    _, problems = folds_of(cohort(events=10), folds=5)
    assert "leaves 8 events for development; training a network needs 10" in problems.message()
    assert "`aggregator: linear`" in problems.message()


def test_linear_models_need_fewer_events():
    for events, fine in ((10, True), (5, False)):
        problems = Problems("test")
        folds = make_folds(cohort(events=events), Split(folds=2), problems, networks=False)
        assert bool(problems) != fine
        assert len(folds) == (2 if fine else 0)


def test_sites_stay_together():
    site = [f"s{i % 12}" for i in range(100)]
    people = cohort(site=site)
    folds, problems = folds_of(people, folds=4, site="site", site_preserved=True)
    assert not problems
    for fold in folds:
        inside = set(people.patients.loc[list(fold.test), "site"])
        outside = set(people.patients.loc[list(fold.development), "site"])
        assert not inside & outside


def test_too_few_sites():
    people = cohort(site=["a", "b"] * 50)
    _, problems = folds_of(people, folds=4, site="site", site_preserved=True)
    assert "2 sites for 4 site-preserved folds" in problems.message()


def test_a_patient_in_two_roles_is_an_error():
    inner = (InnerFold(0, ("a",), ("b",)),)
    with pytest.raises(LeakageError, match="1 patients in two roles"):
        Fold(0, "0", ("a", "b"), ("b", "c"), inner)
    with pytest.raises(LeakageError):
        Fold(0, "0", ("a", "b"), ("c",), (InnerFold(0, ("a", "b"), ("b",)),))
    with pytest.raises(LeakageError):
        Fold(0, "0", ("a", "b"), ("c",), (InnerFold(0, ("a", "c"), ("b",)),))


def test_training_and_testing_are_no_folds():
    roles = np.repeat(["Train", "val", "test"], [60, 20, 20])
    folds, problems = folds_of(cohort(**{"column:split": roles}), column="split")
    assert not folds
    with pytest.raises(CohortError, match="'split' divides patients into training and test"):
        problems.raise_if_any(CohortError)
