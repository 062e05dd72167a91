"""Corrections for testing more than one hypothesis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from outcome.statistics._arrays import FloatArray

__all__ = ["holm"]


def holm(p_values: ArrayLike) -> FloatArray:
    """Holm's step-down correction, which controls the family-wise error without assumptions [1]_.

    Parameters
    ----------
    p_values : array_like, shape (k,)
        NaN stays NaN and is not counted as a test.

    Returns
    -------
    ndarray, shape (k,)
        Corrected p values, at most 1, in the given order.

    References
    ----------
    .. [1] Holm (1979), Scandinavian Journal of Statistics 6:65-70.
    """
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected
