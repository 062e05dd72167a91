"""Checks of user-defined classes, to be run in your own tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from outcome.errors import InputError
from outcome.models.aggregators import AGGREGATORS, import_aggregator

__all__ = ["check_aggregator"]

LENGTHS = [3, 1, 40]


def check_aggregator(make: Callable[[int], nn.Module] | str, dimension: int = 12) -> None:
    """Check that a class can be used as `aggregator: package.module:Class`.

    Parameters
    ----------
    make : callable or str
        The class, its name `package.module:Class`, or a function of the length of an input vector
        that returns a module.
    dimension : int
        Length of the vectors used for the check.

    Raises
    ------
    AssertionError
        A requirement is not met: there is no `width`; the result has a different shape; the vector
        of a bag depends on the order of its patches, on other bags, or on chance during evaluation;
        no gradient reaches the features; the vector of a bag with one patch is not finite;
        `load_state_dict` does not restore the parameters.

    InputError
        `make` is an instance, or a name that cannot be imported.

    Examples
    --------
    >>> from outcome.models.aggregators import GatedAttention
    >>> check_aggregator(GatedAttention)
    """
    if isinstance(make, str):
        make = AGGREGATORS.get(make) or import_aggregator(make)
    if isinstance(make, nn.Module):
        raise InputError(f"give the class {type(make).__name__}, not an instance of it")
    with torch.random.fork_rng():
        torch.manual_seed(0)  # noqa: TID251 - inside fork_rng: the caller's random state stays
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(sum(LENGTHS), dimension, generator=generator)
        module = make(dimension)
        assert isinstance(module, nn.Module), "it is not a torch.nn.Module"
        width = getattr(module, "width", None)
        assert isinstance(width, int), "it has no integer `width`, the length of what it returns"
        if callable(fit_bags := getattr(module, "fit_bags", None)):
            fit_bags(torch.split(features, LENGTHS), 0)
        _stir(module, generator)
        module.eval()
        pooled = module(features, LENGTHS)
        _check_values(pooled, width)
        _check_invariances(module, features, pooled, generator)
        _check_gradient(module, features)
        other = make(dimension)
        other.load_state_dict(module.state_dict())
        other.eval()
        _same(other(features, LENGTHS), pooled, "load_state_dict does not restore the weights")
    if getattr(module, "weighted_mean", False):
        heads = width // dimension
        assert heads * dimension == width, (
            "a weighted mean must have the length of the input, per head"
        )
        one = module(features[:1], [1]).reshape(heads, dimension)
        _same(
            one,
            features[:1].expand(heads, -1),
            "the weighted mean of a single patch is not the patch itself",
        )


def _stir(module: nn.Module, generator: torch.Generator) -> None:
    """Leave initial values such as zero, at which mistakes do not show."""
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = parameter.data + 0.3 * noise


def _check_values(pooled: Any, width: int) -> None:
    assert isinstance(pooled, Tensor), "it does not return a tensor"
    shape = tuple(pooled.shape)
    assert shape == (len(LENGTHS), width), f"it returns {shape}, not {(len(LENGTHS), width)}"
    assert bool(torch.isfinite(pooled).all()), "a pooled vector contains values that are not finite"


def _check_invariances(
    module: nn.Module, features: Tensor, pooled: Tensor, generator: torch.Generator
) -> None:
    _same(module(features, LENGTHS), pooled, "two evaluations of the same bags differ")
    bags = torch.split(features, LENGTHS)
    alone = torch.cat([module(bag, [len(bag)]) for bag in bags])
    _same(alone, pooled, "a bag's vector depends on the other bags")
    mixed = torch.cat([bag[torch.randperm(len(bag), generator=generator)] for bag in bags])
    _same(module(mixed, LENGTHS), pooled, "a bag's vector depends on the order of its patches")


def _check_gradient(module: nn.Module, features: Tensor) -> None:
    watched = features.clone().requires_grad_(True)
    total = cast(Tensor, module(watched, LENGTHS)).square().sum()
    total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    found = watched.grad
    assert found is not None, "no gradient reaches the features"
    assert bool((found != 0).any(dim=1).all()), "no gradient reaches some of the patches"


def _same(a: Tensor, b: Tensor, message: str) -> None:
    assert torch.allclose(a, b, rtol=1e-4, atol=1e-5), message
