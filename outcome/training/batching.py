"""Batches for a network: steps and groups of patients, read ahead, on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from outcome.models.heads import Target
from outcome.models.network import Inputs

__all__ = [
    "Patients",
    "batches",
    "fed",
    "groups_of",
    "inputs_of",
    "placed",
    "sampled",
    "vectors_of",
]

MIN_STEPS = 3

Read = TypeVar("Read")


@dataclass(frozen=True)
class Patients:
    """Inputs for a network, and outcomes of some patients.

    Parameters
    ----------
    bags : mapping of input to Inputs, or to a sequence of Tensor or None
        One entry per patient; None if the patient lacks the input. Separate tensors are
        concatenated.
    target : Target
    """

    bags: Mapping[str, Sequence[Tensor | None]]
    target: Target

    def __len__(self) -> int:
        return int(self.target.event.numel())

    @cached_property
    def inputs(self) -> dict[str, Inputs]:
        """The vectors of each input."""
        return {
            name: bags if isinstance(bags, Inputs) else Inputs.join(bags)
            for name, bags in self.bags.items()
        }

    @property
    def dimensions(self) -> dict[str, int]:
        """Length of the vectors per input."""
        return {name: inputs.dimension for name, inputs in self.inputs.items()}

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Vectors of each patient, of all inputs."""
        none = np.zeros(len(self), dtype=np.int64)
        return sum((inputs.lengths for inputs in self.inputs.values()), start=none)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Patients:
        """Return some of the patients."""
        rows = np.asarray(rows, dtype=np.int64)
        bags = {name: inputs.take(rows) for name, inputs in self.inputs.items()}
        return Patients(bags, self.target[torch.from_numpy(rows)])


def batches(order: NDArray[np.int64], size: int | str) -> list[list[int]]:
    """Divide an order into batches of about equal size, without a small last batch.

    A small cohort is also divided into three batches (of at least 8 patients), because it needs
    several steps like a large one, unless the size is `all`.
    """
    if isinstance(size, str):
        return [order.tolist()]
    n = max(min(MIN_STEPS, len(order) // 8), round(len(order) / size), 1)
    return [part.tolist() for part in np.array_split(order, n)]


def groups_of(sizes: NDArray[np.int64], rows: Sequence[int], limit: int) -> list[list[int]]:
    """Divide patients into groups of at most `limit` vectors, or one patient.

    Parameters
    ----------
    sizes : array, shape (patients,)
        Vectors per patient.
    rows : sequence of int
        The patients to be grouped.
    limit : int
    """
    if len(rows) > 0 and sizes[list(rows)].sum() <= limit:
        return [list(rows)]
    groups: list[list[int]] = []
    size = limit
    for row, n in zip(rows, sizes[list(rows)].tolist(), strict=True):
        if not groups or size + n > limit:
            groups.append([])
            size = 0
        groups[-1].append(row)
        size += n
    return groups


def placed(patients: Patients, device: torch.device) -> Patients:
    """Move all vectors to a GPU if they fit into half of its free memory."""
    if device.type != "cuda":
        return patients
    inputs = patients.inputs.values()
    size = sum(int(i.lengths.sum()) * i.dimension * i.matrix.element_size() for i in inputs)
    free, _ = torch.cuda.mem_get_info(device)
    if size > free // 2:
        return patients
    bags = {name: found.to(device) for name, found in patients.inputs.items()}
    return Patients(bags, patients.target)


def fed(
    patients: Patients, groups: Sequence[list[int]], device: torch.device
) -> Iterator[dict[str, Inputs]]:
    """Yield the inputs of each group; for a GPU, the next group is read during computation."""
    if device.type == "cpu" or len(groups) < 2:
        yield from (inputs_of(patients, group, device) for group in groups)
        return
    yield from ahead(lambda group: inputs_of(patients, group, device), groups)


def ahead(read: Callable[[list[int]], Read], groups: Sequence[list[int]]) -> Iterator[Read]:
    """Yield the results of `read` for each group, in order, one group ahead in a thread."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, groups[0])
        for group in groups[1:]:
            found = coming.result()
            coming = pool.submit(read, group)
            yield found
        yield coming.result()


def vectors_of(patients: Patients, limit: int | None = None) -> NDArray[np.int64]:
    """Count the vectors of each patient, of all inputs; of the image at most `limit`."""
    if limit is None or "image" not in patients.inputs:
        return patients.sizes
    lengths = patients.inputs["image"].lengths
    return patients.sizes - lengths + np.minimum(lengths, limit)


def sampled(
    patients: Patients, limit: int | None, order: np.random.Generator, mine: Sequence[int]
) -> Patients:
    """Return patients with at most `limit` evenly spaced vectors of each image, random start.

    Only images of the rows in `mine` are reduced and read; random numbers are drawn for all.

    The order of patches in the store is random, so this is a random sample. Even spacing gives
    every slide of a patient a weight proportional to its size.
    """
    if limit is None or "image" not in patients.inputs:
        return patients
    image = patients.inputs["image"]
    own, bags = set(mine), list(image)
    for row, bag in enumerate(bags):
        if bag is not None and len(bag) > limit:
            start = int(order.integers(len(bag)))
            if row in own:
                spread = (start + np.arange(limit) * len(bag) // limit) % len(bag)
                bags[row] = bag[torch.from_numpy(spread)]
        if row not in own:
            bags[row] = None
    joined = Inputs.join(bags, image.dimension)
    return Patients({**patients.inputs, "image": joined}, patients.target)


def inputs_of(patients: Patients, rows: Sequence[int], device: torch.device) -> dict[str, Inputs]:
    """Concatenate the vectors of some patients, per input, on the device."""
    return {name: inputs.take(rows).to(device) for name, inputs in patients.inputs.items()}
