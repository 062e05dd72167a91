"""Gated attention pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["GatedAttention"]


class GatedAttention(nn.Module):
    """Weighted mean of a bag's vectors; the weights are learned [1]_.

    Parameters
    ----------
    dimension : int
        Length of an input vector, and of the pooled one.
    attention_width : int
        Units of the two attention branches.

    Notes
    -----
    Bags are of any size and are never padded. The attention starts at zero, that is as a plain
    mean: a small cohort begins from the most robust pooling, and departs from it only as far as
    the data ask.

    References
    ----------
    .. [1] Ilse, Tomczak, Welling (2018), ICML, Attention-based deep multiple instance learning.
    """

    def __init__(self, dimension: int, attention_width: int) -> None:
        super().__init__()
        self.content = nn.Linear(dimension, attention_width)
        self.gate = nn.Linear(dimension, attention_width)
        self.score = nn.Linear(attention_width, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, features: Tensor, lengths: list[int]) -> Tensor:
        """Pool several bags that lie back to back.

        Parameters
        ----------
        features : Tensor, shape (sum of lengths, dimension)
        lengths : list of int
            Vectors per bag, each at least 1.

        Returns
        -------
        Tensor, shape (bags, dimension)
        """
        scores = torch.split(self.scores(features), lengths)
        parts = zip(scores, torch.split(features, lengths), strict=True)
        return torch.stack([torch.softmax(s, 0) @ x for s, x in parts])

    def scores(self, features: Tensor) -> Tensor:
        """Attention before the softmax, shape (n,), of vectors of shape (n, dimension)."""
        gated = torch.tanh(self.content(features)) * torch.sigmoid(self.gate(features))
        scores: Tensor = self.score(gated).squeeze(-1)
        return scores
