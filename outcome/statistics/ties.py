"""Equalisation of follow-up times that differ only by rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["TOLERANCE", "latest_tie", "tie_times"]

TOLERANCE = float(np.sqrt(np.finfo(np.float64).eps))
"""Largest difference by rounding: absolute, or relative to the mean of the distinct times."""


def latest_tie(time: float) -> float:
    """Return the latest time that differs from a positive time only by rounding.

    Used to look up a single time among the times of a fitted model.
    """
    return time + TOLERANCE * max(1.0, time)


def tie_times(time: ArrayLike, horizons: ArrayLike = ()) -> NDArray[np.float64]:
    """Make times equal that differ only by rounding, as in R's survival package [1]_.

    Computed times, such as 0.1 + 0.2 or 365.25 / 12 days in months, differ from the intended times
    in the last digit. With exact comparison, patients with the same time would be ordered by this
    digit, and an event at a horizon could be after it.

    Parameters
    ----------
    time : array_like
        Follow-up, any unit and shape. Values that are not finite are unchanged.
    horizons : array_like, shape (h,)
        Times with which follow-up is compared.

    Returns
    -------
    ndarray, shape of `time`
        In each run of distinct times with steps of at most `TOLERANCE`, all get the value of the
        horizon in the run, else that of the shortest time.

    References
    ----------
    .. [1] Therneau, T., vignette "Roundoff error and tied times" of the R package survival.

    Examples
    --------
    >>> tie_times([0.3, 0.1 + 0.2, 0.7]).tolist()
    [0.3, 0.3, 0.7]
    >>> tie_times([12.000000000000002, 13.0], horizons=[12.0]).tolist()
    [12.0, 13.0]
    """
    times = np.array(time, dtype=np.float64)
    finite = np.isfinite(times)
    distinct = np.unique(times[finite])
    if not len(distinct):
        return times
    largest = TOLERANCE * max(1.0, float(np.abs(distinct).mean()))
    tied = np.diff(distinct) <= largest
    value = distinct[np.append(True, ~tied)]
    run = np.append(0, np.cumsum(~tied))
    for horizon in np.atleast_1d(np.asarray(horizons, dtype=np.float64)):
        value[run[np.abs(distinct - horizon) <= largest]] = horizon
    times[finite] = value[run[np.searchsorted(distinct, times[finite])]]
    return times
