"""Batches of a `SlideDataset`, for PyTorch's `DataLoader`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from outcome.dataset.study_data import PatientSample
from outcome.errors import InputError
from outcome.models.heads import Target
from outcome.models.network import Inputs

__all__ = ["PaddedBatch", "SampleBatch", "collate", "collate_padded"]


@dataclass(frozen=True)
class SampleBatch:
    """A batch of patients with bags of different lengths.

    Attributes
    ----------
    patients : list of str
    inputs : dict of str to Inputs
        `image` and `report`, if a patient has them; the input of `OutcomeNetwork`.
    target : Target or None
        `time` and `event` (a label is an `event` without a time), and `entry` if it is delayed;
        None without outcomes.
    """

    patients: list[str]
    inputs: dict[str, Inputs]
    target: Target | None


@dataclass(frozen=True)
class PaddedBatch:
    """Patch vectors of some patients, padded to the same length.

    Attributes
    ----------
    patients : list of str
    features : Tensor, shape (patients, n, d)
        0 beyond the patches of a patient.
    mask : bool Tensor, shape (patients, n)
        Whether there is a patch.
    target : Target or None
    """

    patients: list[str]
    features: Tensor
    mask: Tensor
    target: Target | None


def collate(samples: Sequence[PatientSample]) -> SampleBatch:
    """Join patients into a batch without padding: `collate_fn` of a `DataLoader`.

    Parameters
    ----------
    samples : sequence of PatientSample
        Samples of a `SlideDataset`.

    Examples
    --------
    >>> import numpy as np
    >>> from torch.utils.data import DataLoader
    >>> from outcome import SlideDataset
    >>> data = SlideDataset([np.ones((n, 4)) for n in (3, 5)], outcomes=[0, 1])
    >>> batch = next(iter(DataLoader(data, batch_size=2, collate_fn=collate)))
    >>> batch.inputs["image"].features.shape, batch.target.event
    (torch.Size([8, 4]), tensor([False,  True]))
    """
    found = {}
    for name, bags in (
        ("image", [s.patches for s in samples]),
        ("report", [s.report for s in samples]),
    ):
        tensors = [None if b is None else _tensor(b) for b in bags]
        width = next((int(t.shape[1]) for t in tensors if t is not None), None)
        if width is not None:
            found[name] = Inputs.join(tensors, width, torch.device("cpu"))
    return SampleBatch([s.patient for s in samples], found, _target(samples))


def collate_padded(samples: Sequence[PatientSample]) -> PaddedBatch:
    """Join patients into a padded batch with a mask, the input of torchmil's models.

    Parameters
    ----------
    samples : sequence of PatientSample
        Each with patches.

    Examples
    --------
    >>> import numpy as np
    >>> from outcome import SlideDataset
    >>> batch = collate_padded(list(SlideDataset([np.ones((n, 4)) for n in (3, 5)])))
    >>> batch.features.shape, batch.mask.sum(dim=1)
    (torch.Size([2, 5, 4]), tensor([3, 5]))
    """
    if lacking := [s.patient for s in samples if s.patches is None]:
        raise InputError(f"{len(lacking)} patients have no patches, e.g. {', '.join(lacking[:3])}")
    bags = [_tensor(s.patches) for s in samples if s.patches is not None]
    features = torch.nn.utils.rnn.pad_sequence(bags, batch_first=True)
    lengths = torch.tensor([len(b) for b in bags])
    mask = torch.arange(features.shape[1])[None] < lengths[:, None]
    return PaddedBatch([s.patient for s in samples], features, mask, _target(samples))


def _tensor(bag: NDArray[Any]) -> Tensor:
    """Return a copy of a bag in single precision, because stored bags are read-only."""
    return torch.from_numpy(np.array(np.atleast_2d(bag), dtype=np.float32))


def _target(samples: Sequence[PatientSample]) -> Target | None:
    known = [s.outcome for s in samples if s.outcome is not None]
    if len(known) < len(samples) or not known:
        return None
    if "time" in known[0]:
        time = torch.tensor([float(o["time"]) for o in known], dtype=torch.float64)
        event = torch.tensor([int(o["event"]) == 1 for o in known])
        entry = None
        if "entry" in known[0]:
            entry = torch.tensor([float(o["entry"]) for o in known], dtype=torch.float64)
        return Target(time, event, entry=entry)
    labels = [o["label"] for o in known]
    if not set(labels) <= {0, 1}:
        raise InputError(f"labels are {sorted(set(map(str, labels)))[:3]}, but must be 0 and 1")
    return Target(None, torch.tensor([int(label) == 1 for label in labels]))
