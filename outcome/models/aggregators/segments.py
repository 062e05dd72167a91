"""Operations on concatenated bags: products of rows, softmax and sums per bag.

No loop over short bags, no padding to the longest, and nothing computed for a bag depends on the
bags around it, to the last bit: rows are multiplied in blocks of one size, since a product of
another shape may be rounded differently, and sums within a bag run in the order of its vectors.
All operations are deterministic on a GPU too: none adds atomically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag, pad

__all__ = ["Segments", "gated_scores", "row_product", "row_sum"]

BLOCK = 512
"""Rows of one product on a processor: a multiple of the tiles of all common matrix kernels."""
GPU_BLOCK = 8192
LONG = 256
"""Vectors from which on a bag is summed by a matrix product of its own."""


def row_blocks(x: Tensor) -> list[Tensor]:
    """Cut rows into blocks of one size; the last one is filled up with zeros.

    Parameters
    ----------
    x : Tensor, shape (n, d)
    """
    size = BLOCK if x.device.type == "cpu" else GPU_BLOCK
    blocks = list(torch.split(x, size))
    if len(blocks[-1]) < size:
        blocks[-1] = pad(blocks[-1], (0, 0, 0, size - len(blocks[-1])))
    return blocks


def row_product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply rows by a matrix, so that a row's product does not depend on the other rows.

    Parameters
    ----------
    x : Tensor, shape (n, d)
    weight : Tensor, shape (k, d)

    Returns
    -------
    Tensor, shape (n, k)
        `x @ weight.T`, in the type of `weight`; under autocast the product is in low precision.

    Examples
    --------
    >>> row_product(torch.ones(1, 2), torch.tensor([[1.0, 2.0]]))
    tensor([[3.]])
    """
    found: Tensor = _RowProduct.apply(x, weight)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return found


def row_sum(x: Tensor) -> Tensor:
    """Sum over the last dimension in the order of its elements, whatever the other dimensions are.

    `Tensor.sum` adds up in an order that depends on how many rows there are, so that a patient
    alone would differ from the same patient among others by a rounding.

    Examples
    --------
    >>> row_sum(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([3., 7.])
    """
    return x.cumsum(-1)[..., -1]


class _RowProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.kind = _product_type(weight)
        with torch.autocast(weight.device.type, enabled=False):
            low = weight.to(ctx.kind)
            # Rows as columns: the other way round, MKL rounds some rows of odd widths differently.
            parts = [low @ block.to(ctx.kind).T for block in row_blocks(x)]
            return torch.cat(parts, 1)[:, : len(x)].T.to(weight.dtype).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        low = gradient.to(ctx.kind)
        to_x = (low @ weight.to(ctx.kind)).to(x.dtype) if ctx.needs_input_grad[0] else None
        return to_x, (low.T @ x.to(ctx.kind)).to(weight.dtype)


def gated_scores(
    x: Tensor, content: Tensor, content_bias: Tensor, gate: Tensor, gate_bias: Tensor, score: Tensor
) -> Tensor:
    """Scores of gated attention: `score @ (tanh(content x + bias) * sigmoid(gate x + bias))`.

    Parameters
    ----------
    x : Tensor, shape (n, d)
    content, gate : Tensor, shape (width, d)
    content_bias, gate_bias : Tensor, shape (width,)
    score : Tensor, shape (heads, width)

    Returns
    -------
    Tensor, shape (n, heads)
        float32. Under autocast the products with vectors are in low precision.

    Notes
    -----
    One operation with a gradient of its own: what autograd would do in ten, with a pass through
    memory for each, is done here while a block is in the cache.
    """
    found: Tensor = _GatedScores.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        x, content, content_bias, gate, gate_bias, score
    )
    return found


class _GatedScores(torch.autograd.Function):
    """Blocks are kept with one vector per column: both branches are then whole rows."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        content: Tensor,
        content_bias: Tensor,
        gate: Tensor,
        gate_bias: Tensor,
        score: Tensor,
    ) -> Tensor:
        ctx.kind = kind = _product_type(content)
        width = len(content)
        with torch.autocast(x.device.type, enabled=False):
            weight = torch.cat([content, gate]).to(kind)
            bias = torch.cat([content_bias, gate_bias]).to(kind)[:, None]
            scores, kept = [], []
            for block in row_blocks(x):
                units = torch.addmm(bias, weight, block.to(kind).T).float()
                units[:width].tanh_()
                units[width:].sigmoid_()
                scores.append(score @ (units[:width] * units[width:]))
                kept.append(units)
            ctx.save_for_backward(x, weight, score, *kept)
            return torch.cat(scores, 1)[:, : len(x)].T.contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, score, *kept = ctx.saved_tensors
        width = len(weight) // 2
        to_weight = torch.zeros(weight.shape, device=x.device)
        to_bias = to_weight.new_zeros(len(weight))
        to_score = torch.zeros_like(score)
        to_x: list[Tensor] = []
        size = kept[0].shape[1] if kept else 1
        for units, rows, slope in zip(
            kept, torch.split(x, size), torch.split(gradient, size), strict=True
        ):
            n = len(rows)
            content, gate, slope = units[:width, :n], units[width:, :n], slope.T
            product = content * gate
            to_score += slope @ product.T
            down = score.T @ slope
            outer = torch.cat(
                [down * (gate - product * content), down * (product - product * gate)]
            )
            to_bias += outer.sum(1)
            low = outer.to(ctx.kind)
            to_weight += low @ rows.to(ctx.kind)
            if ctx.needs_input_grad[0]:
                to_x.append((low.T @ weight).to(x.dtype))
        return (
            torch.cat(to_x) if to_x else None,
            to_weight[:width],
            to_bias[:width],
            to_weight[width:],
            to_bias[width:],
            to_score,
        )


@dataclass(frozen=True, eq=False)
class Segments:
    """Boundaries of concatenated bags.

    Parameters
    ----------
    lengths : sequence of int
        Vectors per bag, each at least 1.
    device : torch.device

    Examples
    --------
    >>> bags = Segments([1, 2], torch.device("cpu"))
    >>> bags.softmax(torch.zeros(3, 1)).T
    tensor([[1.0000, 0.5000, 0.5000]])
    """

    lengths: Sequence[int]
    device: torch.device

    @cached_property
    def single(self) -> bool:
        """Whether every bag contains one vector and needs no attention."""
        return max(self.lengths, default=1) == 1

    @cached_property
    def counts(self) -> Tensor:
        """Vectors per bag."""
        return torch.tensor(self.lengths, device=self.device)

    @cached_property
    def owner(self) -> Tensor:
        """Bag of each vector."""
        bags = torch.arange(len(self.lengths), device=self.device)
        return torch.repeat_interleave(bags, self.counts, output_size=sum(self.lengths))

    def sums(self, values: Tensor) -> Tensor:
        """Sum of each bag, shape (bags, k), of values of shape (n, k)."""
        return torch.segment_reduce(values, "sum", lengths=self.counts, axis=0, unsafe=True)

    def spread(self, values: Tensor) -> Tensor:
        """Return the row of the bag of each vector, (n, k), from values of shape (bags, k)."""
        found: Tensor = _Spread.apply(values, self)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return found

    def softmax(self, scores: Tensor) -> Tensor:
        """Softmax within each bag and column of scores, shape (n, heads)."""
        found: Tensor = _Softmax.apply(scores, self)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return found

    def weighted_sums(self, weights: Tensor, features: Tensor) -> Tensor:
        """Weighted sums of each bag's vectors.

        Parameters
        ----------
        weights : Tensor, shape (n, heads)
        features : Tensor, shape (n, d)

        Returns
        -------
        Tensor, shape (bags, heads * d)
            float32, with the sums of one bag concatenated.
        """
        lengths = np.asarray(self.lengths)
        long = np.flatnonzero(lengths >= LONG)
        if not len(long):
            return self._short_sums(weights, features)
        bags = zip(
            torch.split(weights, list(self.lengths)),
            torch.split(features, list(self.lengths)),
            strict=True,
        )
        if len(long) == len(lengths):
            return torch.stack([(w.T @ x.float()).flatten() for w, x in bags])
        every = list(bags)
        sums = [(every[i][0].T @ every[i][1].float()).flatten() for i in long]
        short = np.flatnonzero(lengths < LONG)
        rows = torch.from_numpy(np.flatnonzero(np.repeat(lengths < LONG, lengths))).to(self.device)
        others = Segments(lengths[short].tolist(), self.device)
        found = others._short_sums(weights[rows], features[rows])
        order = torch.from_numpy(np.argsort(np.concatenate([short, long]))).to(self.device)
        return torch.cat([found, torch.stack(sums)]).index_select(0, order)

    def means(self, features: Tensor) -> Tensor:
        """Mean of each bag's vectors, shape (bags, d), float32."""
        if self.single:
            return features.float()
        share = self.counts.reciprocal()
        return self.weighted_sums(share.index_select(0, self.owner)[:, None], features)

    def _short_sums(self, weights: Tensor, features: Tensor) -> Tensor:
        rows = torch.arange(len(features), device=self.device)
        starts = self.counts.cumsum(0) - self.counts
        heads = [
            embedding_bag(
                rows, features.float(), starts, mode="sum", per_sample_weights=w.contiguous()
            )
            for w in weights.unbind(1)
        ]
        return heads[0] if len(heads) == 1 else torch.cat(heads, 1)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, bags: Segments) -> Tensor:
        ctx.bags = bags
        return values.index_select(0, bags.owner)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.bags.sums(gradient.contiguous()), None


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, bags: Segments) -> Tensor:
        scores = scores.float()
        top = torch.segment_reduce(scores, "max", lengths=bags.counts, axis=0, unsafe=True)
        raised = torch.exp(scores - top.index_select(0, bags.owner))
        # In double precision, or the weights of a large bag would not add up to 1.
        total = bags.sums(raised.double()).float()
        weights = raised / total.index_select(0, bags.owner)
        ctx.bags = bags
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        reach = weights * gradient
        level = ctx.bags.sums(reach.double()).float()
        return reach - weights * level.index_select(0, ctx.bags.owner), None


def _product_type(weight: Tensor) -> torch.dtype:
    """Type of products: that of autocast, if it is active."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
