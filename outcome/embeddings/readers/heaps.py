"""A check of HDF5's heaps of text, on which the HDF5 library can run for ever.

Text of variable length (the encoder's name) lies in "global heaps": a header, then objects, each
with its own length. The library walks from object to object by these lengths without asking
whether it moves; in a damaged file it may not. The walk is done here first.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from outcome.errors import EmbeddingError

__all__ = ["check_heaps"]

SIGNATURE = b"GCOL\x01"
SMALLEST = 4096
HEADER = struct.Struct("<8xQ")
OBJECT = struct.Struct("<HH4xQ")


def check_heaps(path: Path) -> None:
    """Refuse a file in which a heap does not end.

    Raises
    ------
    EmbeddingError
        The file is damaged.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(SIGNATURE)
        while start >= 0:
            if not _ends(content, start):
                raise EmbeddingError(f"{path.name} is damaged (a heap of text does not end)")
            start = content.find(SIGNATURE, start + 1)


def _ends(content: mmap.mmap, start: int) -> bool:
    if start + HEADER.size > len(content):
        return True
    (size,) = HEADER.unpack_from(content, start)
    end = start + size
    if size < SMALLEST or end > len(content):
        return True  # no heap, or one that the library refuses itself
    at = start + HEADER.size
    while at + OBJECT.size <= end:
        index, _, length = OBJECT.unpack_from(content, at)
        step = length if index == 0 else OBJECT.size + (length + 7) // 8 * 8
        if step < OBJECT.size:
            return False
        at += step
    return at <= end
