"""Delayed entry in a cohort table: read, checked by line, counted where it is missing."""

from pathlib import Path

import pandas as pd
import pytest

from outcome.cohort import read_cohort
from outcome.endpoint import describe
from outcome.errors import InputError, Problems
from outcome.study import Study

TABLE = pd.DataFrame(
    {
        "patient_id": ["a", "b", "c", "d"],
        "time": ["5", "8", "3", "9"],
        "event": ["1", "0", "1", "1"],
        "since": ["0", "2,5", "1", "4"],
    }
)


def study(**more):
    endpoint = {"kind": "survival", "time": "time", "event": "event", "entry": "since"}
    data = {"name": "x", "cohort": "c.csv", "embeddings": {"reports": "r.h5"}, "arms": ["report"]}
    data["baseline"] = "report"
    endpoint |= more.pop("endpoint", {})
    return Study.parse({**data, "endpoint": endpoint, **more}, folder=Path())


def read(table, **more):
    problems = Problems("test")
    return read_cohort(study(**more), problems, table), problems.message() if problems else ""


def test_entry_is_part_of_the_outcome():
    cohort, said = read(TABLE)
    assert not said
    assert cohort.patients["entry"].tolist() == [0, 2.5, 1, 4]
    assert cohort.outcomes(["b", "d"], []).entry.tolist() == [2.5, 4]
    assert list(cohort.outcome_table(["a"])) == ["entry", "time", "event"]
    assert describe(cohort.endpoint)["entry"] == "since"
    assert any(
        "3 of 4 patients came under observation after the time origin" in n for n in cohort.notes
    )


def test_every_invalid_entry_is_named_by_line():
    table = TABLE.assign(since=["5", "9", "-1", "soon"])
    _, said = read(table)
    assert "'since' is not before the end of follow-up ('time')" in said
    assert "2, e.g. a in row 0 ('5'), b in row 1 ('9')" in said
    assert "'since' is negative: 1, e.g. c in row 2" in said
    assert "'since' is not a number of days: 1, e.g. d in row 3 ('soon')" in said


def test_a_blank_entry_is_a_missing_outcome():
    table = TABLE.assign(since=["", "2", "1", "NA"])
    cohort, said = read(table)
    assert not said
    assert list(cohort.patients.index) == ["b", "c"]
    assert cohort.flow[-1].reason == "2 patients without time or since or event"
    _, said = read(table, on_missing={"endpoint": "error"})
    assert "the outcome is missing: 2, e.g. a in row 0, d in row 3" in said


def test_entry_from_dates():
    dates = TABLE.assign(
        diagnosed="2020-01-01", enrolled=["2020-01-01", "2020-01-03", "2020-01-02", "2020-01-05"]
    )
    entry = {"from": "diagnosed", "to": "enrolled"}
    cohort, said = read(dates, endpoint={"entry": entry})
    assert not said
    assert cohort.patients["entry"].tolist() == [0, 2, 1, 4]


def test_what_has_no_entry_says_why():
    with pytest.raises(InputError, match="delayed entry needs `kind: survival`"):
        study(endpoint={"kind": "landmark", "horizon": 4})
    with pytest.raises(InputError, match=r"maxstat.*unknown under delayed entry"):
        study(risk_groups="maxstat")
    later = {"name": "pfs", "kind": "survival", "time": "t", "event": "e"}
    with pytest.raises(InputError, match=r"every secondary time needs one.*pfs"):
        study(secondary=[later])
    assert study(secondary=[later | {"entry": "since"}]).secondary[0].entry == "since"
