"""PyTorch tensors: CLAM and PANTHER (`.pt`), slideflow (`.pt` with `.index.npz`), bfloat16 as well.

`torch.load(weights_only=True)` reads them; PyTorch is imported when the first such file is opened.
It neither runs code nor imports anything, but it trusts the sizes declared in a file. Some
descriptions make it allocate unlimited memory, run forever or crash. These are refused first:

- Members of the archive must be stored (not compressed), no larger together than the file, and
  agree with their checksums, which PyTorch does not compare.
- The description may use the functions that rebuild a dense tensor, and no others:
  `bytearray(1 << 40)` is allowed by PyTorch.
- Tuples may be neither shared nor very many: Python computes the hash of a tuple from its items,
  every time and by recursion.

An archive is mapped, not copied, so no tensor can extend beyond its file, whatever its declared
shape. The older format, with description and numbers in one stream, is also read.
"""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from outcome.embeddings.patches.readers.content import (
    Names,
    Raw,
    check_claim,
    read_coords_with,
)
from outcome.embeddings.patches.readers.hdf5 import read_coords
from outcome.errors import EmbeddingError

if TYPE_CHECKING:
    import torch

__all__ = ["read_torch"]

NAMES = {
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "collections.OrderedDict",
    "torch.storage.UntypedStorage",
} | {
    f"torch.{kind}Storage"
    for kind in (
        "Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool",
    )
}  # fmt: skip
LARGEST_DESCRIPTION = 1 << 20
MOST_OPERATIONS = 100_000
MOST_TUPLES = 10_000
DESCRIPTIONS = 5
"""In the older format: a number that marks the format, its version, the machine, the tensors, and
the order of their blocks."""
TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}


def read_torch(path: Path, names: Names) -> Raw:
    """Read a tensor, or a dictionary with the tensors `features` and, if present, `coords`."""
    found = _load(path)
    if isinstance(found, (list, tuple)) and len(found) == 1:
        (found,) = found
    coords, problem = None, ""
    if isinstance(found, dict):
        key = next((n for n in names.features_tried if n in found), None)
        if key is None:
            inside = ", ".join(str(k) for k in list(found)[:8]) or "nothing"
            tried = " or ".join(map(repr, names.features_tried))
            raise EmbeddingError(f"{path.name} has no tensor {tried} (it has {inside})")
        where = next((n for n in names.coords_tried if n in found), None)
        if where is not None:
            place = found[where]
            coords, problem = read_coords_with(lambda: _array(place, path))
        found = found[key]
    features = _array(found, path)
    if coords is None and path.parent.name == "pt_files":
        coords, problem = read_coords_with(lambda: _coords_of_twin(path, len(features)))
        return Raw(features, coords, layout="clam", coords_problem=problem)
    return Raw(features, coords, layout="tensor", coords_problem=problem)


def _coords_of_twin(path: Path, n: int) -> NDArray[Any] | None:
    """Return CLAM's coordinates from `h5_files`, if the number of patches agrees."""
    twin = path.parent.with_name("h5_files") / f"{path.stem}.h5"
    coords = read_coords(twin) if twin.is_file() else None
    return coords if coords is not None and len(coords) == n else None


def _load(path: Path) -> Any:
    """Return the tensors read by PyTorch, after checks that PyTorch does not do."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # warnings about escapes and protocols in damaged descriptions
        try:
            return _load_zip(path) if zipfile.is_zipfile(path) else _load_stream(path)
        except pickle.UnpicklingError:  # PyTorch suggests to load the file unsafely
            raise EmbeddingError(
                f"{path.name} is damaged, or contains more than tensors. To do: save the tensor "
                "itself"
            ) from None


def _load_zip(path: Path) -> Any:
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        inside = [m.filename.partition("/")[2].lower() for m in members]
        if "data.pkl" not in inside:
            raise EmbeddingError(f"{path.name} is a zip file, but does not contain a tensor")
        if len(set(inside)) < len(inside):
            raise EmbeddingError(f"{path.name} is damaged: two of its parts have the same name")
        packed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED]
        if packed or sum(m.file_size for m in members) > size:
            raise EmbeddingError(f"{path.name} is compressed or truncated")
        description = members[inside.index("data.pkl")]
        if description.file_size > LARGEST_DESCRIPTION:
            raise EmbeddingError(f"{path.name} contains more than a tensor")
        if (bad := archive.testzip()) is not None:
            raise EmbeddingError(f"{path.name} is damaged: {bad!r} disagrees with its checksum")
        _check_description(BytesIO(archive.read(description)), path.name)
    import torch

    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _load_stream(path: Path) -> Any:
    """Read the format of PyTorch before 1.6: five descriptions, then the blocks."""
    with path.open("rb") as file:
        if file.read(2) != b"\x80\x02":
            raise ValueError("neither a zip nor a stream of a tensor")
    stream = BytesIO(path.read_bytes())
    for _ in range(DESCRIPTIONS):
        _check_description(stream, path.name)
    stream.seek(0)
    import torch

    found = torch.load(stream, map_location="cpu", weights_only=True)
    if stream.read(1):  # without its block, a tensor would contain uninitialised memory
        raise EmbeddingError(f"{path.name} is damaged: it has data after its tensors")
    return found


def _check_description(stream: BytesIO, name: str) -> None:
    """Check the operations of a description without executing them.

    Parameters
    ----------
    stream : BytesIO
        Positioned at the first operation; afterwards after the last.
    name : str
        Name of the file, for messages.

    Raises
    ------
    EmbeddingError
        PyTorch must not read it.
    ValueError
        It is damaged.
    """
    tuples: set[Any] = set()
    made = 0
    before = ""
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        kind = operation.name
        made += kind in TUPLES
        if count > MOST_OPERATIONS or made > MOST_TUPLES:
            raise EmbeddingError(f"{name} contains more than a tensor")
        if kind.endswith("GLOBAL"):
            asked = str(argument).replace(" ", ".", 1)
            if asked not in NAMES:
                raise EmbeddingError(
                    f"{name} is a pickle that would import {asked[:80]!r}; it is not run. To do:"
                    " save the tensor itself"
                )
        elif kind.endswith("PUT"):
            (tuples.add if before in TUPLES else tuples.discard)(argument)
        elif kind.endswith("GET") and argument in tuples:
            raise EmbeddingError(f"{name} is damaged: its description refers back to a tuple")
        before = kind


def _array(value: Any, path: Path) -> NDArray[Any]:
    """Return a tensor as an array with its own memory, if its file contains enough numbers."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise EmbeddingError(f"{path.name} contains {type(value).__name__}, but a tensor is needed")
    tensor = value.detach()
    if tensor.numel():
        _check_extent(tensor, path)
    if tensor.dtype == torch.bfloat16:  # unknown to numpy
        check_claim(tensor.numel() * 4, path.stat().st_size, path.name)
        tensor = tensor.float()
    return np.array(tensor.numpy(), order="C")


def _check_extent(tensor: torch.Tensor, path: Path) -> None:
    """Refuse a tensor that repeats its numbers, or that extends beyond its block."""
    held = tensor.untyped_storage().nbytes() // tensor.element_size()
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = tensor.storage_offset() + sum((n - 1) * s for n, s in steps)
    if min(tensor.stride(), default=0) < 0 or max(tensor.numel() - 1, last) >= held:
        raise EmbeddingError(
            f"{path.name} declares a tensor of shape {tuple(tensor.shape)}, but contains "
            f"{held:,} numbers; it is truncated or damaged"
        )
