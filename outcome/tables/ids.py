"""Identifiers of patients and slides: spelling, joining, and invalid identifiers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable

from outcome.errors import Problems

__all__ = [
    "check_lookalikes",
    "check_names",
    "is_formula",
    "join_ids",
    "slide_name",
    "why_ids_differ",
]

SLIDE_SUFFIX = re.compile(
    r"(\.(svs|tiff?|ndpi|mrxs|scn))?(\.(h5|hdf5|pt|pth|npy|npz|zarr))?$", re.IGNORECASE
)
LONGEST = 255
WHOLE = re.compile(r"(\d+)\.0")
FORMULA_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
TCGA = re.compile(
    r"(TCGA-\w{2}-\w{4})(-\d{2}[A-Z]?(-\d{2}[A-Z]?)?(-[A-Z]{2}\w*)?)?(\..*)?", re.IGNORECASE
)


def slide_name(slide: str) -> str:
    """Return a slide id without the suffix of its image or feature file; ids may contain dots.

    Both Unicode forms of a letter are the same, because file systems differ in the form.
    """
    return SLIDE_SUFFIX.sub("", unicodedata.normalize("NFC", slide).strip())


def check_names(
    values: Iterable[str], column: str, problems: Problems, *, paths: bool = False
) -> None:
    """Report names that are not safe in files or tables of results.

    Parameters
    ----------
    values : iterable of str
    column : str
        Source of the names, for messages.
    problems : Problems
    paths : bool
        Whether names are file names, which must not contain a folder.
    """
    names = list(dict.fromkeys(values))
    tests = [
        (is_formula, "begins like a formula, which a spreadsheet would run", "rename them"),
        (
            lambda v: (
                not v.isprintable()
                and any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") for c in v)
            ),
            "contains control characters, invisible characters or line breaks",
            "remove them",
        ),
        (lambda v: len(v) > LONGEST, f"is longer than {LONGEST} characters", "shorten them"),
        (lambda v: v != "" and set(v) == {"."}, "is not a name", "rename them"),
    ]
    if paths:
        tests.append(
            (lambda v: "/" in v or "\\" in v, "names a path", "write only the name of the file")
        )
    for found, what, remedy in tests:
        if bad := [v for v in names if found(v)]:
            problems.add(f"column {column!r} {what}", bad, remedy)


def check_lookalikes(values: Iterable[str], column: str, problems: Problems) -> None:
    """Report ids that differ only in case, probably of the same patient."""
    alike: dict[str, list[str]] = {}
    for value in dict.fromkeys(values):
        alike.setdefault(value.casefold(), []).append(value)
    if pairs := [" and ".join(names[:2]) for names in alike.values() if len(names) > 1]:
        problems.add(
            f"column {column!r} has ids that differ only in upper and lower case",
            pairs,
            "write the id of a patient in the same way everywhere; ids of different patients "
            "must not differ only in case",
        )


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would evaluate this text as a formula."""
    return text[:1] in "=+-@" and text != "" and FORMULA_NUMBER.fullmatch(text) is None


def join_ids(ids: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Return the matching identifier in another table, for each identifier that has one.

    Identifiers match if they are spelled in the same way, ignoring surrounding spaces and Unicode
    form. Programs write integers of a column with missing values as `1000.0`. Such a number matches
    the integer if there is no other way to join.

    Examples
    --------
    >>> join_ids(["1000.0", " 7", "x"], {"1000", "7"})
    {'1000.0': '1000', ' 7': '7'}
    """
    spelled = {unicodedata.normalize("NFC", k).strip(): k for k in known}
    whole: dict[str, str] = {}
    for key, name in spelled.items():
        whole.setdefault(_without_zero(key), name)
    found = {}
    for name in ids:
        key = unicodedata.normalize("NFC", name).strip()
        match = spelled.get(key) or whole.get(_without_zero(key))
        if match is not None:
            found[name] = match
    return found


def why_ids_differ(ids: Collection[str], known: Collection[str]) -> str:
    """Return the likely reason why two sets of identifiers do not match; empty if unknown.

    Examples
    --------
    >>> why_ids_differ(["TCGA-A0-1000-01A"], ["TCGA-A0-1000"])
    'TCGA-A0-1000-01A is a sample barcode of TCGA, and TCGA-A0-1000 a patient barcode'
    """
    left, right = sorted(set(ids) - set(known)), set(known)
    if not left or not right:
        return ""
    levels = [(i, k) for i in left[:200] for k in [_tcga_partner(i, right)] if k]
    if levels:
        one, other = levels[0]
        kinds = _tcga_level(one), _tcga_level(other)
        return f"{one} is a {kinds[0]} barcode of TCGA, but {other} is a {kinds[1]} barcode"
    for same, reason in REASONS:
        shapes = {same(k): k for k in sorted(right, reverse=True)}
        for name in left:
            if (match := shapes.get(same(name))) is not None:
                return f"{name} and {match} {reason}"
    for short, long in ((left, sorted(right)), (sorted(right), left)):
        for name in short[:200]:
            longer = next((o for o in long if len(name) > 2 and o.startswith(name)), None)
            if longer is not None and not longer[len(name)].isalnum():
                return f"{longer} begins with {name}, but is longer"
    return ""


def _without_zero(name: str) -> str:
    match = WHOLE.fullmatch(name)
    return match[1] if match else name


def _tcga_partner(name: str, known: Collection[str]) -> str:
    match = TCGA.fullmatch(name)
    if match is None:
        return ""
    patient = match[1].upper()
    partners = (k for k in sorted(known) if k.upper().startswith(patient))
    return next((k for k in partners if _tcga_level(k) != _tcga_level(name)), "")


def _tcga_level(name: str) -> str:
    match = TCGA.fullmatch(name)
    if match is None or not match[2]:
        return "patient"
    return "slide" if match[4] else "sample"


Spelling = Callable[[str], str]
REASONS: tuple[tuple[Spelling, str], ...] = (
    (str.casefold, "differ in upper and lower case"),
    (lambda v: v.lstrip("0") or "0", "differ in leading zeros"),
    (lambda v: re.sub(r"[\s_.-]+", "", v).casefold(), "differ in spaces, hyphens or underscores"),
    (lambda v: slide_name(v).rpartition("/")[2], "differ in the suffix or the folder of a file"),
    (
        lambda v: re.sub(r"^[A-Za-z]+[-_ ]?0*", "", v) if re.search(r"\d", v) else v,
        "have the same number, and only one has letters before it",
    ),
)
