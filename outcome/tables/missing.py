"""Missing cells: one definition for all tables and columns.

A *blank* cell is empty. A *missing* cell is blank or contains one of the words that programs and
registries write for missing values, such as `NA`, `'--` (GDC) or `[Not Available]` (TCGA).
Identifiers and report texts can only be blank, because a patient id may be `NA` and a report may be
`None`. A code or level declared in the study file is never missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import pandas as pd

from outcome.tables.codes import canonical_code

__all__ = [
    "NULLS",
    "describe_missing",
    "is_blank",
    "is_missing",
    "missing_words",
    "without_missing",
]

NULLS = frozenset({"na", "n/a", "nan", "null", "none", "<na>", "#n/a", "#na", "nat"})
"""Words that programs write for missing values, in lower case."""
WORDS = NULLS | frozenset(
    {
        "n.a.", "n.a", "nil", "missing", ".", "-", "--", "---", "'--", "'-", "?", "\u2013",
        "\u2014", "not available", "not applicable", "not reported", "not recorded", "not known",
        "not evaluated", "not assessed", "not done", "not allowed to collect", "not stated",
        "unknown", "unk", "unspecified", "undetermined", "indeterminate", "discrepancy",
        "data not available", "unknown/not reported", "unknown or not reported", "no data",
    }
)  # fmt: skip
"""All words that mean "missing", in lower case, without brackets."""


def is_blank(column: pd.Series) -> pd.Series:
    """Return which cells are blank: empty text, spaces, or no value.

    Examples
    --------
    >>> is_blank(pd.Series(["NA", " ", None])).tolist()
    [False, True, True]
    """
    return column.isna() | (column.astype(str).str.strip() == "")


def is_missing(column: pd.Series, declared: Collection[str] = ()) -> pd.Series:
    """Return which values are missing.

    Parameters
    ----------
    column : Series
    declared : collection of str
        Codes or levels declared in the study file. They count as values.

    Examples
    --------
    >>> is_missing(pd.Series(["1", "'--", "[Not Available]", "None"]), declared=["None"]).tolist()
    [False, True, True, False]
    """
    blank = is_blank(column)
    text = column.astype(str)
    words = {v for v in text[~blank].unique() if _is_word(v, declared)}
    return blank | text.isin(words)


def missing_words(column: pd.Series, declared: Collection[str] = ()) -> Counter[str]:
    """Count the words of a column that are read as missing; blank cells are not counted."""
    words = column[is_missing(column, declared) & ~is_blank(column)]
    return Counter(words.astype(str).str.strip())


def without_missing(column: pd.Series, declared: Collection[str] = ()) -> pd.Series:
    """Return the column with missing values as empty text."""
    return column.where(~is_missing(column, declared), "")


def describe_missing(found: Mapping[str, Counter[str]]) -> list[str]:
    """Report which words were read as missing, one sentence per column.

    Examples
    --------
    >>> describe_missing({"stage": Counter({"[Unknown]": 3, "NA": 1})})
    ["column 'stage': 4 cells are read as missing ('[Unknown]' 3, 'NA' 1)"]
    """
    said = []
    for column, words in found.items():
        if n := sum(words.values()):
            counts = ", ".join(f"{w!r} {k}" for w, k in words.most_common(6))
            more = f" and {len(words) - 6} others" if len(words) > 6 else ""
            cells = "cell is" if n == 1 else "cells are"
            said.append(f"column {column!r}: {n} {cells} read as missing ({counts}{more})")
    return said


def _is_word(value: str, declared: Collection[str]) -> bool:
    word = value.strip().casefold()
    bare = word[1:-1].strip() if word[:1] in "[(" and word[-1:] in "])" else word
    return (word in WORDS or bare in WORDS) and canonical_code(value) not in declared
