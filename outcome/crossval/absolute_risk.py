"""Columns of calibrated absolute risk for each kind of endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcome.endpoint import Binary, Endpoint, Landmark, TimeToEvent
from outcome.evaluation.horizon_columns import horizon_name
from outcome.risk.recalibration import Calibration, LogisticCalibration, SurvivalCalibration

__all__ = ["COLUMNS", "absolute_risk"]

Array = NDArray[np.float64]
Columns = dict[str, Array]


def _probability(
    endpoint: Binary,
    calibration: LogisticCalibration,
    risk: Array,
    strata: Sequence[str],
    horizons: Sequence[float],
) -> Columns:
    worse = calibration.probability(risk)
    return {"probability": 1 - worse if endpoint.favourable else worse}


def _event_free_at_the_horizon(
    endpoint: Landmark,
    calibration: LogisticCalibration,
    risk: Array,
    strata: Sequence[str],
    horizons: Sequence[float],
) -> Columns:
    return {f"survival_{horizon_name(endpoint.horizon)}": 1 - calibration.probability(risk)}


def _event_free_at_horizons(
    endpoint: TimeToEvent,
    calibration: SurvivalCalibration,
    risk: Array,
    strata: Sequence[str],
    horizons: Sequence[float],
) -> Columns:
    return {f"survival_{horizon_name(h)}": calibration.survival(risk, strata, h) for h in horizons}


COLUMNS: Mapping[type, Callable[[Any, Any, Array, Sequence[str], Sequence[float]], Columns]] = {
    Binary: _probability,
    Landmark: _event_free_at_the_horizon,
    TimeToEvent: _event_free_at_horizons,
}
"""Columns of each kind of endpoint."""


def absolute_risk(
    endpoint: Endpoint,
    calibration: Calibration,
    risk: Array,
    strata: Sequence[str],
    horizons: Sequence[float],
) -> Columns:
    """Return columns of calibrated absolute risk, as in `predictions.csv`.

    Parameters
    ----------
    endpoint : Endpoint
    calibration : Calibration
        Fitted on outcomes of this endpoint.
    risk : array, shape (n,)
        Higher is worse.
    strata : sequence of str
        Of the same patients.
    horizons : sequence of float
        In the unit of the endpoint; used if absolute risk can be computed at any horizon.

    Returns
    -------
    dict of column to array, shape (n,)
        `probability` of the positive label, or `survival_<h>`, the probability of no event by each
        horizon.
    """
    return COLUMNS[type(endpoint)](endpoint, calibration, risk, strata, horizons)
