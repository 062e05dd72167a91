"""One network per arm: a branch per input, fused into one number per patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from outcome.models.aggregators.segments import Segments, row_sum
from outcome.models.fusion import CrossAttention, Gate

__all__ = ["Inputs", "OutcomeNetwork", "Spread", "moments"]


@dataclass(frozen=True, eq=False)
class Inputs(Sequence[Tensor | None]):
    """One input of several patients: a matrix of vectors, and the rows of each patient.

    A sequence of the patients' bags, each of shape (n, d), or None if a patient lacks the input.

    Parameters
    ----------
    matrix : Tensor, shape (m, d)
        Vectors of these patients, and possibly of others.
    starts : array, shape (patients,)
        First row of each patient.
    lengths : array, shape (patients,)
        Vectors per patient; 0 if the patient lacks this input.
    """

    matrix: Tensor
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def join(
        cls,
        bags: Sequence[Tensor | None],
        dimension: int | None = None,
        device: torch.device | None = None,
    ) -> Inputs:
        """Concatenate the vectors of several patients; None if a patient has none.

        Parameters
        ----------
        bags : sequence of Tensor or None
        dimension : int, optional
            Length of a vector; needed if no patient has any.
        device : torch.device, optional
            Target device; by default the current one.
        """
        there = [b if device is None else b.to(device) for b in bags if b is not None and len(b)]
        if not there:
            if dimension is None:
                raise ValueError("no patient has vectors; give the length of the vectors")
            there = [torch.zeros(0, dimension, device=device)]
        lengths = np.array([0 if b is None else len(b) for b in bags], dtype=np.int64)
        matrix = there[0] if len(there) == 1 else torch.cat(there)
        return cls(matrix, lengths.cumsum() - lengths, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: Any) -> Any:
        start, n = int(self.starts[row]), int(self.lengths[row])
        return self.matrix[start : start + n] if n else None

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Inputs:
        """Return some of the patients, without moving their vectors."""
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) == len(self) and (rows == np.arange(len(self))).all():
            return self  # whose features may have been laid out already
        return Inputs(self.matrix, self.starts[rows], self.lengths[rows])

    def to(self, device: torch.device) -> Inputs:
        """Return a copy on a device, with only the rows of these patients."""
        if self.matrix.device == device:
            return self
        moved = self.features.to(device)
        return Inputs(moved, self.lengths.cumsum() - self.lengths, self.lengths)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.matrix.shape[1])

    @cached_property
    def present(self) -> NDArray[np.int64]:
        """Rows of the patients who have this input."""
        return np.flatnonzero(self.lengths)

    @property
    def bags(self) -> list[Tensor]:
        """The vectors of each patient who has this input, as views."""
        places = zip(self.starts[self.present], self.lengths[self.present], strict=True)
        return [self.matrix[start : start + n] for start, n in places]

    @cached_property
    def features(self) -> Tensor:
        """All vectors of these patients, concatenated, shape (sum of lengths, d)."""
        starts, lengths = self.starts[self.present], self.lengths[self.present]
        if not len(starts):
            return self.matrix[:0]
        ends = starts + lengths
        if (starts[1:] == ends[:-1]).all():  # they lie back to back already
            return self.matrix[int(starts[0]) : int(ends[-1])]
        before = lengths.cumsum() - lengths
        rows = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        return self.matrix.index_select(0, torch.from_numpy(rows).to(self.matrix.device))


@dataclass(frozen=True)
class Spread:
    """Variation of the mean vectors of patients.

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
        """Compute it from some patients.

        Parameters
        ----------
        moments : Tensor, shape (patients, 2, d)
            As returned by `moments`.

        Notes
        -----
        The variance between patients' mean vectors is partly sampling noise: a mean of n vectors
        has variance s^2/n even if all patients are the same. The proportion of the variance that is
        not noise is the reliability of a component. The gain is reliability / SD: a component with
        true differences between patients has the same weight whatever its size, and noise is not
        amplified to the size of signal. The gain is at least 1 / (root mean square SD of all
        components), so that no component has less weight than without scaling. A bag of few, very
        different vectors (a report) has almost no reliability as a mean and needs this lower limit.
        """
        means, errors = moments[:, 0], moments[:, 1]
        between = means.var(0, unbiased=True) if len(means) > 1 else torch.ones_like(means[0])
        between = between.clamp(min=1e-12)
        several = errors[~errors.isnan().any(1)]
        noise = several.mean(0) if len(several) else torch.zeros_like(between)
        reliability = (1 - noise / between).clamp(0, 1)
        gain = torch.maximum(reliability * between.rsqrt(), between.mean().rsqrt())
        return cls(means.mean(0).float(), gain.float())


def moments(inputs: Inputs) -> Tensor:
    """Mean of each bag's vectors, and the variance of that mean, shape (bags, 2, d), float64.

    Only of patients who have the input. The variance is NaN for a bag of one vector.
    """
    features, lengths = inputs.features.float(), inputs.lengths[inputs.present]
    bags = Segments(lengths.tolist(), features.device)
    means = bags.means(features)
    if bags.single:
        return torch.stack([means.double(), torch.full_like(means, nan).double()], 1)
    between = bags.means((features - means.index_select(0, bags.owner)).square()).double()
    freedom = (bags.counts - 1).double()[:, None]
    return torch.stack([means.double(), torch.where(freedom > 0, between / freedom, nan)], 1)


class OutcomeNetwork(nn.Module):
    """A pooled vector per input, standardised between patients, fused, with a linear output layer.

    Parameters
    ----------
    pools : mapping of input to Aggregator
        E.g. `{"image": GatedAttention(64), "report": GatedAttention(32)}`.
    dimensions : mapping of input to int
        Length of the vectors of each input.
    dropout : float
        Dropout of the pooled components during training.
    start : float
        Output of the untrained network, whose output layer starts at zero weights.
    spread : mapping of input to Spread, optional
        Computed on the training patients; if missing, it is loaded with the weights. Used for
        aggregators that return weighted means of the vectors of the bag.
    fusion : {"early", "gated", "cross"}
        `early`: pooled vectors are concatenated, so that the log hazard is a sum of one part per
        input. `gated`: each part is multiplied by a `Gate`, so that the weight of an input may
        differ between patients. `cross`: as `early`, and the pool of the image is a
        `CrossAttention`, which is directed by the report.
    absent : float
        Proportion of patients whose input is hidden in a training step (modality dropout), if an
        arm has several inputs.
    low_precision : bool
        Use bfloat16 for products inside the aggregators; everything else is in float32.

    Notes
    -----
    A patient who lacks an input gets a learned vector in its place (at first the mean patient), so
    no patient is excluded.
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
        vectors: Tensor = self.gate(self.dropout(self.vectors(inputs)))
        # Row by row: a product of another shape may be rounded differently.
        raw: Tensor = row_sum(vectors * self.readout.weight) + self.readout.bias
        return raw

    def vectors(self, inputs: Mapping[str, Inputs]) -> Tensor:
        """Pooled and standardised vectors, with concatenated inputs, shape (patients, width)."""
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
            Pooled report vectors, for a `CrossAttention`; without it all patients get the vector
            for a missing report.
        """
        present, device = given.present, given.matrix.device
        absent: Tensor = self.absent[name]
        if not len(present):
            return absent.expand(len(given), -1)
        pool, lengths = self.pools[name], given.lengths[present].tolist()
        pooled: Tensor
        everybody = len(present) == len(given)
        where = None if everybody else torch.from_numpy(present).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.low_precision):
            if isinstance(pool, CrossAttention):
                context = self.absent["report"].expand(len(given), -1) if report is None else report
                context = context if where is None else context.index_select(0, where)
                pooled = pool.attend(given.features, lengths, context)
            elif callable(pool_bags := getattr(pool, "pool_bags", None)):
                pooled = pool_bags(given.bags)
            else:
                pooled = pool(given.features, lengths)
        pooled = pooled.float()
        mean, gain = self.get_buffer(f"mean_{name}"), self.get_buffer(f"gain_{name}")
        pooled = (pooled - mean) * gain
        if self.training and self.hidden_share > 0:
            hide = torch.rand(len(present), 1, device=pooled.device) < self.hidden_share
            pooled = torch.where(hide, absent, pooled)
        if where is None:
            return pooled
        return absent.expand(len(given), -1).clone().index_copy(0, where, pooled)
