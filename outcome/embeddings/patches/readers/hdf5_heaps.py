"""Reject HDF5 files whose text could make the HDF5 library hang or exhaust the memory.

Text of variable length (the name of the encoder) is stored in "global heaps": a header, then
objects, each with its own length. The library goes from object to object by these lengths without
checking that it advances, and it allocates the memory declared in a reference before it checks the
object. In a damaged file both can be wrong, so both are checked here first.
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
            # Addresses are relative to the beginning of the HDF5 part, after the user block.
            self.base = max(0, content.find(FILE))
            start = content.find(SIGNATURE)
            while start >= 0:
                self._walk(content, start)
                start = content.find(SIGNATURE, start + 1)

    def holds(self, name: str) -> bool:
        """Whether position and length of the text of an attribute agree with its reference."""
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
            return  # no heap, or one that the library itself refuses
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
    """Return the position of the value of an attribute message, from that of its name; or None.

    The name is preceded by a version and the sizes of name, type and shape (HDF5 specification,
    IV.A.2.m); version 1 pads each to a multiple of 8.
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
