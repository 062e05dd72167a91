"""One reader for every table: csv, tsv, Excel and parquet, every cell as text.

Separators (comma, semicolon, tab, vertical bar), encodings (UTF-8 with or without a mark, UTF-16,
Windows-1252) and comment lines are recognised. Surrounding spaces are removed, and texts are
converted to one Unicode form (NFC), because file systems and programs differ. Malformed rows, which
other readers truncate or fill silently, are refused.
"""

from __future__ import annotations

import csv
import io
import re
import struct
import tokenize
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import CohortError, InputError
from outcome.tables.numbers import NumberFormat, number_format, plain_numbers

__all__ = ["DAMAGED", "TextTable", "as_text", "clean_text", "read_parquet", "read_table"]

LARGEST_TEXT = 1 << 30
LARGEST_SHEET = 1 << 28
MOST_CELLS = 20_000_000
MOST_EMPTY = 10_000
SAMPLE = 1 << 18
SAMPLE_ROWS = 200
SEPARATORS = ("\t", ";", "|", ",")
SHEETS = (".xlsx", ".xlsm")
PARQUET = (".parquet", ".pq")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
NUMBER = re.compile(r"[-+]?\d*[.,]?\d+")
DAMAGED = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError,
    EOFError, AttributeError, AssertionError, SyntaxError, csv.Error, struct.error, zlib.error,
    tokenize.TokenError, zipfile.BadZipFile,
)  # fmt: skip
"""Exceptions of libraries for malformed files."""


@dataclass(frozen=True)
class TextTable:
    """A table as read.

    Parameters
    ----------
    frame : DataFrame
        All cells are text without surrounding spaces; an empty cell is an empty text.
    places : tuple of str
        Position of each row: its line in a text file, its row in a sheet.
    notes : tuple of str
        Notes on how the file was read, if it is not obvious.
    separator : str
        Separator of the fields; empty for sheets and parquet.
    """

    frame: pd.DataFrame
    places: tuple[str, ...]
    notes: tuple[str, ...] = ()
    separator: str = ""

    @property
    def numbers(self) -> NumberFormat:
        """Number format of the table."""
        return number_format(self.frame, semicolons=self.separator == ";")

    def with_plain_numbers(self) -> TextTable:
        """Return the table with all numeric columns written with decimal points.

        Columns with other text, and ambiguous numbers, are unchanged.
        """
        form, notes = self.numbers, list(self.notes)
        columns = {}
        for name in map(str, self.frame.columns):
            said: list[str] = []
            plain = plain_numbers(self.frame[name], form, notes=said)
            values = pd.to_numeric(plain[plain != ""], errors="coerce")
            if said and values.notna().mean() > 0.5:
                columns[name] = plain
                notes += said
        return replace(self, frame=self.frame.assign(**columns), notes=tuple(notes))


def read_table(
    path: Path, *, what: str = "table", error: type[InputError] = CohortError
) -> TextTable:
    """Read a table.

    Parameters
    ----------
    path : Path
        A csv, tsv or other delimited text file, also as the only file in a zip archive; xlsx or
        parquet.
    what : str
        Description of the file, for the message if it is missing.
    error : type of InputError
        Exception to raise.

    Raises
    ------
    InputError
        The file is missing or damaged, or is not a rectangular table with different column names.
    """
    if not path.is_file():
        raise error(f"there is no {what} {path}")
    try:
        return _read(path)
    except CohortError as problem:
        raise error(str(problem)) from None
    except ImportError as problem:
        raise error(f"{path.name} needs a package: pip install {problem.name}") from None
    except UnicodeError:
        raise error(
            f"{path.name} is not UTF-8 text. To do: save it as UTF-8 (in Excel: CSV UTF-8)"
        ) from None
    except DAMAGED as problem:
        reason = (str(problem).splitlines() or [type(problem).__name__])[0][:200]
        raise error(f"{path.name} cannot be read as a table: {reason}") from None


def as_text(frame: pd.DataFrame, name: str = "the table") -> TextTable:
    """Return any table as text, missing values as empty texts, whole numbers without a point."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise CohortError(f"{name} has several rows of column names, but one is needed")
    text = frame.reset_index(drop=True).astype(object)
    text = text.where(text.notna(), "").map(clean_text)
    text = text.set_axis([clean_text(c) for c in frame.columns], axis=1)
    return _checked(TextTable(text, tuple(f"row {i}" for i in range(len(text)))), name)


def clean_text(value: Any) -> str:
    """Return the text of a cell: NFC, without spaces around it, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    return unicodedata.normalize("NFC", str(value)).strip().strip("\ufeff\u200b").strip()


def _read(path: Path) -> TextTable:
    suffix = path.suffix.lower()
    if suffix in PARQUET:
        return _parquet(path)
    notes: list[str] = []
    separator = ""
    if suffix in SHEETS:
        rows, where, widths = _sheet(path)
    else:
        text = _decoded(path, notes)
        hint = re.match(r"sep=([,;|\t])\r?\n", text)  # a line written by Excel
        separator = hint[1] if hint else _separator(text, suffix)
        rows, where, widths = _delimited(path, text, separator)
        if hint:
            rows, where, widths = rows.iloc[1:], where[1:], widths[1:]
    return _checked(_with_header(path, rows, where, widths, notes, separator), path.name)


def _checked(table: TextTable, name: str) -> TextTable:
    """Refuse a table without rows, or with duplicate column names."""
    names = table.frame.columns.tolist()
    if twice := sorted({h for h in names if h and names.count(h) > 1}):
        shown = ", ".join(twice[:3])
        raise CohortError(f"{name} has two columns of the same name: {shown}")
    if len(table.frame) == 0:
        raise CohortError(f"{name} has no rows")
    return table


def _with_header(
    path: Path,
    rows: pd.DataFrame,
    where: Sequence[str],
    widths: Sequence[int],
    notes: list[str],
    separator: str,
) -> TextTable:
    """Find the header below titles and comments, and check that the rest is rectangular."""
    cells = rows.map(clean_text).to_numpy(dtype=object)
    filled = [[c for c in row if c] for row in cells]
    there = [i for i, row in enumerate(filled) if row]
    comments = 0
    while comments < len(there) and cells[there[comments]][0].startswith("#"):
        comments += 1
    start = comments
    if comments and (comments == len(there) or not _is_header(filled[there[comments]])):
        start = comments - 1  # the header begins with a hash sign
        cells[there[start]][0] = cells[there[start]][0].lstrip("# ")
    if start:
        notes.append(f"{path.name}: skipped {start} comment lines above the header")
    # A title is the only cell of its row, above a header of several columns.
    while start + 1 < len(there) and len(filled[there[start]]) == 1 < len(filled[there[start + 1]]):
        if widths[there[start]] > 1 and separator:
            break
        title = filled[there[start]][0]
        notes.append(f"{path.name}: skipped the title {title[:60]!r} above the header")
        start += 1
    if start >= len(there):
        raise CohortError(f"{path.name} has no rows")
    header = list(cells[there[start]])
    width = widths[there[start]]
    body = _body(path, cells, [(i, widths[i], where[i]) for i in there[start:]], notes)
    frame = pd.DataFrame(list(cells[body, :width]), columns=header[:width], dtype=object)
    frame, places = _without_empty_columns(frame), tuple(where[i] for i in body)
    return TextTable(frame, places, tuple(notes), separator)


def _body(
    path: Path,
    cells: NDArray[np.object_],
    rows: Sequence[tuple[int, int, str]],
    notes: list[str],
) -> list[int]:
    """Return the rows of the table; the first given row is the header.

    Comments and repeated headers of concatenated tables are skipped.
    """
    head, width, _ = rows[0]
    header = list(cells[head])
    body = [r for r in rows[1:] if not _is_comment(cells[r[0]], r[1], width)]
    if left := len(rows) - 1 - len(body):
        notes.append(f"{path.name}: skipped {left} comment lines")
    if again := [line for i, _, line in body if list(cells[i]) == header]:
        notes.append(f"{path.name}: skipped repeated headers in {again[0]}")
        body = [r for r in body if list(cells[r[0]]) != header]
    for lines, what in (
        ([line for _, fields, line in body if fields < width], "fewer"),
        ([line for _, fields, line in body if fields > width], "more"),
    ):
        if lines:
            shown = ", ".join(lines[:3])
            raise CohortError(
                f"{path.name}: {len(lines)} lines have {what} fields than the header, e.g. "
                f"{shown}. To do: write every row in full, and put quotation marks around fields "
                "that contain the separator"
            )
    return [i for i, _, _ in body]


def _is_header(filled: Sequence[str]) -> bool:
    return len(set(filled)) == len(filled) and not any(NUMBER.fullmatch(c) for c in filled)


def _is_comment(row: Sequence[str], width: int, header: int) -> bool:
    return str(row[0]).startswith("#") and width != header


def _without_empty_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Remove empty columns without a name, which spreadsheets often append.

    The first other column without a name stays so (an index); further ones are numbered.
    """
    keep = [bool(c) or bool((frame.iloc[:, i] != "").any()) for i, c in enumerate(frame.columns)]
    frame = frame.loc[:, keep]
    unnamed = [i for i, c in enumerate(frame.columns) if not c][1:]
    names = [f"Unnamed: {i}" if i in unnamed else c for i, c in enumerate(frame.columns)]
    return frame.set_axis(names, axis=1)


def _decoded(path: Path, notes: list[str]) -> str:
    if path.stat().st_size > LARGEST_TEXT:
        raise CohortError(
            f"{path.name} is larger than {LARGEST_TEXT:,} bytes, too large for a table"
        )
    content = _unzipped(path) if path.suffix.lower() == ".zip" else path.read_bytes()
    text = _unicode(content)
    if text is None:
        # In Windows-1252 every byte is a character, so text must be recognised in another way.
        text = content.decode("cp1252", errors="replace")
        if CONTROL.search(text) or "\ufffd" in text:
            raise UnicodeError
        odd = next((w for w in re.findall(r"\S+", text[:SAMPLE]) if not w.isascii()), "")
        example = f" ({odd[:40]!r})" if odd else ""
        notes.append(
            f"{path.name} is not UTF-8 text; it is read as Windows-1252 (Latin-1): check letters"
            f" with accents{example}, or save it as UTF-8"
        )
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise CohortError(f"{path.name}, line {line} contains a NUL byte: the file is damaged")
    return text


def _unicode(content: bytes) -> str | None:
    """Decode UTF-16 (by its mark, or by zeros in every other byte) or UTF-8."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    head = content[: 1 << 12]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = head[start::2].count(0)
        if len(head) >= 8 and len(content) % 2 == 0 and zeros > 0.4 * len(head):
            return content.decode(name)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _unzipped(path: Path) -> bytes:
    """Content of the only table of an archive, as in MCAT."""
    with zipfile.ZipFile(path) as archive:
        inside = [m for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
        if len(inside) != 1:
            raise CohortError(
                f"{path.name} contains {len(inside)} files. To do: unzip it and give one of them"
            )
        if inside[0].file_size > LARGEST_TEXT:
            raise CohortError(f"{path.name} unpacks to more than {LARGEST_TEXT:,} bytes")
        return archive.read(inside[0])


def _separator(text: str, suffix: str) -> str:
    """Return the separator with which most rows have the number of fields of the header."""

    def fit(separator: str) -> tuple[float, int]:
        rows = _sample(text, separator)
        rows = [r for r in rows if not r[0].startswith("#")] or rows
        if not rows or (width := len(rows[0])) < 2:
            return 0.0, 0
        return round(sum(len(r) == width for r in rows) / len(rows), 1), width

    preferred = "\t" if suffix in (".tsv", ".tab") else ""
    found = {s: fit(s) for s in SEPARATORS}
    best = max(SEPARATORS, key=lambda s: (*found[s], s == preferred))
    if preferred and found[preferred][0] > 0.5:
        return preferred
    return best if found[best][1] else preferred or ","


def _sample(text: str, separator: str) -> list[list[str]]:
    head = text[:SAMPLE].lstrip("\r\n")
    try:
        rows = list(
            islice(csv.reader(io.StringIO(head, newline=""), delimiter=separator), SAMPLE_ROWS)
        )
    except csv.Error:
        return []
    if len(head) < len(text) and len(rows) < SAMPLE_ROWS:
        rows = rows[:-1]  # truncated within a character
    return [row for row in rows if any(row)]


Rows = tuple[pd.DataFrame, list[str], list[int]]


def _delimited(path: Path, text: str, separator: str) -> Rows:
    """Return the rows, with the first line and the number of fields of each.

    pandas parses the cells. The csv module counts lines and fields, which pandas does not report.
    """
    where, widths, end, cells = [], [], 0, 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    for row in reader:
        where.append(f"line {end + 1}")
        widths.append(len(row))
        end = reader.line_num
        cells += len(row)
        if cells > MOST_CELLS:
            raise CohortError(f"{path.name} has more than {MOST_CELLS:,} cells")
    if not any(widths):
        raise CohortError(f"{path.name} has no rows")
    frame = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, names=range(max(widths)), dtype=str,
        na_filter=False, skip_blank_lines=False, index_col=False, engine="c", low_memory=False,
    )  # fmt: skip
    if len(frame) != len(widths):
        raise CohortError(f"{path.name} cannot be read as a table: quotation marks do not match")
    return frame.fillna(""), where, widths


def _sheet(path: Path) -> Rows:
    """Return the rows of the first sheet that is not empty."""
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > max(LARGEST_SHEET, 4 * path.stat().st_size):
        raise CohortError(f"{path.name} unpacks to {size:,} bytes, too large for a table")
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about the formatting of the sheet
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # the size declared in the file is not trusted
                rows, where = _trimmed(sheet.iter_rows(values_only=True), path)
                if rows:
                    return pd.DataFrame(rows, dtype=object), where, [len(rows[0])] * len(rows)
        finally:
            book.close()
    raise CohortError(f"{path.name} has no rows")


def _trimmed(rows: Iterator[Sequence[Any]], path: Path) -> tuple[list[list[str]], list[str]]:
    """Rows as text, without empty rows and columns at the end of a sheet."""
    found: list[list[str]] = []
    where: list[str] = []
    cells = empty = 0
    for number, row in enumerate(rows, 1):
        text = ["" if v is None else clean_text(v) for v in row]
        cells += len(text)
        empty = 0 if any(text) else empty + 1
        if cells > MOST_CELLS or len(text) > MOST_EMPTY:
            raise CohortError(f"{path.name} has more than {MOST_CELLS:,} cells")
        if empty > MOST_EMPTY:
            break
        if any(text):
            found.append(text)
            where.append(f"row {number}")
    width = max((i + 1 for row in found for i, v in enumerate(row) if v), default=0)
    return [(row + [""] * width)[:width] for row in found], where


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a parquet file with its own types, after a check of its size.

    Raises
    ------
    CohortError
        It has too many cells, or its unpacked size is implausible.
    ValueError
        It is damaged.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with path.open("rb") as source:
            file = parquet.ParquetFile(source)
            about = file.metadata
            if about.num_rows * max(1, about.num_columns) > MOST_CELLS:
                raise CohortError(f"{path.name} has more than {MOST_CELLS:,} cells")
            groups = range(about.num_row_groups)
            size = sum(about.row_group(i).total_byte_size for i in groups)
            if size > max(LARGEST_SHEET, 4 * path.stat().st_size):
                raise CohortError(f"{path.name} unpacks to {size:,} bytes, too large for a table")
            frame: pd.DataFrame = file.read(use_threads=False).to_pandas()
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    return frame


def _parquet(path: Path) -> TextTable:
    return as_text(read_parquet(path), path.name)
