"""Lower bounds of survival times with distribution-free coverage, from development patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcome.outcomes import Outcomes
from outcome.risk.recalibration import SurvivalCalibration, fit_calibration
from outcome.statistics.censoring import censoring_curve, choose_tau

__all__ = ["COVERAGE", "SurvivalBound", "fit_survival_bound"]

COVERAGE = 0.9
"""Proportion of patients with the event at or after their bound."""

LEAST_FREE = 0.2
"""Times at which fewer than this proportion of patients are uncensored are not used."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SurvivalBound:
    """A rule for lower bounds of survival times, which most patients survive.

    Attributes
    ----------
    level : float
        The bound is the time at which the predicted risk of the event reaches this level.
    latest : float
        Latest bound; beyond it too few patients were followed.
    coverage : float
        The proportion of patients with the event at or after their bound.
    """

    level: float
    latest: float
    coverage: float

    def of(self, calibration: SurvivalCalibration, risk: Array, strata: Sequence[str]) -> Array:
        """Bounds of patients, shape (n,); NaN in a stratum without a baseline."""
        found = np.full(len(risk), np.nan)
        names = np.asarray(strata, dtype=str)
        relative = np.exp(calibration.linear_predictor(risk))
        for stratum, (times, hazard, _) in calibration.baselines.items():
            rows = names == stratum
            # The risk 1 - exp(-relative * hazard) reaches the level at this cumulative hazard.
            wanted = -np.log1p(-self.level) / relative[rows] if self.level < 1 else np.inf
            reached = np.searchsorted(hazard, wanted * (1 - 1e-12), side="left")
            later = np.append(times, np.inf)[reached]
            found[rows] = np.minimum(later, min(self.latest, calibration.longest[stratum]))
        return found


def fit_survival_bound(
    risks: Sequence[Array],
    outcomes: Outcomes,
    *,
    coverage: float = COVERAGE,
    fixed_slope: bool = False,
    latest_free: float = LEAST_FREE,
) -> SurvivalBound | None:
    """Choose the level with out-of-fold risks of development patients.

    The conformity score of a patient is the predicted risk at the time of the patient's event, from
    a model and a baseline fitted without the patient's inner fold. The level is the largest one at
    which the estimated proportion of patients with an event before their bound, with one such
    patient added, is at most 1 - `coverage` [1]_. The bound is limited to times with sufficient
    follow-up, as a cut-off that adapts to each patient [2]_. There, an event counts by 1{censored
    later} / P(censored later); because the censoring times of patients with an event are unknown,
    its weight is the expectation of this, 1 / G(t-) at its own time t.

    The coverage holds on average over patients. It requires exchangeable patients and censoring
    that does not depend on the covariates, but not a correct model.

    Parameters
    ----------
    risks : sequence of array
        Out-of-fold risks by inner fold.
    outcomes : Outcomes
        Of the same patients, in this order; times, without competing events.
    coverage : float
    fixed_slope : bool
        As for `outcome.risk.recalibration.fit_calibration`.
    latest_free : float
        Bounds are before the time at which the proportion of uncensored patients falls below it.

    Returns
    -------
    SurvivalBound or None
        None without times, with delayed entry or competing events, or if follow-up is too short.

    References
    ----------
    .. [1] Candes, Lei & Ren (2023), Journal of the Royal Statistical Society B 85:24-45.
    .. [2] Gui, Hore, Ren & Barber (2024), Biometrika 111:459-477.
    """
    time, code = outcomes.time, outcomes.code
    if outcomes.entry is not None:
        return None
    if time is None or (code == 2).any() or not (code == 1).any():
        return None
    curve = censoring_curve(time, code == 1)
    latest = choose_tau(time, [curve], least=latest_free)
    if latest is None:
        return None
    score = _risk_at_event(risks, outcomes, fixed_slope=fixed_slope)
    counted = (code == 1) & (time < latest) & np.isfinite(score)
    order = np.argsort(score[counted], kind="stable")
    level, weight = score[counted][order], 1 / curve.before(time[counted][order])
    # As if there were one more patient with an early event, with the largest weight so far.
    early = np.cumsum(weight) + np.maximum.accumulate(weight)
    allowed = (1 - coverage) * (len(time) + 1) * (1 + 1e-9)  # 0.1 is not exact
    beyond = np.flatnonzero(early > allowed)
    return SurvivalBound(float(level[beyond[0]]) if len(beyond) else 1.0, latest, coverage)


def _risk_at_event(risks: Sequence[Array], outcomes: Outcomes, *, fixed_slope: bool) -> Array:
    """Predicted risk at the time of the patient's event; NaN without an event."""
    assert outcomes.time is not None
    fold = np.repeat(np.arange(len(risks)), [len(r) for r in risks])
    risk, found = np.concatenate(risks), np.full(len(fold), np.nan)
    for k in range(len(risks)):
        others = outcomes[fold != k]
        if not others.worse.any():
            continue
        calibration = fit_calibration(risk[fold != k], others, fixed_slope=fixed_slope)
        assert isinstance(calibration, SurvivalCalibration)
        relative = np.exp(calibration.linear_predictor(risk))
        for stratum, (times, hazard, _) in calibration.baselines.items():
            rows = (fold == k) & outcomes.worse & (outcomes.strata == stratum)
            seen = np.searchsorted(times, outcomes.time[rows], side="right")
            found[rows] = -np.expm1(-relative[rows] * np.append(0.0, hazard)[seen])
    return found
