"""Description and check of an installation."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from outcome.crossval.manifest import PACKAGES
from outcome.devices import choose_device
from outcome.processes import available_cpus
from outcome.training.precision import computes_bfloat16

__all__ = ["facts", "findings"]

OPTIONAL = (
    *("numba", "distributed", "sentence-transformers", "openslide-python"),
    *("mlflow", "wandb", "tensorboard"),
)
HOMONYM = "outcome"
"""Another distribution (required by trio) that installs a package of the same name."""


def facts(cache: Path) -> dict[str, str]:
    """Return versions, device, precision and threads as text."""
    device = choose_device("auto")
    wide = "bfloat16" if computes_bfloat16(device) else "float32"
    found = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
    }
    found |= {p: importlib.metadata.version(p) for p in PACKAGES}
    found |= {p: _version(p) or "not installed (optional)" for p in OPTIONAL}
    space = f", {shutil.disk_usage(_existing(cache)).free / 2**30:.0f} GiB free"
    return found | {
        "device": device + (f" ({torch.cuda.get_device_name()})" if device == "cuda" else ""),
        "precision": f"float32 for principal components, {wide} for `components: 0`",
        "processors": f"{available_cpus()} of {os.cpu_count()}",
        "threads": f"{torch.get_num_threads()} by default; a fit uses `training.threads`",
        "cache": f"{cache}{space}",
    }


def findings(cache: Path) -> Iterator[str]:
    """Return problems of the installation, with remedies."""
    if version := _version(HOMONYM):
        yield (
            f"the distribution {HOMONYM!r} ({version}) is also installed. Its package has the "
            "same name as that of slide-outcome, and each overwrites files of the other. To do: "
            f"install slide-outcome into a separate environment, or: pip uninstall {HOMONYM} and "
            "then pip install --force-reinstall --no-deps slide-outcome"
        )
    if not os.access(_existing(cache), os.W_OK):
        yield (
            f"the cache {cache} is not writable. To do: give another folder with --cache or "
            "$SLIDE_OUTCOME_CACHE"
        )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())
