"""What names of columns say, and where a declaration contradicts them."""

import pandas as pd
import pytest

from outcome.tables.column_names import (
    event_contradiction,
    follow_up_columns,
    is_survival_probability,
    label_contradiction,
    unit_contradiction,
    unit_in_name,
)


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("os_months", "months"), ("OS_MONTHS", "months"), ("OSTimeDays", "days"),
        ("survival_days", "days"), ("FU (yrs)", "years"), ("time", ""), ("days_or_months", ""),
        ("monthly_visits", ""),
    ],
)  # fmt: skip
def test_units(column, unit):
    assert unit_in_name(column) == unit


def test_units_that_contradict():
    undeclared = unit_contradiction("os_months", "days", declared=False)
    assert "indicates months" in undeclared
    assert "gives no unit" in undeclared
    declared = unit_contradiction("os_days", "months", declared=True)
    assert "indicates days" in declared
    assert "gives no unit" not in declared
    assert unit_contradiction("os_months", "months", declared=True) == ""
    assert unit_contradiction("time", "days", declared=False) == ""


@pytest.mark.parametrize("column", ["censorship", "os_censorship_dss", "censored", "is_alive"])
def test_events_by_name_are_coded_the_other_way(column):
    assert f"`censored: {column}`" in event_contradiction(column, censored=False)
    assert event_contradiction(column, censored=True) == ""
    assert event_contradiction(column, censored=False, codes={"0": 1, "1": 0}) == ""
    assert event_contradiction(column, censored=False, codes={"yes": 0, "no": 1}) == ""
    assert event_contradiction(column, censored=False, codes={"0": 0, "1": 1}) != ""


@pytest.mark.parametrize("column", ["os_event", "death", "relapse", "DECEASED"])
def test_censoring_by_name_is_an_event(column):
    assert f"`event: {column}`" in event_contradiction(column, censored=True)
    assert event_contradiction(column, censored=False) == ""


@pytest.mark.parametrize("column", ["status", "uncensored", "os", "indicator"])
def test_names_that_say_nothing(column):
    assert event_contradiction(column, censored=False) == ""


def test_a_vital_status_is_no_label_where_follow_up_is_known():
    table = pd.DataFrame({"os_months": ["1.5", "30", "12"], "age": ["50", "60", "70"]})
    assert follow_up_columns(table) == ["os_months"]
    assert "kind: survival" in label_contradiction("vital_status", ["os_months"])
    assert label_contradiction("vital_status", []) == ""
    assert label_contradiction("response", ["os_months"]) == ""


@pytest.mark.parametrize(
    ("column", "expected"),
    [("survival_probability", True), ("surv_prob", True), ("S_24", True), ("survival", True),
     ("risk", False), ("probability", False), ("survival_months", False), ("score", False)],
)  # fmt: skip
def test_probabilities_of_survival(column, expected):
    assert is_survival_probability(column) == expected
