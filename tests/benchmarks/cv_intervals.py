"""Do 95% intervals under cross-validation cover 95%, and do tests of equal arms reject 5%?

Run: `python tests/benchmarks/cv_intervals.py` (about five minutes of processor time; `--cohorts`
sets the number of cohorts, `--signal strong` another setting). It prints Markdown for
`reports/benchmarks.md`.

Cohorts: Gaussian features that tell a part of the log hazard, exponential times, censoring by the
end of the study. Learner: ridge regression on martingale residuals of the model without features;
five outer folds of five inner models, as `outcome run` has them. Arms: A and B tell the same
amount, N and N' nothing, AN is A with as many features of noise, AP is A with further signal.

The target of an interval is the mean performance of the five fitted models on new patients: for
ranks from the correlation of the score with the log hazard, for Brier scores from fresh patients.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel, read_arms
from outcome.evaluation.censoring_weights import CensoringWeights, censoring_weights
from outcome.evaluation.crossfit_estimates import (
    CrossfitEstimate,
    InnerScores,
    crossfit_difference,
    crossfit_estimate,
    weighted_sum,
)
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.fold_metrics import (
    area_at_horizon,
    brier_at_horizon,
    harrell_in_fold,
    uno_in_fold,
)
from outcome.predictions import Predictions
from outcome.risk.recalibration import Outcomes, fit_calibration
from outcome.statistics.concordance import harrell
from outcome.statistics.roc import roc_area

FOLDS, FEATURES, PENALTY, FRESH, RESAMPLES = 5, 12, 0.3, 8_000, 200
SIGNAL = {"weak": (0.8, 0.4, 0.9), "strong": (1.2, 2.0, 8.0)}  # slope, |w|^2 of A, of what AP adds
END = {"weak": (0.2, 1.0), "strong": (0.12, 0.6)}  # censoring: uniform; about 40% events
HORIZONS = {"weak": (0.2, 0.4, 0.6), "strong": (0.1, 0.2, 0.35)}
METRICS = ("harrell_c", "uno_c", "auc", "brier", "ibs")
PAIRS = {"noise": ("N", "N'"), "equal": ("B", "A"), "nested": ("AN", "A"), "gain": ("AP", "A")}
Floats = np.ndarray


@dataclass(frozen=True)
class Setting:
    n: int
    signal: str

    @property
    def slope(self) -> float:
        return SIGNAL[self.signal][0]

    @property
    def horizons(self) -> tuple[float, ...]:
        return HORIZONS[self.signal]

    @property
    def loadings(self) -> dict[str, Floats]:
        _, own, added = SIGNAL[self.signal]
        one = np.where(np.arange(FEATURES) < 6, 1 / np.sqrt(6), 0.0)
        a, p, none = np.sqrt(own) * one, np.sqrt(added) * one, 0 * one
        return {
            "A": a, "B": a, "N": none, "N'": none, "AN": np.append(a, none), "AP": np.append(a, p),
        }  # fmt: skip

    def patients(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, dict]:
        """Log hazard, event time, end of follow-up, and features by arm."""
        h = rng.normal(size=n)
        event_time = rng.exponential(np.exp(-self.slope * h))
        end = rng.uniform(*END[self.signal], n)
        blocks = {k: rng.normal(size=(n, FEATURES)) for k in ("A", "B", "N", "N'", "P")}
        loadings = self.loadings
        for arm in ("A", "B"):
            blocks[arm] += np.outer(h, loadings[arm])
        blocks["P"] += np.outer(h, loadings["AP"][FEATURES:])
        both = {"AN": ("A", "N"), "AP": ("A", "P")}
        features = {arm: blocks[arm] for arm in ("A", "B", "N", "N'")}
        features |= {arm: np.hstack([blocks[b] for b in pair]) for arm, pair in both.items()}
        return h, event_time, end, features


def truth_by_correlation(setting: Setting) -> dict[str, Callable[[float], float]]:
    """True rank metrics of a score by its correlation with the log hazard."""
    grid, rows = np.linspace(0.0, 1.0, 6), {m: [] for m in METRICS[:3]}
    last, at = setting.horizons[-1], setting.horizons[1]
    for seed in range(8):
        rng = np.random.default_rng([3, seed])
        h, t, end, _ = setting.patients(2_500, rng)
        noise = rng.normal(size=len(h))
        for rho in grid:
            for sign in (1, -1):
                score = sign * rho * h + np.sqrt(1 - rho**2) * noise
                seen = harrell(np.minimum(t, end), t <= end, score).c
                uno = harrell(t, np.ones(len(t)), score, tau=last).c
                area = roc_area(score, t <= at, t > at).area
                for metric, value in zip(rows, (seen, uno, area), strict=True):
                    rows[metric].append((sign * rho, value - 0.5))
    found = {}
    for metric, values in rows.items():
        x, y = np.array(values).T
        powers = np.column_stack([x, x**3, x**5])
        found[metric] = np.linalg.lstsq(powers, y, rcond=None)[0]
    return {m: lambda r, c=c: 0.5 + c[0] * r + c[1] * r**3 + c[2] * r**5 for m, c in found.items()}


def residuals(time_: Floats, event: Floats) -> Floats:
    """Martingale residuals of the model without features (no tied times)."""
    order = np.argsort(time_)
    at_risk = len(time_) - np.arange(len(time_))
    hazard = np.empty(len(time_))
    hazard[order] = np.cumsum(event[order] / at_risk)
    return event - hazard


def ridge(x: Floats, r: Floats) -> Floats:
    centred = x - x.mean(0)
    inner = centred.T @ centred + PENALTY * len(x) * np.eye(x.shape[1])
    return np.linalg.solve(inner, centred.T @ r)


def stratified(event: Floats, rows: Floats, rng: np.random.Generator) -> Floats:
    """Fold of each row, spread evenly over events and others; -1 for all other patients."""
    fold = np.full(len(event), -1)
    for value in (True, False):
        members = rng.permutation(rows[event[rows] == value])
        fold[members] = (np.arange(len(members)) + rng.integers(FOLDS)) % FOLDS
    return fold


def outcomes_of(time_: Floats, event: Floats) -> Outcomes:
    n = len(time_)
    return Outcomes(event, time_, event.astype(np.int64), np.full(n, ""), np.ones(n))


@dataclass(frozen=True)
class Fitted:
    """An arm that was cross-fitted."""

    risk: Floats
    survival: dict[float, Floats]
    inner: dict[tuple[str, str], InnerScores]
    truth: dict[str, float]


def cross_fit(
    x: Floats,
    w: Floats,
    outcome: tuple[Floats, Floats],
    fold: Floats,
    groups: list[Floats],
    setting: Setting,
    fresh: tuple[Floats, Floats],
    curves: dict[str, Callable[[float], float]],
) -> Fitted:
    time_, event = outcome
    n = len(time_)
    risk, survival = np.empty(n), {h: np.empty(n) for h in setting.horizons}
    inner, truth = {}, {m: [] for m in METRICS}
    for k in range(FOLDS):
        test, development = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        models, by_model, tuned = [], np.empty((FOLDS, len(test))), np.empty(n)
        for a in range(FOLDS):
            learn = development[groups[k][development] != a]
            tune = development[groups[k][development] == a]
            beta = ridge(x[learn], residuals(time_[learn], event[learn]))
            centre = (x[tune] @ beta).mean()
            tuned[tune], by_model[a] = x[tune] @ beta - centre, x[test] @ beta - centre
            models.append((beta, centre))
        calibration = fit_calibration(
            tuned[development], outcomes_of(time_[development], event[development])
        )
        beta, centre = (np.mean(part, axis=0) for part in zip(*models, strict=True))
        risk[test] = by_model.mean(0)

        def at(risks: Floats, h: float, calibration=calibration) -> Floats:
            return calibration.survival(risks, np.full(len(risks), ""), h)

        for h in setting.horizons:
            survival[h][test] = at(risk[test], h)
        inner["0", str(k)] = InnerScores(
            test,
            by_model,
            {h: np.stack([at(r, h) for r in by_model]) for h in setting.horizons},
            np.full(by_model.shape, np.nan),
            groups[k],
        )
        spread = np.sqrt(beta @ beta + (beta @ w) ** 2)
        for metric, curve in curves.items():
            truth[metric].append(curve(float(beta @ w / spread)))
        scored = fresh[0] @ beta - centre
        briers = [float(np.mean((at(scored, h) - (fresh[1] > h)) ** 2)) for h in setting.horizons]
        truth["brier"].append(briers[1])
        truth["ibs"].append(float(np.array(briers) @ shares(setting)))
    return Fitted(risk, survival, inner, {m: float(np.mean(v)) for m, v in truth.items()})


def shares(setting: Setting) -> Floats:
    """Weights of the trapezoid mean over the horizons."""
    width = np.diff(setting.horizons) / (setting.horizons[-1] - setting.horizons[0])
    return (np.append(width, 0.0) + np.append(0.0, width)) / 2


def measured(
    panel: Panel, arm: ArmScores, weights: CensoringWeights, fitted: Fitted, setting: Setting
) -> dict[str, CrossfitEstimate]:
    def one(metric: Callable[[FoldScores], object]) -> CrossfitEstimate:
        return crossfit_estimate(panel, arm, metric, fitted.inner)

    briers = [one(brier_at_horizon(weights, h)) for h in setting.horizons]
    return {
        "harrell_c": one(harrell_in_fold),
        "uno_c": one(uno_in_fold(weights)),
        "auc": one(area_at_horizon(weights, setting.horizons[1])),
        "brier": briers[1],
        "ibs": weighted_sum(briers, list(shares(setting))),
    }


def one_cohort(
    setting: Setting, seed: int, curves: dict[str, Callable[[float], float]], fresh: tuple
) -> list[dict[str, object]]:
    """Rows of arm or pair, metric and method: covered, rejected, larger, width."""
    rng = np.random.default_rng([11, seed])
    _, event_time, end, features = setting.patients(setting.n, rng)
    time_, event = np.minimum(event_time, end), event_time <= end
    fold = stratified(event, np.arange(setting.n), rng)
    groups = [stratified(event, np.flatnonzero(fold != k), rng) for k in range(FOLDS)]
    fitted = {
        arm: cross_fit(
            x, setting.loadings[arm], (time_, event), fold, groups, setting,
            (fresh[0][arm], fresh[1]), curves,
        )
        for arm, x in features.items()
    }  # fmt: skip
    ids = [f"p{i:04d}" for i in range(setting.n)]
    common = {"patient_id": ids, "repeat": 0, "fold": fold, "time": time_, "event": event * 1}
    tables = [
        pd.DataFrame({"arm": arm, **common, "risk": f.risk})
        .assign(**{f"survival_{h}": s for h, s in f.survival.items()})
        for arm, f in fitted.items()
    ]  # fmt: skip
    predictions = Predictions(pd.concat(tables, ignore_index=True))
    panel, arms = read_arms(predictions)
    weights = censoring_weights(arms, setting.horizons, cross_validated=True)
    new = {a.name: measured(panel, a, weights, fitted[a.name], setting) for a in arms}
    old = evaluate(
        predictions, horizons=setting.horizons, contrasts=list(PAIRS.values()), unit="years",
        n_resamples=RESAMPLES, seed=seed,
    )  # fmt: skip
    old_arms = old.metrics.set_index(["arm", "metric"])
    old_pairs = old.comparisons.set_index(["arm", "baseline", "metric"])
    name = {m: m for m in METRICS} | {
        "auc": f"auc_{setting.horizons[1]}", "brier": f"brier_{setting.horizons[1]}"
    }  # fmt: skip
    rows: list[dict[str, object]] = []
    for metric in METRICS:
        for arm, f in fitted.items():
            found, before = new[arm][metric], old_arms.loc[(arm, name[metric])]
            what = {"what": "N" if arm in ("N", "N'") else "arm", "metric": metric}
            fixed = before["lower_fixed"], before["upper_fixed"]
            limits = {"fixed": fixed, "new": found.interval()}
            rows += [_row(what, m, ci, f.truth[metric]) for m, ci in limits.items()]
        for what, (first, second) in PAIRS.items():
            found = crossfit_difference(new[first][metric], new[second][metric])
            before = old_pairs.loc[(first, second, name[metric])]
            truth = fitted[first].truth[metric] - fitted[second].truth[metric]
            about = {"what": what, "metric": metric}
            better = (found.value > 0) != (metric in ("brier", "ibs"))
            for method, ci, p in (
                (
                    "fixed",
                    (before["lower_fixed"], before["upper_fixed"]),
                    before["p_value_fixed"],
                ),
                ("new", found.interval(), found.p_value),
            ):
                row = _row(about, method, ci, truth)
                rows.append(row | {"rejected": p < 0.05, "better": p < 0.05 and better})
    return rows


def _row(
    about: dict[str, object], method: str, ci: tuple[float, float], truth: float
) -> dict[str, object]:
    covered = ci[0] <= truth <= ci[1]
    return {**about, "method": method, "covered": covered, "width": ci[1] - ci[0]}


def held_out(n_cohorts: int, n: int = 150) -> pd.DataFrame:
    """Coverage of AUC(t) of a fixed score, by the expected number of cases."""
    true = np.random.default_rng(5)
    hazard = true.normal(size=400_000)
    times = true.exponential(np.exp(-hazard))
    score = hazard + true.normal(size=len(hazard))
    rows = []
    for cases in (7, 10, 15, 25):
        when = float(np.quantile(times, cases / n))
        truth = roc_area(score, times <= when, times > when).area
        for seed in range(n_cohorts):
            rng = np.random.default_rng([13, cases, seed])
            h = rng.normal(size=n)
            event_time, end = rng.exponential(np.exp(-h)), rng.uniform(0.1, 1.5, n)
            common = {"arm": "a", "patient_id": [f"p{i:04d}" for i in range(n)], "repeat": 0}
            table = pd.DataFrame({**common, "fold": 0, "risk": h + rng.normal(size=n)})
            table["time"], table["event"] = np.minimum(event_time, end), (event_time <= end) * 1
            panel, (arm,) = read_arms(Predictions(table))
            weights = censoring_weights([arm], (), cross_validated=False)
            found = crossfit_estimate(panel, arm, area_at_horizon(weights, when))
            f = arm.folds[0]
            plain = roc_area(f.risk, *weights.status_weights(f, when))
            if found.found is None or np.isnan(plain.area):
                continue
            low, high = found.interval()
            rows.append(
                {
                    "cases by then": cases,
                    "fixed": abs(plain.area - truth) <= 1.959964 * plain.se,
                    "new": low <= truth <= high,
                }
            )
    return (100 * pd.DataFrame(rows).groupby("cases by then").mean()).round(1).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cohorts", type=int, default=300)
    parser.add_argument("--n", type=int, default=150)
    parser.add_argument("--signal", choices=sorted(SIGNAL), default="weak")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    setting, started = Setting(asked.n, asked.signal), time.process_time()
    curves = truth_by_correlation(setting)
    _, fresh_time, _, fresh = setting.patients(FRESH, np.random.default_rng(17))
    run = joblib.Parallel(n_jobs=asked.jobs)
    jobs = (
        joblib.delayed(one_cohort)(setting, s, curves, (fresh, fresh_time))
        for s in range(asked.cohorts)
    )
    found = pd.DataFrame([row for rows in run(jobs) for row in rows])
    print(f"### Intervals under cross-validation\n\n{platform.platform()}\n")
    print(
        f"n = {asked.n}, {asked.signal} signal, {asked.cohorts} cohorts; per cent. `fixed`: models"
        " taken as fixed; `new`: testing and training. Equal arms should be told apart in 5%.\n"
    )
    print(markdown(summary(found)))
    print("\nAUC(t) of a fixed score on held-out patients: coverage.\n")
    print(markdown(held_out(2 * asked.cohorts)))
    print(f"\n{time.process_time() - started:.0f} s of processor time in the main process")


def summary(found: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (metric, method), part in found.groupby(["metric", "method"], sort=False):
        by = dict(iter(part.groupby("what")))
        percent = {
            "arm covered": by["arm"]["covered"], "noise arm covered": by["N"]["covered"],
            "differences covered": part.loc[part["what"].isin(list(PAIRS)), "covered"],
            "noise = noise rejected": by["noise"]["rejected"],
            "equal arms rejected": by["equal"]["rejected"],
            "noise input called better": by["nested"]["better"],
            "real gain found": by["gain"]["better"],
        }  # fmt: skip
        shown = {name: round(100 * float(v.astype(float).mean()), 1) for name, v in percent.items()}
        width = round(float(by["arm"]["width"].mean()), 3)
        rows.append({"metric": metric, "method": method, **shown, "width of an arm": width})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|---" * table.shape[1] + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
