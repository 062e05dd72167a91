"""How long computations report their progress."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CountProgress", "Progress", "no_progress"]

Progress = Callable[[str, int, int], None]
"""Called with the name of the stage, how many of its items are done, and how many there are."""

CountProgress = Callable[[int, int], None]
"""Called with how many items are done, and how many there are."""


def no_progress(*_: object) -> None:
    """Report nothing."""
