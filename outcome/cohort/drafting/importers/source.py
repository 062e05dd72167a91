"""Input and result of importers, and shared steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort.drafting.guess_columns import FILE_SUFFIX
from outcome.cohort.split_files import GivenFold, read_split_files
from outcome.errors import CohortError
from outcome.tables.ids import slide_name
from outcome.tables.read_table import read_table

__all__ = [
    "Imported", "Source", "file_stem", "find_table", "joined", "numbered_splits",
    "once_per_slide", "one_fold", "read_folds", "require_columns",
]  # fmt: skip

TABLES = (".csv", ".tsv", ".xlsx", ".parquet", ".zip")


@dataclass(frozen=True)
class Source:
    """Location of the files of another tool, and the choices of the user.

    Parameters
    ----------
    path : Path
        Folder or table.
    splits, table : Path or None
        Split files and a further table (clinical or of slides), if they are in another place.
    endpoint : str
        Endpoint, if there are several: `os`, `dss`, `pfi`, or a task; empty for the first.
    positive : str
        Code of the positive class of a label.
    columns : mapping
        `time`, `event`, `unit`, for tables with free column names.
    """

    path: Path
    splits: Path | None = None
    table: Path | None = None
    endpoint: str = ""
    positive: str = ""
    columns: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Imported:
    """Result of an importer.

    Parameters
    ----------
    table : DataFrame
        The cohort table, all cells as text.
    patient, slide : str
        Columns; `slide` is empty if the files have none.
    endpoint : dict
        The section of the study file.
    folds : sequence of GivenFold
    others : mapping of file name to DataFrame
        Further tables to write.
    notes : sequence of str
    covariates : mapping of kind to sequence of str, optional
        By default the clinical columns recognised by name.
    patches : sequence of str
        Folders of features named in the files.
    slide_name : pattern, optional
        Of the names of slides, with the group `patient`, where they do not begin with the patient's
        id.
    on_missing : mapping, optional
        What the study does with the missing data that are known from this source.
    """

    table: pd.DataFrame
    patient: str
    slide: str
    endpoint: dict[str, Any]
    folds: Sequence[GivenFold] = ()
    others: Mapping[str, pd.DataFrame] | None = None
    notes: Sequence[str] = ()
    covariates: Mapping[str, Sequence[str]] | None = None
    patches: Sequence[str] = ()
    slide_name: re.Pattern[str] | None = None
    on_missing: Mapping[str, str] | None = None


def require_columns(table: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    """Refuse a table with missing columns.

    Raises
    ------
    CohortError
        Some columns are missing.
    """
    if missing := [c for c in columns if c not in table]:
        raise CohortError(
            f"{where} has no column {', '.join(map(repr, missing))} (it has"
            f" {', '.join(map(str, table.columns[:12]))})"
        )


def read_folds(
    path: Path | None, layout: str, table: pd.DataFrame, patient: str, slide: str
) -> tuple[list[GivenFold], list[str]]:
    """Read the folds; ids that are not in the table are reported."""
    if path is None:
        return [], ["no split files were found: folds will be drawn"]
    slides = dict(zip(table[slide].map(slide_name), table[patient], strict=True)) if slide else {}
    return read_split_files(path, layout, frozenset(table[patient]), slides)


def one_fold(
    name: str, development: Collection[str], test: Collection[str], where: str
) -> GivenFold:
    """Return a fold, none of whose patients is in training and test.

    Raises
    ------
    CohortError
        Some are; `where` says in which file.
    """
    if both := sorted(set(test) & set(development)):
        raise CohortError(
            f"{where}: {len(both)} patients are in training and test, e.g. {', '.join(both[:3])}."
            " To do: keep all slides of a patient in one part"
        )
    return GivenFold(0, name, frozenset(development), frozenset(test))


def find_table(
    folder: Path, fits: Callable[[pd.DataFrame], bool]
) -> tuple[Path, pd.DataFrame] | None:
    """Return the first table of a folder, or two levels below, with certain columns."""
    if folder.is_file():
        return folder, read_table(folder).with_plain_numbers().frame
    places = [p for depth in ("*", "*/*") for p in sorted(folder.glob(depth))]
    for path in [p for p in places if p.suffix.lower() in TABLES and p.is_file()][:200]:
        if re.match(r"splits_\d", path.name):
            continue
        try:
            table = read_table(path).with_plain_numbers().frame
        except CohortError:
            continue
        if fits(table):
            return path, table
    return None


def numbered_splits(source: Source, table: Path) -> Path | None:
    """Find `splits_0.csv` below the folder, or in MCAT's `splits` next to it.

    Raises
    ------
    CohortError
        There are several, and not exactly one has the name of the table.
    """
    if source.splits is not None:
        return source.splits
    start = source.path if source.path.is_dir() else source.path.parent
    places = (start, start.parent / "splits")
    found = next((f for p in places if (f := sorted(p.rglob("splits_0.csv")))), [])
    folders = [path.parent for path in found]
    named = [f for f in folders if table.name.lower().startswith(f.name.lower())]
    chosen = named if len(named) == 1 else folders
    if len(chosen) > 1:
        names = ", ".join(str(f.relative_to(start.parent)) for f in chosen[:3])
        raise CohortError(
            f"{len(chosen)} folders contain splits_0.csv ({names}). To do: give one with `splits=`"
        )
    return chosen[0] if chosen else None


def once_per_slide(table: pd.DataFrame, slide: str, where: str) -> pd.DataFrame:
    """Drop rows repeated in every fold; a slide with different values is refused."""
    table = table.drop_duplicates()
    twice = table.loc[table[slide].duplicated(), slide].tolist()
    if twice:
        raise CohortError(
            f"{where}: {len(twice)} slides have different values in different folds, e.g."
            f" {', '.join(twice[:3])}"
        )
    return table.reset_index(drop=True)


def joined(table: pd.DataFrame, clinical: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add missing columns from a clinical table, by `case_id`."""
    require_columns(clinical, ["case_id"], name)
    new = [c for c in clinical if c == "case_id" or c not in table]
    if clinical["case_id"].duplicated().any():
        raise CohortError(f"a case occurs more than once in {name}")
    return table.merge(clinical[new], on="case_id", how="left").fillna("")


def file_stem(value: str) -> str:
    """Return the name of a feature file without its folder and suffix."""
    return FILE_SUFFIX.sub("", value.replace("\\", "/").rpartition("/")[2])
