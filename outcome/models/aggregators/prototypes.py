"""Prototype pooling: the proportion of each kind of tissue in a bag."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

from outcome.models.aggregators.segments import Segments, row_product

__all__ = ["PrototypePool"]

VECTORS_PER_BAG = 128
MOST_VECTORS = 20_000
STARTS = 3


class PrototypePool(nn.Module):
    """Soft counts of prototypes, standardised between patients. Nothing is learned from outcomes.

    Prototypes are the k-means centres of the training patients' vectors. A vector belongs to a
    prototype with a weight that decreases with the squared distance. The mean of these weights over
    the bag is its proportion of this prototype. This is related to the mixture summaries of [1]_,
    but without their means and variances, which are too many parameters for small cohorts.

    Parameters
    ----------
    dimension : int
        Length of an input vector.
    prototypes : int
        Length of the pooled vector.
    sharpness : float
        1 weighs distances by the mean squared distance to the nearest centre; higher is closer to
        counting each vector for its nearest prototype alone.

    References
    ----------
    .. [1] Song et al. (2024), CVPR, Morphological prototyping for unsupervised slide
       representation learning.
    """

    weighted_mean = False

    def __init__(self, dimension: int, prototypes: int = 16, sharpness: float = 2.0) -> None:
        super().__init__()
        self.width = prototypes
        self.sharpness = sharpness
        self.register_buffer("centres", torch.zeros(prototypes, dimension))
        self.register_buffer("precision", torch.ones(()))
        self.register_buffer("mean", torch.zeros(prototypes))
        self.register_buffer("gain", torch.ones(prototypes))

    def fit_bags(self, bags: Sequence[Tensor], seed: int) -> None:
        """Find the prototypes, and the variation of their proportions, in the training bags.

        Parameters
        ----------
        bags : sequence of Tensor, shape (n, dimension)
            One per patient; of each at most its first 128 vectors are used (the order of a bag is
            random, and every patient should count).
        seed : int
            Seed of the k-means starts.
        """
        each = max(1, min(VECTORS_PER_BAG, MOST_VECTORS // len(bags)))
        sample = torch.cat([bag[:each] for bag in bags]).double().cpu().numpy()
        wanted = min(self.width, len(np.unique(sample, axis=0)))
        found = KMeans(wanted, n_init=STARTS, random_state=seed % 2**32).fit(sample)
        # With fewer different vectors than prototypes, some prototypes are duplicated and share
        # their weight.
        rows = np.arange(self.width) % wanted
        self._set("centres", torch.from_numpy(found.cluster_centers_[rows]))
        self._set("precision", torch.tensor(len(sample) / max(float(found.inertia_), 1e-12)))
        with torch.no_grad():
            shares = torch.cat([self._shares(bag, [len(bag)]) for bag in bags]).double()
        self._set("mean", shares.mean(0))
        # A prototype without variation between patients gets no weight, instead of an infinite one.
        spread = shares.std(0, unbiased=False)
        self._set("gain", torch.where(spread > 1e-6, 1 / spread.clamp(min=1e-6), 0.0))

    def forward(self, features: Tensor, lengths: list[int]) -> Tensor:
        """Pool concatenated bags; see `Aggregator`."""
        shares = self._shares(features, lengths)
        return (shares - self.get_buffer("mean")) * self.get_buffer("gain")

    def _shares(self, features: Tensor, lengths: list[int]) -> Tensor:
        # The squared length of a vector is the same for all prototypes and cancels.
        centres = self.get_buffer("centres")
        scale = self.sharpness * self.get_buffer("precision")
        near = row_product(features.float(), centres) - 0.5 * centres.square().sum(1)
        bags = Segments(lengths, features.device)
        return bags.means(torch.softmax(scale * near, dim=1))

    def _set(self, name: str, value: Tensor) -> None:
        buffer = self.get_buffer(name)
        buffer.copy_(value.to(buffer))
