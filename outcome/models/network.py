"""One network per arm: a branch per input, fused into one number per patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from outcome.models.aggregators import GatedAttention

__all__ = ["Inputs", "OutcomeNetwork", "Spread"]


@dataclass(frozen=True)
class Inputs:
    """One input of several patients, ragged: what is there lies back to back.

    Parameters
    ----------
    features : Tensor, shape (sum of lengths, d)
    lengths : list of int
        Vectors per patient; 0 where the patient lacks this input.
    """

    features: Tensor
    lengths: list[int]

    @classmethod
    def join(cls, bags: Sequence[Tensor | None], dimension: int, device: torch.device) -> Inputs:
        """Lay the vectors of several patients back to back; None where a patient has none."""
        there = [b for b in bags if b is not None]
        features = torch.cat(there) if there else torch.zeros(0, dimension)
        return cls(features.to(device), [0 if b is None else len(b) for b in bags])


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
    def of(cls, bags: Sequence[Tensor | None]) -> Spread:
        """Measure it on some patients.

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
        there = [b for b in bags if b is not None]
        means = torch.stack([b.mean(0) for b in there]).double()
        width = means.shape[1]
        between = means.var(0, unbiased=True) if len(there) > 1 else torch.ones(width).double()
        between = between.clamp(min=1e-12)
        several = [b.var(0).double() / len(b) for b in there if len(b) > 1]
        noise = torch.stack(several).mean(0) if several else torch.zeros(width).double()
        reliability = (1 - noise / between).clamp(0, 1)
        gain = torch.maximum(reliability * between.rsqrt(), between.mean().rsqrt())
        return cls(means.mean(0).float(), gain.float())


class OutcomeNetwork(nn.Module):
    """Attention-pooled vectors, standardised between patients, and a linear read-out.

    Parameters
    ----------
    dimensions : mapping of input to int
        Length of the vectors of each input, e.g. `{"image": 64, "report": 32}`.
    attention_width : int
        See `GatedAttention`.
    dropout : float
        Of pooled components, in training.
    start : float
        Output of the untrained network: the read-out starts at zero weights.
    spread : mapping of input to Spread, optional
        Measured on the training patients; without it, to be loaded with the weights.

    Notes
    -----
    Inputs are joined by concatenation; with a linear read-out the log hazard is a sum of one part
    per input. A patient who lacks an input gets a learned vector in its place (at first the mean
    patient), so nobody is left out.
    """

    def __init__(
        self,
        dimensions: Mapping[str, int],
        attention_width: int,
        dropout: float,
        start: float = 0.0,
        spread: Mapping[str, Spread] | None = None,
    ) -> None:
        super().__init__()
        self.pools = nn.ModuleDict(
            {name: GatedAttention(d, attention_width) for name, d in dimensions.items()}
        )
        self.absent = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(d)) for name, d in dimensions.items()}
        )
        for name, d in dimensions.items():
            given = spread[name] if spread else Spread(torch.zeros(d), torch.ones(d))
            self.register_buffer(f"mean_{name}", given.mean.clone())
            self.register_buffer(f"gain_{name}", given.gain.clone())
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(sum(dimensions.values()), 1)
        nn.init.zeros_(self.readout.weight)
        nn.init.constant_(self.readout.bias, start)

    def forward(self, inputs: Mapping[str, Inputs]) -> Tensor:
        """Log hazard or logit per patient, shape (patients,)."""
        raw: Tensor = self.readout(self.dropout(self.vectors(inputs))).squeeze(-1)
        return raw

    def vectors(self, inputs: Mapping[str, Inputs]) -> Tensor:
        """Pooled and standardised vectors, inputs side by side, shape (patients, width)."""
        return torch.cat([self._branch(name, inputs[name]) for name in self.pools], dim=1)

    def _branch(self, name: str, given: Inputs) -> Tensor:
        present = [i for i, n in enumerate(given.lengths) if n]
        rows: Tensor = self.absent[name].expand(len(given.lengths), -1)
        if not present:
            return rows
        pooled: Tensor = self.pools[name](given.features, [n for n in given.lengths if n])
        pooled = (pooled - self.get_buffer(f"mean_{name}")) * self.get_buffer(f"gain_{name}")
        if len(present) == len(given.lengths):
            return pooled
        where = torch.tensor(present, device=pooled.device)
        return rows.clone().index_copy(0, where, pooled)
