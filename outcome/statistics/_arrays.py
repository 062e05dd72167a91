"""Array types, and shared checks of follow-up data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcome.errors import InputError
from outcome.statistics.ties import tie_times

__all__ = [
    "BoolArray",
    "FloatArray",
    "IntArray",
    "follow_up",
    "follow_up_from_entry",
    "group_codes",
    "numbers",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def follow_up(time: ArrayLike, event: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Check follow-up times and event indicators, and return them as float and bool.

    Times that differ only by rounding are made equal: `outcome.statistics.ties`.

    Raises
    ------
    InputError
        Shapes differ, a time is negative or not finite, or an event is neither 0 nor 1.
    """
    times = numbers(time, "time")
    raw = np.asarray(event)
    if raw.shape != times.shape:
        raise InputError(
            f"event has shape {raw.shape}, time {times.shape}; give one of each per patient"
        )
    if (times < 0).any():
        raise InputError(f"time is negative in {int((times < 0).sum())} rows")
    if raw.dtype != np.bool_:
        coded = numbers(event, "event")
        if not np.isin(coded, (0.0, 1.0)).all():
            raise InputError("event must be 0 (censored) or 1 (event); declare other codes first")
        raw = coded == 1.0
    return tie_times(times), raw


def follow_up_from_entry(
    time: ArrayLike, event: ArrayLike, entry: ArrayLike | None
) -> tuple[FloatArray, BoolArray, FloatArray | None]:
    """Check follow-up that may begin after the origin.

    Times and entries that differ only by rounding are made equal.

    Parameters
    ----------
    time, event : array_like, shape (n,)
    entry : array_like, shape (n,), optional
        Start of observation, from the same origin; None if it is the origin.

    Raises
    ------
    InputError
        As `follow_up`; or an entry is negative, not finite, or not before the end of follow-up.
    """
    times, events = follow_up(time, event)
    if entry is None:
        return times, events, None
    entries = numbers(entry, "entry", len(times))
    if (entries < 0).any():
        raise InputError(f"entry is negative in {int((entries < 0).sum())} rows")
    times, entries = np.split(tie_times(np.concatenate([times, entries])), 2)
    if (late := entries >= times).any():
        raise InputError(f"entry is not before the end of follow-up in {int(late.sum())} rows")
    return times, events, entries


def numbers(values: ArrayLike, name: str, n: int | None = None) -> FloatArray:
    """Return one finite float for each row.

    Raises
    ------
    InputError
        Not one-dimensional, not `n` long, or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or (n is not None and len(array) != n):
        raise InputError(f"{name} has shape {array.shape}, expected ({'n' if n is None else n},)")
    if not np.isfinite(array).all():
        raise InputError(f"{name} is not finite in {int((~np.isfinite(array)).sum())} rows")
    return array


def group_codes(group: Any | None, n: int) -> tuple[IntArray, list[Any]]:
    """Integer code of each row's group, and the sorted group labels; None is a single group.

    Raises
    ------
    InputError
        There is not one group for each of the `n` rows.
    """
    if group is None:
        return np.zeros(n, dtype=np.int64), [0]
    raw = np.asarray(group)
    if raw.shape != (n,):
        raise InputError(f"group has shape {raw.shape}, expected ({n},)")
    labels, codes = np.unique(raw, return_inverse=True)
    return codes.astype(np.int64), labels.tolist()
