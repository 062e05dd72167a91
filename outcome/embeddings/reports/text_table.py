"""Report texts of users: a table with a text per patient, or a folder of text files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from outcome.errors import EmbeddingError, Problems
from outcome.tables.dates import parse_dates
from outcome.tables.missing import is_blank, is_missing
from outcome.tables.read_table import TextTable, as_text, read_table

__all__ = ["ReportTable", "read_report_texts"]


@dataclass(frozen=True)
class ReportTable:
    """Texts of patients, as read.

    Parameters
    ----------
    texts : mapping of patient to str
        In order of the ids. Several rows of a patient are joined to one text, in the order of the
        table.
    dates : mapping of patient to date
        Latest date of the reports of a patient, if there is a column of dates.
    empty : tuple of str
        Patients with a row, but without a text.
    """

    texts: Mapping[str, str]
    dates: Mapping[str, date]
    empty: tuple[str, ...] = ()


def read_report_texts(
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
        A table (csv, tsv, xlsx or parquet), or a folder with a file `<patient id>.txt` per patient.
    patient, text : str
        Columns of the ids and of the texts.
    when : str, optional
        Column of the reports' dates (written as 2014-03-31).

    Raises
    ------
    EmbeddingError
        The texts are invalid; the message lists all problems.
    """
    problems = Problems(f"report texts {path.name}")
    if path.is_dir():
        read = _folder(path, patient, text)
    else:
        read = read_table(path, what="table of report texts", error=EmbeddingError)
    frame = read.frame
    wanted = [patient, text, *([when] if when else [])]
    if missing := [c for c in wanted if c not in frame.columns]:
        columns = ", ".join(map(repr, frame.columns[:20]))
        for column in missing:
            problems.add(
                f"there is no column {column!r}",
                remedy=f"give the columns of ids and texts; the columns are {columns}",
            )
        problems.raise_if_any(EmbeddingError)
    nameless = is_blank(frame[patient])
    if nameless.any():
        lines = [read.places[i] for i in np.flatnonzero(nameless).tolist()]
        problems.add(f"column {patient!r} is empty", lines, "give every text a patient id")
    dates = _dates(frame, patient, when, problems) if when else {}
    problems.raise_if_any(EmbeddingError)
    bare = frame[text].str.strip()
    full = frame.assign(**{text: bare})[~is_blank(bare)].drop_duplicates([patient, text])
    joined = full.groupby(patient, sort=True)[text].agg("\n\n".join)
    texts = {str(p): str(t) for p, t in joined.items()}
    empty = sorted(set(frame[patient]) - set(texts))
    if not texts:
        raise EmbeddingError(f"{path.name} has no text in column {text!r}")
    return ReportTable(texts, dates, tuple(empty))


def _folder(path: Path, patient: str, text: str) -> TextTable:
    files = sorted(p for p in path.iterdir() if p.suffix.lower() == ".txt" and p.is_file())
    if not files:
        raise EmbeddingError(f"{path} contains no file <patient id>.txt")
    try:
        rows = [(f.stem, f.read_text(encoding="utf-8-sig")) for f in files]
    except UnicodeDecodeError as error:
        raise EmbeddingError(f"{path} contains a file that is not UTF-8 text ({error})") from None
    return as_text(pd.DataFrame(rows, columns=[patient, text]), path.name)


def _dates(frame: pd.DataFrame, patient: str, when: str, problems: Problems) -> dict[str, date]:
    blank = is_missing(frame[when])
    found = parse_dates(frame[when])
    if (bad := ~blank & found.isna()).any():
        rows = frame.loc[bad, [patient, when]].itertuples(index=False, name=None)
        problems.add(
            f"column {when!r} is not a date", [f"{p} ({w!r})" for p, w in rows], "write 2014-03-31"
        )
    latest = found.groupby(frame[patient]).max().dropna()
    return {str(p): t.date() for p, t in latest.items()}
