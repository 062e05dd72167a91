"""Precision of a device, determined by its capabilities and never by run times."""

from __future__ import annotations

import torch

from outcome.errors import InputError
from outcome.models.aggregators.abmil_blocks import can_compile
from outcome.study import Study, Training

__all__ = ["compiles", "computes_bfloat16", "resolved"]


def computes_bfloat16(device: str) -> bool:
    """Whether a device multiplies matrices natively in bfloat16."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if kind != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolved(study: Study, device: str) -> Study:
    """Return the study with `training.precision: auto` decided for this device.

    Raises
    ------
    InputError
        bfloat16 is requested, but the device does not support it.
    """
    settings = study.training
    able = computes_bfloat16(device)
    if settings.precision == "bfloat16" and not able:
        raise InputError(
            f"training.precision: {device} does not support bfloat16; use auto or float32"
        )
    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if able and settings.components == 0 else "float32"
    training = settings.model_copy(update={"precision": precision})
    return study.model_copy(update={"training": training})


def compiles(training: Training, aggregator: str | None, device: str) -> bool:
    """Whether a fit uses compiled functions between products, which round later."""
    here = device == "cpu" and training.threads == 1 and can_compile()
    return here and aggregator == "abmil" and training.precision == "bfloat16"
