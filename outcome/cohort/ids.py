"""Names of patients and slides: how they are spelled, and which cannot be used."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import pandas as pd

from outcome.endpoint import is_formula
from outcome.errors import Problems

__all__ = ["check_lookalikes", "check_names", "comma_numbers", "slide_name"]

SLIDE_SUFFIX = re.compile(
    r"(\.(svs|tiff?|ndpi|mrxs|scn))?(\.(h5|hdf5|pt|pth|npy|npz))?$", re.IGNORECASE
)
LONGEST = 255


def slide_name(slide: str) -> str:
    """Return a slide id without the suffix of its image or feature file; ids may contain dots.

    Both Unicode forms of a letter are one: file systems differ in the form that they give.
    """
    return SLIDE_SUFFIX.sub("", unicodedata.normalize("NFC", slide))


def check_names(
    values: Iterable[str], column: str, problems: Problems, *, paths: bool = False
) -> None:
    """Note names that no file or table of results could carry safely.

    Parameters
    ----------
    values : iterable of str
    column : str
        Where they are from.
    problems : Problems
    paths : bool
        Whether names are those of files, and so hold no folder.
    """
    names = list(dict.fromkeys(values))
    tests = [
        (is_formula, "begins like a formula, which a spreadsheet would run", "rename them"),
        (
            lambda v: (
                not v.isprintable()
                and any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") for c in v)
            ),
            "holds control or invisible characters, or line breaks",
            "remove them",
        ),
        (lambda v: len(v) > LONGEST, f"is longer than {LONGEST} characters", "shorten them"),
        (lambda v: v != "" and set(v) == {"."}, "is no name", "rename them"),
    ]
    if paths:
        tests.append(
            (lambda v: "/" in v or "\\" in v, "names a path", "write the name of the file alone")
        )
    for found, what, remedy in tests:
        if bad := [v for v in names if found(v)]:
            problems.add(f"column {column!r} {what}", bad, remedy)


def check_lookalikes(values: Iterable[str], column: str, problems: Problems) -> None:
    """Note ids that differ in case alone: one patient, most likely, as two."""
    alike: dict[str, list[str]] = {}
    for value in dict.fromkeys(values):
        alike.setdefault(value.casefold(), []).append(value)
    if pairs := [" and ".join(names[:2]) for names in alike.values() if len(names) > 1]:
        problems.add(
            f"column {column!r} has ids that differ in upper and lower case only",
            pairs,
            "write a patient's id in one way; different patients need ids that differ in more",
        )


def comma_numbers(column: pd.Series) -> tuple[pd.Series, int]:
    """Read 1,5 as 1.5; returns the column and how many values were read so.

    A column with points as well as commas stays as it is, and is refused as text later.
    """
    commas = column.str.fullmatch(r"[-+]?\d+,\d+")
    if not commas.any() or column.str.contains(".", regex=False).any():
        return column, 0
    return column.where(~commas, column.str.replace(",", ".", regex=False)), int(commas.sum())
