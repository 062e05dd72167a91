"""Texts in HDF5 datasets, read only if position and length of each are valid."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import h5py

from outcome.embeddings.patches.readers.content import check_claim
from outcome.embeddings.patches.readers.hdf5_heaps import REFERENCE, Heaps
from outcome.errors import EmbeddingError

__all__ = ["read_texts"]

MOST_TEXTS = 1_000_000


def read_texts(data: h5py.Dataset | h5py.Group, heaps: Heaps) -> list[str]:
    """Return the texts of a dataset of shape (n,) or ().

    Parameters
    ----------
    data : Dataset
    heaps : Heaps
        Heaps of its file.

    Raises
    ------
    EmbeddingError
        It does not contain texts, has an unsupported compression, or refers to missing texts.
    """
    name = heaps.path.name
    if (
        not isinstance(data, h5py.Dataset)
        or data.dtype.kind not in "SO"
        or h5py.check_string_dtype(data.dtype) is None
        or data.shape is None
        or data.ndim > 1
        or data.size > MOST_TEXTS
        or data.is_virtual
        or data.external
    ):
        raise EmbeddingError(f"{name}: {data.name!r} contains no texts")
    check_claim(data.size * data.dtype.itemsize, heaps.path.stat().st_size, name)
    check_claim((data.chunks or (0,))[0] * data.dtype.itemsize, heaps.path.stat().st_size, name)
    if data.dtype.kind == "O":
        for length, address, index in _references(data, heaps):
            if length and heaps.sizes.get((address, index)) != length:
                raise EmbeddingError(f"{name} is damaged (a text of {data.name!r} is lost)")
    found = data[()]
    values = [found] if data.shape == () else list(found)
    return [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values]


def _references(data: h5py.Dataset, heaps: Heaps) -> Iterator[tuple[int, int, int]]:
    """Yield (length, address, index) of every text, as declared in the file."""
    block = REFERENCE.size
    if data.chunks is None:
        offset = data.id.get_offset()
        if offset is None:  # nothing was written, or the values are in the header
            if data.id.get_storage_size():
                raise EmbeddingError(f"{heaps.path.name}: {data.name!r} is stored inside a header")
            return
        with heaps.path.open("rb") as file:
            file.seek(offset)
            yield from REFERENCE.iter_unpack(_whole(file.read(data.size * block), block))
        return
    if data.compression not in (None, "gzip") or data.shuffle or data.fletcher32:
        raise EmbeddingError(
            f"{heaps.path.name}: the texts of {data.name!r} are compressed in a way that cannot "
            "be checked. To do: write the file without compression, or with gzip"
        )
    wanted = data.chunks[0] * block
    for number in range(data.id.get_num_chunks()):
        mask, content = data.id.read_direct_chunk(data.id.get_chunk_info(number).chunk_offset)
        if data.compression and not mask:
            content = zlib.decompressobj().decompress(content, wanted)
        yield from REFERENCE.iter_unpack(_whole(content[:wanted], block))


def _whole(content: bytes, block: int) -> bytes:
    if len(content) % block:
        raise struct.error("a reference to a text is truncated")
    return content
