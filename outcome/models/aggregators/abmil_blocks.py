"""The arithmetic of `ABMIL` on a block of vectors: by PyTorch's operations, or compiled.

A block is kept with one vector per column: then no product, forward or backward, has to transpose
what it multiplies. Gradients are summed in float32.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Blocks", "CompiledBlocks", "TorchBlocks", "Weights", "blocks_for", "can_compile"]

EVEN = 64
"""Blocks that are kept have a multiple of so many columns: steps are faster by up to a tenth."""
SPARE = 32
"""Further columns in one product, of which one is used: a width that blocks of 32 divide."""

Weights = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Weight and bias of the embedding, weight and bias of both branches, and the score."""


class Blocks(Protocol):
    """A pass over bags: `begin_forward`, then blocks; or `begin_backward`, then bags and blocks."""

    def __init__(self, kind: torch.dtype, weights: Weights) -> None: ...

    def begin_forward(self) -> None:
        """Take the weights to the precision of the products."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embedded vectors, values of the branches, and raw attention in float32, of a block."""

    def pool(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """Weighted sum of embedded vectors, shape (embedding,)."""

    def begin_backward(self) -> None:
        """Do the same for the way back, and set all sums to zero."""

    def turn(self, direction: Tensor) -> None:
        """Begin the way back through a bag, of whose pooled vector this is the derivative."""

    def reach(self, hidden: Tensor, n: int) -> Tensor:
        """Return the derivative by the weight of each of n vectors, shape (n,), float32."""

    def backward(
        self, x: Tensor, hidden: Tensor, units: Tensor, weights: Tensor, slope: Tensor
    ) -> Tensor:
        """Add a block's gradients; returns the derivative by its embedding, one per column.

        Parameters
        ----------
        x, hidden, units : Tensor
            What went into `forward`, and its first two results.
        weights, slope : Tensor, shape (n,)
            Attention, and the derivative of the loss by the raw attention.
        """

    def gradients(self) -> Weights:
        """Return the sums, in the order of the weights."""


def blocks_for(device: torch.device, kind: torch.dtype) -> type[Blocks]:
    """Choose by what is there: compiled for bfloat16 on one thread of a processor, with numba.

    Further threads would wait for compiled passes, which use one.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return CompiledBlocks if alone and kind == torch.bfloat16 and can_compile() else TorchBlocks


@cache
def can_compile() -> bool:
    """Whether numba is installed, and takes the installed numpy."""
    try:
        import numba  # noqa: F401 - imported to see whether it can be
    except ImportError:
        return False
    return True


class TorchBlocks:
    """By PyTorch's operations, for every device and precision.

    Below the embedded vectors is a row of ones: the bias of the branches is a column of their
    weights, and costs no pass of its own.
    """

    def __init__(self, kind: torch.dtype, weights: Weights) -> None:
        self.kind, self.weights = kind, weights
        self.width, self.units = len(weights[0]), len(weights[2])

    def begin_forward(self) -> None:
        """See `Blocks`."""
        kind, (embed, embed_bias, branches, branches_bias, score) = self.kind, self.weights
        self.embed, self.embed_bias = embed.to(kind), embed_bias.to(kind)[:, None]
        self.branches = branches.new_zeros(self.units, self.width + SPARE, dtype=kind)
        self.branches[:, : self.width] = branches
        self.branches[:, self.width] = branches_bias
        self.score = score.to(kind)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Blocks`."""
        width = self.width
        hidden = self.embed.new_empty(width + SPARE, len(x))
        torch.mm(self.embed, x.to(self.kind).T, out=hidden[:width])
        hidden[:width].add_(self.embed_bias).relu_()
        hidden[width:] = 0
        hidden[width] = 1
        units = self.branches @ hidden
        content, gate = units[: len(self.score)], units[len(self.score) :]
        content.copy_(content.float().tanh_())  # as exact, and faster than in low precision
        gate.sigmoid_()
        raw = torch.mv((content * gate).T, self.score)
        return hidden, units, raw.to(self.weights[0].dtype)

    def pool(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """See `Blocks`."""
        return torch.mv(hidden[: self.width].to(weights.dtype), weights)

    def begin_backward(self) -> None:
        """See `Blocks`."""
        embed, embed_bias, branches, _, score = self.weights
        self.inner = embed.new_zeros(self.width, self.units + SPARE, dtype=self.kind)
        self.inner[:, : self.units] = (torch.cat([score, score])[:, None] * branches).T
        self.to_embed, self.to_embed_bias = torch.zeros_like(embed), torch.zeros_like(embed_bias)
        self.to_branches = branches.new_zeros(self.units, self.width + SPARE)
        self.to_score = torch.zeros_like(score)

    def turn(self, direction: Tensor) -> None:
        """See `Blocks`."""
        self.direction = direction.to(self.kind)
        self.inner[:, self.units] = self.direction

    def reach(self, hidden: Tensor, n: int) -> Tensor:
        """See `Blocks`."""
        found = torch.mv(hidden[: self.width].T, self.direction)
        return found.to(self.weights[0].dtype)

    def backward(
        self, x: Tensor, hidden: Tensor, units: Tensor, weights: Tensor, slope: Tensor
    ) -> Tensor:
        """See `Blocks`."""
        x, half = x.to(self.kind), self.units // 2
        content, gate = units[:half], units[half:]
        steep = slope.to(self.kind)
        product = content * gate
        self.to_score.add_(torch.mv(product, steep))
        product *= steep
        outer = units.new_empty(self.units + SPARE, len(x))
        torch.addcmul(gate * steep, product, content, value=-1, out=outer[:half])
        torch.addcmul(product, product, gate, value=-1, out=outer[half : self.units])
        outer[self.units :] = 0
        outer[self.units] = weights
        self.to_branches.add_(outer[: self.units] @ hidden.T)
        back: Tensor = self.inner @ outer
        back = torch.ops.aten.threshold_backward(back, hidden[: self.width], 0)
        self.to_embed.add_(back @ x)
        self.to_embed_bias.add_(torch.mv(back, units.new_ones(len(x))))
        return back

    def gradients(self) -> Weights:
        """See `Blocks`."""
        score, width = self.weights[4], self.width
        self.to_branches.mul_(torch.cat([score, score])[:, None])
        to_weights, to_bias = self.to_branches[:, :width], self.to_branches[:, width]
        return (
            self.to_embed,
            self.to_embed_bias,
            to_weights.contiguous(),
            to_bias.contiguous(),
            self.to_score,
        )


class CompiledBlocks:
    """The products by PyTorch, in bfloat16; each pass between them by a compiled function.

    Blocks are filled up with columns of zeros.
    """

    def __init__(self, kind: torch.dtype, weights: Weights) -> None:
        from outcome.models.aggregators import kernels

        self.kernels, self.kind = kernels, kind
        self.weights = tuple(w.detach() for w in weights)

    def begin_forward(self) -> None:
        """See `Blocks`."""
        embed, embed_bias, branches, branches_bias, score = self.weights
        self.embed, self.branches = embed.to(self.kind), branches.to(self.kind)
        self.embed_bias, self.branches_bias = embed_bias.numpy(), branches_bias.numpy()
        self.score = score.numpy()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Blocks`."""
        n = len(x)
        hidden = self.embed.new_empty(len(self.embed), -(-n // EVEN) * EVEN)
        torch.mm(self.embed, x.to(self.kind).T, out=hidden[:, :n])
        self.kernels.rectify(_bits(hidden), self.embed_bias, n)
        units, raw = torch.mm(self.branches, hidden), torch.zeros(n)
        self.kernels.attend(_bits(units), self.branches_bias, self.score, raw.numpy())
        return hidden, units, raw

    def pool(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """See `Blocks`."""
        pooled = torch.zeros(len(hidden))
        self.kernels.pool(_bits(hidden), weights.numpy(), pooled.numpy())
        return pooled

    def begin_backward(self) -> None:
        """See `Blocks`."""
        _, _, branches, _, score = self.weights
        self.factor = torch.cat([score, score])[:, None]
        self.inner = (self.factor * branches).to(self.kind).T.contiguous()
        self.sums = [torch.zeros_like(w) for w in self.weights]

    def turn(self, direction: Tensor) -> None:
        """See `Blocks`."""
        self.direction = direction.contiguous().numpy()

    def reach(self, hidden: Tensor, n: int) -> Tensor:
        """See `Blocks`."""
        found = torch.zeros(n)
        self.kernels.reach(_bits(hidden), self.direction, found.numpy())
        return found

    def backward(
        self, x: Tensor, hidden: Tensor, units: Tensor, weights: Tensor, slope: Tensor
    ) -> Tensor:
        """See `Blocks`."""
        embed, embed_bias, branches, branches_bias, score = (s.numpy() for s in self.sums)
        outer = torch.empty_like(units)
        self.kernels.derive(_bits(units), slope.numpy(), _bits(outer), score, branches_bias)
        self.kernels.accumulate(branches, _bits(torch.mm(outer, hidden.T)))
        back = torch.mm(self.inner, outer)
        self.kernels.rectify_gradient(
            _bits(back), _bits(hidden), self.direction, weights.numpy(), embed_bias
        )
        back = back[:, : len(x)]
        self.kernels.accumulate(embed, _bits(torch.mm(back, x.to(self.kind))))
        return back

    def gradients(self) -> Weights:
        """See `Blocks`."""
        embed, embed_bias, branches, branches_bias, score = self.sums
        return (
            embed,
            embed_bias,
            branches.mul_(self.factor),
            branches_bias.mul_(self.factor[:, 0]),
            score,
        )


def _bits(x: Tensor) -> NDArray[np.uint16]:
    found: NDArray[np.uint16] = x.view(torch.uint16).numpy()
    return found
