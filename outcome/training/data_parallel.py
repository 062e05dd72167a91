"""One model on several processes of torchrun; each has a part of the patients of a step."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from outcome.errors import InputError

__all__ = ["Ranks", "WorkersError", "device_of_rank"]

PATIENCE = timedelta(days=1)
"""Timeout: the first process may pack and project for hours while the others wait."""


class WorkersError(InputError):
    """Worker processes cannot be used, or were killed; finished fits are kept."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train one network together.

    Processes exchange the scores, one number per patient, so that each has the exact loss over all
    patients of the step, for any risk sets. Vectors are not exchanged: each process back-propagates
    through its own patients, and the gradients are summed.

    Parameters
    ----------
    rank : int
        Rank of this process, from 0.
    world : int
        Number of processes; with 1 there is no communication.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> Ranks:
        """Return the joined processes, or this one alone."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @classmethod
    @contextmanager
    def joined(cls) -> Iterator[Ranks]:
        """Connect the processes of torchrun, with gloo on CPUs and NCCL on GPUs."""
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
        yield cls.current()
        # Not after an error, because NCCL would wait for the others here, and torchrun could not
        # end them.
        dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this process writes the results."""
        return self.rank == 0

    def share(self, sizes: Sequence[int]) -> list[int]:
        """Return the rows of this process: about the same number of vectors for each.

        Parameters
        ----------
        sizes : sequence of int
            Vectors per patient.
        """
        if self.world == 1:
            return list(range(len(sizes)))
        # Largest first, each to the process with the least: the classic schedule, the same in all
        # processes.
        load = np.zeros(self.world, dtype=np.int64)
        mine = []
        for row in np.argsort(-np.asarray(sizes), kind="stable").tolist():
            to = int(load.argmin())
            load[to] += max(sizes[row], 1)
            if to == self.rank:
                mine.append(row)
        return sorted(mine)

    def gather(self, own: Tensor, rows: Sequence[int], n: int) -> Tensor:
        """Gather the values of all processes for n patients, in order, shape (n, ...).

        Parameters
        ----------
        own : Tensor, shape (len(rows), ...)
            On the CPU. Its graph is kept: the gradient of the result flows to the own rows.
        rows : sequence of int
            Patients of these rows.
        n : int
        """
        if self.world == 1:
            return own
        where = torch.as_tensor(rows, dtype=torch.long)
        everybody = torch.zeros(n, *own.shape[1:], dtype=own.dtype)
        everybody[where] = own.detach()
        dist.all_reduce(everybody)
        return everybody.index_copy(0, where, own) if own.requires_grad else everybody

    def sum_gradients(self, network: nn.Module) -> None:
        """Add up the gradients of all processes, in one message."""
        if self.world == 1:
            return
        weights = [p for p in network.parameters() if p.requires_grad]
        there = torch.tensor([float(p.grad is not None) for p in weights])
        dist.all_reduce(there)
        for p in weights:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        flat = nn.utils.parameters_to_vector([p.grad for p in weights if p.grad is not None])
        dist.all_reduce(flat)
        nn.utils.vector_to_parameters(flat, [p.grad for p in weights if p.grad is not None])
        for p, some in zip(weights, there.tolist(), strict=True):
            if not some:  # as in one process: the optimizer leaves it alone
                p.grad = None

    def share_weights(self, network: nn.Module) -> None:
        """Copy the weights and buffers of the first process to all processes."""
        if self.world > 1:
            for tensor in (*network.parameters(), *network.buffers()):
                dist.broadcast(tensor.data, 0)

    def check_same(self, what: object) -> None:
        """Compare the tasks of the processes; all processes must call this.

        Raises
        ------
        WorkersError
            The processes differ.
        """
        digest = hashlib.sha256(json.dumps(what).encode()).digest()[:7]
        mine = torch.tensor([int.from_bytes(digest, "big")])
        least, most = mine.clone(), mine.clone()
        dist.all_reduce(least, dist.ReduceOp.MIN)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        if least != most:
            raise WorkersError(
                "processes of torchrun differ in the study, the cohort, the kind of device or "
                "the existing fits. Start all processes with the same study file, environment "
                "and device, and put the run folder and the cache on paths shared by all "
                "machines"
            )

    def wait(self) -> None:
        """Wait for all processes."""
        dist.all_reduce(torch.zeros(1))


def device_of_rank(device: str) -> str:
    """Return the device of this process: `auto` and `cuda` are one GPU each, if available.

    Raises
    ------
    WorkersError
        There are fewer GPUs than processes on this machine, or all would use the same one.
    """
    local = int(os.environ["LOCAL_RANK"])
    here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and not gpus):
        return "cpu"
    if device not in ("auto", "cuda"):
        raise WorkersError(f"device {device}: under torchrun give auto, cpu or cuda")
    if here > gpus:
        raise WorkersError(
            f"{here} processes for {gpus} GPUs: start one process per GPU, or choose the device cpu"
        )
    return f"cuda:{local}"
