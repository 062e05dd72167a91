"""Mean pooling."""

from __future__ import annotations

from torch import Tensor, nn

from outcome.models.aggregators.segments import Segments

__all__ = ["MeanPool"]


class MeanPool(nn.Module):
    """Mean of the vectors of a bag; nothing is learned.

    Parameters
    ----------
    dimension : int
        Length of an input vector, and of the pooled one.
    """

    weighted_mean = True

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.width = dimension

    def forward(self, features: Tensor, lengths: list[int]) -> Tensor:
        """Pool concatenated bags; see `Aggregator`."""
        return Segments(lengths, features.device).means(features)
