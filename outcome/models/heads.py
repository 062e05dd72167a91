"""Heads: the loss and the risk of an endpoint, for a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from outcome.endpoint import Binary, Endpoint, Landmark, TimeToEvent
from outcome.models.losses import cox_nll
from outcome.outcomes import Outcomes

__all__ = ["HEADS", "CoxHead", "Head", "LogisticHead", "Target", "head_of"]


@dataclass(frozen=True)
class Target:
    """Outcomes of some patients as tensors, each of shape (n,).

    Parameters
    ----------
    time : Tensor, optional
        Follow-up; None for a label.
    event : bool Tensor
        Whether the event was observed (by the horizon), or the label is positive.
    strata : integer Tensor, optional
    weight : float64 Tensor, optional
        Weight of the patient in a logistic loss; 0 if the outcome by the horizon is unknown.
    entry : float64 Tensor, optional
        Start of observation, if it is delayed.
    """

    time: Tensor | None
    event: Tensor
    strata: Tensor | None = None
    weight: Tensor | None = None
    entry: Tensor | None = None

    @classmethod
    def of(cls, outcomes: Outcomes) -> Target:
        """Return outcomes as tensors; strata are numbered in the order of their names."""
        strata = None
        if outcomes.stratified:
            numbers = np.unique(outcomes.strata, return_inverse=True)[1]
            strata = torch.from_numpy(numbers.astype(np.int64))
        return cls(
            None if outcomes.time is None else torch.from_numpy(outcomes.time),
            torch.from_numpy(outcomes.event),
            strata,
            None if outcomes.weight is None else torch.from_numpy(outcomes.weight),
            None if outcomes.entry is None else torch.from_numpy(outcomes.entry),
        )

    def __getitem__(self, rows: Tensor) -> Target:
        time = None if self.time is None else self.time[rows]
        strata = None if self.strata is None else self.strata[rows]
        weight = None if self.weight is None else self.weight[rows]
        entry = None if self.entry is None else self.entry[rows]
        return Target(time, self.event[rows], strata, weight, entry)


class Head(Protocol):
    """Converts one raw output per patient to a loss and a risk."""

    def loss(self, raw: Tensor, target: Target) -> Tensor:
        """Mean loss of raw outputs of shape (n,); lower is better."""
        ...

    def weight(self, target: Target) -> float:
        """Weight of `loss` of these patients in a sum over groups of patients."""
        ...

    def usable(self, target: Target) -> bool:
        """Whether `loss` is defined for these patients."""
        ...

    def start(self, *targets: Target) -> float:
        """Output of a model without inputs, from the proportion of events."""
        ...

    def risk(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Risk, higher is worse, of raw outputs of shape (n,)."""
        ...


class CoxHead:
    """One log hazard per patient."""

    def loss(self, raw: Tensor, target: Target) -> Tensor:
        """See `cox_nll`."""
        if target.time is None:
            raise ValueError("a Cox loss needs follow-up times")
        return cox_nll(raw, target.time, target.event, target.strata, target.entry)

    def weight(self, target: Target) -> float:
        """Events: the loss is a mean over them."""
        return float(target.event.sum())

    def usable(self, target: Target) -> bool:
        """There must be an event."""
        return bool(target.event.any())

    def start(self, *targets: Target) -> float:
        """Log hazards have no level."""
        return 0.0

    def risk(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log hazard itself."""
        return raw


class LogisticHead:
    """One logit of the positive label, or of the event by the horizon, per patient.

    Parameters
    ----------
    favourable : bool
        Whether the positive label is the better outcome; the risk is then the negative logit.
    """

    def __init__(self, favourable: bool = False) -> None:
        self.favourable = favourable

    def loss(self, raw: Tensor, target: Target) -> Tensor:
        """Weighted mean of the binary cross-entropy, float64."""
        label, weight = target.event.double(), target.weight
        if weight is None:
            return binary_cross_entropy_with_logits(raw.double(), label)
        each = binary_cross_entropy_with_logits(raw.double(), label, reduction="none")
        return (weight * each).sum() / weight.sum()

    def weight(self, target: Target) -> float:
        """Patients, or the sum of their weights: the loss is a mean over them."""
        if target.weight is None:
            return float(target.event.numel())
        return float(target.weight.sum())

    def usable(self, target: Target) -> bool:
        """There must be a patient with a known outcome."""
        return self.weight(target) > 0

    def start(self, *targets: Target) -> float:
        """Logit of the proportion of positives, with half a patient added to each class."""
        positive = 0.0
        for t in targets:
            ones = torch.ones(t.event.numel()) if t.weight is None else t.weight
            positive += float(ones[t.event].sum())
        n = sum(self.weight(t) for t in targets)
        return float(np.log((positive + 0.5) / (n - positive + 0.5)))

    def risk(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logit, negated if the positive label is the better outcome."""
        return -raw if self.favourable else raw


HEADS: Mapping[type, Callable[[Any], Head]] = {
    TimeToEvent: lambda endpoint: CoxHead(),
    Landmark: lambda endpoint: LogisticHead(),
    Binary: lambda endpoint: LogisticHead(endpoint.favourable),
}
"""Head of each kind of endpoint."""


def head_of(endpoint: Endpoint) -> Head:
    """Return the head of an endpoint."""
    return HEADS[type(endpoint)](endpoint)
