"""Ridge Cox and ridge logistic regression over a path of penalties, for any head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from outcome.models.heads import Head, Target

__all__ = ["PENALTIES", "LinearPath", "fit_linear"]

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearPath:
    """Linear models, one per penalty, strongest first.

    Parameters
    ----------
    mean, scale : array, shape (d,)
        Of the training patients; a constant feature has scale infinity.
    weights : array, shape (penalties, d)
    intercepts : array, shape (penalties,)
    """

    mean: Array
    scale: Array
    weights: Array
    intercepts: Array

    def only(self, k: int) -> LinearPath:
        """Return the model of one penalty."""
        rows = slice(k, k + 1)
        return LinearPath(self.mean, self.scale, self.weights[rows], self.intercepts[rows])

    def __call__(self, x: Array) -> Array:
        """Raw outputs, shape (penalties, n), of features of shape (n, d); NaN counts as mean."""
        standard = np.nan_to_num((x - self.mean) / self.scale)
        raw: Array = self.weights @ standard.T + self.intercepts[:, None]
        return raw


def fit_linear(
    x: Array,
    target: Target,
    head: Head,
    penalties: Sequence[float | Sequence[float]] = PENALTIES,
    *,
    widths: Sequence[int] | None = None,
    start: LinearPath | None = None,
) -> LinearPath:
    """Minimise the head's mean loss + penalty / 2 * |weights|^2 over standardised features.

    The features of an input are divided by the square root of their number, so that a penalty has
    the same meaning for any number of features.

    Parameters
    ----------
    x : array, shape (n, d)
        NaN if a patient lacks an input; it is replaced by the mean.
    target : Target
    head : Head
    penalties : sequence of float, or of sequences of float
        Decreasing; each fit starts from the one before. One for all inputs, or one per input.
    widths : sequence of int, optional
        Features of each input, in order; by default all features are of one input.
    start : LinearPath, optional
        Models of the same features: the first fit starts from its first model.

    Raises
    ------
    ValueError
        There is no event to learn from.
    """
    if not head.usable(target):
        raise ValueError("no event among the training patients")
    present = ~np.isnan(x)
    n = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, x, 0.0).sum(axis=0) / n
    spread = np.sqrt(np.where(present, (x - mean) ** 2, 0.0).sum(axis=0) / n)
    known = spread > 1e-9 * (np.abs(mean) + 1e-30)
    sizes = np.array([x.shape[1]] if widths is None else widths, dtype=np.int64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    features = np.maximum(np.bincount(owner, weights=known, minlength=len(sizes)), 1)
    scale = np.where(known, spread * np.sqrt(features)[owner], np.inf)
    design = torch.from_numpy(np.nan_to_num((x - mean) / scale))
    first = np.zeros(x.shape[1]) if start is None else start.weights[0].copy()
    weights = torch.from_numpy(first).requires_grad_()
    first_level = head.start(target) if start is None else float(start.intercepts[0])
    level = torch.tensor(first_level, dtype=torch.float64, requires_grad=True)
    path, levels = [], []
    for penalty in penalties:
        each = np.broadcast_to(np.asarray(penalty, dtype=np.float64), len(sizes))[owner]
        _minimise(design, target, head, weights, level, torch.from_numpy(each.copy()))
        path.append(weights.detach().numpy().copy())
        levels.append(float(level.detach()))
    return LinearPath(mean, scale, np.stack(path), np.array(levels))


def _undecorated(method: Callable[..., None]) -> Callable[..., None]:
    found: Callable[..., None] = getattr(method, "__wrapped__", method)
    return found


class _LBFGS(torch.optim.LBFGS):
    """The same optimizer, which does not import PyTorch's compiler.

    PyTorch keeps these two methods out of compiled code, and imports the compiler for that when
    they are first called: several seconds in every process. Nothing is compiled here.
    """

    add_param_group = _undecorated(torch.optim.Optimizer.add_param_group)
    zero_grad = _undecorated(torch.optim.Optimizer.zero_grad)


def _minimise(
    design: torch.Tensor,
    target: Target,
    head: Head,
    weights: torch.Tensor,
    level: torch.Tensor,
    penalty: torch.Tensor,
) -> None:
    optimizer = _LBFGS(
        [weights, level], max_iter=25, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        ridge = (penalty * weights.square()).sum() / 2
        loss = head.loss(design @ weights + level, target) + ridge
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
