"""Absolute risk from risks: slope and baseline, fitted on out-of-fold development risks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from outcome.outcomes import Outcomes
from outcome.statistics.cox import event_terms
from outcome.statistics.risk_sets import number_at_risk
from outcome.statistics.ties import latest_tie

if TYPE_CHECKING:
    from sksurv.functions import StepFunction

__all__ = [
    "Calibration",
    "LogisticCalibration",
    "SurvivalCalibration",
    "fit_calibration",
    "fit_weights",
    "summary",
    "survival_at_time",
]

PRIOR_SD = 0.5
"""Prior standard deviation of a slope around 1, or of a weight around equal weights."""
PRIOR_SPREAD = 0.25
"""Lower limit of the prior standard deviation of a slope, on the scale of the log hazard."""
MIN_STRATUM_EVENTS = 10

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SurvivalCalibration:
    """A Cox slope and a baseline hazard per stratum.

    Parameters
    ----------
    slope : float
        Factor of the risk; 0 or more.
    baselines : mapping of stratum to array, shape (3, events)
        Event times, cumulative baseline hazard of the event, and cumulative hazard of competing
        events. Strata with too few events are missing.
    longest : mapping of stratum to float
        Longest follow-up, beyond which no prediction is possible.
    """

    slope: float
    baselines: Mapping[str, Array]
    longest: Mapping[str, float]

    def linear_predictor(self, risk: Array) -> Array:
        """Calibrated log hazard, shape (n,)."""
        return self.slope * risk

    def survival(self, risk: Array, strata: Sequence[str], horizon: float) -> Array:
        """Probability of no event by the horizon, shape (n,); NaN beyond the follow-up.

        With competing events it is one minus the cumulative incidence of the event.
        """
        found = np.full(len(risk), np.nan)
        names = np.asarray(strata, dtype=str)
        for stratum, (times, hazard, other) in self.baselines.items():
            rows = names == stratum
            if rows.any() and horizon <= latest_tie(self.longest[stratum]):
                seen = int(np.searchsorted(times, latest_tie(horizon), side="right"))
                relative = np.exp(self.linear_predictor(risk[rows]))
                found[rows] = _event_free(relative, hazard[:seen], other[:seen])
        return found

    def survival_functions(self, risk: Array, strata: Sequence[str]) -> list[StepFunction]:
        """Return each patient's curve, in the form of scikit-survival's models.

        A curve is a `sksurv.functions.StepFunction`, called with a time within follow-up; its
        values are those of `survival`. For a stratum without a baseline it is defined only at 0,
        where it is NaN.

        Parameters
        ----------
        risk : array, shape (n,)
        strata : sequence of str, length n
        """
        # Imported here, because importing scikit-survival takes a second.
        from sksurv.functions import StepFunction

        found = [StepFunction(np.zeros(1), np.full(1, np.nan)) for _ in risk]
        for stratum, (times, _, _) in self.baselines.items():
            rows = [i for i, name in enumerate(strata) if name == stratum]
            when = np.unique([0.0, *times, self.longest[stratum]])
            names = [stratum] * len(rows)
            curves = np.array([self.survival(risk[rows], names, t) for t in when])
            for i, curve in zip(rows, curves.T, strict=True):
                found[i] = StepFunction(when, curve)
        return found

    def cumulative_hazard_functions(self, risk: Array, strata: Sequence[str]) -> list[StepFunction]:
        """Return each patient's cumulative hazard of the event, as `survival_functions`.

        With competing events it is the cause-specific hazard.

        Parameters
        ----------
        risk : array, shape (n,)
        strata : sequence of str, length n
        """
        from sksurv.functions import StepFunction

        found = [StepFunction(np.zeros(1), np.full(1, np.nan)) for _ in risk]
        relative = np.exp(self.linear_predictor(risk))
        for stratum, (times, hazard, _) in self.baselines.items():
            when = np.unique([0.0, *times, self.longest[stratum]])
            before = np.append(0.0, hazard)[np.searchsorted(times, when, side="right")]
            for i, name in enumerate(strata):
                if name == stratum:
                    found[i] = StepFunction(when, relative[i] * before)
        return found


@dataclass(frozen=True)
class LogisticCalibration:
    """Logistic recalibration of the risk of the worse outcome.

    Parameters
    ----------
    intercept, slope : float
        The slope is 0 or more.
    """

    intercept: float
    slope: float

    def linear_predictor(self, risk: Array) -> Array:
        """Calibrated logit of the worse outcome, shape (n,)."""
        return self.intercept + self.slope * risk

    def probability(self, risk: Array) -> Array:
        """Probability of the worse outcome, shape (n,)."""
        worse: Array = expit(self.linear_predictor(risk))
        return worse


Calibration = SurvivalCalibration | LogisticCalibration


def fit_calibration(risk: Array, outcomes: Outcomes, *, fixed_slope: bool = False) -> Calibration:
    """Fit on out-of-fold risks of development patients.

    Parameters
    ----------
    risk : array, shape (n,)
        Higher is worse.
    outcomes : Outcomes
    fixed_slope : bool
        Keep the slope at 1, because there are too few events to fit one.

    Notes
    -----
    The slope has a normal prior around 1 with SD 0.5, which shrinks it if there are few events.
    With this prior, scores that hardly differ between patients, such as those of a strongly
    penalised model, would remain so for any outcomes. The SD is therefore at least 0.25 / (SD of
    the risk), so that the spread of the calibrated log hazards has a prior SD of 0.25. A negative
    slope becomes 0; all patients then get the baseline. Baseline: Breslow's estimate, with Efron's
    method for ties, at the calibrated risks.
    """
    slope, intercept = 1.0, 0.0
    if not fixed_slope:
        spread = float(risk.std())
        scale = spread if spread > np.finfo(float).tiny else 1.0
        # In units of their spread, so that the optimisation does not depend on the scale of the
        # scores.
        weights, intercept = fit_weights(
            risk[:, None] / scale, outcomes, around=scale, sd=max(PRIOR_SD * scale, PRIOR_SPREAD)
        )
        slope = float(weights[0]) / scale
    if outcomes.time is None:
        if fixed_slope:
            intercept = _intercept(risk, outcomes)
        return LogisticCalibration(intercept, slope)
    several = len(np.unique(outcomes.strata)) > 1
    baselines, longest = {}, {}
    for stratum in np.unique(outcomes.strata):
        rows = outcomes.strata == stratum
        if not several or outcomes.worse[rows].sum() >= MIN_STRATUM_EVENTS:
            time, code = outcomes.time[rows], outcomes.code[rows]
            entry = None if outcomes.entry is None else outcomes.entry[rows]
            baselines[str(stratum)] = _baseline(slope * risk[rows], time, code, entry)
            longest[str(stratum)] = float(time.max())
    return SurvivalCalibration(slope, baselines, longest)


def fit_weights(
    scores: Array, outcomes: Outcomes, *, around: float, sd: float = PRIOR_SD
) -> tuple[Array, float]:
    """Compute weights of scores whose weighted sum is a calibrated log hazard or logit.

    Parameters
    ----------
    scores : array, shape (n, m)
        Out-of-fold risks, or calibrated log hazards, of m models.
    outcomes : Outcomes
    around, sd : float
        Mean and SD of the normal prior of each weight; weights are 0 or more.

    Returns
    -------
    weights : array, shape (m,)
    intercept : float
        Intercept of a logistic model; 0 for a Cox model.
    """
    # Imported here, because the optimiser is not needed to apply a calibration.
    from scipy.optimize import minimize

    m = scores.shape[1]
    survival = outcomes.time is not None

    def loss(theta: Array) -> tuple[float, Array]:
        value, gradient = (_cox_loss if survival else _logistic_loss)(theta, scores, outcomes)
        away = theta[:m] - around
        gradient[:m] += away / sd**2
        return value + float(away @ away) / (2 * sd**2), gradient

    # Start with a spread of at most 1, because steps from a steep slope may end at the bound.
    start = np.append(np.full(m, min(around, 1.0)), 0.0)
    bounds = [(0.0, None)] * m + [(0.0, 0.0) if survival else (None, None)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return found.x[:m], float(found.x[m])


def summary(calibration: Calibration) -> dict[str, float]:
    """Return the entries of a calibration in the manifest."""
    about = {"slope": round(calibration.slope, 4)}
    if isinstance(calibration, LogisticCalibration):
        about["intercept"] = round(calibration.intercept, 4)
    return about


def _cox_loss(theta: Array, scores: Array, outcomes: Outcomes) -> tuple[float, Array]:
    log_hazard = scores @ theta[:-1]
    assert outcomes.time is not None
    strata = np.unique(outcomes.strata, return_inverse=True)[1].astype(np.int64)
    terms = event_terms(outcomes.time, outcomes.worse, scores, log_hazard, strata, outcomes.entry)
    value = float((terms.log_risk - log_hazard[terms.row]).sum())
    return value, np.append((terms.mean - scores[terms.row]).sum(axis=0), 0.0)


def _logistic_loss(theta: Array, scores: Array, outcomes: Outcomes) -> tuple[float, Array]:
    logit = scores @ theta[:-1] + theta[-1]
    y, w = outcomes.worse, outcomes.weights
    value = float(w @ (np.logaddexp(0.0, logit) - y * logit))
    away = w * (expit(logit) - y)
    return value, np.append(away @ scores, away.sum())


def _intercept(risk: Array, outcomes: Outcomes) -> float:
    from scipy.optimize import minimize

    def loss(theta: Array) -> tuple[float, Array]:
        value, gradient = _logistic_loss(np.append(1.0, theta), risk[:, None], outcomes)
        return value, gradient[1:]

    return float(minimize(loss, np.zeros(1), jac=True, method="L-BFGS-B").x[0])


def _baseline(
    log_hazard: Array, time: Array, code: NDArray[np.int64], entry: Array | None
) -> Array:
    """Return times of events of either kind, and both cumulative hazards after them."""
    same = np.zeros(len(time), dtype=np.int64)
    terms = event_terms(time, code == 1, log_hazard[:, None], log_hazard, same, entry)
    when = np.unique(time[code > 0])
    own = np.zeros(len(when))
    np.add.at(own, np.searchsorted(when, time[terms.row]), np.exp(-terms.log_risk))
    other = np.zeros(len(when))
    ends = np.searchsorted(when, time[code == 2])
    np.add.at(other, ends, 1.0 / number_at_risk(time, when, entry)[ends])
    return np.stack([when, own.cumsum(), other.cumsum()])


def _event_free(relative: Array, hazard: Array, other: Array) -> Array:
    """One minus the cumulative incidence, for each relative hazard."""
    if len(hazard) == 0:
        return np.ones(len(relative))
    if other[-1] == 0:
        free: Array = np.exp(-relative * hazard[-1])
        return free
    steps = np.diff(hazard, prepend=0.0)
    before = np.exp(-relative[:, None] * np.append(0.0, hazard[:-1]) - np.append(0.0, other[:-1]))
    # Within a step, the event occurs in its share of the remaining patients.
    incidence = (before * -np.expm1(-relative[:, None] * steps)).sum(axis=1)
    return np.asarray(1.0 - incidence)


def survival_at_time(calibration: Calibration, risk: Array, outcomes: Outcomes) -> dict[str, Array]:
    """Predicted survival at each patient's own time, and whether it was an event.

    Patients followed longer than the development patients count as censored at the end of the
    follow-up of the latter. Excluding them would depend on their outcome and make a correct model
    look wrong.

    Returns
    -------
    dict
        `survival_at_time` and `event_at_time` (0 or 1); empty for other endpoints, and with
        competing events, where it is not a survival function.
    """
    if not isinstance(calibration, SurvivalCalibration) or outcomes.time is None:
        return {}
    if any(other[-1:].sum() > 0 for _, _, other in calibration.baselines.values()):
        return {}
    survival, seen = np.full(len(risk), np.nan), np.zeros(len(risk))
    for i, time in enumerate(outcomes.time):
        stratum = str(outcomes.strata[i])
        last = min(float(time), calibration.longest.get(stratum, np.inf))
        survival[i] = calibration.survival(risk[i : i + 1], [stratum], last)[0]
        seen[i] = outcomes.worse[i] and time <= latest_tie(last)
    return {"survival_at_time": survival, "event_at_time": seen}
