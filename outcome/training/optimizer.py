"""AdamW with clipped gradients and little overhead."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

__all__ = ["ClippedAdamW"]

MOST = 1.0


class ClippedAdamW:
    """A step of AdamW [1]_ after clipping the norm of the gradient to at most 1.

    Parameters
    ----------
    parameters : iterable of Parameter
    lr, weight_decay : float

    Notes
    -----
    The arithmetic is torch's function `adamw`. The class `torch.optim.AdamW` does the same, but it
    imports torch's compiler (2.4 s in each process), and for a small network its overhead takes
    longer than the step.

    References
    ----------
    .. [1] Loshchilov & Hutter (2019), ICLR, Decoupled weight decay regularization.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.lr, self.weight_decay = lr, weight_decay
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def zero_grad(self) -> None:
        """Reset the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters with a gradient."""
        rows = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        parameters: list[Tensor] = [self.parameters[i] for i in rows]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        norm = torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients]))
        share = (MOST / (norm + 1e-6)).clamp(max=1)
        adamw(
            parameters,
            [g * share for g in gradients],
            [self.means[i] for i in rows],
            [self.squares[i] for i in rows],
            [],
            [self.steps[i] for i in rows],
            fused=gradients[0].device.type in ("cpu", "cuda"),  # one pass over the weights, not ten
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.lr,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
