"""Patients as a network is fed with them: cut into steps and groups, read ahead, on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    """Inputs, ready for a network, and outcomes of some patients.

    Parameters
    ----------
    bags : mapping of input to list of Tensor or None
        One entry per patient; None where the patient lacks the input.
    target : Target
    """

    bags: Mapping[str, Sequence[Tensor | None]]
    target: Target

    def __len__(self) -> int:
        return int(self.target.event.numel())

    @property
    def dimensions(self) -> dict[str, int]:
        """Length of the vectors per input."""
        return {
            name: next(int(b.shape[1]) for b in bags if b is not None)
            for name, bags in self.bags.items()
        }

    def take(self, rows: Sequence[int]) -> Patients:
        """Return some of the patients."""
        bags = {name: [bags[i] for i in rows] for name, bags in self.bags.items()}
        return Patients(bags, self.target[torch.as_tensor(rows, dtype=torch.long)])


def batches(order: NDArray[np.int64], size: int | str) -> list[list[int]]:
    """Cut an order into batches of about equal size: no small last one, no tiny risk set.

    A small cohort is cut into three all the same (of at least 8 patients), since it needs its steps
    as much as a large one; unless the size is `all`.
    """
    if isinstance(size, str):
        return [order.tolist()]
    n = max(min(MIN_STEPS, len(order) // 8), round(len(order) / size), 1)
    return [part.tolist() for part in np.array_split(order, n)]


def groups_of(patients: Patients, rows: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Cut patients into groups of at most `limit` vectors, or one patient."""
    group: list[int] = []
    size = 0
    for row in rows:
        n = vectors_of(patients, row)
        if group and size + n > limit:
            yield group
            group, size = [], 0
        group.append(row)
        size += n
    if group:
        yield group


def placed(patients: Patients, device: torch.device) -> Patients:
    """Move all vectors to a GPU where half of its free memory holds them; else leave them."""
    if device.type != "cuda":
        return patients
    size = sum(b.nbytes for bags in patients.bags.values() for b in bags if b is not None)
    free, _ = torch.cuda.mem_get_info(device)
    if size > free // 2:
        return patients
    bags = {
        name: [None if b is None else b.to(device) for b in found]
        for name, found in patients.bags.items()
    }
    return Patients(bags, patients.target)


def fed(
    patients: Patients, groups: Sequence[list[int]], device: torch.device
) -> Iterator[dict[str, Inputs]]:
    """Yield the inputs of each group; for a GPU, the next ones are read while it computes."""
    if device.type == "cpu" or len(groups) < 2:
        yield from (inputs_of(patients, group, device) for group in groups)
        return
    yield from ahead(lambda group: inputs_of(patients, group, device), groups)


def ahead(read: Callable[[list[int]], Read], groups: Sequence[list[int]]) -> Iterator[Read]:
    """Yield what `read` returns of each group, in order, one group ahead in a thread."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, groups[0])
        for group in groups[1:]:
            found = coming.result()
            coming = pool.submit(read, group)
            yield found
        yield coming.result()


def vectors_of(patients: Patients, row: int, limit: int | None = None) -> int:
    """Count the vectors of a patient, of all inputs; of the image at most `limit`."""
    counts = {
        name: 0 if (b := bags[row]) is None else len(b) for name, bags in patients.bags.items()
    }
    if limit is not None and "image" in counts:
        counts["image"] = min(counts["image"], limit)
    return sum(counts.values())


def sampled(
    patients: Patients, limit: int | None, order: np.random.Generator, mine: Sequence[int]
) -> Patients:
    """Return patients with at most `limit` vectors of each image, evenly spread, random start.

    Only images of the rows in `mine` are cut, and so read; draws are made for all the same.

    The store's order of patches is random, so that these are a random sample; even spread makes
    every slide of a patient count by its size.
    """
    if limit is None or "image" not in patients.bags:
        return patients
    bags = list(patients.bags["image"])
    for row, bag in enumerate(bags):
        if bag is not None and len(bag) > limit:
            start = int(order.integers(len(bag)))
            if row in mine:
                spread = (start + np.arange(limit) * len(bag) // limit) % len(bag)
                bags[row] = bag[torch.from_numpy(spread)]
    return Patients({**patients.bags, "image": bags}, patients.target)


def inputs_of(patients: Patients, rows: Sequence[int], device: torch.device) -> dict[str, Inputs]:
    """Lay the vectors of some patients back to back, per input, on the device."""
    dimensions = patients.dimensions
    return {
        name: Inputs.join([bags[i] for i in rows], dimensions[name], device)
        for name, bags in patients.bags.items()
    }
