"""Finished fits on disk: one folder each, named by a hash of all that affects the fit."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from outcome.cohort import Fold, InnerFold
from outcome.dataset.study_data import StudyData
from outcome.study import Study, Training
from outcome.training.arm_members import Member
from outcome.training.fold_data import clinical_rows, outcome_rows
from outcome.training.precision import compiles
from outcome.training.trainer import Epoch, State, Trained

__all__ = ["FitFolder", "fit_key", "fit_seed", "remove_unfinished"]

FORMAT = 5
NUMERICS = 2
"""Version of the arithmetic of training: fits of two versions are never mixed."""
PART = ".part"
TUNE_RAW = "tune_raw"


def fit_seed(settings: Training, fold: Fold, inner: InnerFold) -> int:
    """Seed of one fit. It is the same for every arm, so that arms differ only in their inputs."""
    text = json.dumps([settings.seed, fold.repeat, fold.name, inner.name])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def fit_key(
    study_data: StudyData, study: Study, member: Member, fold: Fold, inner: InnerFold, device: str
) -> str:
    """Hash of everything that affects a fit: patients, vectors, outcomes, settings, seed, device.

    The versions of torch and of the arithmetic here, and whether passes are compiled, are among
    it: fits of two versions are never mixed.
    Names of arms, horizons and settings used only by the report are excluded, so that changing them
    does not cause refits.
    """
    settings = member.settings(study.training)
    about: dict[str, Any] = {
        "format": FORMAT,
        "numerics": NUMERICS,
        "torch": torch.__version__.partition("+")[0],
        "inputs": member.inputs,
        "aggregator": member.aggregator,
        "options": dict(member.options),
        "fusion": member.fusion,
        "settings": settings.model_dump(exclude={"search"}),
        "seed": fit_seed(settings, fold, inner),
        "device": device.partition(":")[0],
        "train": outcome_rows(study_data, inner.train, member.inputs),
        "tune": outcome_rows(study_data, inner.tune, member.inputs),
    }
    if compiles(settings, member.aggregator, device):
        about["passes"] = "compiled"
    about |= study.endpoint.fit_settings()
    if "clinical" in member.inputs:
        about["clinical"] = clinical_rows(study_data, study, fold.development)
        about["start"] = "ridge model of the clinical data"
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class FitFolder:
    """One fit on disk: `weights.safetensors`, `history.csv`, `fit.json`, and `done`, written last.

    The folder is written under a temporary name and renamed, so that a fit is complete or absent.
    """

    path: Path

    @property
    def finished(self) -> bool:
        """Whether the fit can be used."""
        if not (self.path / "done").is_file():
            return False
        try:
            return len(self.tune_raw()) == len(self.history())
        except (OSError, ValueError, KeyError, SafetensorError):
            return False

    def write(self, trained: Trained, about: dict[str, Any]) -> None:
        """Save a training, with the weights of every epoch."""
        tensors = {
            f"{epoch.epoch}/{name}": tensor.contiguous()
            for epoch, state in zip(trained.history, trained.states, strict=True)
            for name, tensor in state.items()
        }
        tensors[TUNE_RAW] = torch.from_numpy(trained.tune_raw)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A unique name, because another process may work on the same fit.
        building = self.path.with_name(f".{self.path.name}.{uuid4().hex}{PART}")
        building.mkdir()
        try:
            save_file(tensors, building / "weights.safetensors")
            history = pd.DataFrame([asdict(e) for e in trained.history])
            history.to_csv(building / "history.csv", index=False)
            (building / "fit.json").write_text(json.dumps(about, indent=1))
            (building / "done").touch()
            self._put(building)
        except SafetensorError as error:
            raise OSError(f"{self.path}: {error}") from None
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _put(self, building: Path) -> None:
        """Move a complete fit into place, unless another process was first."""
        if self.finished:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        try:
            building.rename(self.path)
        except OSError:
            if not self.finished:
                raise

    def history(self) -> list[Epoch]:
        """Losses after every epoch."""
        table = pd.read_csv(self.path / "history.csv", float_precision="round_trip")
        rows = table[["epoch", "train_loss", "tune_loss"]].to_numpy(dtype=float).tolist()
        return [Epoch(int(epoch), train, tune) for epoch, train, tune in rows]

    def tune_raw(self) -> NDArray[np.float64]:
        """Raw outputs for the tune patients after every epoch, shape (epochs, n)."""
        with safe_open(self.path / "weights.safetensors", framework="np") as file:
            return np.asarray(file.get_tensor(TUNE_RAW))

    def state(self, epoch: int) -> State:
        """Weights after one epoch."""
        prefix = f"{epoch}/"
        with safe_open(self.path / "weights.safetensors", framework="pt") as file:
            return {
                key.removeprefix(prefix): file.get_tensor(key)
                for key in file.keys()  # noqa: SIM118 - not iterable itself
                if key.startswith(prefix)
            }


def remove_unfinished(fits: Path) -> None:
    """Remove incomplete files of killed processes, for fits that are finished."""
    for path in fits.glob(f".*{PART}"):
        shutil.rmtree(path, ignore_errors=True)
