"""Gated attention over embedded vectors, the most common network for original vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from outcome.models.aggregators.abmil_blocks import Blocks, blocks_for
from outcome.models.aggregators.segments import row_product

__all__ = ["ABMIL"]

ROWS = 1536
"""Vectors per block, so that intermediate results stay in the processor cache."""


class ABMIL(nn.Module):
    """Embeds each vector by a layer with a rectifier, then pools by gated attention.

    Parameters
    ----------
    dimension : int
        Length of an input vector.
    embedding : int
        Units of the embedding, and length of the pooled vector.
    attention_width : int
        Units of the two attention branches.

    Notes
    -----
    The network of [1]_, for whole vectors (`training.components: 0`), many patients and a small
    learning rate. Under autocast the products are in low precision; attention, its softmax, the
    pooled vector and every sum of gradients over patches are in float32.

    References
    ----------
    .. [1] Ilse, Tomczak, Welling (2018), ICML, Attention-based deep multiple instance learning.
    """

    weighted_mean = False

    def __init__(self, dimension: int, embedding: int = 512, attention_width: int = 384) -> None:
        super().__init__()
        self.width = embedding
        self.embed = nn.Linear(dimension, embedding)
        self.branches = nn.Linear(embedding, 2 * attention_width)
        self.score = nn.Parameter(torch.empty(attention_width))
        nn.init.uniform_(self.score, -(attention_width**-0.5), attention_width**-0.5)

    def forward(self, features: Tensor, lengths: list[int]) -> Tensor:
        """Pool concatenated bags; see `Aggregator`."""
        return self.pool_bags(torch.split(features, lengths))

    def pool_bags(self, bags: Sequence[Tensor]) -> Tensor:
        """Pool bags without concatenating them."""
        single = [i for i, bag in enumerate(bags) if len(bag) == 1]
        if not single:
            return self._weighted(bags)
        # A single vector has all the attention: its embedding is the pooled vector.
        product = row_product(torch.cat([bags[i] for i in single]), self.embed.weight)
        alone = torch.relu(product + self.embed.bias)
        several = [i for i, bag in enumerate(bags) if len(bag) > 1]
        if not several:
            return alone
        order = torch.tensor([*single, *several], device=alone.device).argsort()
        return torch.cat([alone, self._weighted([bags[i] for i in several])])[order]

    def _weighted(self, bags: Sequence[Tensor]) -> Tensor:
        pooled: Tensor = _Pool.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.embed.weight,
            self.embed.bias,
            self.branches.weight,
            self.branches.bias,
            self.score,
            *bags,
        )
        return pooled

    def scores(self, features: Tensor) -> Tensor:
        """Attention before the softmax, shape (n, 1), of vectors of shape (n, dimension)."""
        hidden = torch.relu(self.embed(features))
        content, gate = self.branches(hidden).chunk(2, dim=1)
        return (torch.tanh(content) * torch.sigmoid(gate)) @ self.score[:, None]


class _Pool(torch.autograd.Function):
    """The whole aggregator as one operation, a block of vectors at a time.

    What autograd would do operation by operation, with a pass through memory for each, is done
    here while a block is in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any,
        embed: Tensor,
        embed_bias: Tensor,
        branches: Tensor,
        branches_bias: Tensor,
        score: Tensor,
        *bags: Tensor,
    ) -> Tensor:
        device = embed.device
        low = torch.is_autocast_enabled(device.type)
        kind = torch.get_autocast_dtype(device.type) if low else embed.dtype
        weights = (embed, embed_bias, branches, branches_bias, score)
        ctx.blocks, ctx.kind = blocks_for(device, kind), kind
        pooled = embed.new_empty(len(bags), len(embed))
        kept: list[Tensor] = []
        with torch.autocast(device.type, enabled=False):
            blocks = ctx.blocks(kind, weights)
            blocks.begin_forward()
            for i, bag in enumerate(bags):
                parts = [blocks.forward(x) for x in torch.split(bag, ROWS)]
                attention = torch.softmax(torch.cat([raw for _, _, raw in parts]), 0)
                pooled[i] = sum(
                    blocks.pool(hidden, share)
                    for share, (hidden, _, _) in zip(
                        torch.split(attention, ROWS), parts, strict=True
                    )
                )
                kept += [attention, *(t for hidden, units, _ in parts for t in (hidden, units))]
        ctx.save_for_backward(*weights, *bags, *kept)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved, n = ctx.saved_tensors, len(gradient)
        weights, bags, kept = saved[:5], saved[5 : 5 + n], iter(saved[5 + n :])
        to_bags: list[Tensor | None] = [None] * n
        # Made anew, so that waiting for the way back holds no copies of the weights.
        blocks: Blocks = ctx.blocks(ctx.kind, weights)
        blocks.begin_backward()
        for i, bag in enumerate(bags):
            attention = next(kept)
            parts = [(x, next(kept), next(kept)) for x in torch.split(bag, ROWS)]
            blocks.turn(gradient[i])
            reach = torch.cat([blocks.reach(hidden, len(x)) for x, hidden, _ in parts])
            # The level is that of the rounded products: slopes of a bag must sum to zero.
            slopes = attention * (reach - attention @ reach)
            shares = zip(torch.split(attention, ROWS), torch.split(slopes, ROWS), strict=True)
            backs = [
                blocks.backward(*part, *share) for part, share in zip(parts, shares, strict=True)
            ]
            if ctx.needs_input_grad[5 + i]:
                low = weights[0].to(ctx.kind)
                to_bags[i] = torch.cat([back.T @ low for back in backs]).to(bag.dtype)
        return *blocks.gradients(), *to_bags
