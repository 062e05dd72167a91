"""Fusion of inputs inside a network: concatenation, gating, cross-attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from outcome.models.aggregators.gated_attention import GatedAttention
from outcome.models.aggregators.segments import Segments, row_product, row_sum

__all__ = ["CrossAttention", "Gate"]


class Gate(nn.Linear):
    """Multiplies each part by a factor between 0 and 2 that depends on all parts.

    Parameters
    ----------
    widths : sequence of int
        Lengths of the parts.

    Notes
    -----
    Gates start at 1, so that a gated network begins as one that concatenates the parts.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(sum(widths), len(widths))
        self.widths = list(widths)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Weight vectors of shape (patients, sum of widths), with concatenated parts."""
        # Row by row: a product of another shape may be rounded differently.
        # 2 * sigmoid(z) as 1 + tanh(z / 2): on a CPU, torch rounds the sigmoid of the last elements
        # of an array otherwise than that of the others.
        gates = 1 + torch.tanh((row_sum(vectors[:, None] * self.weight) + self.bias) / 2)
        repeats = torch.tensor(self.widths, device=gates.device)
        return vectors * torch.repeat_interleave(gates, repeats, dim=1)


class CrossAttention(GatedAttention):
    """Gated attention over patches that also depends on the report.

    The score of a patch is that of `GatedAttention` plus a bilinear form of the patch and the
    patient's pooled report, so that a report can direct the attention.

    Parameters
    ----------
    dimension : int
        Length of a patch vector.
    context : int
        Length of the pooled report vector.
    attention_width : int
        Units of the attention branches, and rank of the bilinear form.

    Notes
    -----
    The bilinear form starts at zero: the network begins as one without cross-attention.
    """

    def __init__(self, dimension: int, context: int, attention_width: int = 16) -> None:
        super().__init__(dimension, attention_width)
        self.key = nn.Linear(dimension, attention_width, bias=False)
        self.query = nn.Linear(context, attention_width, bias=False)
        nn.init.zeros_(self.query.weight)

    def attend(self, features: Tensor, lengths: list[int], context: Tensor) -> Tensor:
        """Pool concatenated bags, each with its own context.

        Parameters
        ----------
        features : Tensor, shape (sum of lengths, dimension)
        lengths : list of int
        context : Tensor, shape (bags, context)

        Returns
        -------
        Tensor, shape (bags, dimension)
        """
        bags = Segments(lengths, features.device)
        if bags.single:
            return features.float()
        queries = bags.spread(row_product(context, self.query.weight))
        bilinear = (row_product(features, self.key.weight) * queries).sum(1, keepdim=True)
        scores = self.scores(features) + bilinear * queries.shape[1] ** -0.5
        return bags.weighted_sums(bags.softmax(scores), features)
