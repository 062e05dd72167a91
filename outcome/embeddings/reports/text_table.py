"""Report texts as users have them: a table with a text per patient, or a folder of text files."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from outcome.endpoint import is_blank
from outcome.errors import EmbeddingError, Problems

__all__ = ["ReportTable", "read_text_table"]


@dataclass(frozen=True)
class ReportTable:
    """Texts of patients, as they were read.

    Parameters
    ----------
    texts : mapping of patient to str
        In order of the ids. Several rows of one patient are one text, in the table's order.
    dates : mapping of patient to date
        Latest date of the patient's reports, where a column gives it.
    empty : tuple of str
        Patients with a row, but without a text.
    """

    texts: Mapping[str, str]
    dates: Mapping[str, date]
    empty: tuple[str, ...] = ()


def read_text_table(
    path: Path,
    *,
    patient: str = "patient_id",
    text: str = "text",
    when: str | None = None,
) -> ReportTable:
    """Read report texts.

    Parameters
    ----------
    path : Path
        A csv or tsv table, or a folder with a file `<patient id>.txt` per patient.
    patient, text : str
        Columns of the ids and of the texts.
    when : str, optional
        Column of the reports' dates (written as 2014-03-31).

    Raises
    ------
    EmbeddingError
        Everything that is wrong with it, at once.
    """
    problems = Problems(f"report texts {path.name}")
    frame = _folder(path, patient, text) if path.is_dir() else _table(path)
    wanted = [patient, text, *([when] if when else [])]
    if missing := [c for c in wanted if c not in frame.columns]:
        columns = ", ".join(map(repr, frame.columns[:20]))
        for column in missing:
            problems.add(
                f"there is no column {column!r}",
                remedy=f"name the columns of ids and texts; there are {columns}",
            )
        problems.raise_if_any(EmbeddingError)
    nameless = is_blank(frame[patient])
    if nameless.any():
        lines = [f"row {i + 1}" for i in frame.index[nameless]]
        problems.add(f"column {patient!r} is empty", lines, "give every text a patient id")
    dates = _dates(frame, patient, when, problems) if when else {}
    problems.raise_if_any(EmbeddingError)
    bare = frame[text].str.strip()
    full = frame.assign(**{text: bare})[~is_blank(bare)].drop_duplicates([patient, text])
    joined = full.groupby(patient, sort=True)[text].agg("\n\n".join)
    texts = {str(p): str(t) for p, t in joined.items()}
    empty = sorted(set(frame[patient]) - set(texts))
    if not texts:
        raise EmbeddingError(f"{path.name} holds no text in column {text!r}")
    return ReportTable(texts, dates, tuple(empty))


def _folder(path: Path, patient: str, text: str) -> pd.DataFrame:
    files = sorted(p for p in path.iterdir() if p.suffix.lower() == ".txt" and p.is_file())
    if not files:
        raise EmbeddingError(f"{path} holds no file <patient id>.txt")
    try:
        rows = [(f.stem, f.read_text(encoding="utf-8-sig")) for f in files]
    except UnicodeDecodeError as error:
        raise EmbeddingError(f"{path} holds a file that is not UTF-8 text ({error})") from None
    return pd.DataFrame(rows, columns=[patient, text])


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise EmbeddingError(f"there is no table of report texts {path}")
    separator = "\t" if path.suffix.lower() in (".tsv", ".txt") else ","
    try:
        if b"\0" in path.read_bytes():
            raise EmbeddingError(f"{path.name} holds a NUL byte: it is damaged, or no text table")
        table = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        if isinstance(error, EmbeddingError):
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise EmbeddingError(f"{path.name} cannot be read as a table: {reason}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise EmbeddingError(f"{path.name}: rows have more fields than the header has columns")
    names = [str(c).strip() for c in table.columns]
    table = table.set_axis(names, axis=1).fillna("")
    ids = [c for c in names if table[c].str.len().max() < 500]
    return table.assign(**{c: table[c].str.strip() for c in ids})


def _dates(frame: pd.DataFrame, patient: str, when: str, problems: Problems) -> dict[str, date]:
    blank = is_blank(frame[when])
    found = pd.to_datetime(frame[when].where(~blank), format="ISO8601", errors="coerce", utc=True)
    if (bad := ~blank & found.isna()).any():
        rows = frame.loc[bad, [patient, when]].itertuples(index=False, name=None)
        problems.add(
            f"column {when!r} is not a date", [f"{p} ({w!r})" for p, w in rows], "write 2014-03-31"
        )
    latest = found.groupby(frame[patient]).max().dropna()
    return {str(p): t.date() for p, t in latest.items()}
