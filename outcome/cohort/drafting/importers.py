"""Import cohorts of other tools (CLAM, MCAT, SurvPath, PANTHER, Patho-Bench, STAMP).

| layout | what is read |
|---|---|
| `patho-bench` | `k=all.tsv`: `case_id, slide_id`, a task or `<task>_event, _days`, `fold_0` ... |
| `panther` | a folder per fold, `train.csv` and `test.csv`: `os_survival_days, os_censorship` .. |
| `mcat` | a table with `survival_months, censorship` and `splits_0.csv` ... of cases |
| `survpath` | the same with `[_dss, _pfi]` endings, and a clinical table |
| `clam` | a table with `case_id, slide_id, label` and `splits_0.csv` ... of slides |
| `stamp` | a clinical table (`PATIENT`) and a slide table (`PATIENT, FILENAME`) |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort.drafting.drafts import Draft, endpoint_comments
from outcome.cohort.drafting.endpoint_section import (
    SURVIVAL,
    UNDECLARED,
    binary_section,
    guessed_section,
    survival_section,
)
from outcome.cohort.drafting.guess_columns import FILE_SUFFIX, guess
from outcome.cohort.split_files import GivenFold, read_split_files
from outcome.errors import CohortError
from outcome.tables.ids import slide_name
from outcome.tables.missing import is_missing
from outcome.tables.read_table import read_table

__all__ = ["LAYOUTS", "Source", "draft_import"]

TABLES = (".csv", ".tsv", ".xlsx", ".parquet", ".zip")
OMICS = re.compile(r"_(rnaseq|cnv|mut)$")
COVARIATES = {
    "age": "numeric", "is_female": "categorical", "sex": "categorical", "gender": "categorical",
    "stage": "categorical", "grade": "categorical", "subtype": "categorical",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where a peer's files are, and what the user says of them.

    Parameters
    ----------
    path : Path
        Folder or table.
    splits, table : Path or None
        Split files and a further table (clinical or of slides), where they are elsewhere.
    endpoint : str
        Which of several: `os`, `dss`, `pfi`, or a task; empty for the first.
    positive : str
        Code of the positive class of a label.
    columns : mapping
        `time`, `event`, `unit`: of tables that name them freely.
    """

    path: Path
    splits: Path | None = None
    table: Path | None = None
    endpoint: str = ""
    positive: str = ""
    columns: Mapping[str, str] | None = None


def draft_import(layout: str, source: Source, name: str, patches: Sequence[str]) -> Draft:
    """Read a peer's files.

    Parameters
    ----------
    layout : str
        One of `LAYOUTS`.
    source : Source
    name : str
        Of the study.
    patches : sequence of str
        Folders of features, as the study file shall name them.

    Raises
    ------
    CohortError
        The files are not what the layout says.
    """
    if not source.path.exists():
        raise CohortError(f"there is no file or folder {source.path}")
    found = LAYOUTS[layout](source)
    table, endpoint = found.table, found.endpoint
    study: dict[str, Any] = {
        "name": name,
        "cohort": "cohort.csv",
        "columns": {"patient": found.patient, "slide": found.slide or None},
        "endpoint": endpoint,
        "embeddings": {
            "patches": list(patches) if len(patches) > 1 else (*patches, "features/")[0]
        },
    }
    covariates = _covariates(table, endpoint)
    if covariates:
        study["covariates"] = covariates
    study |= {"arms": ["image"], "baseline": "image"}
    study["split"] = {"files": "splits.csv"} if found.folds else {"folds": 5, "seed": 0}
    if "site" in table and not found.folds:
        study["split"]["site"] = "site"
    comments = {
        "name": f"Imported from {layout} files.",
        "endpoint": endpoint_comments(endpoint),
        "embeddings": "the folder (or folders) of patch embeddings, one file per slide",
    }
    if not patches:
        comments["embeddings"] += ": CORRECT THIS"
    return Draft(study, comments, table, found.folds, found.others or {}, _understood(found))


@dataclass(frozen=True)
class _Parts:
    table: pd.DataFrame
    patient: str
    slide: str
    endpoint: dict[str, Any]
    folds: Sequence[GivenFold] = ()
    others: Mapping[str, pd.DataFrame] | None = None
    notes: Sequence[str] = ()


def _understood(found: _Parts) -> list[str]:
    endpoint = found.endpoint
    said = []
    if endpoint["kind"] == "binary":
        said.append(f"outcome: column {endpoint['label']!r}, positive: {endpoint['positive']}")
        if endpoint["positive"] == UNDECLARED:
            codes = sorted(set(found.table[endpoint["label"]]) - {""})
            said.append(f"its codes are {', '.join(codes[:10])}: say which is positive")
    else:
        said.append(f"times: column {endpoint['time']!r}, in {endpoint['unit']}")
        if "censored" in endpoint:
            said.append(f"column {endpoint['censored']!r} is inverted: 1 = censored, 0 = event")
        elif "event_codes" in endpoint:
            said.append(f"codes of {endpoint['event']!r} are for you to declare")
        else:
            said.append(f"column {endpoint['event']!r}: 1 = event")
    if found.folds:
        repeats = len({f.repeat for f in found.folds})
        said.append(f"{len(found.folds)} folds in {repeats} repeat{'s' if repeats > 1 else ''}")
    said += [f"also written: {name} ({len(t)} rows)" for name, t in (found.others or {}).items()]
    return [*said, *found.notes]


def _covariates(table: pd.DataFrame, endpoint: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for column, kind in COVARIATES.items():
        if column in table and column not in endpoint.values():
            blank = is_missing(table[column])
            numbers = pd.to_numeric(table[column].where(~blank), errors="coerce")
            if not blank.all() and (kind == "categorical" or numbers[~blank].notna().all()):
                found.setdefault(kind, []).append(column)
    return found


def _require(table: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    if missing := [c for c in columns if c not in table]:
        raise CohortError(
            f"{where} has no column {', '.join(map(repr, missing))} (it has"
            f" {', '.join(map(str, table.columns[:12]))})"
        )


def _folds(
    path: Path | None, layout: str, table: pd.DataFrame, patient: str, slide: str
) -> tuple[list[GivenFold], list[str]]:
    """Read the folds; ids that are not in the table are noted."""
    if path is None:
        return [], ["no split files were found: folds will be drawn"]
    slides = dict(zip(table[slide].map(slide_name), table[patient], strict=True)) if slide else {}
    return read_split_files(path, layout, frozenset(table[patient]), slides)


def _find(folder: Path, fits: Callable[[pd.DataFrame], bool]) -> tuple[Path, pd.DataFrame] | None:
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


def _numbered_splits(source: Source, table: Path) -> Path | None:
    """Find `splits_0.csv` below the folder, or in MCAT's `splits` next to it.

    Raises
    ------
    CohortError
        There are several, and not one alone has the name of the table.
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
            f"{len(chosen)} folders hold splits_0.csv ({names}). To do: name one with `splits=`"
        )
    return chosen[0] if chosen else None


def _patho_bench(source: Source) -> _Parts:
    path = source.path
    if path.is_dir():
        tables = sorted(path.glob("*.tsv"))
        tables = [p for p in tables if p.name == "k=all.tsv"] or tables
        if len(tables) != 1:
            names = ", ".join(p.name for p in tables[:3]) or "none"
            raise CohortError(f"{path} should hold one table of a task, k=all.tsv (found: {names})")
        path = tables[0]
    table = read_table(path).frame
    _require(table, ["case_id", "slide_id"], path.name)
    tasks = [c.removesuffix("_event") for c in map(str, table) if c.endswith("_event")]
    tasks = [t for t in tasks if f"{t}_days" in table]
    folds, notes = _folds(source.splits or path, "patho-bench", table, "case_id", "slide_id")
    if tasks and (not source.endpoint or source.endpoint in tasks):
        task = source.endpoint or tasks[0]
        endpoint: dict[str, Any] = {"kind": "survival", "time": f"{task}_days"}
        endpoint |= {"event": f"{task}_event", "unit": "days"}
    else:
        rest = [c for c in map(str, table) if c not in ("case_id", "slide_id")]
        rest = [c for c in rest if not re.match(r"fold_?\d+$", c)]
        label = source.endpoint or (rest[0] if len(rest) == 1 else "")
        if label not in table:
            raise CohortError(f"say which task with `endpoint=`: {', '.join(rest[:10])}")
        endpoint = binary_section(table, label, source.positive)
    outcome = [c for c in endpoint.values() if isinstance(c, str) and c in table]
    kept = ["case_id", "slide_id", *outcome]
    return _Parts(table[kept], "case_id", "slide_id", endpoint, folds, notes=notes)


def _panther(source: Source) -> _Parts:
    path = source.path
    places = (
        [path] if (path / "test.csv").is_file() else sorted(p for p in path.glob("*") if p.is_dir())
    )
    parts, others = [], {}
    for place in places:
        for file in sorted(place.glob("*.csv")):
            if file.stem in ("train", "val", "test"):
                parts.append(read_table(file).frame)
            elif file.stem.startswith("test_") and f"cohort_{file.stem[5:]}.csv" not in others:
                others[f"cohort_{file.stem[5:]}.csv"] = read_table(file).frame
    if not parts:
        raise CohortError(f"{path} holds no folder with train.csv and test.csv")
    table = pd.concat(parts, ignore_index=True).fillna("")
    _require(table, ["case_id", "slide_id"], "train.csv")
    table = _once_per_slide(table, "slide_id", "train.csv and test.csv")
    endpoint = survival_section(table, source.endpoint, "train.csv")
    folds, notes = _folds(source.splits or path, "panther", table, "case_id", "slide_id")
    return _Parts(table, "case_id", "slide_id", endpoint, folds, others, notes)


def _once_per_slide(table: pd.DataFrame, slide: str, where: str) -> pd.DataFrame:
    """Drop rows that repeat in every fold; the same slide with other values is refused."""
    table = table.drop_duplicates()
    twice = table.loc[table[slide].duplicated(), slide].tolist()
    if twice:
        raise CohortError(
            f"{where}: {len(twice)} slides have different values in different folds, e.g."
            f" {', '.join(twice[:3])}"
        )
    return table.reset_index(drop=True)


def _mcat(source: Source) -> _Parts:
    def fits(table: pd.DataFrame) -> bool:
        return {"case_id", "slide_id"} <= set(table) and any(map(SURVIVAL.match, map(str, table)))

    found = _find(source.path, fits)
    if found is None:
        raise CohortError(
            f"{source.path} holds no table with case_id, slide_id and survival_months"
        )
    path, table = found
    _require(table, ["case_id", "slide_id"], path.name)
    notes = []
    omics = [c for c in map(str, table) if OMICS.search(c)]
    if omics:
        notes.append(f"{len(omics)} columns of molecular data are left out")
    blank = [c for c in map(str, table) if c == "" or c.startswith("Unnamed")]
    table = table.drop(columns=[*omics, *blank])
    endpoint = survival_section(table, source.endpoint, path.name)
    clinical = source.table or None
    if clinical is not None:
        table = _joined(table, read_table(clinical).frame, clinical.name)
    folds, said = _folds(_numbered_splits(source, path), "mcat", table, "case_id", "slide_id")
    return _Parts(table, "case_id", "slide_id", endpoint, folds, notes=[*notes, *said])


def _survpath(source: Source) -> _Parts:
    if source.table is None and source.path.is_dir():
        clinical = _find(
            source.path,
            lambda t: (
                "case_id" in t
                and bool({"stage", "grade", "subtype"} & set(t))
                and not any(map(SURVIVAL.match, map(str, t)))
            ),
        )
        if clinical is not None:
            source = Source(**{**vars(source), "table": clinical[0]})
    return _mcat(source)


def _joined(table: pd.DataFrame, clinical: pd.DataFrame, name: str) -> pd.DataFrame:
    _require(clinical, ["case_id"], name)
    new = [c for c in clinical if c == "case_id" or c not in table]
    if clinical["case_id"].duplicated().any():
        raise CohortError(f"{name} has a case more than once")
    return table.merge(clinical[new], on="case_id", how="left").fillna("")


def _clam(source: Source) -> _Parts:
    found = _find(source.path, lambda t: {"case_id", "slide_id", "label"} <= set(t))
    if found is None:
        raise CohortError(f"{source.path} holds no table with case_id, slide_id and label")
    path, table = found
    _require(table, ["case_id", "slide_id", "label"], path.name)
    endpoint = binary_section(table, "label", source.positive)
    folds, notes = _folds(_numbered_splits(source, path), "clam", table, "case_id", "slide_id")
    return _Parts(table, "case_id", "slide_id", endpoint, folds, notes=notes)


def _stamp(source: Source) -> _Parts:
    clini = _find(source.path, lambda t: "PATIENT" in t and "FILENAME" not in t)
    if clini is None:
        raise CohortError(f"{source.path} holds no clinical table (with a column PATIENT)")
    path, table = clini
    _require(table, ["PATIENT"], path.name)
    where = source.table or source.path
    slides = _find(
        where if where.is_dir() or source.table else where.parent, lambda t: "FILENAME" in t
    )
    slide, notes = "", []
    if slides is None:
        notes.append("no slide table (with a column FILENAME): files are looked for by patient")
    else:
        name, names = slides
        _require(names, ["PATIENT", "FILENAME"], name.name)
        slide = "FILENAME"
        names = names[["PATIENT", "FILENAME"]].drop_duplicates()
        names = names.assign(FILENAME=names["FILENAME"].map(_file_stem))
        without = sorted(set(names["PATIENT"]) - set(table["PATIENT"]))
        if without:
            notes.append(
                f"{len(without)} patients of {name.name} are not in {path.name}: left out, e.g."
                f" {', '.join(without[:3])}"
            )
        if "FILENAME" in table:  # one table is both
            table = table.drop(columns="FILENAME").drop_duplicates()
        table = table.merge(names, on="PATIENT", how="left").fillna("")
    given = {"patient": "PATIENT", "slide": slide, **(source.columns or {})}
    if source.endpoint:
        given["label"] = source.endpoint
    guessed = guess(table, (), given)
    endpoint = guessed_section(guessed, table, source.positive)
    return _Parts(table, "PATIENT", slide, endpoint, notes=notes)


def _file_stem(value: str) -> str:
    return FILE_SUFFIX.sub("", value.replace("\\", "/").rpartition("/")[2])


LAYOUTS: Mapping[str, Callable[[Source], _Parts]] = {
    "patho-bench": _patho_bench,
    "panther": _panther,
    "mcat": _mcat,
    "survpath": _survpath,
    "clam": _clam,
    "stamp": _stamp,
}
