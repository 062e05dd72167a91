"""Gated attention pooling."""

from __future__ import annotations

from torch import Tensor, nn

from outcome.models.aggregators.segments import Segments, gated_scores

__all__ = ["GatedAttention"]


class GatedAttention(nn.Module):
    """Weighted means of the vectors of a bag, with learned weights.

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
    The gated attention of [1]_. Bags have any size and are never padded; a single vector needs no
    attention. Attention scores start at zero, that is as a plain mean: training begins with the
    most robust pooling, and departs from it only as far as the data support.

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
        bags = Segments(lengths, features.device)
        if bags.single:  # the weight of an only vector is 1, whatever its score
            heads = self.score.out_features
            return features.float() if heads == 1 else features.float().tile(heads)
        return bags.weighted_sums(bags.softmax(self.scores(features)), features)

    def scores(self, features: Tensor) -> Tensor:
        """Attention before the softmax, shape (n, heads), of vectors of shape (n, dimension)."""
        content, gate = self.content, self.gate
        return gated_scores(
            features, content.weight, content.bias, gate.weight, gate.bias, self.score.weight
        )
