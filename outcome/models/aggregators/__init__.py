"""Aggregators: a bag of vectors in, one vector out. One module each, same interface."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, Protocol, cast

import torch
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
    "import_aggregator",
    "make_aggregator",
    "try_aggregator",
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
    weighted_mean : bool, optional
        Whether the result consists of weighted means of the vectors of the bag (one per head,
        concatenated); False if absent. It can then be standardised before training by the variation
        of mean vectors.
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
    made = AGGREGATORS[name] if name in AGGREGATORS else import_aggregator(name)
    _check_options(name, made, options)
    try:
        pool = made(dimension, **options)
    except (TypeError, ValueError) as error:
        raise StudyError(f"aggregator {name!r} cannot be made: {error}") from None
    if not isinstance(pool, nn.Module) or not hasattr(pool, "width"):
        raise StudyError(
            f"{name!r} is not an aggregator: it does not return a torch.nn.Module with a "
            "`width`. To do: see `outcome.testing.check_aggregator`"
        )
    return pool


def import_aggregator(name: str) -> type[nn.Module]:
    """Import a class by its name, `package.module:Class`.

    Raises
    ------
    StudyError
        The module cannot be imported, or has no such class.
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        raise StudyError(
            f"there is no aggregator {name!r}; aggregators are {', '.join(AGGREGATORS)}"
        )
    try:
        imported = importlib.import_module(module)
    except (ImportError, TypeError, ValueError) as error:
        raise StudyError(
            f"aggregator {name!r} cannot be imported: {error}. To do: install its package, or put"
            " its folder on PYTHONPATH"
        ) from None
    found = getattr(imported, attribute, None)
    if found is None:
        classes = [
            key
            for key, value in vars(imported).items()
            if isinstance(value, type) and issubclass(value, nn.Module)
        ]
        there = f"it defines {', '.join(classes)}" if classes else "it defines no torch.nn.Module"
        raise StudyError(
            f"aggregator {name!r}: the module {module} has no class {attribute!r}; {there}. To do:"
            " check the spelling"
        )
    return cast(type[nn.Module], found)


def try_aggregator(name: str, pool: nn.Module, dimension: int) -> None:
    """Call an aggregator once, on two bags of 160 and 96 vectors.

    `fit_bags` may need as many vectors as it learns centres, for example.

    Parameters
    ----------
    name : str
        Name in the study file, for messages.
    pool : Module
    dimension : int
        Length of an input vector.

    Raises
    ------
    StudyError
        The call fails, or returns another shape than (bags, `width`).
    """
    lengths = [160, 96]
    width = pool.width
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        features = torch.arange(sum(lengths) * dimension).sin().reshape(-1, dimension)
        bags = list(torch.split(features, lengths))
        try:
            if callable(fit_bags := getattr(pool, "fit_bags", None)):
                fit_bags(bags, 0)
            pooled = pool(features, lengths)
        except Exception as error:
            raise StudyError(
                f"aggregator {name!r} fails on two small bags: {type(error).__name__}: {error}. To"
                " do: check it with `outcome.testing.check_aggregator`"
            ) from error
    shape = tuple(getattr(pooled, "shape", ()))
    if shape != (len(lengths), width):
        raise StudyError(
            f"aggregator {name!r} returns {shape or type(pooled).__name__} for two bags, not"
            f" {(len(lengths), width)}. To do: check it with `outcome.testing.check_aggregator`"
        )


def _check_options(name: str, made: type[nn.Module], options: Mapping[str, Any]) -> None:
    try:
        accepted = list(inspect.signature(made).parameters.values())[1:]
    except (TypeError, ValueError):  # a class without a signature is tried as it is
        return
    if any(p.kind is p.VAR_KEYWORD for p in accepted):
        return
    names = [p.name for p in accepted]
    if unknown := [key for key in options if key not in names]:
        raise StudyError(
            f"aggregator {name!r} has no option {', '.join(map(repr, unknown))}; its options are "
            f"{', '.join(names) or 'none'}"
        )
