"""What happens to vectors before a network sees them: standardised, and rotated to few components.

Fitted on development patients only, without outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Projection"]

VECTORS_PER_PATIENT = 256


@dataclass(frozen=True)
class Projection:
    """Maps x to `(x - mean) @ matrix`.

    Parameters
    ----------
    mean : Tensor, shape (d,)
    matrix : Tensor, shape (d, k)
    """

    mean: Tensor
    matrix: Tensor

    @classmethod
    def fit(cls, bags: Iterable[Tensor], components: int) -> Projection:
        """Standardise each feature; keep the directions along which vectors vary most.

        Parameters
        ----------
        bags : iterable of Tensor, shape (n, d)
            One per patient; every patient counts the same, so large slides do not dominate. At
            most 256 vectors of each are used: the first, since the store's order is random.
        components : int
            Number of directions; 0 keeps the features, standardised.

        Notes
        -----
        A constant feature is left at 0. All components are divided by one number, so that the
        vectors have unit variance on average; the components are not whitened, which would make
        noise as loud as tissue.
        """
        n, total, outer = 0, torch.zeros(0), torch.zeros(0)
        for bag in bags:
            x = bag[:VECTORS_PER_PATIENT].double()
            if n == 0:
                # Shifted by the first mean, or features of large mean would lose their variance.
                shift = x.mean(0)
                total, outer = torch.zeros_like(shift), torch.zeros(len(shift), len(shift))
                outer = outer.double()
            x = x - shift
            total += x.mean(0)
            half = x.float()
            outer += (half.T @ half).double() / len(x)
            n += 1
        if n == 0:
            raise ValueError("a projection needs at least one bag")
        mean = total / n
        covariance = outer / n - torch.outer(mean, mean)
        variance = covariance.diagonal().clamp(min=0)
        known = variance > 1e-12 * ((mean + shift) ** 2 + mean**2 + 1e-30)
        scale = torch.where(known, variance.clamp(min=1e-300).rsqrt(), 0.0)
        if components == 0 or components >= int(known.sum()):
            matrix = torch.diag(scale)
        else:
            correlation = covariance * torch.outer(scale, scale)
            values, vectors = torch.linalg.eigh(correlation)
            top = vectors[:, -components:].flip(1)
            # The sign of an eigenvector is arbitrary; fix it, or machines would differ.
            top = top * torch.sign(top.gather(0, top.abs().argmax(0, keepdim=True)))
            unit = values[-components:].clamp(min=0).mean().rsqrt()
            matrix = scale[:, None] * top * unit
        return cls((mean + shift).float(), matrix.float())

    @property
    def components(self) -> int:
        """Length of a projected vector."""
        return int(self.matrix.shape[1])

    def __call__(self, features: Tensor) -> Tensor:
        """Project vectors of shape (n, d) to (n, k), float32."""
        return (features.float() - self.mean) @ self.matrix
