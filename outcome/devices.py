"""Selection of the compute device and the number of threads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from outcome.errors import InputError

__all__ = ["choose_device", "pinned_threads"]

DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def choose_device(asked: str) -> str:
    """Return `asked`, or for `auto` the GPU if there is one.

    Raises
    ------
    InputError
        There is no such device.
    """
    if not DEVICES.fullmatch(asked):
        raise InputError(f"`device=` {asked!r}: give auto, cpu, cuda, cuda:0 (1, ...) or mps")
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=asked)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"`device=` {asked!r} cannot be used here: {reason}") from None
    return asked


@contextmanager
def pinned_threads(n: int) -> Iterator[None]:
    """Set the number of torch threads, on which the result of a sum depends."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
