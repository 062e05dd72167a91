"""Gated attention pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["GatedAttention"]


class GatedAttention(nn.Module):
    """Weighted means of a bag's vectors; the weights are learned [1]_.

    Parameters
    ----------
    dimension : int
        Length of an input vector.
    attention_width : int
        Units of the two attention branches.
    heads : int
        Weighted means, side by side: the pooled vector has `heads * dimension` numbers.

    Notes
    -----
    Bags are of any size and are never padded. The attention starts at zero, that is as a plain
    mean: a small cohort begins from the most robust pooling, and departs from it only as far as
    the data ask.

    References
    ----------
    .. [1] Ilse, Tomczak, Welling (2018), ICML, Attention-based deep multiple instance learning.
    """

    weighted_mean = True

    def __init__(self, dimension: int, attention_width: int = 16, heads: int = 1) -> None:
        super().__init__()
        self.width = heads * dimension
        self.content = nn.Linear(dimension, attention_width)
        self.gate = nn.Linear(dimension, attention_width)
        self.score = nn.Linear(attention_width, heads, bias=False)
        if heads == 1:
            nn.init.zeros_(self.score.weight)
        else:  # a mean up to a little noise: heads that start alike would stay alike
            nn.init.normal_(self.score.weight, std=0.01)

    def forward(self, features: Tensor, lengths: list[int]) -> Tensor:
        """Pool bags that lie back to back; see `Aggregator`."""
        scores = torch.split(self.scores(features), lengths)
        parts = zip(scores, torch.split(features, lengths), strict=True)
        return torch.stack([(torch.softmax(s, 0).T @ x).flatten() for s, x in parts])

    def scores(self, features: Tensor) -> Tensor:
        """Attention before the softmax, shape (n, heads), of vectors of shape (n, dimension)."""
        gated = torch.tanh(self.content(features)) * torch.sigmoid(self.gate(features))
        scores: Tensor = self.score(gated)
        return scores
