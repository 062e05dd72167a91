"""Slide vectors in a parquet, csv or tsv table: a column of ids and columns of numbers.

The vectors are the columns whose names are one word and a number (`0`, `f12`, `titan_3`), the
largest such group of a table, in the order of their numbers; or one column of lists (parquet). The
ids are the first column named after slides, else after patients, else the first column without
numbers. A column `encoder` names the encoder of each row.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.embeddings.patches.readers.content import Names
from outcome.embeddings.patches.readers.vector_table import VectorTable, one_encoder
from outcome.errors import EmbeddingError
from outcome.tables.read_table import as_text, read_parquet, read_table

__all__ = ["read_text_vectors"]

NUMBERED = re.compile(r"(?P<word>.*?)(?P<number>\d+)")
SLIDE = re.compile(r"slide|wsi|image|file|scan", re.IGNORECASE)
PATIENT = re.compile(r"patient|case|subject|submitter|^id$", re.IGNORECASE)
ENCODER = "encoder"
FEWEST = 2


def read_text_vectors(path: Path, names: Names) -> VectorTable:
    """Read a table of vectors; `names.features` is the word before the numbers, or a list column.

    Raises
    ------
    EmbeddingError
        It has no columns of vectors, several encoders, or cells that are not numbers.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        table = read_parquet(path)
        table = table.set_axis([str(c).strip() for c in table.columns], axis=1)
    else:
        table = read_table(path, error=EmbeddingError).with_plain_numbers().frame
    lists = _list_columns(table, names, path.name)
    columns = [] if lists else _vector_columns(table, names, path.name)
    rest = [c for c in table.columns if c not in columns and c not in lists]
    if not rest:
        raise EmbeddingError(f"{path.name} has no column of slide or patient ids")
    text = as_text(table[rest], path.name).frame
    key = next(
        (c for pattern in (SLIDE, PATIENT) for c in rest if pattern.search(c)),
        next((c for c in rest if not _is_number(text[c])), rest[0]),
    )
    encoder = one_encoder(text[ENCODER].tolist(), path.name) if ENCODER in rest else ""
    features = (
        _stacked(table[lists[0]], path.name)
        if lists
        else _as_numbers(table[columns], text[key], path.name)
    )
    return VectorTable(text[key].tolist(), features, encoder, "table", path.name)


def _list_columns(table: pd.DataFrame, names: Names, name: str) -> list[str]:
    """Return the column of lists; the declared one if there are several."""
    lists = [
        c
        for c in table.columns
        if table[c].dtype == object and len(table) and isinstance(table[c].iloc[0], np.ndarray)
    ]
    if names.features:
        return [c for c in lists if c == names.features]
    if len(lists) > 1:
        raise EmbeddingError(
            f"{name} has several columns of vectors: {', '.join(lists[:5])}. To do: give one: "
            "`layout: {features: ...}` under `embeddings`"
        )
    return lists


def _vector_columns(table: pd.DataFrame, names: Names, name: str) -> list[str]:
    groups: dict[str, dict[int, str]] = defaultdict(dict)
    for column in table.columns:
        if match := NUMBERED.fullmatch(column):
            groups[match["word"]].setdefault(int(match["number"][:9]), column)
    if names.features is not None:
        chosen = names.features if names.features in groups else f"{names.features}_"
        groups = {chosen: groups.get(chosen, {})}
    best = max(groups.values(), key=len, default={})
    if len(best) < FEWEST:
        shown = ", ".join(map(str, table.columns[:8]))
        raise EmbeddingError(
            f"{name} has no columns of vectors, such as f0, f1, f2 (it has {shown}). To do: name"
            " the columns by one word and a number"
        )
    rivals = [word for word, found in groups.items() if len(found) == len(best)]
    if len(rivals) > 1:
        raise EmbeddingError(
            f"{name} contains several vectors per row ({', '.join(map(repr, rivals[:5]))}). To "
            "do: give one: `layout: {features: ...}` under `embeddings`"
        )
    return [best[number] for number in sorted(best)]


def _as_numbers(table: pd.DataFrame, ids: pd.Series, name: str) -> NDArray[Any]:
    values = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.isnan(values).any(axis=1)
    if bad.any():
        shown = ", ".join(map(repr, ids[bad].tolist()[:3]))
        raise EmbeddingError(
            f"{name}: {int(bad.sum())} rows have cells that are not numbers ({shown}). To do: "
            "remove the rows, or extract these slides again"
        )
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float32)


def _stacked(column: pd.Series, name: str) -> NDArray[Any]:
    lengths = {len(one) if isinstance(one, np.ndarray) else 0 for one in column}
    if len(lengths) != 1 or 0 in lengths:
        raise EmbeddingError(f"{name}: the lists in {column.name!r} differ in length")
    return np.stack(column.tolist())


def _is_number(column: pd.Series) -> bool:
    return bool(pd.to_numeric(column, errors="coerce").notna().all())
