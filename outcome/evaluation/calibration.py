"""Calibration of predicted probabilities, and the points of the calibration plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from outcome.evaluation.arrays import ArmScores, entries
from outcome.evaluation.censoring_weights import CensoringWeights, fixed_horizon_weights
from outcome.evaluation.delayed_entry import DISTRIBUTION, SHARES
from outcome.evaluation.discrimination import beyond_follow_up, thin_follow_up
from outcome.evaluation.estimate import Estimate, unknown, wald, with_note
from outcome.evaluation.horizon_columns import horizon_name
from outcome.statistics import calibration_measures as statistics
from outcome.statistics.aalen_johansen import cumulative_incidence
from outcome.statistics.kaplan_meier import kaplan_meier
from outcome.statistics.logistic import fit_logistic

__all__ = [
    "CALIBRATION_COLUMNS",
    "binary_calibration",
    "calibration_points",
    "landmark_calibration",
    "survival_calibration",
]

Floats = NDArray[np.float64]

FEWEST_EVENTS = 100  # for smooth curves and D-calibration
CALIBRATION_COLUMNS = [
    "arm", "horizon", "kind", "predicted", "observed", "lower", "upper", "n", "events",
]  # fmt: skip


@dataclass(frozen=True)
class Pooled:
    """Patients of one repeat with a predicted event probability."""

    time: Floats
    event: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    probability: Floats
    weight: Floats
    entry: Floats | None = None

    def take(self, rows: NDArray[np.bool_]) -> Pooled:
        """Keep only some of the patients."""
        return Pooled(
            self.time[rows],
            self.event[rows],
            self.ended[rows],
            self.probability[rows],
            self.weight[rows],
            None if self.entry is None else self.entry[rows],
        )

    @property
    def competing(self) -> bool:
        """Whether the follow-up of a patient ended with an event other than that of interest."""
        return bool((self.ended & ~self.event).any())

    def observed(self, horizon: float) -> tuple[float, float, float, float]:
        """Event probability by the horizon, its standard error and interval.

        Kaplan-Meier, or Aalen-Johansen with competing events. NaN beyond the last follow-up of
        these patients, where a curve would only carry its last value forward.
        """
        if self.competing:
            code = self.event + 2 * (self.ended & ~self.event)
            curve = cumulative_incidence(self.time, code, entry=self.entry)
            if not curve.reaches(horizon):
                return (np.nan,) * 4
            lower, upper = curve.interval(horizon)
            error = curve.standard_error(horizon)
            return float(curve.at(horizon)), float(error[0]), float(lower[0]), float(upper[0])
        km = kaplan_meier(self.time, self.event, self.entry)
        if not km.reaches(horizon):
            return (np.nan,) * 4
        low, high = km.interval(horizon)
        return (
            1 - float(km.at(horizon)),
            float(km.standard_error(horizon)),
            1 - float(high),
            1 - float(low),
        )


def survival_calibration(arm: ArmScores, horizons: Sequence[float]) -> dict[str, Estimate]:
    """Calibration of the columns `survival_<h>`, pooled over folds; mean over repeats.

    Returns
    -------
    dict
        `calibration_slope` (1 is ideal, below 1 too extreme; at the last horizon within the
        follow-up, Wald interval; unknown with competing events); per horizon
        `calibration_ratio_<h>`, observed over expected events (1 is ideal, above 1 the risk is
        underestimated; log interval of the observed) and `ici_<h>`, the mean distance to a smooth
        curve (0 is ideal; no interval); `dcal_p` if the table has `survival_at_time`. Empty for a
        table without such columns. Under delayed entry, ratio and `dcal_p` are unknown.
    """
    found: dict[str, Estimate] = {}
    inside = [h for h in horizons if h in arm.folds[0].survival]
    usable = [h for h in inside if _too_late(arm, h) is None]
    if inside:
        found["calibration_slope"] = unknown("no horizon is within the follow-up")
    if usable:
        slope = _mean_of_repeats(arm, usable[-1], _slope)
        found["calibration_slope"] = slope
    for h in inside:
        for name, measure in (("calibration_ratio", _ratio), ("ici", _ici)):
            key = f"{name}_{horizon_name(h)}"
            found[key] = _too_late(arm, h) or _mean_of_repeats(arm, h, measure)
    return found | _distribution(arm)


def _too_late(arm: ArmScores, horizon: float) -> Estimate | None:
    """Return an unknown metric with its reason if follow-up does not exceed the horizon."""
    longest = max(float(f.time.max()) for f in arm.folds)
    if horizon < longest:
        return None
    return unknown(f"the horizon is not before the last follow-up ({longest:g})")


def landmark_calibration(
    arm: ArmScores, weights: CensoringWeights, horizon: float
) -> dict[str, Estimate]:
    """Calibration of the probability of the event by a horizon, yes or no.

    Events after the horizon do not count, and a competing event before it is a "no". Patients with
    a known outcome represent the others, with the weights of AUROC and Brier score.

    Returns
    -------
    dict
        `calibration_slope` and `calibration_intercept`, as `binary_calibration`, with sandwich
        intervals; `calibration_ratio_<h>` and `dcal_p`, as `survival_calibration`; `ici_<h>`, the
        mean distance to a weighted smooth curve. Empty for a table without `survival_<h>`.
    """
    found: dict[str, Estimate] = {}
    if horizon in arm.folds[0].survival:
        reason = beyond_follow_up(arm, weights, horizon)
        by_then = _by_horizon(arm, weights, horizon)
        status = {} if reason else binary_calibration(by_then, robust=True)
        for name in ("calibration_slope", "calibration_intercept"):
            thin = "" if reason else thin_follow_up(arm, weights, horizon)
            found[name] = unknown(reason) if reason else with_note(status[name], thin)
        at = horizon_name(horizon)
        found[f"calibration_ratio_{at}"] = _mean_of_repeats(arm, horizon, _ratio)
        ici = unknown(reason) if reason else _mean_of_repeats(by_then, np.nan, _status_ici)
        found[f"ici_{at}"] = ici
    return found | _distribution(arm)


def _by_horizon(arm: ArmScores, weights: CensoringWeights, horizon: float) -> ArmScores:
    """Convert follow-up to a label at the horizon and its weight for censoring."""
    folds = []
    for fold in arm.folds:
        case, control = weights.status_weights(fold, horizon)
        label = fold.event & (fold.time <= horizon)
        risk = 1 - fold.survival[horizon]
        folds.append(
            replace(fold, event=label, ended=label, probability=risk, weight=case + control)
        )
    return ArmScores(arm.name, tuple(folds))


def binary_calibration(arm: ArmScores, *, robust: bool = False) -> dict[str, Estimate]:
    """Slope and intercept of the column `probability`, pooled over folds; mean over repeats.

    Parameters
    ----------
    robust : bool
        Intervals come from the sandwich covariance, because weights are not counts.

    Returns
    -------
    dict
        `calibration_slope` (1 is ideal) and `calibration_intercept`, calibration in the large: the
        intercept with the slope fixed at 1 (0 is ideal, above 0 the probability is too low).
    """

    def intercept(pooled: Pooled, _: float) -> Estimate:
        x = logit(np.clip(pooled.probability, 1e-8, 1 - 1e-8))
        fit = fit_logistic(pooled.event, offset=x, weight=pooled.weight, robust=robust)
        return _wald(float(fit.coef[0]), float(fit.se[0]), "only one class")

    def slope(pooled: Pooled, _: float) -> Estimate:
        x = logit(np.clip(pooled.probability, 1e-8, 1 - 1e-8))
        fit = fit_logistic(pooled.event, x, weight=pooled.weight, robust=robust)
        return _wald(float(fit.coef[1]), float(fit.se[1]), "probabilities do not vary")

    return {
        "calibration_slope": _mean_of_repeats(arm, np.nan, slope),
        "calibration_intercept": _mean_of_repeats(arm, np.nan, intercept),
    }


def pool(arm: ArmScores, repeat: str, horizon: float) -> Pooled:
    """Patients of a repeat with a known prediction at the horizon (NaN: a binary outcome)."""
    folds = [f for f in arm.folds if f.repeat == repeat]
    predicted = np.concatenate(
        [f.probability if np.isnan(horizon) else 1 - f.survival[horizon] for f in folds]
    )
    keep = ~np.isnan(predicted)
    return Pooled(
        np.concatenate([f.time for f in folds])[keep],
        np.concatenate([f.event for f in folds])[keep],
        np.concatenate([f.ended for f in folds])[keep],
        predicted[keep],
        np.concatenate([f.weight for f in folds])[keep],
        None if (entry := entries(folds)) is None else entry[keep],
    )


def _mean_of_repeats(
    arm: ArmScores, horizon: float, measure: Callable[[Pooled, float], Estimate]
) -> Estimate:
    """Mean over repeats of estimates and bounds: repeats are the same patients again."""
    found = []
    for repeat in arm.repeats:
        pooled = pool(arm, repeat, horizon)
        found.append(measure(pooled, horizon) if len(pooled.event) else unknown("no prediction"))
    known = [m for m in found if not np.isnan(m.value)]
    if not known:
        return found[0]
    bounds = None
    if all(m.bounds is not None for m in known):
        lower, upper = np.mean([m.bounds for m in known if m.bounds is not None], axis=0)
        bounds = (float(lower), float(upper))
    return Estimate(float(np.mean([m.value for m in known])), bounds=bounds, note=known[0].note)


def _wald(value: float, se: float, otherwise: str) -> Estimate:
    return unknown(otherwise) if np.isnan(value) else Estimate(value, bounds=wald(value, se))


def _slope(pooled: Pooled, horizon: float) -> Estimate:
    if pooled.competing:
        # a cumulative incidence is not a cause-specific hazard: even a perfect one has a slope
        # above 1
        return unknown("the slope of a Cox model does not account for competing events")
    value, se = statistics.calibration_slope(
        pooled.time, pooled.event, pooled.probability, entry=pooled.entry
    )
    found = _wald(value, se, "predictions do not vary, or no event")
    note = found.note or f"of the log cumulative hazard at {horizon_name(horizon)}"
    return Estimate(found.value, bounds=found.bounds, note=note)


def _ratio(pooled: Pooled, horizon: float) -> Estimate:
    if pooled.entry is not None:
        return unknown(SHARES)
    observed, se, _, _ = pooled.observed(horizon)
    expected = float(pooled.probability.mean())
    if np.isnan(observed):
        return unknown("no patient with a prediction is followed to the horizon")
    if observed <= 0 or expected <= 0:
        return unknown("no event by the horizon")
    factor = float(np.exp(1.959963984540054 * se / observed))
    value = observed / expected
    return Estimate(value, bounds=(value / factor, value * factor))


def _ici(pooled: Pooled, horizon: float) -> Estimate:
    if pooled.event.sum() < FEWEST_EVENTS:
        return unknown(f"fewer than {FEWEST_EVENTS} events")
    if pooled.competing:
        return unknown("smooth calibration curves do not account for competing events")
    return _distance(
        pooled,
        statistics.smooth_survival(
            pooled.time,
            pooled.event,
            pooled.probability,
            horizon,
            pooled.probability,
            entry=pooled.entry,
        ),
    )


def _status_ici(pooled: Pooled, _: float) -> Estimate:
    if pooled.event.sum() < FEWEST_EVENTS:
        return unknown(f"fewer than {FEWEST_EVENTS} events by the horizon")
    return _distance(
        pooled,
        statistics.smooth_binary(
            pooled.event, pooled.probability, pooled.probability, weight=pooled.weight
        ),
    )


def _distance(pooled: Pooled, smooth: Floats) -> Estimate:
    errors = statistics.calibration_errors(pooled.probability, smooth)
    if np.isnan(errors.ici):
        return unknown("too few distinct predictions for a smooth curve")
    return Estimate(errors.ici, note=f"median {errors.e50:.4f}, 90th percentile {errors.e90:.4f}")


def _distribution(arm: ArmScores) -> dict[str, Estimate]:
    if any(np.isnan(f.survival_at_time).all() for f in arm.folds):
        return {}
    if arm.late:
        return {"dcal_p": unknown(DISTRIBUTION)}
    return {"dcal_p": _d_calibration(arm)}


def _d_calibration(arm: ArmScores) -> Estimate:
    folds = arm.first_folds
    s = np.concatenate([f.survival_at_time for f in folds])
    until = np.concatenate([f.event_at_time for f in folds])
    event = np.where(np.isnan(until), np.concatenate([f.event for f in folds]), until > 0)
    known = ~np.isnan(s)
    if event[known].sum() < FEWEST_EVENTS:
        return unknown(f"fewer than {FEWEST_EVENTS} events")
    return Estimate(statistics.d_calibration(s[known], event[known]).p)


def calibration_points(
    arms: Sequence[ArmScores],
    horizons: Sequence[float] = (),
    *,
    n_groups: int = 5,
    landmark: float | None = None,
    cross_validated: bool = True,
) -> pd.DataFrame:
    """Return the points of a calibration plot, from the first repeat.

    Parameters
    ----------
    arms : sequence of ArmScores
        With survival probabilities at the horizons, or probabilities of a binary outcome.
    horizons : sequence of float
        Ignored for a binary outcome.
    n_groups : int
        Groups of about equal size by predicted probability.
    landmark : float, optional
        The outcome is the event by this time, the only horizon: the smooth curve is that of the
        status at this time, weighted by the inverse probability that it is known.
    cross_validated : bool
        Those weights come from the other folds.

    Returns
    -------
    DataFrame
        `CALIBRATION_COLUMNS`: `kind` is `group` (observed with its 95% interval; NaN if no patient
        of the group is followed to the horizon) or `smooth` (a curve over the range of predictions,
        only with 100 events or more; for a landmark, events by then). Under delayed entry there are
        no groups, because a mean over the observed patients is not a mean over all.
    """
    weights = None
    if landmark is not None:
        horizons = [landmark]
        weights = fixed_horizon_weights(arms, landmark, cross_validated=cross_validated)
    rows: list[dict[str, object]] = []
    for arm in arms:
        predicted = [h for h in horizons if h in arm.folds[0].survival]
        for h in predicted if arm.timed else [float("nan")]:
            pooled = pool(arm, arm.repeats[0], h)
            if len(pooled.event):
                curve = _curve(pooled, h) if weights is None else _status_curve(arm, weights, h)
                groups = [] if arm.late else _groups(pooled, h, n_groups)
                points = [*groups, *curve]
                rows += [
                    dict(zip(CALIBRATION_COLUMNS, [arm.name, h, *p], strict=True)) for p in points
                ]
    return pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)


def _groups(pooled: Pooled, horizon: float, n_groups: int) -> list[list[object]]:
    edges = np.unique(np.quantile(pooled.probability, np.arange(1, n_groups) / n_groups))
    codes = np.searchsorted(edges, pooled.probability, side="left")
    points = []
    for code in np.unique(codes):
        i = codes == code
        part = pooled.take(i)
        if np.isnan(horizon):
            observed = float(np.average(part.event, weights=np.maximum(part.weight, 1e-12)))
            se = float(np.sqrt(observed * (1 - observed) / len(part.event)))
            lower, upper = (float(np.clip(b, 0, 1)) for b in wald(observed, se))
        else:
            observed, _, lower, upper = part.observed(horizon)
        mean = float(part.probability.mean())
        points.append(["group", mean, observed, lower, upper, int(i.sum()), int(part.event.sum())])
    return points


def _status_curve(arm: ArmScores, weights: CensoringWeights, horizon: float) -> list[list[object]]:
    if beyond_follow_up(arm, weights, horizon):
        return []
    return _curve(pool(_by_horizon(arm, weights, horizon), arm.repeats[0], np.nan), np.nan)


def _curve(pooled: Pooled, horizon: float) -> list[list[object]]:
    n, events = len(pooled.event), int(pooled.event.sum())
    if events < FEWEST_EVENTS or pooled.competing:
        return []
    low, high = (float(q) for q in np.quantile(pooled.probability, [0.01, 0.99]))
    at = np.linspace(low, high, 50)
    if np.isnan(horizon):
        smooth = statistics.smooth_binary(
            pooled.event, pooled.probability, at, weight=pooled.weight
        )
    else:
        smooth = statistics.smooth_survival(
            pooled.time, pooled.event, pooled.probability, horizon, at
        )
    return [
        ["smooth", float(x), float(y), np.nan, np.nan, n, events]
        for x, y in zip(at, smooth, strict=True)
        if not np.isnan(y)
    ]
