"""One definition of missing."""

import pandas as pd
import pytest

from outcome.tables.missing import (
    describe_missing,
    is_blank,
    is_missing,
    missing_words,
    without_missing,
)

WORDS = [
    "", " ", "NA", "N/A", "n/a", "NaN", "nan", "None", "null", "NULL", "<NA>", "#N/A", "'--", "--",
    "[Not Available]", "[Not Applicable]", "[Unknown]", "[Discrepancy]", "[Not Evaluated]",
    "Not Reported", "not reported", "Unknown", "Not Available", "Not Applicable", "missing", ".",
    "?", "not allowed to collect", "(unknown)",
]  # fmt: skip
VALUES = ["0", "-1", "no", "No", "negative", "alive", "Stage 0", "Nan Li", "unknown primary", "N0"]


@pytest.mark.parametrize("word", WORDS)
def test_words_that_mean_missing(word):
    assert is_missing(pd.Series([word])).tolist() == [True]


@pytest.mark.parametrize("value", VALUES)
def test_values_are_no_missing_words(value):
    assert is_missing(pd.Series([value])).tolist() == [False]


@pytest.mark.parametrize("word", ["None", "Unknown", "NA", "[Unknown]", "'--", "null"])
def test_a_declared_word_is_a_value(word):
    column = pd.Series([word, "1", ""])
    assert is_missing(column, {word}).tolist() == [False, False, True]
    assert is_missing(column).tolist() == [True, False, True]


def test_ids_and_texts_are_blank_only_where_they_are_empty():
    assert is_blank(pd.Series(["NA", "None", "", None])).tolist() == [False, False, True, True]


def test_words_are_counted_by_name():
    column = pd.Series(["NA", "NA", "'--", "", "1"])
    assert missing_words(column) == {"NA": 2, "'--": 1}
    assert without_missing(column).tolist() == ["", "", "", "", "1"]
    assert describe_missing({"a": missing_words(column), "b": missing_words(column[4:])}) == [
        """column 'a': 3 cells are read as missing ('NA' 2, "'--" 1)"""
    ]
