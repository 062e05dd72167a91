"""Published folds: split files of other tools, and `splits.csv` of this package.

| layout | what is there |
|---|---|
| `outcome` | a table of `patient_id, repeat, outer_fold, role` (test, development, unused) |
| `table` | a table of `patient_id, fold`, one row per patient: the fold in which it is tested |
| `patho-bench` | a table of `case_id, fold_0, ...`, each train, val, test or -1 |
| `panther` | a folder per fold with `train.csv` and `test.csv` |
| `mcat` | `splits_0.csv, ...` with columns train and val of patients; val is what is reported |
| `clam` | `splits_0.csv, ...` with columns train, val and test of slides |

Training and validation patients are development patients, because the inner folds are used for
validation. Folds whose test sets overlap are repeats of each other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.counting import plural
from outcome.errors import CohortError, LeakageError
from outcome.tables.codes import canonical_code
from outcome.tables.ids import join_ids, slide_name, why_ids_differ
from outcome.tables.missing import NULLS, is_blank
from outcome.tables.read_table import read_table

__all__ = ["GivenFold", "detect_layout", "read_split_files", "repeats_of"]

NUMBERED = re.compile(r"splits_(\d+)\.(csv|tsv)$", re.IGNORECASE)
FOLD_COLUMN = re.compile(r"fold_?(\d+)$", re.IGNORECASE)
IDS = ("patient_id", "case_id", "slide_id")
UNUSED = frozenset({"", "-1", "unused", "nan"})
MOST_FILES = 1000


@dataclass(frozen=True)
class GivenFold:
    """One fold of a file, with patient ids."""

    repeat: int
    name: str
    development: frozenset[str]
    test: frozenset[str]


@dataclass(frozen=True)
class _Named:
    """One fold, with the ids of the file."""

    name: str
    development: frozenset[str]
    test: frozenset[str]
    repeat: int | None = None


def detect_layout(path: Path) -> str:
    """Detect the layout of split files.

    Raises
    ------
    CohortError
        No folds were found.
    """
    if path.is_file():
        columns = set(_table(path).columns)
        if {"outer_fold", "role"} <= columns:
            return "outcome"
        if any(FOLD_COLUMN.match(c) for c in columns):
            return "patho-bench"
        if _fold_column(columns):
            return "table"
        raise CohortError(
            f"split.files: {path.name} has no column fold, no columns fold_0, fold_1 ... and no "
            f"columns outer_fold and role (it has {', '.join(sorted(columns)[:8])})"
        )
    if not path.is_dir():
        raise CohortError(f"split.files: there is no file or folder {path}")
    inside = sorted(path.iterdir())
    if numbered := [p for p in inside if NUMBERED.match(p.name)]:
        table = _table(numbered[0])
        has_test = "test" in table and not is_blank(table["test"]).all()
        return "clam" if has_test else "mcat"
    if any((p / "test.csv").is_file() for p in [path, *inside]):
        return "panther"
    if _tables(path):
        return "patho-bench"
    names = ", ".join(p.name for p in inside[:3]) or "nothing"
    raise CohortError(
        f"split.files: {path} contains no folds in a known layout (it contains {names}). To do: "
        "point to a folder with splits_0.csv ..., with k=all.tsv, or with a folder per fold"
    )


def read_split_files(
    path: Path, layout: str, patients: Collection[str], slides: Mapping[str, str]
) -> tuple[list[GivenFold], list[str]]:
    """Read folds, with patient ids.

    Parameters
    ----------
    path : Path
    layout : str
        `auto` or a name from the table above.
    patients : collection of str
        All patients of the cohort.
    slides : mapping of slide to patient

    Returns
    -------
    folds : list of GivenFold
        Only with patients of the cohort.
    notes : list of str

    Raises
    ------
    CohortError
        The files are invalid.
    LeakageError
        A patient is in development and test of the same fold.
    """
    layout = detect_layout(path) if layout == "auto" else layout
    if not path.exists():
        raise CohortError(f"split.files: there is no file or folder {path}")
    named = READERS[layout](path)
    if not named:
        raise CohortError(f"split.files: {path} contains no fold of layout {layout!r}")
    everybody = {i for fold in named for i in (*fold.development, *fold.test)}
    translate = _translation(everybody, patients, slides)
    # Words for missing values are not ids, unless a patient has this id.
    everybody = {i for i in everybody if i in translate or i.casefold() not in NULLS}
    notes = [f"{plural(len(named), 'fold')} read from {path.name} ({layout})"]
    if strange := everybody - set(translate):
        reason = (
            why_ids_differ(strange, {*patients, *slides}) if len(translate) < len(strange) else ""
        )
        notes.append(
            f"{len(strange)} ids in {path.name} do not belong to a usable patient and are ignored"
            + (f" ({reason})" if reason else "")
        )
    if not translate:
        shown = ", ".join(sorted(everybody)[:3])
        reason = why_ids_differ(everybody, {*patients, *slides})
        raise CohortError(
            f"split.files: {path} contains no patient of the cohort (it contains {shown} ...)"
            + (f": {reason}" if reason else "")
        )
    folds, leaks = [], []
    drawn = repeats_of([fold.test for fold in named])
    repeats = [r if f.repeat is None else f.repeat for f, r in zip(named, drawn, strict=True)]
    for fold, repeat in zip(named, repeats, strict=True):
        test = frozenset(translate[i] for i in fold.test if i in translate)
        development = frozenset(translate[i] for i in fold.development if i in translate)
        if both := sorted(test & development):
            leaks.append(
                f"{path.name}, fold {fold.name}: {len(both)} patients are in development and in"
                f" test, e.g. {', '.join(both[:3])}"
            )
        if fold.test and not test:
            shown = ", ".join(sorted(fold.test)[:3])
            raise CohortError(
                f"{path.name}, fold {fold.name}: no patient of its test set is in the cohort (it "
                f"contains {shown}). To do: write ids as the cohort table does, or remove the "
                "fold"
            )
        if test:
            folds.append(GivenFold(repeat, fold.name, development, test))
    if leaks:
        more = f"; and {len(leaks) - 3} more folds" if len(leaks) > 3 else ""
        raise LeakageError("; ".join(leaks[:3]) + more + ". To do: split by patient, not by slide")
    return folds, notes


def _translation(
    ids: Collection[str], patients: Collection[str], slides: Mapping[str, str]
) -> dict[str, str]:
    """Return the id in the cohort of each id of the files, if present."""
    people = join_ids(ids, patients)
    bare = {i: slide_name(i) for i in ids}
    known = join_ids(bare.values(), slides)
    named = {i: slides[known[s]] for i, s in bare.items() if s in known}
    return people if len(people) >= len(named) else named


def _table(path: Path) -> pd.DataFrame:
    return read_table(path, what="split file").frame


def repeats_of(tests: Sequence[Collection[str]]) -> list[int]:
    """Return the repeat of each fold: a new one begins where a patient is tested again.

    Examples
    --------
    >>> repeats_of([{"A"}, {"B"}, {"A", "B"}, {"B"}])
    [0, 0, 1, 2]
    """
    found: list[int] = []
    tested: set[str] = set()
    repeat = 0
    for test in tests:
        if not tested.isdisjoint(test):
            repeat, tested = repeat + 1, set()
        tested |= set(test)
        found.append(repeat)
    return found


def _ids(column: pd.Series) -> frozenset[str]:
    return frozenset(column[~is_blank(column)])


def _id_column(table: pd.DataFrame, path: Path) -> pd.Series:
    found = next((c for c in IDS if c in table), None)
    if found is None:
        raise CohortError(f"{path.name} has no column {' or '.join(IDS)}")
    return table[found]


def _outcome(path: Path) -> list[_Named]:
    table = _table(path)
    needed = {"repeat", "outer_fold", "role"}
    if missing := sorted(needed - set(table.columns)):
        raise CohortError(f"{path.name} has no column {', '.join(missing)}")
    ids = _id_column(table, path)
    if bad := sorted(set(table["role"]) - {"test", "development", "unused"}):
        raise CohortError(
            f"{path.name}: role {bad[0]!r} is not one of test, development and unused"
        )
    repeats = pd.to_numeric(table["repeat"], errors="coerce")
    if repeats.isna().any() or (repeats < 0).any() or (repeats % 1 != 0).any():
        raise CohortError(f"{path.name}: column 'repeat' is not 0, 1, 2 ...")
    rows = pd.DataFrame(
        {"id": ids, "role": table["role"], "repeat": repeats, "fold": table["outer_fold"]}
    )
    tested = rows[rows["role"] == "test"].drop_duplicates()
    if (twice := tested.duplicated(["repeat", "id"])).any():
        shown = ", ".join(sorted(set(tested.loc[twice, "id"]))[:3])
        raise CohortError(
            f"{path.name}: {int(twice.sum())} patients are in the test sets of several folds of one"
            f" repeat, e.g. {shown}. To do: give these folds different values of 'repeat'"
        )
    found = []
    key: Any
    for key, part in rows.groupby(["repeat", "fold"], sort=False):
        test = frozenset(part.loc[part["role"] == "test", "id"])
        development = frozenset(part.loc[part["role"] == "development", "id"])
        found.append(_Named(str(key[1]), development, test, int(key[0])))
    return found


def _fold_column(columns: Iterable[str]) -> str:
    """Name of the column of folds in a table with one row per patient; empty without one."""
    return next((c for c in columns if c.lower() in ("fold", "outer_fold")), "")


def _table_of_folds(path: Path) -> list[_Named]:
    table = _table(path)
    column = _fold_column(map(str, table))
    if not column:
        raise CohortError(f"{path.name} has no column fold")
    known = [c for c in map(str, table) if c.lower() in (*IDS, "patient", "case")]
    others = [c for c in table if c != column]
    if not known and len(others) != 1:
        raise CohortError(f"{path.name} has no column {' or '.join(IDS)}")
    rows = pd.DataFrame(
        {"id": table[(known or others)[0]], "fold": table[column].map(canonical_code)}
    ).drop_duplicates()
    rows = rows[~is_blank(rows["id"]) & ~rows["fold"].str.casefold().isin(UNUSED)]
    if (twice := rows["id"].duplicated()).any():
        shown = ", ".join(rows.loc[twice, "id"].drop_duplicates()[:3])
        raise CohortError(
            f"{path.name}: {plural(int(twice.sum()), 'id')} in several folds, e.g. {shown}. To do: "
            "give every patient one fold; for repeats, write columns fold_0, fold_1 ... or a "
            "splits.csv"
        )
    everybody = frozenset(rows["id"])
    parts = rows.groupby("fold", sort=False)["id"].agg(frozenset)
    names = sorted(map(str, parts.index), key=lambda name: (_number(name), name))
    if len(names) < 2:
        raise CohortError(
            f"{path.name}: column {column!r} contains {plural(len(names), 'fold')}, but at least 2 "
            "are needed"
        )
    return [_Named(name, everybody - parts[name], parts[name], 0) for name in names]


def _tables(path: Path) -> list[Path]:
    """Tables of Patho-Bench: a file, or `k=all.tsv` and the like in a folder."""
    if path.is_file():
        return [path]
    found = sorted(
        p for p in path.iterdir() if p.suffix.lower() in (".tsv", ".csv") and p.is_file()
    )
    return [p for p in found if p.name.lower().startswith("k=")]


def _patho_bench(path: Path) -> list[_Named]:
    tables = _tables(path)
    if len(tables) != 1:
        names = ", ".join(p.name for p in tables[:3]) or "none"
        raise CohortError(
            f"split.files: {path} contains several tables of folds, or none ({names})"
        )
    table = _table(tables[0])
    ids = _id_column(table, tables[0])
    columns = sorted((c for c in map(str, table) if FOLD_COLUMN.match(c)), key=_number)
    if not columns:
        raise CohortError(f"{tables[0].name} has no column fold_0")
    found = []
    for column in columns:
        role = table[column].map(canonical_code).str.lower()
        known = {"train", "val", "test"}
        if bad := sorted(set(role) - known - UNUSED):
            raise CohortError(
                f"{tables[0].name}, column {column!r}: {bad[0]!r} is not one of train, val, "
                "test, -1"
            )
        development = frozenset(ids[role.isin(["train", "val"])])
        found.append(_Named(str(_number(column)), development, frozenset(ids[role == "test"])))
    return found


def _number(text: str) -> int:
    return int((re.findall(r"\d+", text) or ["0"])[-1][:9])


def _panther(path: Path) -> list[_Named]:
    places = [path] if (path / "test.csv").is_file() else sorted(path.iterdir())
    places = [p for p in places if (p / "train.csv").is_file() and (p / "test.csv").is_file()]
    found = []
    for place in sorted(places[:MOST_FILES], key=lambda p: (_number(p.name), p.name)):
        parts = {}
        for part in ("train", "val", "test"):
            file = place / f"{part}.csv"
            if file.is_file():
                parts[part] = _ids(_id_column(_table(file), file))
        development = parts["train"] | parts.get("val", frozenset())
        found.append(_Named(place.name, development, parts["test"]))
    return found


def _numbered(path: Path) -> list[tuple[str, pd.DataFrame]]:
    if not path.is_dir():
        raise CohortError(
            f"split.files: {path} is not a folder with splits_0.csv, splits_1.csv ..."
        )
    files = [(m[1], p) for p in path.iterdir() if (m := NUMBERED.match(p.name))]
    files.sort(key=lambda f: int(f[0][:9]))
    tables = []
    for number, file in files[:MOST_FILES]:
        table = _table(file)
        if missing := [c for c in ("train", "val") if c not in table]:
            raise CohortError(f"{file.name} has no column {missing[0]!r}")
        tables.append((number, table))
    return tables


def _mcat(path: Path) -> list[_Named]:
    return [_Named(n, _ids(t["train"]), _ids(t["val"])) for n, t in _numbered(path)]


def _clam(path: Path) -> list[_Named]:
    found = []
    for number, table in _numbered(path):
        if "test" not in table:
            raise CohortError(f"splits_{number}.csv has no column 'test'")
        development = _ids(table["train"]) | _ids(table["val"])
        found.append(_Named(number, development, _ids(table["test"])))
    return found


READERS = {
    "outcome": _outcome,
    "table": _table_of_folds,
    "patho-bench": _patho_bench,
    "panther": _panther,
    "mcat": _mcat,
    "clam": _clam,
}
