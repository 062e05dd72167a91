"""Temporary folders that are removed with the object that holds them."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from tempfile import mkdtemp

__all__ = ["ScratchFolder"]


class ScratchFolder:
    """A temporary folder, removed when nothing refers to this object any more, or at exit.

    Attributes
    ----------
    path : Path
    """

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="slide-outcome-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
