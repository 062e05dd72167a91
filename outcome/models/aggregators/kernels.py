"""Passes over blocks of bfloat16 numbers, compiled by numba: each does all there is to do at once.

What PyTorch would do in several passes (a conversion, a function, a product, a sum) is done while
a number is in a register. Arrays of bfloat16 come as their bits, uint16; every calculation is in
float32, and rounded once. The first call of each function in a process compiles it, about 0.2 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["accumulate", "attend", "derive", "pool", "reach", "rectify", "rectify_gradient"]

Bits = NDArray[np.uint16]
Floats = NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])

# Sums may be taken in any order (else no loop over a row would be vectorised), but a NaN stays one.
FREE = {"reassoc", "contract", "nsz", "arcp"}
OPTIONS: Any = {"fastmath": FREE, "error_model": "numpy", "nogil": True}
numba_njit: Any = njit  # typed in some of its versions only
compiled: Callable[[Function], Function] = numba_njit(**OPTIONS)
inlined: Callable[[Function], Function] = numba_njit(inline="always", **OPTIONS)

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
EDGE = np.float32(4.97)
"""Beyond it the hyperbolic tangent is 1 in bfloat16."""


@inlined
def _value(bits: Any) -> Any:
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@inlined
def _bits(value: Any) -> Any:
    """Round to the nearest, ties to even."""
    wide = np.float32(value).view(np.uint32)
    odd = (wide >> np.uint32(16)) & np.uint32(1)
    return np.uint16((wide + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@inlined
def _tanh(x: Any) -> Any:
    """Lambert's continued fraction, cut after the seventh level.

    Relative error below 1e-6 up to 3, absolute error below 1e-4 beyond: bfloat16 rounds by up to
    2e-3.
    """
    x = min(max(x, -EDGE), EDGE)
    z = x * x
    above = x * (np.float32(135135) + z * (np.float32(17325) + z * (np.float32(378) + z)))
    below = np.float32(135135) + z * (
        np.float32(62370) + z * (np.float32(3150) + z * np.float32(28))
    )
    return above / below


@compiled
def rectify(hidden: Bits, bias: Floats, n: int) -> None:
    """Add a bias to each row and set what is below zero to zero, in place; from column n on, all.

    What is below zero is not what is not above it: a NaN stays.
    """
    for i in range(bias.size):
        row, shift = hidden[i], bias[i]
        for j in range(n):
            found = _value(row[j]) + shift
            row[j] = _bits(ZERO if found < ZERO else found)
        row[n:] = 0


@compiled
def attend(units: Bits, bias: Floats, score: Floats, raw: Floats) -> None:
    """Apply tanh to the upper and sigmoid to the lower half of the rows, and score their product.

    Parameters
    ----------
    units : array of uint16, shape (2 width, n or more)
        Without bias; the first n columns are replaced by the values of the functions.
    bias : array, shape (2 width,)
    score : array, shape (width,)
    raw : array, shape (n,)
        Score times the product of both is added to it.
    """
    width = score.size
    for k in range(width):
        content, gate = units[k], units[width + k]
        above, below, factor = bias[k], bias[width + k], score[k]
        for j in range(raw.size):
            c = _bits(_tanh(_value(content[j]) + above))
            g = _bits(HALF + HALF * _tanh(HALF * (_value(gate[j]) + below)))
            content[j] = c
            gate[j] = g
            raw[j] += factor * _value(c) * _value(g)


@compiled
def pool(hidden: Bits, weights: Floats, pooled: Floats) -> None:
    """Add the sum of the columns of `hidden`, each times its weight, to `pooled`."""
    for i in range(pooled.size):
        row, total = hidden[i], ZERO
        for j in range(weights.size):
            total += _value(row[j]) * weights[j]
        pooled[i] += total


@compiled
def reach(hidden: Bits, direction: Floats, out: Floats) -> None:
    """Add the product of each of the first columns of `hidden` with `direction` to `out`."""
    for i in range(direction.size):
        row, factor = hidden[i], direction[i]
        for j in range(out.size):
            out[j] += _value(row[j]) * factor


@compiled
def derive(units: Bits, slope: Floats, outer: Bits, score: Floats, bias: Floats) -> None:
    """Take the derivative by both branches before their functions, without the score's factor.

    Parameters
    ----------
    units : array of uint16, shape (2 width, n or more)
        As `attend` leaves them.
    slope : array, shape (n,)
        Derivative of the loss by the raw attention.
    outer : array of uint16, shape (2 width, n or more)
        Written; zero from column n on.
    score, bias : arrays, shapes (width,) and (2 width,)
        Their gradients (that of the bias without the score's factor) are added.
    """
    width = score.size
    for k in range(width):
        content, gate, to_content, to_gate = units[k], units[width + k], outer[k], outer[width + k]
        total, above, below = ZERO, ZERO, ZERO
        for j in range(slope.size):
            c, g = _value(content[j]), _value(gate[j])
            steep = g * slope[j]
            product = c * steep
            by_content, by_gate = steep - product * c, product - product * g
            to_content[j] = _bits(by_content)
            to_gate[j] = _bits(by_gate)
            total += product
            above += by_content
            below += by_gate
        to_content[slope.size :] = 0
        to_gate[slope.size :] = 0
        score[k] += total
        bias[k] += above
        bias[width + k] += below


@compiled
def rectify_gradient(
    back: Bits, hidden: Bits, direction: Floats, weights: Floats, bias: Floats
) -> None:
    """Add what comes by the pooled vector, and keep what the rectifier let through, in place.

    Parameters
    ----------
    back, hidden : arrays of uint16, shape (m, n or more)
        Derivative by the embedded vectors through the attention; the embedded vectors.
    direction, weights : arrays, shapes (m,) and (n,)
        Derivative by the pooled vector, and the attention.
    bias : array, shape (m,)
        The sum of each row is added.
    """
    for i in range(bias.size):
        row, there, factor, total = back[i], hidden[i], direction[i], ZERO
        for j in range(weights.size):
            found = _value(row[j]) + factor * weights[j] if there[j] != 0 else ZERO
            row[j] = _bits(found)
            total += found
        bias[i] += total


@compiled
def accumulate(total: Floats, found: Bits) -> None:
    """Add a matrix in bfloat16 to one in float32."""
    for i in range(total.shape[0]):
        row, more = total[i], found[i]
        for j in range(row.size):
            row[j] += _value(more[j])
