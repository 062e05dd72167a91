"""PyTorch tensors: CLAM and PANTHER (`.pt`), slideflow (`.pt` with `.index.npz`), bfloat16 as well.

Read without PyTorch: a file is a zip of a description (`data.pkl`, see `opcodes`) and blocks of
numbers. Files of PyTorch before 1.6, in which both stand in one stream, are read too.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.readers.content import Names, Raw, check_claim
from outcome.embeddings.patches.readers.hdf5 import read_coords
from outcome.embeddings.patches.readers.torch_pickle import Call, Name, StorageRef, describe
from outcome.errors import EmbeddingError

__all__ = ["read_torch"]

KINDS = {
    "Float": "<f4", "Half": "<f2", "Double": "<f8", "Long": "<i8", "Int": "<i4", "Short": "<i2",
    "Char": "i1", "Byte": "u1", "Bool": "u1", "BFloat16": "<u2",
}  # fmt: skip
MAGIC = 0x1950A86A20F9469CFC6C
LARGEST_DESCRIPTION = 1 << 20
Block = Callable[[tuple[Any, ...]], NDArray[Any]]


def read_torch(path: Path, names: Names) -> Raw:
    """Read a tensor, or a dictionary with the tensors `features` and, where it has, `coords`."""
    found = _read_zip(path) if zipfile.is_zipfile(path) else _read_stream(path)
    coords = None
    if isinstance(found, dict):
        key = next((n for n in names.features_tried if n in found), None)
        if key is None:
            inside = ", ".join(str(k) for k in list(found)[:8]) or "nothing"
            tried = " or ".join(map(repr, names.features_tried))
            raise EmbeddingError(f"{path.name} has no tensor {tried} (it has {inside})")
        where = next((n for n in names.coords_tried if n in found), None)
        coords = found[where] if where else None
        found = found[key]
    if not isinstance(found, np.ndarray) or not isinstance(coords, (np.ndarray, type(None))):
        raise EmbeddingError(f"{path.name} holds {type(found).__name__}, and a tensor is needed")
    if coords is None and path.parent.name == "pt_files":
        coords, layout = _beside(path, len(found)), "clam"
    else:
        layout = "tensor"
    return Raw(found, coords, layout=layout)


def _beside(path: Path, n: int) -> NDArray[Any] | None:
    """Return what CLAM keeps in `h5_files` next to `pt_files`, where it is of as many patches."""
    twin = path.parent.with_name("h5_files") / f"{path.stem}.h5"
    coords = read_coords(twin) if twin.is_file() else None
    return coords if coords is not None and len(coords) == n else None


def _read_zip(path: Path) -> Any:
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = {i.filename.partition("/")[2]: i for i in archive.infolist()}
        if "data.pkl" not in members:
            raise EmbeddingError(f"{path.name} is a zip, but not of a tensor")
        if members["data.pkl"].file_size > LARGEST_DESCRIPTION:
            raise EmbeddingError(f"{path.name} holds more than a tensor")

        def content(key: str) -> bytes:
            member = members[key]
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > size:
                raise EmbeddingError(f"{path.name}: {key!r} is compressed or cut short")
            return archive.read(member)

        order = content("byteorder") if "byteorder" in members else b"little"
        if order != b"little":
            raise EmbeddingError(f"{path.name} was written on a big-endian machine")
        description = describe(BytesIO(content("data.pkl")), path.name)

        def block(reference: tuple[Any, ...]) -> NDArray[Any]:
            kind = _kind(reference, path.name)
            data = content(f"data/{reference[2]}")
            return np.frombuffer(data, dtype=kind, count=len(data) // np.dtype(kind).itemsize)

        return _values(description, block, path)


def _read_stream(path: Path) -> Any:
    """Read what PyTorch before 1.6 wrote: five descriptions, then the blocks."""
    with path.open("rb") as file:
        if file.read(2) != b"\x80\x02":
            raise ValueError("neither a zip nor a stream of a tensor")
    stream = BytesIO(path.read_bytes())
    if describe(stream, path.name) != MAGIC:
        raise EmbeddingError(f"{path.name} is a pickle, but not of a tensor; it is not run")
    describe(stream, path.name)
    describe(stream, path.name)
    description = describe(stream, path.name)
    keys = describe(stream, path.name)
    content = stream.getbuffer()
    starts: dict[str, int] = {}
    position = stream.tell()
    kinds = _widths(description)
    for key in keys:
        (count,) = struct.unpack_from("<q", content, position)
        starts[key] = position + 8
        position += 8 + count * kinds[key]
        if count < 0 or position > len(content):
            raise EmbeddingError(f"{path.name} is cut short")

    def block(reference: tuple[Any, ...]) -> NDArray[Any]:
        kind = _kind(reference, path.name)
        start = starts[reference[2]]
        (count,) = struct.unpack_from("<q", content, start - 8)
        return np.frombuffer(content, dtype=kind, count=count, offset=start)

    return _values(description, block, path)


def _widths(description: Any) -> dict[str, int]:
    """Return bytes per number of every block that a description refers to."""
    found: dict[str, int] = {}
    waiting = [description]
    for item in waiting:
        if len(waiting) > 10_000:
            raise ValueError("the description of the tensor is damaged")
        if isinstance(item, StorageRef):
            found[item.id[2]] = np.dtype(_kind(item.id, "the file")).itemsize
        elif isinstance(item, Call):
            waiting.extend(item.arguments)
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
    return found


def _kind(reference: tuple[Any, ...], name: str) -> str:
    known = len(reference) >= 5 and reference[0] == "storage" and isinstance(reference[1], Name)
    text = reference[1].text if known else ""
    kind = text.removeprefix("torch.").removesuffix("Storage")
    if kind not in KINDS:
        raise EmbeddingError(f"{name} holds numbers of an unknown kind ({text or 'none'})")
    return KINDS[kind]


def _values(description: Any, block: Block, path: Path) -> Any:
    """Replace the tensors of a description by arrays; only of the outermost container."""
    if isinstance(description, dict):
        return {
            k: _tensor(v, block, path) if isinstance(v, Call) else v for k, v in description.items()
        }
    if isinstance(description, (list, tuple)) and len(description) == 1:
        (description,) = description
    return _tensor(description, block, path) if isinstance(description, Call) else description


def _tensor(call: Call, block: Block, path: Path) -> NDArray[Any]:
    if call.function.endswith("_rebuild_parameter"):
        inner = call.arguments[0]
        if not isinstance(inner, Call) or inner.function.endswith("_rebuild_parameter"):
            raise ValueError("a parameter without a tensor")
        return _tensor(inner, block, path)
    storage, offset, shape, strides = call.arguments[:4]
    if not isinstance(storage, StorageRef):
        raise ValueError("a tensor without numbers")
    whole = [offset, *shape, *strides]
    if len(shape) != len(strides) or not all(isinstance(n, int) and n >= 0 for n in whole):
        raise EmbeddingError(f"{path.name} describes an impossible tensor")
    if 0 in shape:
        return np.empty([min(n, 1 << 24) if 0 in shape else n for n in shape], np.float32)[:0]
    flat = block(storage.id)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if math.prod(shape) > len(flat) or last >= len(flat):
        raise EmbeddingError(
            f"{path.name} claims a tensor of shape {tuple(shape)}, and holds {len(flat):,} numbers:"
            " it is cut short or damaged"
        )
    width = flat.dtype.itemsize
    view = np.lib.stride_tricks.as_strided(
        flat[offset:], tuple(shape), [s * width for s in strides], writeable=False
    )
    if storage.id[1] == Name("torch.BFloat16Storage"):
        return _from_bfloat16(view, path)
    return np.ascontiguousarray(view)


def _from_bfloat16(words: NDArray[np.uint16], path: Path) -> NDArray[np.float32]:
    """Widen: a bfloat16 is the upper half of a float32."""
    check_claim(words.size * 4, path.stat().st_size, path.name)
    wide = words.astype(np.uint32)
    wide <<= np.uint32(16)
    found: NDArray[np.float32] = wide.view(np.float32)
    return found
