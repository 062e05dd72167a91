"""Aggregators: a bag of vectors in, one vector out. One module each, same interface."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

from torch import Tensor, nn

from outcome.errors import StudyError
from outcome.models.aggregators.abmil import ABMIL
from outcome.models.aggregators.gated_attention import GatedAttention
from outcome.models.aggregators.mean import MeanPool
from outcome.models.aggregators.prototypes import PrototypePool
from outcome.models.aggregators.transformer import InducedTransformer

__all__ = [
    "ABMIL",
    "AGGREGATORS",
    "Aggregator",
    "GatedAttention",
    "InducedTransformer",
    "MeanPool",
    "PrototypePool",
    "make_aggregator",
]

AGGREGATORS: dict[str, type[nn.Module]] = {
    "attention": GatedAttention,
    "mean": MeanPool,
    "prototypes": PrototypePool,
    "transformer": InducedTransformer,
    "abmil": ABMIL,
}
"""By the name that the study file uses."""


class Aggregator(Protocol):
    """What a network needs of an aggregator: a `torch.nn.Module` made as `Class(dimension, ...)`.

    `outcome.testing.check_aggregator` says whether a class keeps to it.

    Parameters
    ----------
    width : int
        Length of the vector that it returns.
    weighted_mean : bool
        The vector is made of weighted means of the bag's own vectors (one per head, side by
        side), so that it can be standardised before training by how mean vectors vary.
    starts_as_mean : bool, optional
        The same standardisation suits it: untrained, it returns the plain mean.
    fit_bags : callable, optional
        `fit_bags(bags, seed)` is called once, before training, with the vectors of each training
        patient: for what is learned without outcomes. It keeps what it finds in buffers.
    pool_bags : callable, optional
        `pool_bags(bags)` pools a sequence of bags where they lie, and is then called instead of
        the module: for what works bag by bag, and would split what was laid back to back for it.
    """

    width: int
    weighted_mean: bool

    def __call__(self, features: Tensor, lengths: list[int]) -> Tensor:
        """Pool bags that lie back to back.

        Parameters
        ----------
        features : Tensor, shape (sum of lengths, dimension)
        lengths : list of int
            Vectors per bag, each at least 1.

        Returns
        -------
        Tensor, shape (bags, width)
        """
        ...


def make_aggregator(name: str, dimension: int, options: Mapping[str, Any]) -> nn.Module:
    """Make an aggregator by its name in the study file.

    Parameters
    ----------
    name : str
        One of `AGGREGATORS`, or `package.module:Class`.
    dimension : int
        Length of an input vector.
    options : mapping
        Further arguments of the class.

    Raises
    ------
    StudyError
        There is no such class, it does not take these options, or it is no aggregator.
    """
    made = AGGREGATORS[name] if name in AGGREGATORS else _outside(name)
    try:
        pool = made(dimension, **options)
    except (TypeError, ValueError) as error:
        raise StudyError(
            f"aggregator {name!r} cannot be made with {dict(options)}: {error}"
        ) from None
    if not isinstance(pool, nn.Module) or not hasattr(pool, "width"):
        raise StudyError(
            f"{name!r} is not an aggregator: it does not return a torch.nn.Module with a "
            "`width`. To do: see `outcome.testing.check_aggregator`"
        )
    return pool


def _outside(name: str) -> type[nn.Module]:
    module, _, attribute = name.partition(":")
    if not attribute:
        raise StudyError(
            f"there is no aggregator {name!r}; aggregators are {', '.join(AGGREGATORS)}"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise StudyError(
            f"aggregator {name!r} cannot be imported: {error}. Install its package, or put its"
            " folder on PYTHONPATH"
        ) from None
    return cast(type[nn.Module], found)
