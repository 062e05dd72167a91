"""Follow-up dates that contradict the event column or each other."""

import pandas as pd
import pytest

from outcome.cohort.date_warnings import date_warnings
from outcome.study import Study

TIME = {"from": "diagnosed", "to": ["date of death", "last contact"]}
START, DEATH, LAST = "2012-01-01", "2013-01-01", "2012-12-01"


def warned(rows, time=TIME):
    study = Study.parse(
        {
            "name": "s",
            "cohort": "c.csv",
            "endpoint": {"kind": "survival", "time": time, "event": "dead"},
            "embeddings": {"patches": "f"},
            "arms": ["image"],
        }
    )
    table = pd.DataFrame(
        [[START, death, last] for death, last, _ in rows],
        columns=["diagnosed", "date of death", "last contact"],
        index=[f"P{i}" for i in range(len(rows))],
    )
    events = pd.DataFrame({"event": [float(e) for *_, e in rows]}, index=table.index)
    return date_warnings(study, table, events, today=pd.Timestamp("2020-01-01"))


def test_consistent_dates_give_no_warning():
    assert warned([(DEATH, LAST, 1), ("", LAST, 0), (DEATH, "", 1), (DEATH, LAST, 2)]) == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("", LAST, 1), "with the event (column 'dead') and no date in 'date of death'"),
        ((DEATH, LAST, 0), "without the event (column 'dead'), but with a date in"),
        (("", "2020-01-02", 0), "with a future 'last contact'"),
        ((DEATH, "2013-01-02", 1), "with 'last contact' after 'date of death'"),
    ],
)
def test_a_contradiction_is_counted_with_three_ids_at_most(row, said):
    (warning,) = warned([(DEATH, LAST, 1), *[row] * 4])
    assert warning.startswith(f"4 patients {said}")
    assert warning.endswith("e.g. P1, P2, P3. Check these dates")


def test_one_date_of_the_end_says_nothing_of_the_event():
    assert warned([(DEATH, LAST, 1), (DEATH, LAST, 0)], {**TIME, "to": ["last contact"]}) == []
