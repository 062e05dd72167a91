"""Gated attention over embedded vectors: the network that most peers train on whole vectors."""

from __future__ import annotations

from typing import Any

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
        pooled: Tensor = _Pool.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            features,
            lengths,
            self.embed.weight,
            self.embed.bias,
            self.branches.weight,
            self.branches.bias,
            self.score,
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
        features: Tensor,
        lengths: list[int],
        embed: Tensor,
        embed_bias: Tensor,
        branches: Tensor,
        branches_bias: Tensor,
        score: Tensor,
    ) -> Tensor:
        device = features.device.type
        kind = (
            torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else embed.dtype
        )
        with torch.autocast(device, enabled=False):
            low = [w.to(kind) for w in (embed, embed_bias[:, None], branches)]
            low += [branches_bias.to(kind)[:, None], score.to(kind)]
            pooled = features.new_empty(len(lengths), len(embed_bias), dtype=embed.dtype)
            kept: list[Tensor] = []
            start = 0
            for i, n in enumerate(lengths):
                parts = [_block(x, low) for x in torch.split(features[start : start + n], ROWS)]
                attention = torch.cat([raw for _, _, raw in parts]).to(embed.dtype)
                weights = torch.softmax(attention, 0)
                pooled[i] = sum(
                    torch.mv(hidden.to(w.dtype), w)
                    for w, (hidden, _, _) in zip(torch.split(weights, ROWS), parts, strict=True)
                )
                kept += [weights, *(t for hidden, units, _ in parts for t in (hidden, units))]
                start += n
        ctx.lengths, ctx.kind = lengths, kind
        ctx.save_for_backward(features, embed, branches, score, *kept)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, embed, branches, score, *kept = ctx.saved_tensors
        kind, width = ctx.kind, len(score)
        twice = torch.cat([score, score])
        inner = embed.new_zeros(branches.shape[1], 2 * width + SPARE, dtype=kind)
        inner[:, : 2 * width] = (twice[:, None] * branches).T
        sums = [torch.zeros_like(w) for w in (embed, embed[:, 0], branches, branches[:, 0], score)]
        to_features = torch.empty_like(features) if ctx.needs_input_grad[0] else None
        start = 0
        saved = iter(kept)
        for i, n in enumerate(ctx.lengths):
            weights = next(saved)
            blocks = [(next(saved), next(saved)) for _ in range(0, n, ROWS)]
            inner[:, 2 * width] = direction = gradient[i].to(kind)
            reach = torch.cat([torch.mv(hidden.T, direction) for hidden, _ in blocks])
            # The level is that of the rounded products: slopes of a bag must sum to zero.
            slopes = weights * (reach - weights @ reach.to(weights.dtype))
            for row, (hidden, units) in zip(range(0, n, ROWS), blocks, strict=True):
                block = slice(row, row + hidden.shape[1])
                rows = slice(start + row, start + row + hidden.shape[1])
                x = features[rows].to(kind)
                back = _block_gradient(x, hidden, units, weights[block], slopes[block], inner, sums)
                if to_features is not None:
                    to_features[rows] = back.T @ embed.to(kind)
            start += n
        sums[2] *= twice[:, None]
        sums[3] *= twice
        return to_features, None, *sums


def _block(x: Tensor, low: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Embedded vectors, units of both branches one above the other, and attention of a block."""
    embed, embed_bias, branches, branches_bias, score = low
    hidden = (embed @ x.to(embed.dtype).T).add_(embed_bias).relu_()
    units = (branches @ hidden).add_(branches_bias)
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
    sums: list[Tensor],
) -> Tensor:
    """Add a block's part to the gradients of the weights; returns that of the embedding layer.

    Parameters
    ----------
    x : Tensor, shape (n, dimension)
    hidden, units : Tensor, shape (embedding, n) and (2 width, n)
    weights, slope : Tensor, shape (n,)
        Attention, and the derivative of the loss by the attention before the softmax.
    inner : Tensor, shape (embedding, 2 width + spare)
        Weights of the branches times the score's; then the derivative by the pooled vector.
    sums : list of Tensor
        Gradients so far; those of the branches lack the factor of the score.
    """
    kind, width = hidden.dtype, len(units) // 2
    content, gate = units[:width], units[width:]
    steep = slope.to(kind)
    product = content * gate
    sums[4] += torch.mv(product, steep)
    product *= steep
    outer = units.new_empty(2 * width + SPARE, len(x))
    torch.addcmul(gate * steep, product, content, value=-1, out=outer[:width])
    torch.addcmul(product, product, gate, value=-1, out=outer[width : 2 * width])
    outer[2 * width :] = 0
    outer[2 * width] = weights
    both = outer[: 2 * width]
    ones = units.new_ones(len(x))
    sums[2] += both @ hidden.T
    sums[3] += torch.mv(both, ones)
    back: Tensor = torch.ops.aten.threshold_backward(inner @ outer, hidden, 0)
    sums[0] += back @ x
    sums[1] += torch.mv(back, ones)
    return back
