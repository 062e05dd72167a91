from outcome.study import Training
from outcome.training.hyperparameters import SPACE, candidates


def test_the_given_settings_come_first_and_nothing_comes_twice():
    found = candidates(Training(search=30))
    assert found[0] == ()
    assert len(found) == len(set(found)) == 31
    given = Training().model_dump()
    assert all(any(given[name] != value for name, value in choice) for choice in found[1:])
    assert all(value in SPACE[name] for choice in found for name, value in choice)


def test_a_longer_search_begins_as_a_shorter_one():
    assert candidates(Training(search=9))[:4] == candidates(Training(search=3))


def test_no_search_is_asked_for_by_default():
    assert candidates(Training()) == [()]


def test_another_seed_tries_other_settings():
    assert candidates(Training(search=9)) != candidates(Training(search=9, seed=1))
