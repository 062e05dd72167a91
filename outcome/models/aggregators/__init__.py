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
"""Built-in aggregators by their name in the study file."""


class Aggregator(Protocol):
    """Interface of an aggregator: a `torch.nn.Module` made as `Class(dimension, ...)`.

    `outcome.testing.check_aggregator` checks a class.

    Parameters
    ----------
    width : int
        Length of the returned vector.
    weighted_mean : bool
        Whether the result consists of weighted means of the vectors of the bag (one per head,
        concatenated). It can then be standardised before training by the variation of mean vectors.
    starts_as_mean : bool, optional
        Whether the same standardisation applies because the untrained aggregator returns the mean.
    fit_bags : callable, optional
        `fit_bags(bags, seed)` is called once, before training, with the vectors of each training
        patient: for parts learned without outcomes. Results are kept in buffers.
    pool_bags : callable, optional
        `pool_bags(bags)` pools a sequence of bags without concatenating them, and is then called
        instead of the module. It is useful for aggregators that process one bag at a time.
    """

    width: int
    weighted_mean: bool

    def __call__(self, features: Tensor, lengths: list[int]) -> Tensor:
        """Pool concatenated bags.

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
        There is no such class, it does not accept these options, or it is not an aggregator.
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
