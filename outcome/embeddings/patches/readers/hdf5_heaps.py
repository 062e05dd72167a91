"""Reject HDF5 files whose text could make the HDF5 library hang or exhaust the memory.

Text of variable length (the encoder's name) lies in "global heaps": a header, then objects, each
with its own length. The library walks from object to object by these lengths without asking
whether it moves, and it takes as much memory as a reference to an object says before it looks at
the object. In a damaged file neither can be trusted; both are looked at here first.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from outcome.errors import EmbeddingError

__all__ = ["Heaps"]

FILE = b"\x89HDF\r\n\x1a\n"
SIGNATURE = b"GCOL\x01"
SMALLEST = 4096
HEADER = struct.Struct("<8xQ")
OBJECT = struct.Struct("<HH4xQ")
REFERENCE = struct.Struct("<IQI")
SIZES = struct.Struct("<HHH")


class Heaps:
    """The heaps of text in one file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    EmbeddingError
        A heap does not end: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[tuple[int, int], int] = {}
        with self._content() as content:
            # Addresses count from the beginning of the HDF5 part, behind a block of the user's.
            self.base = max(0, content.find(FILE))
            start = content.find(SIGNATURE)
            while start >= 0:
                self._walk(content, start)
                start = content.find(SIGNATURE, start + 1)

    def holds(self, name: str) -> bool:
        """Whether the text of an attribute is where, and as long as, its reference says."""
        key = name.encode() + b"\0"
        found = False
        with self._content() as content:
            at = content.find(key)
            while at >= 0:
                value = _value(content, at, len(key))
                if value is not None:
                    length, address, index = REFERENCE.unpack_from(content, value)
                    if self.sizes.get((address, index)) != length:
                        return False
                    found = True
                at = content.find(key, at + 1)
        return found

    def _content(self) -> mmap.mmap:
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _walk(self, content: mmap.mmap, start: int) -> None:
        if start + HEADER.size > len(content):
            return
        (size,) = HEADER.unpack_from(content, start)
        end = start + size
        if size < SMALLEST or end > len(content):
            return  # no heap, or one that the library refuses itself
        at = start + HEADER.size
        while at + OBJECT.size <= end:
            index, _, length = OBJECT.unpack_from(content, at)
            step = length if index == 0 else OBJECT.size + (length + 7) // 8 * 8
            if step < OBJECT.size or at + step > end:
                raise EmbeddingError(f"{self.path.name} is damaged (a heap of text does not end)")
            if index:
                self.sizes[start - self.base, index] = length
            at += step


def _value(content: mmap.mmap, name: int, length: int) -> int | None:
    """Return where the value of an attribute message is whose name is here; None without one.

    Before the name stand a version and the sizes of name, type and shape (HDF5 specification,
    IV.A.2.m); version 1 fills each up to a multiple of 8.
    """
    for version, before in ((1, 8), (2, 8), (3, 9)):
        start = name - before
        if start < 0 or content[start] != version:
            continue
        sizes = SIZES.unpack_from(content, start + 2)
        if sizes[0] >= length:
            parts = [(n + 7) // 8 * 8 if version == 1 else n for n in sizes]
            value = name + sum(parts)
            return value if value + REFERENCE.size <= len(content) else None
    return None
