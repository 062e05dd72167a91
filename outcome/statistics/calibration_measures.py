"""Calibration of predicted risk: slopes, smooth curves, D-calibration.

lifelines has the smooth curve of survival only for its own fitted models. No library has the errors
(ICI, E50, E90) of given predictions, or D-calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from outcome.errors import InputError
from outcome.statistics._arrays import FloatArray, follow_up, follow_up_from_entry, numbers
from outcome.statistics.cox import event_terms, fit_cox
from outcome.statistics.logistic import fit_logistic
from outcome.statistics.logrank import chi_square_p

__all__ = [
    "CalibrationErrors",
    "DCalibration",
    "calibration_errors",
    "calibration_slope",
    "cloglog",
    "d_calibration",
    "smooth_binary",
    "smooth_survival",
    "spline_basis",
]

_EDGE = 1e-8  # minimum distance of probabilities from 0 and 1


@dataclass(frozen=True)
class CalibrationErrors:
    """Distances between predicted probability and a smooth curve of the observed one [1]_.

    Attributes
    ----------
    ici, e50, e90, emax : float
        Mean, median, 90th percentile and maximum over patients; 0 is perfect.

    References
    ----------
    .. [1] Austin, Harrell & van Klaveren (2020), Statistics in Medicine 39:2714-2742.
    """

    ici: float
    e50: float
    e90: float
    emax: float


@dataclass(frozen=True)
class DCalibration:
    """Whether survival probabilities at the patients' own times are uniform.

    Attributes
    ----------
    counts : ndarray, shape (bins,)
        Patients per bin, lowest probability first; censored patients are distributed over bins.
    chi_square, p : float
        A small p indicates that the predicted distributions are wrong.
    """

    counts: FloatArray
    chi_square: float
    p: float


def cloglog(probability: ArrayLike) -> FloatArray:
    """Complementary log-log of an event probability: a log cumulative hazard."""
    p = np.clip(np.asarray(probability, dtype=np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(-np.log1p(-p)), dtype=np.float64)


def calibration_slope(
    time: ArrayLike, event: ArrayLike, probability: ArrayLike, *, entry: ArrayLike | None = None
) -> tuple[float, float]:
    """Cox coefficient of the predicted log cumulative hazard, with its standard error.

    1 is ideal; below 1 the predictions are too extreme; NaN if they are constant.
    """
    fit = fit_cox(time, event, cloglog(probability), entry=entry)
    return float(fit.coef[0]), float(fit.se[0])


def spline_basis(x: ArrayLike, knots: ArrayLike) -> FloatArray:
    """Restricted cubic spline: linear beyond the outer knots [1]_.

    Parameters
    ----------
    x : array_like, shape (n,)
    knots : array_like, shape (k,)
        At least 3, ascending.

    Returns
    -------
    ndarray, shape (n, k - 1)
        `x` itself and k - 2 cubic terms, in units of x.

    References
    ----------
    .. [1] Harrell (2015), Regression Modeling Strategies, 2nd ed., section 2.4.5.
    """
    values, k = np.asarray(x, dtype=np.float64), np.asarray(knots, dtype=np.float64)
    cubes = np.maximum(values[:, None] - k, 0.0) ** 3
    last, before = k[-1], k[-2]
    terms = [values]
    for j in range(len(k) - 2):
        outer = cubes[:, -2] * (last - k[j]) / (last - before)
        inner = cubes[:, -1] * (before - k[j]) / (last - before)
        terms.append((cubes[:, j] - outer + inner) / (last - k[0]) ** 2)
    return np.column_stack(terms)


def smooth_survival(
    time: ArrayLike,
    event: ArrayLike,
    probability: ArrayLike,
    horizon: float,
    at: ArrayLike,
    *,
    entry: ArrayLike | None = None,
) -> FloatArray:
    """Observed event probability by the horizon, as a smooth function of the predicted one.

    A Cox model on a restricted cubic spline (knots at the 10th, 50th and 90th percentiles) of
    the complementary log-log of the prediction.

    Parameters
    ----------
    time, event, probability : array_like, shape (n,)
        `probability` of an event by `horizon`.
    horizon : float
    at : array_like, shape (m,)
        Predicted probabilities at which the curve is evaluated.
    entry : array_like, shape (n,), optional
        Start of observation; patients are at risk only after it.

    Returns
    -------
    ndarray, shape (m,)
        NaN if the model cannot be fitted.
    """
    times, events, entries = follow_up_from_entry(time, event, entry)
    q = cloglog(numbers(probability, "probability", len(times)))
    knots = np.quantile(q, [0.1, 0.5, 0.9])
    if (np.diff(knots) <= 0).any():
        return np.full(len(np.atleast_1d(at)), np.nan)
    basis = spline_basis(q, knots)
    fit = fit_cox(times, events, basis, entry=entries)
    if not fit.converged:
        return np.full(len(np.atleast_1d(at)), np.nan)
    strata = np.zeros(len(times), dtype=np.int64)
    terms = event_terms(times, events, basis, basis @ fit.coef, strata, entries)
    until = times[terms.row] <= horizon
    hazard = float(np.exp(-terms.log_risk[until]).sum())
    return np.asarray(1 - np.exp(-hazard * np.exp(spline_basis(cloglog(at), knots) @ fit.coef)))


def smooth_binary(
    label: ArrayLike, probability: ArrayLike, at: ArrayLike, *, weight: ArrayLike | None = None
) -> FloatArray:
    """As `smooth_survival` for a label: a logistic model on a spline of the logit.

    `weight` is the weight of each patient in the likelihood; the knots are computed from all
    patients.
    """
    q = logit(np.clip(numbers(probability, "probability"), _EDGE, 1 - _EDGE))
    knots = np.quantile(q, [0.1, 0.5, 0.9])
    unknown = np.full(len(np.atleast_1d(at)), np.nan)
    if (np.diff(knots) <= 0).any():
        return unknown
    fit = fit_logistic(label, spline_basis(q, knots), weight=weight)
    if not fit.converged:
        return unknown
    where = logit(np.clip(np.asarray(at, dtype=np.float64), _EDGE, 1 - _EDGE))
    return np.asarray(expit(fit.coef[0] + spline_basis(where, knots) @ fit.coef[1:]))


def calibration_errors(predicted: ArrayLike, observed: ArrayLike) -> CalibrationErrors:
    """Summarise the distances between predictions and a smooth curve at the same patients."""
    distance = np.abs(np.asarray(predicted) - np.asarray(observed))
    if len(distance) == 0 or np.isnan(distance).any():
        return CalibrationErrors(*[float("nan")] * 4)
    return CalibrationErrors(
        float(distance.mean()),
        float(np.median(distance)),
        float(np.quantile(distance, 0.9)),
        float(distance.max()),
    )


def d_calibration(survival_at_time: ArrayLike, event: ArrayLike, *, bins: int = 10) -> DCalibration:
    """Test of D-calibration [1]_.

    Parameters
    ----------
    survival_at_time : array_like, shape (n,)
        Predicted survival probability of each patient at the patient's own event or censoring time.
    event : array_like, shape (n,)
    bins : int

    Returns
    -------
    DCalibration

    Raises
    ------
    InputError
        A probability is outside [0, 1].

    References
    ----------
    .. [1] Haider et al. (2020), Journal of Machine Learning Research 21(85):1-63.
    """
    s = numbers(survival_at_time, "survival_at_time")
    _, events = follow_up(np.zeros(len(s)), event)
    if ((s < 0) | (s > 1)).any():
        raise InputError("survival_at_time is outside [0, 1]")
    own = np.minimum((s * bins).astype(int), bins - 1)
    counts = np.bincount(own[events], minlength=bins).astype(np.float64)
    for value, bin_ in zip(s[~events], own[~events], strict=True):
        # a patient censored at probability s will have the event at a probability below s
        if value <= 0:
            counts[0] += 1
            continue
        counts[bin_] += (value - bin_ / bins) / value
        counts[:bin_] += 1 / bins / value
    expected = len(s) / bins
    if expected == 0:
        return DCalibration(counts, float("nan"), float("nan"))
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    return DCalibration(counts, chi_square, chi_square_p(chi_square, bins - 1))
