"""Follow-up from dates, and from columns that complete each other."""

import pandas as pd
import pytest

from outcome.errors import Problems
from outcome.tables.dates import guess_order, looks_like_dates, parse_dates
from outcome.tables.follow_up import FollowUp


def times(columns, unit="days", **spec):
    problems = Problems("t")
    table = pd.DataFrame(columns)
    places = [f"P{i}" for i in range(len(table))]
    found = FollowUp.model_validate(spec).times(table, unit, places, problems)
    return found.tolist(), problems.found


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("2014-03-31", "iso"),
        ("2014/3/31", "iso"),
        ("20140331", "iso"),
        ("2014-03-31 00:00:00", "iso"),
        ("2014-03-31T12:30", "iso"),
        ("41729", "iso"),
        ("31.03.2014", "day-first"),
        ("31/3/2014", "day-first"),
        ("03/31/2014", "month-first"),
        ("2014-03-31", "day-first"),
    ],
)
def test_dates(text, order):
    assert parse_dates(pd.Series([text]), order)[0] == pd.Timestamp("2014-03-31")


@pytest.mark.parametrize(
    ("text", "order"),
    [("31.03.2014", "iso"), ("2014-02-30", "iso"), ("2014", "iso"), ("13/31/2014", "day-first"),
     ("soon", "iso"), ("NA", "iso")],
)  # fmt: skip
def test_no_dates(text, order):
    assert parse_dates(pd.Series([text]), order).isna().all()


def test_the_first_date_that_is_given_ends_follow_up():
    table = {
        "dx": ["2014-01-01", "2014-01-01", "", "2014-01-01"],
        "death": ["2014-01-31", "'--", "2014-01-31", ""],
        "last": ["2014-06-01", "2015-01-01", "2015-01-01", ""],
    }
    spec = {"from": "dx", "to": ["death", "last"]}
    assert times(table, **spec) == (["30.0", "365.0", "", ""], [])
    in_years, _ = times(table, "years", **spec)
    assert float(in_years[1]) == pytest.approx(365 / 365.25)


def test_what_is_no_date_is_named():
    table = {"dx": ["03/04/2014", "2014-01-01"], "last": ["2015-01-01", "2015-01-01"]}
    _, problems = times(table, **{"from": "dx", "to": "last"})
    assert len(problems) == 1
    assert "P0 ('03/04/2014')" in problems[0]
    assert "day-first" in problems[0]
    found, problems = times(table, **{"from": "dx", "to": "last", "dates": "month-first"})
    assert found[0] == "303.0"
    assert not problems


def test_columns_of_times_complete_each_other():
    table = {"to_death": ["100", "'--", ""], "to_last": ["90", "2000", "NA"]}
    assert times(table, to=["to_death", "to_last"]) == (["100", "2000", ""], [])


def test_the_order_of_day_and_month_is_guessed_only_where_cells_show_it():
    assert guess_order([pd.Series(["2014-03-04"])]) == "iso"
    assert guess_order([pd.Series(["31/03/2014", "01/02/2014"])]) == "day-first"
    assert guess_order([pd.Series(["03/31/2014"])]) == "month-first"
    assert guess_order([pd.Series(["03/04/2014"])]) is None
    assert looks_like_dates(pd.Series(["2014-03-04", "NA", "1.2.2013"]))
    assert not looks_like_dates(pd.Series(["12", "2014-03-04"]))
