"""Follow-up dates that contradict the event column or each other."""

from pathlib import Path

import pandas as pd
import pytest

from outcome.cohort.date_warnings import date_warnings
from outcome.cohort.required_columns import with_follow_up
from outcome.errors import Problems
from outcome.study import Study

TIME = {"from": "diagnosed", "to": ["date of death", "last contact"]}
START, DEATH, LAST = "2012-01-01", "2013-01-01", "2012-12-01"


def warned(rows, time=TIME):
    study = Study.parse(
        {
            "name": "s",
            "cohort": "c.csv",
            "endpoint": {
                "kind": "survival", "time": time, "event": "dead",
                "event_codes": {"no": 0, "yes": 1, "other": 2},
            },
            "embeddings": {"patches": "f"},
            "arms": ["image"],
        },
        folder=Path(),
    )  # fmt: skip
    table = pd.DataFrame(
        [[START, *row] for row in rows],
        columns=["diagnosed", "date of death", "last contact", "dead"],
        index=[f"P{i}" for i in range(len(rows))],
    )
    table = with_follow_up(study, table, list(table.index), Problems("test"))
    return date_warnings(study, table, today=pd.Timestamp("2020-01-01"))


def test_consistent_dates_give_no_warning():
    assert (
        warned([(DEATH, LAST, "yes"), ("", LAST, "no"), (DEATH, "", "yes"), (DEATH, LAST, "other")])
        == []
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("", LAST, "yes"), "with the event (column 'dead') and no date in 'date of death'"),
        ((DEATH, LAST, "no"), "without the event (column 'dead'), but with a date in"),
        (("", "2020-01-02", "no"), "with a future 'last contact'"),
        ((DEATH, "2013-01-02", "yes"), "with 'last contact' after 'date of death'"),
    ],
)
def test_a_contradiction_is_counted_with_three_ids_at_most(row, said):
    (warning,) = warned([(DEATH, LAST, "yes"), *[row] * 4])
    assert warning.startswith(f"4 patients {said}")
    assert warning.endswith("e.g. P1, P2, P3. Check these dates")


def test_one_date_of_the_end_says_nothing_of_the_event():
    assert (
        warned([(DEATH, LAST, "yes"), (DEATH, LAST, "no")], {**TIME, "to": ["last contact"]}) == []
    )
