"""Codes have one spelling, groups one order."""

import pytest

from outcome.tables.codes import canonical_code, order_levels


@pytest.mark.parametrize("value", [1, 1.0, True, "1", "1.0", "True", "true", "TRUE", " 1 "])
def test_spellings_of_one(value):
    assert canonical_code(value) == "1"


@pytest.mark.parametrize("value", ["Dead", "None", "NA", "no", "1:DECEASED"])
def test_words_stay(value):
    assert canonical_code(value) == value


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["High", "Low"], ["Low", "High"]),
        (["HIGH", "MEDIUM", "LOW"], ["LOW", "MEDIUM", "HIGH"]),
        (["high risk", "low risk"], ["low risk", "high risk"]),
        (["poor", "good", "intermediate"], ["good", "intermediate", "poor"]),
        (["high", "intermediate 2", "low", "intermediate 1"],
         ["low", "intermediate 1", "intermediate 2", "high"]),
    ],
)  # fmt: skip
def test_names_decide(names, expected):
    backwards = {name: -i for i, name in enumerate(expected)}
    assert order_levels(names) == order_levels(names, backwards) == expected


def test_else_the_mean_risk_decides():
    assert order_levels(["A", "B"], {"A": 1.0, "B": -1.0}) == ["B", "A"]
    assert order_levels(["low", "Low"], {"low": 1.0, "Low": -1.0}) == ["Low", "low"]
    assert order_levels(["B", "A", "B"]) == ["B", "A"]
