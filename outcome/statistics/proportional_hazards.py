"""Test of proportional hazards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from outcome.errors import InputError
from outcome.statistics._arrays import FloatArray, follow_up, group_codes
from outcome.statistics.cox import CoxFit, event_terms
from outcome.statistics.logrank import chi_square_p
from outcome.statistics.kaplan_meier import kaplan_meier

__all__ = ["ProportionalHazards", "TimeScale", "proportional_hazards_test"]

TimeScale = Literal["km", "identity", "rank"]


@dataclass(frozen=True)
class ProportionalHazards:
    """Whether log hazard ratios drift with time; a small p says that they do.

    Attributes
    ----------
    chi_square, p : ndarray, shape (p,)
        One test with one degree of freedom for each covariate.
    global_chi_square, global_p : float
        All covariates together, p degrees of freedom.
    """

    chi_square: FloatArray
    p: FloatArray
    global_chi_square: float
    global_p: float


def proportional_hazards_test(
    time: ArrayLike,
    event: ArrayLike,
    x: ArrayLike,
    fit: CoxFit,
    *,
    strata: Any | None = None,
    scale: TimeScale = "km",
) -> ProportionalHazards:
    """Score test of adding x * g(t) to a fitted Cox model [1]_.

    The full information is used, not the approximation that takes the covariance of the
    covariates at risk as constant in time.

    Parameters
    ----------
    time, event, x, strata
        What `fit` was fitted to.
    fit : CoxFit
    scale : {"km", "identity", "rank"}
        g(t): one minus the Kaplan-Meier estimate just before t, t itself, or its rank among all
        follow-up times.

    Returns
    -------
    ProportionalHazards

    Raises
    ------
    InputError
        The model did not converge.

    References
    ----------
    .. [1] Grambsch & Therneau (1994), Biometrika 81:515-526.
    """
    if not fit.converged:
        raise InputError("the Cox model did not converge, so its hazards cannot be tested")
    times, events = follow_up(time, event)
    table = np.asarray(x, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    codes, _ = group_codes(strata, len(times))
    terms = event_terms(times, events, table, table @ fit.coef, codes)
    g = _transform(times, events, terms.row, scale)
    score = g @ (table[terms.row] - terms.mean)
    plain = terms.variance.sum(0)
    cross = np.einsum("e,eij->ij", g, terms.variance)
    drift = np.einsum("e,eij->ij", g**2, terms.variance)
    # information of the drift once the constant log hazard ratios are accounted for
    explained = cross @ np.linalg.solve(plain, cross.T)
    chi_square = score**2 / np.diag(drift - explained)
    total = float(score @ np.linalg.solve(drift - explained, score))
    return ProportionalHazards(
        chi_square,
        np.array([chi_square_p(float(c), 1) for c in chi_square]),
        total,
        chi_square_p(total, table.shape[1]),
    )


def _transform(
    time: FloatArray,
    event: np.ndarray[Any, np.dtype[np.bool_]],
    row: np.ndarray[Any, np.dtype[np.int64]],
    scale: TimeScale,
) -> FloatArray:
    if scale == "km":
        g = 1 - kaplan_meier(time, event).before(time[row])
    elif scale == "rank":
        ordered = np.sort(time)
        sides = [np.searchsorted(ordered, time[row], side=side) for side in ("left", "right")]
        g = np.mean(sides, axis=0)  # tied times share their mean rank
    else:
        g = time[row]
    return np.asarray(g - g.mean(), dtype=np.float64)  # the mean only costs precision
