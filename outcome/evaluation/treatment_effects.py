"""Dependence of a treatment effect on the score: tables of a study with two treatments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.covariates import first_repeat
from outcome.evaluation.estimate import wald
from outcome.evaluation.outcome_kinds import EvaluatedOutcome
from outcome.evaluation.risk_groups import EventFree, group_patients
from outcome.evaluation.treatment_weights import treatment_weights
from outcome.statistics.aalen_johansen import cumulative_incidence
from outcome.statistics.calibration_measures import spline_basis
from outcome.statistics.interaction import Interaction, fit_ratio_model, treatment_interaction
from outcome.statistics.kaplan_meier import KaplanMeier, kaplan_meier
from outcome.statistics.multiple_testing import holm
from outcome.statistics.weighted_kaplan_meier import WeightedKaplanMeier, weighted_kaplan_meier
from outcome.tables.treatment import TreatmentAssignment

__all__ = [
    "DIFFERENCE_COLUMNS",
    "EFFECT_BY_SCORE_COLUMNS",
    "INTERACTION_COLUMNS",
    "TREATMENT_CURVE_COLUMNS",
    "TREATMENT_EFFECT_COLUMNS",
    "TREATMENT_TABLES",
    "treatment_notes",
    "treatment_tables",
]

Floats = NDArray[np.float64]
INTERACTION_COLUMNS = [
    "arm", "model", "term", "ratio", "lower", "upper", "coef", "se", "chi_square", "df", "p_value",
    "wald_p", "p_adjusted", "n_reference", "n_treated", "events_reference", "events_treated",
    "unknown", "note",
]  # fmt: skip
TREATMENT_EFFECT_COLUMNS = [
    "arm", "model", "group", "ratio", "lower", "upper", "p_value", "n_reference", "n_treated",
    "events_reference", "events_treated", "note",
]  # fmt: skip
DIFFERENCE_COLUMNS = [
    "arm", "model", "group", "measure", "horizon", "reference", "treated", "difference", "lower",
    "upper", "p_value",
]  # fmt: skip
TREATMENT_CURVE_COLUMNS = [
    "arm", "model", "group", "treatment", "time", "survival", "lower", "upper", "n_risk", "n_event",
    "n_censored",
]  # fmt: skip
EFFECT_BY_SCORE_COLUMNS = ["arm", "model", "score", "ratio", "lower", "upper"]
TREATMENT_TABLES = (
    "treatment_interaction",
    "treatment_effects",
    "treatment_differences",
    "treatment_curves",
    "treatment_effect_by_score",
    "treatment_balance",
    "treatment_weights",
)
"""Names of the tables of `treatment_tables`."""
UNADJUSTED, WEIGHTED = "unadjusted", "weighted"
ALL = "all patients"
KNOTS = (10, 50, 90)
SHOWN = (5, 95)
"""Percentiles of the score: the knots of the spline, and the range shown."""
POINTS = 41

Curve = KaplanMeier | WeightedKaplanMeier | EventFree


@dataclass(frozen=True)
class _Patients:
    """Patients of one arm with a known treatment."""

    treated: Floats
    score: Floats
    group: NDArray[np.str_]
    names: list[str]
    time: Floats
    event: NDArray[np.bool_]
    code: NDArray[np.int64]
    block: NDArray[np.int64]
    weight: Floats | None
    timed: bool

    @property
    def competing(self) -> bool:
        return bool((self.code == 2).any())

    def take(self, keep: NDArray[np.bool_]) -> _Patients:
        weight = None if self.weight is None else self.weight[keep]
        return _Patients(
            self.treated[keep], self.score[keep], self.group[keep], self.names, self.time[keep],
            self.event[keep], self.code[keep], self.block[keep], weight, self.timed,
        )  # fmt: skip

    def options(self) -> dict[str, Floats | NDArray[np.int64] | None]:
        """Return the common arguments of all models of these patients."""
        time = self.time if self.timed else None
        return {"time": time, "strata": self.block, "weight": self.weight}

    def counts(self) -> list[int]:
        """Patients with the reference and the other treatment, then their events."""
        arms = [self.treated == value for value in (0, 1)]
        return [int(a.sum()) for a in arms] + [int(self.event[a].sum()) for a in arms]


def treatment_tables(
    panel: Panel,
    arms: Sequence[ArmScores],
    outcome: EvaluatedOutcome,
    assignment: TreatmentAssignment,
    covariates: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    """Test and describe how the effect of the treatment depends on the score of each arm.

    Scores are per standard deviation within their fold, those of the first repeat; models are
    stratified by fold and stratum (Cox for times, logistic with intercepts for labels).
    Competing events are treated as censoring: ratios and restricted means are cause-specific.
    Patients without a known treatment are counted and excluded.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
    outcome : EvaluatedOutcome
    assignment : TreatmentAssignment
    covariates : DataFrame
        `patient_id` and clinical variables. If treatment was not randomised, the effect is adjusted
        for them by inverse probability of treatment weights.

    Returns
    -------
    dict of str to DataFrame
        `treatment_interaction` (`INTERACTION_COLUMNS`)
            `term` is `treatment` (its effect at the mean score), `score` (in the reference arm:
            whether it is prognostic), `score, treated`, `score x treatment` (whether it is
            predictive), the same for a smooth function of the score and for the risk groups.
            `chi_square`, `df` and `p_value` are of the likelihood-ratio test, absent for
            weighted patients; `wald_p` is Wald's. `p_adjusted` is corrected over the arms (Holm),
            from `p_value`, or from `wald_p` if there is none.
        `treatment_effects` (`TREATMENT_EFFECT_COLUMNS`)
            Hazard (odds) ratio of the treatment in all patients and in each risk group.
        `treatment_differences` (`DIFFERENCE_COLUMNS`)
            Treated minus reference, in each group and between the last and the first group:
            `survival` at the horizons, `restricted_mean` up to the last of them (without
            horizons, to the end of the shortest follow-up of a group), or the `event_rate` of
            a label.
        `treatment_curves` (`TREATMENT_CURVE_COLUMNS`)
            Share free of the event by group and treatment.
        `treatment_effect_by_score` (`EFFECT_BY_SCORE_COLUMNS`)
            Ratio of the treatment at scores between the 5th and 95th percentile, from a
            restricted cubic spline (knots at the 10th, 50th and 90th), with pointwise intervals.
        `treatment_balance`, `treatment_weights`
            See `outcome.evaluation.treatment_weights.TreatmentWeights`; only where the
            treatment was not randomised. `model` is then `unadjusted` or `weighted`.
    """
    treated = assignment.of([str(i) for i in panel.ids])
    found: dict[str, list[list[object]]] = {name: [] for name in TREATMENT_TABLES[:5]}
    names = (assignment.reference, assignment.other)
    weights = None
    if not assignment.randomised:
        others = covariates.drop(columns=[assignment.column], errors="ignore")
        weights = treatment_weights(panel, list(arms), treated, others, names)
    models: dict[str, Floats | None] = {UNADJUSTED: None}
    if weights is not None:
        models[WEIGHTED] = weights.weight
    for arm in arms:
        for model, weight in models.items():
            patients, unknown = _patients(arm, treated, weight)
            key: list[object] = [arm.name, model]
            for name, cells in (
                ("treatment_interaction", _interactions(patients, unknown)),
                ("treatment_effects", _effects(patients)),
                ("treatment_differences", _differences(patients, outcome.horizons)),
                ("treatment_curves", _curves(patients, names)),
                ("treatment_effect_by_score", _effect_by_score(patients)),
            ):
                found[name] += [[*key, *row] for row in cells]
    columns = (
        INTERACTION_COLUMNS, TREATMENT_EFFECT_COLUMNS, DIFFERENCE_COLUMNS, TREATMENT_CURVE_COLUMNS,
        EFFECT_BY_SCORE_COLUMNS,
    )  # fmt: skip
    tables = {
        name: pd.DataFrame(rows, columns=columns[k]) for k, (name, rows) in enumerate(found.items())
    }
    tables["treatment_interaction"] = _corrected(tables["treatment_interaction"])
    if weights is not None:
        tables |= {"treatment_balance": weights.balance, "treatment_weights": weights.summary}
    return tables


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Correct the tests of each model and term over the arms."""
    p = table["p_value"].fillna(table["wald_p"]).astype(float)
    adjusted = pd.Series(np.nan, index=table.index)
    for _, rows in table.groupby(["model", "term"]).groups.items():
        known = [i for i in rows if not np.isnan(p[i])]
        adjusted[known] = holm(p[known].to_numpy())
    return table.assign(p_adjusted=adjusted)


def treatment_notes(
    panel: Panel, assignment: TreatmentAssignment, tables: dict[str, pd.DataFrame]
) -> tuple[list[str], list[str]]:
    """Return notes on exclusions from the treatment analysis, and warnings about its validity.

    Returns
    -------
    notes, warnings : list of str
    """
    treated = assignment.of([str(i) for i in panel.ids])
    unknown = int(np.isnan(treated).sum())
    notes = [
        f"treatment ({assignment.column}): {int((treated == 1).sum())} patients with"
        f" {assignment.other}, {int((treated == 0).sum())} with {assignment.reference}"
        " (reference)"
        + (
            f"; {unknown} without a known treatment are excluded from the treatment analysis"
            if unknown
            else ""
        )
    ]
    warnings = []
    if not assignment.randomised:
        warnings.append(
            "the treatment was not randomised: a difference between treatments, and its dependence"
            " on the score, may be due to confounding"
        )
        if "treatment_balance" not in tables:
            warnings.append(
                "the treatment effect is not adjusted: there are no covariates, or too few "
                "patients with one of the treatments"
            )
    return notes, warnings


def _patients(arm: ArmScores, treated: Floats, weight: Floats | None) -> tuple[_Patients, int]:
    rows, grouped = first_repeat(arm), group_patients(arm)
    mine = treated[rows.patient]
    every = _Patients(
        mine, rows.scaled, grouped.group, grouped.names, rows.time, rows.event, grouped.code,
        rows.block, None if weight is None else weight[rows.patient], rows.timed,
    )  # fmt: skip
    known = ~np.isnan(mine)
    return every.take(known), int((~known).sum())


def _interactions(p: _Patients, unknown: int) -> list[list[object]]:
    size = [*p.counts(), unknown]
    linear = _fit(p, p.score)
    note = "" if np.isfinite(linear.coef).all() else _why(p)
    effects = [
        ("treatment", float(linear.coef[0]), float(linear.se[0])),
        ("score", float(linear.coef[1]), float(linear.se[1])),
        ("score, treated", *_sum_of(linear, 1, 2)),
    ]
    rows: list[list[object]] = [
        [term, *_ratio(b, se), b, se, np.nan, np.nan, np.nan, _p(b, se), np.nan, *size, note]
        for term, b, se in effects
    ]
    b, se = float(linear.coef[2]), float(linear.se[2])
    rows.append(["score x treatment", *_ratio(b, se), b, se, *_tests(linear), *size, note])
    blank = [np.nan] * 5
    if (knots := _knots(p.score)) is not None:
        smooth = _fit(p, spline_basis(p.score, knots))
        note = "" if np.isfinite(smooth.coef).all() else _why(p)
        rows.append(["smooth score x treatment", *blank, *_tests(smooth), *size, note])
    present = [g for g in p.names if (p.group == g).any()]
    if len(present) > 1:
        groups = _fit(p, (p.group[:, None] == np.array(present[1:])).astype(float))
        note = "" if np.isfinite(groups.coef).all() else _why(p)
        rows.append(["risk group x treatment", *blank, *_tests(groups), *size, note])
    return rows


def _fit(p: _Patients, terms: Floats) -> Interaction:
    return treatment_interaction(p.treated, terms, p.event, **p.options())


def _tests(fit: Interaction) -> list[float]:
    df = float(fit.df) if np.isfinite(fit.wald_p) else np.nan
    return [fit.chi_square, df, fit.p, fit.wald_p, np.nan]


def _sum_of(fit: Interaction, i: int, j: int) -> tuple[float, float]:
    """Sum of two coefficients, and its standard error."""
    variance = fit.covariance[i, i] + fit.covariance[j, j] + 2 * fit.covariance[i, j]
    return float(fit.coef[i] + fit.coef[j]), float(np.sqrt(variance))


def _why(p: _Patients) -> str:
    """Return the reason why a model has no finite estimate."""
    n_reference, n_treated, events_reference, events_treated = p.counts()
    if min(n_reference, n_treated) == 0:
        return "patients with only one of the treatments"
    if min(events_reference, events_treated) == 0:
        return "no event with one of the treatments"
    if np.ptp(p.score) == 0:
        return "the score is constant"
    return "the model did not converge"


def _ratio(b: float, se: float) -> list[float]:
    low, high = wald(b, se)
    return [float(np.exp(b)), float(np.exp(low)), float(np.exp(high))]


def _p(b: float, se: float) -> float:
    return float(2 * ndtr(-abs(b / se))) if se > 0 else np.nan


def _effects(p: _Patients) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in [ALL, *p.names]:
        part = p if name == ALL else p.take(p.group == name)
        b = se = np.nan
        if len(part.treated) and np.ptp(part.treated) > 0:
            fit = fit_ratio_model(part.event, part.treated, **part.options())
            b, se = float(fit.coef[0]), float(fit.se[0])
        note = "" if np.isfinite(b) else _why(part) if len(part.treated) else "no patients"
        rows.append([name, *_ratio(b, se), _p(b, se), *part.counts(), note])
    return rows


def _differences(p: _Patients, horizons: Sequence[float]) -> list[list[object]]:
    """Treated minus reference in each group, then the last group's difference minus the first's."""
    if p.timed and p.weight is not None and p.competing:
        return []  # cumulative incidence is not implemented for weighted patients
    measures = _rates(p) if not p.timed else _of_times(p, horizons)
    rows: list[list[object]] = []
    for (measure, at), by_group in measures.items():
        gaps = {}
        for name, ((v0, e0), (v1, e1)) in by_group.items():
            gaps[name] = (v1 - v0, float(np.hypot(e0, e1)))
            gap, error = gaps[name]
            cells = [v0, v1, gap, *wald(gap, error), _p(gap, error)]
            rows.append([name, measure, at, *cells])
        if len(p.names) > 1:
            first, last = gaps[p.names[0]], gaps[p.names[-1]]
            gap, error = last[0] - first[0], float(np.hypot(first[1], last[1]))
            name = f"{p.names[-1]} minus {p.names[0]}"
            cells = [np.nan, np.nan, gap, *wald(gap, error), _p(gap, error)]
            rows.append([name, measure, at, *cells])
    return rows


Pair = tuple[tuple[float, float], tuple[float, float]]
"""Estimate and standard error with the reference, and with the other treatment."""


def _of_times(p: _Patients, horizons: Sequence[float]) -> dict[tuple[str, float], dict[str, Pair]]:
    parts = {name: p if name == ALL else p.take(p.group == name) for name in [ALL, *p.names]}
    cells = {
        name: [part.take(part.treated == value) for value in (0, 1)] for name, part in parts.items()
    }
    ends = [float(c.time.max()) for pair in cells.values() for c in pair if len(c.time)]
    if not ends:
        return {}
    tau = horizons[-1] if len(horizons) else min(ends)
    found: dict[tuple[str, float], dict[str, Pair]] = {}
    for at in horizons:
        found["survival", at] = {
            name: (_survival(a, at), _survival(b, at)) for name, (a, b) in cells.items()
        }
    found["restricted_mean", tau] = {
        name: (_restricted_mean(a, tau), _restricted_mean(b, tau)) for name, (a, b) in cells.items()
    }
    return found


def _curve(p: _Patients) -> Curve | None:
    if not len(p.time):
        return None
    if p.weight is not None:
        return weighted_kaplan_meier(p.time, p.event, p.weight)
    if p.competing:
        return EventFree(cumulative_incidence(p.time, p.code))
    return kaplan_meier(p.time, p.event)


def _survival(p: _Patients, at: float) -> tuple[float, float]:
    curve = _curve(p)
    if curve is None or not curve.reaches(at):
        return np.nan, np.nan
    error = curve.curve if isinstance(curve, EventFree) else curve
    return float(curve.at(at)), float(np.ravel(error.standard_error(at))[0])


def _restricted_mean(p: _Patients, tau: float) -> tuple[float, float]:
    if not len(p.time):
        return np.nan, np.nan
    plain: KaplanMeier | WeightedKaplanMeier = (
        kaplan_meier(p.time, p.event)
        if p.weight is None
        else weighted_kaplan_meier(p.time, p.event, p.weight)
    )
    return plain.restricted_mean(tau) if plain.reaches(tau) else (np.nan, np.nan)


def _rates(p: _Patients) -> dict[tuple[str, float], dict[str, Pair]]:
    found: dict[str, Pair] = {}
    for name in [ALL, *p.names]:
        part = p if name == ALL else p.take(p.group == name)
        found[name] = (_rate(part.take(part.treated == 0)), _rate(part.take(part.treated == 1)))
    return {("event_rate", np.nan): found}


def _rate(p: _Patients) -> tuple[float, float]:
    """Share with the event, and its standard error."""
    if not len(p.event):
        return np.nan, np.nan
    w = np.ones(len(p.event)) if p.weight is None else p.weight
    rate = float(np.average(p.event, weights=w))
    return rate, float(np.sqrt(np.sum((w * (p.event - rate)) ** 2)) / w.sum())


def _curves(p: _Patients, names: tuple[str, str]) -> list[list[object]]:
    if not p.timed or (p.weight is not None and p.competing):
        return []
    rows: list[list[object]] = []
    for group in p.names:
        for value, treatment in enumerate(names):
            part = p.take((p.group == group) & (p.treated == value))
            if (curve := _curve(part)) is None:
                continue
            start = [group, treatment, 0.0, 1.0, 1.0, 1.0, len(part.time), 0, 0]
            counts = (
                curve.counts
                if isinstance(curve, EventFree)
                else (curve.n_risk, curve.n_event, curve.n_censored)
            )
            columns = (curve.time, curve.at(curve.time), *curve.interval(curve.time), *counts)
            rows += [start, *([group, treatment, *c] for c in zip(*columns, strict=True))]
    return rows


def _knots(score: Floats) -> Floats | None:
    """Knots of the spline; None if the score has too few values."""
    if not len(score):
        return None
    knots = np.percentile(score, KNOTS)
    return knots if (np.diff(knots) > 1e-9).all() else None


def _effect_by_score(p: _Patients) -> list[list[object]]:
    if (knots := _knots(p.score)) is None:
        return []
    fit = _fit(p, spline_basis(p.score, knots))
    if not np.isfinite(fit.coef).all():
        return []
    first, last = np.percentile(p.score, SHOWN)
    at = np.linspace(first, last, POINTS)
    effect, error = fit.treatment_effect(spline_basis(at, knots))
    return [
        [float(s), *_ratio(float(b), float(se))] for s, b, se in zip(at, effect, error, strict=True)
    ]
