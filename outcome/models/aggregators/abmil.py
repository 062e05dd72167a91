"""Gated attention over embedded vectors: the network that most peers train on whole vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["ABMIL"]

ROWS = 1536
"""Vectors at once: what is computed from them then stays in the processor's cache."""
SPARE = 32
"""Further columns in one product, of which one is used: a width that blocks of 32 divide."""


class ABMIL(nn.Module):
    """Embeds each vector by a layer with a rectifier, then pools by gated attention [1]_.

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
    Meant for vectors as they are (`training.components: 0`), many patients and a small learning
    rate. Under autocast the products are in low precision; attention, its softmax, the pooled
    vector and every sum of gradients over patches are in float32.

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
        """Pool bags that lie back to back; see `Aggregator`."""
        return self.pool_bags(torch.split(features, lengths))

    def pool_bags(self, bags: Sequence[Tensor]) -> Tensor:
        """Pool bags where they lie."""
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
    here while a block is in the cache. A block is kept with one vector per column: then no product,
    forward or backward, has to transpose what it multiplies. Gradients are summed in float32.
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
        device, width = embed.device.type, len(embed_bias)
        kind = (
            torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else embed.dtype
        )
        with torch.autocast(device, enabled=False):
            joined = torch.zeros(len(branches), width + SPARE, dtype=kind, device=embed.device)
            joined[:, :width], joined[:, width] = branches, branches_bias
            low = [embed.to(kind), embed_bias.to(kind)[:, None], joined, score.to(kind)]
            pooled = embed.new_empty(len(bags), width)
            kept: list[Tensor] = []
            for i, bag in enumerate(bags):
                parts = [_block(x, low) for x in torch.split(bag, ROWS)]
                attention = torch.cat([raw for _, _, raw in parts]).to(embed.dtype)
                weights = torch.softmax(attention, 0)
                pooled[i] = sum(
                    torch.mv(hidden[:width].to(w.dtype), w)
                    for w, (hidden, _, _) in zip(torch.split(weights, ROWS), parts, strict=True)
                )
                kept += [weights, *(t for hidden, units, _ in parts for t in (hidden, units))]
        ctx.kind = kind
        ctx.save_for_backward(embed, branches, score, *bags, *kept)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        embed, branches, score, *saved = ctx.saved_tensors
        bags, kept = saved[: len(gradient)], iter(saved[len(gradient) :])
        kind, width, units = ctx.kind, len(embed), len(branches)
        inner = embed.new_zeros(width, units + SPARE, dtype=kind)
        inner[:, :units] = (torch.cat([score, score])[:, None] * branches).T
        sums = _Sums(
            torch.zeros_like(embed),
            torch.zeros_like(embed[:, 0]),
            embed.new_zeros(units, width + SPARE),
            torch.zeros_like(score),
        )
        to_bags: list[Tensor | None] = [None] * len(bags)
        for i, bag in enumerate(bags):
            weights = next(kept)
            blocks = [(x, next(kept), next(kept)) for x in torch.split(bag, ROWS)]
            inner[:, units] = direction = gradient[i].to(kind)
            reach = torch.cat([torch.mv(h[:width].T, direction) for _, h, _ in blocks])
            # The level is that of the rounded products: slopes of a bag must sum to zero.
            reach = reach.to(weights.dtype)
            slopes = weights * (reach - weights @ reach)
            shares = zip(torch.split(weights, ROWS), torch.split(slopes, ROWS), strict=True)
            backs = [
                _block_gradient(x.to(kind), hidden, gates, *share, inner, sums)
                for (x, hidden, gates), share in zip(blocks, shares, strict=True)
            ]
            if ctx.needs_input_grad[5 + i]:
                found = [back.T @ embed.to(kind) for back in backs]
                to_bags[i] = torch.cat(found).to(bag.dtype)
        sums.branches.mul_(torch.cat([score, score])[:, None])
        split = sums.branches[:, :width].contiguous(), sums.branches[:, width].contiguous()
        return sums.embed, sums.embed_bias, *split, sums.score, *to_bags


class _Sums(NamedTuple):
    """Gradients so far, in float32; those of the branches lack the factor of the score."""

    embed: Tensor
    embed_bias: Tensor
    branches: Tensor
    score: Tensor


def _block(x: Tensor, low: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Embedded vectors, units of both branches one above the other, and attention of a block.

    Below the embedded vectors is a row of ones: the bias of the branches is a column of their
    weights, and costs no pass of its own.
    """
    embed, embed_bias, branches, score = low
    width = len(embed)
    hidden = embed.new_empty(width + SPARE, len(x))
    torch.mm(embed, x.to(embed.dtype).T, out=hidden[:width])
    hidden[:width].add_(embed_bias).relu_()
    hidden[width:] = 0
    hidden[width] = 1
    units = branches @ hidden
    content, gate = units[: len(score)], units[len(score) :]
    content.copy_(content.float().tanh_())  # as exact, and faster than in low precision
    gate.sigmoid_()
    return hidden, units, torch.mv((content * gate).T, score)


def _block_gradient(
    x: Tensor,
    hidden: Tensor,
    units: Tensor,
    weights: Tensor,
    slope: Tensor,
    inner: Tensor,
    sums: _Sums,
) -> Tensor:
    """Add a block's part to the gradients of the weights; returns that of the embedding layer.

    Parameters
    ----------
    x : Tensor, shape (n, dimension)
    hidden, units : Tensor, shape (embedding + spare, n) and (2 width, n)
    weights, slope : Tensor, shape (n,)
        Attention, and the derivative of the loss by the attention before the softmax.
    inner : Tensor, shape (embedding, 2 width + spare)
        Weights of the branches times the score's; then the derivative by the pooled vector.
    sums : _Sums
        Changed in place.
    """
    kind, width = hidden.dtype, len(units) // 2
    content, gate = units[:width], units[width:]
    steep = slope.to(kind)
    product = content * gate
    sums.score.add_(torch.mv(product, steep))
    product *= steep
    outer = units.new_empty(2 * width + SPARE, len(x))
    torch.addcmul(gate * steep, product, content, value=-1, out=outer[:width])
    torch.addcmul(product, product, gate, value=-1, out=outer[width : 2 * width])
    outer[2 * width :] = 0
    outer[2 * width] = weights
    sums.branches.add_(outer[: 2 * width] @ hidden.T)
    back: Tensor = torch.ops.aten.threshold_backward(inner @ outer, hidden[: len(inner)], 0)
    sums.embed.add_(back @ x)
    sums.embed_bias.add_(torch.mv(back, units.new_ones(len(x))))
    return back
