"""List settings, inputs and versions that differ from the last run in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
import yaml

from outcome.errors import RunFolderError
from outcome.study import Study

__all__ = ["changes_since_last_run", "claim"]

# Paths depend on the working directory; files are compared by their content.
PATHS = ("cohort", "embeddings.patches", "embeddings.reports")
REPORT_ONLY = ("endpoint.horizons", "secondary", "risk_groups", "contrasts", "baseline")


def changes_since_last_run(folder: Path, study: Study, inputs: Mapping[str, str]) -> list[str]:
    """Name all settings, inputs and versions that differ from the last run in this folder.

    Parameters
    ----------
    folder : Path
        The run folder; without a run there are no differences.
    study : Study
    inputs : mapping of input to hash
        Hashes as in the manifest.
    """
    found = [f"{key}: {old} -> {new}" for key, old, new in _settings(folder, study)]
    before = _manifest(folder)
    known = before.get("inputs", {})
    found += [
        f"{name} has different content"
        for name in inputs
        if known.get(name, inputs[name]) != inputs[name]
    ]
    # As in the key of a fit, without the build, which is missing in the metadata of the CUDA build
    # from PyPI.
    now = torch.__version__.partition("+")[0]
    version = before.get("versions", {}).get("torch", now).partition("+")[0]
    if version != now:
        found.append(f"torch: {version} -> {now}")
    return found


def claim(folder: Path, study: Study) -> None:
    """Write the settings of a run that is divided among several machines.

    Raises
    ------
    RunFolderError
        The folder contains parts made with other settings, which are named.
    """
    changed = [
        f"{key}: {old} -> {new}"
        for key, old, new in _settings(folder, study)
        if not key.startswith(REPORT_ONLY)
    ]
    if changed:
        raise RunFolderError(
            f"{folder} was started with other settings ({'; '.join(changed)}), and parts with "
            "different settings cannot be combined. Use the original settings, or another folder"
        )
    # This file is written first: it distinguishes a run folder from another folder with a study
    # file.
    (folder / "fits").mkdir(parents=True, exist_ok=True)
    if not (folder / "study.yaml").exists():
        building = folder / f".study.yaml.{uuid4().hex}"
        building.write_text(study.to_yaml(), encoding="utf-8")
        building.replace(folder / "study.yaml")


def _settings(folder: Path, study: Study) -> Iterator[tuple[str, Any, Any]]:
    path = folder / "study.yaml"
    if not path.is_file():
        return
    old = dict(_flat(yaml.safe_load(path.read_text(encoding="utf-8"))))
    new = dict(_flat(yaml.safe_load(study.to_yaml())))
    for key in dict.fromkeys([*old, *new]):
        if key not in PATHS and old.get(key) != new.get(key):
            yield key, old.get(key), new.get(key)


def _flat(data: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif prefix == "arms":
        yield from ((f"arm {arm['name']}", arm) for arm in data)
    else:
        yield prefix, data


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
