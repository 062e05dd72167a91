"""Settings files of tools: JSON or YAML, with a limit of size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from outcome.errors import CohortError

__all__ = ["read_settings"]

LARGEST = 1 << 28


def read_settings(path: Path) -> Mapping[str, Any]:
    """Return the settings in a JSON or YAML file.

    Raises
    ------
    CohortError
        The file is missing, too large, or contains no mapping.
    """
    if not path.is_file():
        raise CohortError(f"there is no file {path}")
    if path.stat().st_size > LARGEST:
        raise CohortError(f"{path.name} is too large for a settings file")
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        raise CohortError(f"{path.name} cannot be read as {path.suffix[1:].upper()}") from None
    if not isinstance(found, dict):
        raise CohortError(f"{path.name} contains no settings")
    return found
