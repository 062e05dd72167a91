"""Tables as users have them: csv, tsv, xlsx and parquet, every cell as text.

Excel's own dialects are understood: a byte order mark, UTF-16, semicolons or tabs between fields,
Windows line ends. Cells are brought to one Unicode form (NFC), because file systems and programs
differ in it. What a table reader would cut off or fill in silently is refused.
"""

from __future__ import annotations

import csv
import io
import struct
import tokenize
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.cohort.ids import comma_numbers
from outcome.errors import CohortError

__all__ = ["DAMAGED", "as_text", "read_numbers", "read_text_table", "semicolons"]

LARGEST_TEXT = 1 << 30
LARGEST_SHEET = 1 << 28
MOST_CELLS = 20_000_000
MOST_EMPTY = 10_000
SEPARATORS = {".tsv": "\t", ".tab": "\t"}
SHEETS = (".xlsx", ".xlsm")
PARQUET = (".parquet", ".pq")
DAMAGED = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError,
    EOFError, AttributeError, AssertionError, SyntaxError, csv.Error, struct.error, zlib.error,
    tokenize.TokenError, zipfile.BadZipFile,
)  # fmt: skip
"""What libraries raise at files that are not what they claim to be."""


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a table, every cell as text without spaces around it; an empty cell is missing.

    Raises
    ------
    CohortError
        The file is missing, damaged, or no rectangular table with different column names.
    """
    if not path.exists():
        raise CohortError(f"there is no cohort table {path}")
    try:
        suffix = path.suffix.lower()
        if suffix in SHEETS:
            rows = _sheet(path)
        elif suffix in PARQUET:
            return _named(_parquet(path), path)
        else:
            rows = _delimited(path)
        return _named(_rectangle(rows, path), path)
    except CohortError:
        raise
    except ImportError as error:
        raise CohortError(f"{path.name} needs a package: pip install {error.name}") from None
    except UnicodeError:
        raise CohortError(
            f"{path.name} is not UTF-8 text. To do: save it as UTF-8 (in Excel: CSV UTF-8)"
        ) from None
    except DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise CohortError(f"{path.name} cannot be read as a table: {reason}") from None


def read_numbers(path: Path) -> pd.DataFrame:
    """Read a table as `read_text_table` does; where semicolons separate its fields, 1,5 is 1.5.

    Raises
    ------
    CohortError
        See `read_text_table`.
    """
    table = read_text_table(path)
    return table.apply(lambda c: comma_numbers(c)[0]) if semicolons(path) else table


def as_text(frame: pd.DataFrame, name: str = "the table") -> pd.DataFrame:
    """Return any table as text, missing values as empty strings, whole numbers without a point."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise CohortError(f"{name} has several rows of column names: one is needed")
    text = frame.reset_index(drop=True).astype(object)
    text = text.where(text.notna(), "").map(_cell)
    return _named(text.set_axis([_cell(c) for c in frame.columns], axis=1), None, name)


def semicolons(path: Path) -> bool:
    """Whether the fields of a file are separated by semicolons: then 1,5 is a number."""
    if path.suffix.lower() in (*SHEETS, *PARQUET):
        return False
    try:
        return _separator(path, _decoded(path)) == ";"
    except (OSError, ValueError):
        return False


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    return unicodedata.normalize("NFC", str(value)).strip()


def _named(table: pd.DataFrame, path: Path | None, name: str = "") -> pd.DataFrame:
    """Refuse a table without rows, or with columns that cannot be told apart."""
    name = path.name if path is not None else name
    names = table.columns.tolist()
    if twice := sorted({h for h in names if names.count(h) > 1}):
        shown = ", ".join(twice[:3])
        raise CohortError(f"{name} has two columns of the same name: {shown}")
    if len(table) == 0:
        raise CohortError(f"{name} has no rows")
    return table


def _rectangle(rows: Iterator[list[str]], path: Path) -> pd.DataFrame:
    header = next(rows, [])
    table, short, long = [], [], []
    for number, row in enumerate(rows, 2):
        if len(row) < len(header):
            short.append(number)
        elif len(row) > len(header):
            long.append(number)
        else:
            table.append(row)
        if number * len(header) > MOST_CELLS:
            raise CohortError(f"{path.name} has more than {MOST_CELLS:,} cells")
    for lines, what in ((short, "fewer"), (long, "more")):
        if lines:
            shown = ", ".join(map(str, lines[:3]))
            raise CohortError(
                f"{path.name}: {len(lines)} lines have {what} fields than the header, e.g. line"
                f" {shown}. To do: write every row in full"
            )
    frame = pd.DataFrame(table, columns=range(len(header)), dtype=object)
    return frame.map(_cell).set_axis([_cell(h) for h in header], axis=1)


def _decoded(path: Path) -> str:
    if path.stat().st_size > LARGEST_TEXT:
        raise CohortError(f"{path.name} is larger than {LARGEST_TEXT:,} bytes: no cohort table")
    content = _unzipped(path) if path.suffix.lower() == ".zip" else path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16")
    else:
        text = content.decode("utf-8-sig")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise CohortError(f"{path.name}, line {line} holds a NUL byte: the file is damaged")
    return text


def _unzipped(path: Path) -> bytes:
    """Content of the only table of an archive, as MCAT's tables are."""
    with zipfile.ZipFile(path) as archive:
        inside = [m for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
        if len(inside) != 1:
            raise CohortError(f"{path.name} holds {len(inside)} files. To do: unzip it, name one")
        if inside[0].file_size > LARGEST_TEXT:
            raise CohortError(f"{path.name} unpacks to more than {LARGEST_TEXT:,} bytes")
        return archive.read(inside[0])


def _separator(path: Path, text: str) -> str:
    """Tab by the file's name; otherwise what divides the header into most fields."""
    if path.suffix.lower() in SEPARATORS:
        return "\t"
    header = text.lstrip("\r\n").partition("\n")[0][:100_000]
    found = {s: len(next(csv.reader([header], delimiter=s), [])) for s in ",;\t"}
    return max(found, key=lambda s: found[s])


def _delimited(path: Path) -> Iterator[list[str]]:
    text = _decoded(path)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=_separator(path, text), strict=True
    )
    for row in reader:
        if row:
            yield row


def _sheet(path: Path) -> Iterator[list[str]]:
    """Rows of the first sheet that holds any."""
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > max(LARGEST_SHEET, 4 * path.stat().st_size):
        raise CohortError(f"{path.name} unpacks to {size:,} bytes: no cohort table")
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about decorations of the sheet
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # what the file claims is not believed
                rows = _trimmed(sheet.iter_rows(values_only=True), path)
                if rows:
                    return iter(rows)
        finally:
            book.close()
    return iter(())


def _trimmed(rows: Iterator[Sequence[Any]], path: Path) -> list[list[str]]:
    """Rows as text, without the empty rows and columns that a sheet trails."""
    found: list[list[str]] = []
    cells = empty = 0
    for row in rows:
        text = ["" if v is None else _cell(v) for v in row]
        cells += len(text)
        empty = 0 if any(text) else empty + 1
        if cells > MOST_CELLS or len(text) > MOST_EMPTY:
            raise CohortError(f"{path.name} has more than {MOST_CELLS:,} cells")
        if empty > MOST_EMPTY:
            break
        if any(text):
            found.append(text)
    width = max((i + 1 for row in found for i, v in enumerate(row) if v), default=0)
    return [(row + [""] * width)[:width] for row in found]


def _parquet(path: Path) -> pd.DataFrame:
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
                raise CohortError(f"{path.name} unpacks to {size:,} bytes: no cohort table")
            frame = file.read(use_threads=False).to_pandas()
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    return as_text(frame, path.name)
