"""A transformer whose cost grows with the number of patches, not with its square."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from outcome.models.aggregators.gated_attention import GatedAttention

__all__ = ["InducedTransformer"]


class InducedTransformer(nn.Module):
    """Patches exchange information through a few learned vectors, then gated attention.

    In each layer a few inducing vectors attend to all patches, and all patches attend to them: the
    cost is patches x inducing vectors.

    Parameters
    ----------
    dimension : int
        Length of an input vector, and of the pooled one.
    inducing : int
        Learned vectors per layer.
    layers : int
    heads : int
        Maximum number of attention heads; fewer if `dimension` is not a multiple of it.
    attention_width : int
        Units of the two branches of the pooling attention.

    Notes
    -----
    Inducing vectors are those of [1]_. The output that a layer adds to a patch starts at zero, and
    so does the pooling attention. Training therefore begins with the mean, as for all aggregators
    here.

    References
    ----------
    .. [1] Lee et al. (2019), ICML, Set transformer.
    """

    weighted_mean = False
    starts_as_mean = True

    def __init__(
        self,
        dimension: int,
        inducing: int = 16,
        layers: int = 1,
        heads: int = 4,
        attention_width: int = 16,
    ) -> None:
        super().__init__()
        self.width = dimension
        heads = max(h for h in range(1, heads + 1) if dimension % h == 0)
        self.layers = nn.ModuleList(_Layer(dimension, inducing, heads) for _ in range(layers))
        self.pool = GatedAttention(dimension, attention_width)

    def forward(self, features: Tensor, lengths: list[int]) -> Tensor:
        """Pool concatenated bags; see `Aggregator`."""
        bags = []
        for bag in torch.split(features, lengths):
            for layer in self.layers:
                bag = layer(bag)
            bags.append(bag)
        pooled: Tensor = self.pool(torch.cat(bags), lengths)
        return pooled


class _Layer(nn.Module):
    def __init__(self, dimension: int, inducing: int, heads: int) -> None:
        super().__init__()
        self.inducing = nn.Parameter(torch.randn(inducing, dimension) * dimension**-0.5)
        self.norm = nn.LayerNorm(dimension)
        self.gather = nn.MultiheadAttention(dimension, heads, batch_first=True)
        self.spread = nn.MultiheadAttention(dimension, heads, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(dimension, dimension), nn.GELU())
        self.out = nn.Linear(dimension, dimension)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, bag: Tensor) -> Tensor:
        patches, learned = self.norm(bag)[None], self.inducing[None]
        summary, _ = self.gather(learned, patches, patches, need_weights=False)
        heard, _ = self.spread(patches, summary, summary, need_weights=False)
        added: Tensor = self.out(self.feed(patches + heard))[0]
        return bag + added
