"""One network per arm: a branch per input, fused into one number per patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any, cast

import torch
from torch import Tensor, nn

from outcome.models.fusion import CrossAttention, Gate

__all__ = ["Inputs", "OutcomeNetwork", "Spread", "moments"]


@dataclass(frozen=True)
class Inputs:
    """One input of several patients, ragged.

    Parameters
    ----------
    bags : tuple of Tensor, each of shape (n, d)
        Of the patients who have this input; without any, one that is empty.
    lengths : list of int
        Vectors per patient; 0 where the patient lacks this input.
    """

    bags: tuple[Tensor, ...]
    lengths: list[int]

    @classmethod
    def join(cls, bags: Sequence[Tensor | None], dimension: int, device: torch.device) -> Inputs:
        """Take the vectors of several patients to the device; None where a patient has none."""
        there = [b.to(device) for b in bags if b is not None and len(b)]
        none = torch.zeros(0, dimension, device=device)
        return cls(tuple(there) or (none,), [0 if b is None else len(b) for b in bags])

    @cached_property
    def features(self) -> Tensor:
        """All vectors back to back, shape (sum of lengths, d)."""
        return self.bags[0] if len(self.bags) == 1 else torch.cat(self.bags)


@dataclass(frozen=True)
class Spread:
    """How the mean vectors of patients vary.

    Parameters
    ----------
    mean : Tensor, shape (d,)
    gain : Tensor, shape (d,)
        Multiplies the deviation from the mean.
    """

    mean: Tensor
    gain: Tensor

    @classmethod
    def of(cls, moments: Tensor) -> Spread:
        """Measure it on some patients.

        Parameters
        ----------
        moments : Tensor, shape (patients, 2, d)
            As `moments` gives them.

        Notes
        -----
        The variance between patients' mean vectors is partly sampling noise: a mean of n vectors
        has variance s^2/n even if all patients are alike. The share that is not noise is the
        reliability of a component. The gain is reliability / SD, so that a component in which
        patients truly differ counts the same however small it is, and noise is not blown up to
        the size of signal; but at least 1 / (root mean square SD of all components), that is, no
        component counts less than it would unscaled. A bag of few, very different vectors (a
        report) has next to no reliability as a mean, and needs that floor.
        """
        means, errors = moments[:, 0], moments[:, 1]
        between = means.var(0, unbiased=True) if len(means) > 1 else torch.ones_like(means[0])
        between = between.clamp(min=1e-12)
        several = errors[~errors.isnan().any(1)]
        noise = several.mean(0) if len(several) else torch.zeros_like(between)
        reliability = (1 - noise / between).clamp(0, 1)
        gain = torch.maximum(reliability * between.rsqrt(), between.mean().rsqrt())
        return cls(means.mean(0).float(), gain.float())


def moments(bag: Tensor) -> Tensor:
    """Mean of a bag's vectors, and the variance of that mean, shape (2, d), float64.

    The variance is NaN for a bag of one vector.
    """
    mean = bag.float().mean(0).double()
    error = bag.float().var(0).double() / len(bag) if len(bag) > 1 else torch.full_like(mean, nan)
    return torch.stack([mean, error])


class OutcomeNetwork(nn.Module):
    """A pooled vector per input, standardised between patients, fused, and a linear read-out.

    Parameters
    ----------
    pools : mapping of input to Aggregator
        E.g. `{"image": GatedAttention(64), "report": GatedAttention(32)}`.
    dimensions : mapping of input to int
        Length of the vectors of each input.
    dropout : float
        Of pooled components, in training.
    start : float
        Output of the untrained network: the read-out starts at zero weights.
    spread : mapping of input to Spread, optional
        Measured on the training patients; without it, to be loaded with the weights. Used for
        aggregators whose vectors are weighted means of the bag's own.
    fusion : {"early", "gated", "cross"}
        `early`: pooled vectors side by side, so that the log hazard is a sum of one part per
        input. `gated`: each part is multiplied by a `Gate`, so that the weight of an input may
        differ between patients. `cross`: as `early`, and the pool of the image is a
        `CrossAttention`, which the report tells where to look.
    absent : float
        Share of patients whose input is hidden in a training step (modality dropout), where an
        arm has several inputs.
    low_precision : bool
        Products inside the aggregators in bfloat16; all that follows in float32.

    Notes
    -----
    A patient who lacks an input gets a learned vector in its place (at first the mean patient), so
    no patient is left out.
    """

    def __init__(
        self,
        pools: Mapping[str, nn.Module],
        dimensions: Mapping[str, int],
        *,
        dropout: float = 0.0,
        start: float = 0.0,
        spread: Mapping[str, Spread] | None = None,
        fusion: str = "early",
        absent: float = 0.0,
        low_precision: bool = False,
    ) -> None:
        super().__init__()
        self.low_precision = low_precision
        self.pools = nn.ModuleDict(pools)
        widths = {name: int(cast(Any, pool).width) for name, pool in pools.items()}
        self.widths = list(widths.values())
        self.absent = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(w)) for name, w in widths.items()}
        )
        for name, pool in pools.items():
            mean, gain = torch.zeros(widths[name]), torch.ones(widths[name])
            if spread and (
                getattr(pool, "weighted_mean", False) or getattr(pool, "starts_as_mean", False)
            ):
                heads = widths[name] // dimensions[name]
                mean, gain = spread[name].mean.repeat(heads), spread[name].gain.repeat(heads)
            self.register_buffer(f"mean_{name}", mean)
            self.register_buffer(f"gain_{name}", gain)
        self.dropout = nn.Dropout(dropout)
        self.hidden_share = absent if len(pools) > 1 else 0.0
        self.readout = nn.Linear(sum(self.widths), 1)
        nn.init.zeros_(self.readout.weight)
        nn.init.constant_(self.readout.bias, start)
        self.gate = Gate(self.widths) if fusion == "gated" else nn.Identity()

    def forward(self, inputs: Mapping[str, Inputs]) -> Tensor:
        """Log hazard or logit per patient, shape (patients,)."""
        raw: Tensor = self.readout(self.gate(self.dropout(self.vectors(inputs)))).squeeze(-1)
        return raw

    def vectors(self, inputs: Mapping[str, Inputs]) -> Tensor:
        """Pooled and standardised vectors, inputs side by side, shape (patients, width)."""
        return torch.cat(list(self.branches(inputs).values()), dim=1)

    def branches(self, inputs: Mapping[str, Inputs]) -> dict[str, Tensor]:
        """Pooled and standardised vectors per input that is given, in the order of `pools`."""
        named = [name for name in self.pools if name in inputs]
        report = self.branch("report", inputs["report"]) if "report" in named else None
        return {
            name: report if name == "report" and report is not None
            else self.branch(name, inputs[name], report)
            for name in named
        }  # fmt: skip

    def branch(self, name: str, given: Inputs, report: Tensor | None = None) -> Tensor:
        """Pooled and standardised vectors of one input, shape (patients, width).

        Parameters
        ----------
        name : str
        given : Inputs
        report : Tensor, shape (patients, width of the report), optional
            Pooled report vectors, for a `CrossAttention`; without it everybody has the vector of
            a patient who lacks a report.
        """
        present = [i for i, n in enumerate(given.lengths) if n]
        rows: Tensor = self.absent[name].expand(len(given.lengths), -1)
        if not present:
            return rows
        pool, lengths = self.pools[name], [n for n in given.lengths if n]
        with torch.autocast(given.bags[0].device.type, torch.bfloat16, enabled=self.low_precision):
            if isinstance(pool, CrossAttention):
                context = self.absent["report"].expand(len(rows), -1) if report is None else report
                pooled = pool.attend(given.features, lengths, context[present])
            elif callable(pool_bags := getattr(pool, "pool_bags", None)):
                pooled = pool_bags(given.bags)
            else:
                pooled = pool(given.features, lengths)
        pooled = pooled.float()
        pooled = (pooled - self.get_buffer(f"mean_{name}")) * self.get_buffer(f"gain_{name}")
        if self.training and self.hidden_share > 0:
            hide = torch.rand(len(present), 1, device=pooled.device) < self.hidden_share
            pooled = torch.where(hide, self.absent[name], pooled)
        if len(present) == len(given.lengths):
            return pooled
        where = torch.tensor(present, device=pooled.device)
        return rows.clone().index_copy(0, where, pooled)
