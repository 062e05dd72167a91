"""Companion files of a tensor or array with coordinates, encoder and patch size.

A tool with such files is one `Sidecar`; `readers.SIDECARS` lists them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outcome.embeddings.patches.readers.content import Raw
from outcome.errors import EmbeddingError

__all__ = ["LONGEST_TEXT", "Sidecar", "positive_number", "read_json_settings"]

LARGEST_SETTINGS = 1_000_000
LONGEST_TEXT = 200


@dataclass(frozen=True)
class Sidecar:
    """Functions that find and read the companion files of a tool.

    Parameters
    ----------
    tool : str
    files : callable
        Existing companion files of a feature file; none if another tool wrote it.
    complete : callable
        Adds the content of companion files to the arrays of a feature file.
    geometry : callable
        Geometry of the patches in the companion files (see `geometry.patch_geometry`).
    """

    tool: str
    files: Callable[[Path], Sequence[Path]]
    complete: Callable[[Path, Raw], Raw]
    geometry: Callable[[Path], dict[str, float]]


def read_json_settings(path: Path) -> Mapping[str, Any]:
    """Return the settings in a JSON file; empty if it contains no object.

    Raises
    ------
    EmbeddingError
        It is too large, or not valid JSON.
    """
    if path.stat().st_size > LARGEST_SETTINGS:
        raise EmbeddingError(f"{path.name} is too large for a settings file")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise EmbeddingError(f"{path.name} is not valid JSON") from None
    return found if isinstance(found, dict) else {}


def positive_number(value: Any) -> float | None:
    """Return a positive finite number as float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < math.inf else None
