"""Which cells of a table are missing: one definition for every table and every column.

A *blank* cell is empty. A *missing* cell is blank or holds one of the words that programs and
registries write where a value is absent, such as `NA`, `'--` (GDC) or `[Not Available]` (TCGA).
Identifiers and report texts can only be blank: a patient may be called `NA`, a report may read
`None`. A code or level that the study file declares is never missing.
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
"""What programs write where a value is absent, in lower case."""
WORDS = NULLS | frozenset(
    {
        "n.a.", "n.a", "nil", "missing", ".", "-", "--", "---", "'--", "'-", "?", "\u2013",
        "\u2014", "not available", "not applicable", "not reported", "not recorded", "not known",
        "not evaluated", "not assessed", "not done", "not allowed to collect", "not stated",
        "unknown", "unk", "unspecified", "undetermined", "indeterminate", "discrepancy",
        "data not available", "unknown/not reported", "unknown or not reported", "no data",
    }
)  # fmt: skip
"""All words that mean "missing", in lower case, without brackets around them."""


def is_blank(column: pd.Series) -> pd.Series:
    """Return where a column holds nothing: empty text, spaces, or no value at all.

    Examples
    --------
    >>> is_blank(pd.Series(["NA", " ", None])).tolist()
    [False, True, True]
    """
    return column.isna() | (column.astype(str).str.strip() == "")


def is_missing(column: pd.Series, declared: Collection[str] = ()) -> pd.Series:
    """Return where a value is missing.

    Parameters
    ----------
    column : Series
    declared : collection of str
        Codes or levels that the study file declares. They count as values.

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
    """Count the words of a column that are taken as missing; blank cells are not counted."""
    words = column[is_missing(column, declared) & ~is_blank(column)]
    return Counter(words.astype(str).str.strip())


def without_missing(column: pd.Series, declared: Collection[str] = ()) -> pd.Series:
    """Return the column with an empty text wherever a value is missing."""
    return column.where(~is_missing(column, declared), "")


def describe_missing(found: Mapping[str, Counter[str]]) -> list[str]:
    """Say which words were taken as missing, one sentence per column.

    Examples
    --------
    >>> describe_missing({"stage": Counter({"[Unknown]": 3, "NA": 1})})
    ["column 'stage': 4 cells are taken as missing ('[Unknown]' 3, 'NA' 1)"]
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
