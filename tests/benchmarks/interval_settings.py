"""Coverage and type I error of cross-validated C-indices in 18 settings of size, events and signal.

Run: `python tests/benchmarks/interval_settings.py OUT --cohorts 60` (a quarter of an hour on one
core; `--settings 0 1 2` runs some of them only). Each setting is written to OUT/<index>.csv, one
row per cohort, and skipped if that file has enough rows. The summary is printed as Markdown for
`reports/benchmarks.md`.

Cohorts: a latent log hazard; Gaussian features of which a few carry a part of it; exponential
times; uniform censoring. Arms A and B carry the same amount of signal, N and N' carry none.
Learners: ridge Cox (16 settings), boosting with Cox stumps, and ridge Cox on a random hidden layer
that every inner model draws anew. Five outer folds of five inner models. One penalty (or number of
boosting rounds) per outer fold, by the partial likelihood of the inner held-out patients.

The target is the mean C of the five fitted models on new patients: exact up to the simulation error
of one curve for ridge Cox, from 3,000 new patients for the other two learners.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from cv_intervals import FOLDS, markdown, stratified
from risk_groups import fold_scores

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.crossfit_estimates import (
    CrossfitEstimate,
    InnerScores,
    crossfit_difference,
    crossfit_estimate,
)
from outcome.evaluation.fold_metrics import harrell_in_fold
from outcome.statistics.concordance import harrell

SIGNAL = {"weak": (0.8, 0.4), "strong": (1.2, 2.0)}  # log hazard per SD; squared loadings of A
PENALTIES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)  # times the events of the training set
SLOPES = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
ROUNDS, EVERY, SHRINK = 60, 6, 0.1  # of boosting
HIDDEN, FRESH = 48, 3_000
METHODS = ("fixed", "without inner scores", "inner scores")
Floats = np.ndarray


@dataclass(frozen=True)
class Setting:
    n: int
    events: float
    signal: str
    features: int = 20
    informative: int = 6
    learner: str = "ridge"

    @property
    def name(self) -> str:
        about = f"n = {self.n}, {self.n * self.events:.0f} events, {self.signal}"
        return f"{about}, {self.features} features, {self.learner}"

    @property
    def loadings(self) -> Floats:
        """Of arms A and B; those of N and N' are 0."""
        share = SIGNAL[self.signal][1] / self.informative
        return np.where(np.arange(self.features) < self.informative, np.sqrt(share), 0.0)

    def outcome(self, h: Floats, last: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
        event_time = rng.exponential(np.exp(-SIGNAL[self.signal][0] * h))
        end = rng.uniform(0.2, 1.0, len(h)) * last
        return np.minimum(event_time, end), event_time <= end

    def cohort(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats, dict[str, Floats]]:
        """Follow-up and event, longest first, and features by arm."""
        h = rng.normal(size=n)
        time, event = self.outcome(h, end_of_study(self), rng)
        x = {arm: rng.normal(size=(n, self.features)) for arm in ("A", "B", "N", "N'")}
        for arm in ("A", "B"):
            x[arm] += np.outer(h, self.loadings)
        order = np.argsort(-time)
        return time[order], event[order], {arm: values[order] for arm, values in x.items()}


GRID = [
    Setting(100, 0.25, "weak"),
    Setting(100, 0.25, "strong"),
    Setting(100, 0.40, "strong"),
    Setting(100, 0.60, "weak"),
    Setting(200, 0.25, "weak"),
    Setting(200, 0.40, "weak"),
    Setting(200, 0.40, "weak", features=32),
    Setting(200, 0.60, "weak"),
    Setting(200, 0.40, "strong"),
    Setting(500, 0.40, "weak"),
    Setting(500, 0.25, "strong"),
    Setting(500, 0.60, "strong"),
    Setting(100, 0.40, "weak"),
    Setting(150, 0.40, "weak", features=32, informative=12),
    Setting(200, 0.25, "strong"),
    Setting(300, 0.25, "weak", features=12, informative=3),
    Setting(200, 0.40, "weak", learner="boosting"),
    Setting(200, 0.40, "weak", learner="random layer"),
]


@cache
def end_of_study(setting: Setting) -> float:
    """End of study that gives the share of events."""
    rng = np.random.default_rng(5)
    h = rng.normal(size=100_000)
    time = rng.exponential(np.exp(-SIGNAL[setting.signal][0] * h))
    return float(np.quantile(time / rng.uniform(0.2, 1, len(h)), setting.events))


@cache
def true_c(setting: Setting) -> Callable[[float], float]:
    """True C of a score by its correlation with the log hazard."""
    rows = []
    for seed in range(30):
        rng = np.random.default_rng([11, seed])
        h, noise = rng.normal(size=(2, 2_500))
        time, event = setting.outcome(h, end_of_study(setting), rng)
        for rho in np.linspace(0.2, 1.0, 5):
            for sign in (1, -1):
                score = sign * rho * h + np.sqrt(1 - rho**2) * noise
                rows.append((sign * rho, harrell(time, event, score).c - 0.5))
    x, y = np.array(rows).T
    a, b, c = np.linalg.lstsq(np.column_stack([x, x**3, x**5]), y, rcond=None)[0]
    return lambda rho: 0.5 + a * rho + b * rho**3 + c * rho**5


def cox_state(eta: Floats, event: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights, their sums over risk sets, cumulative hazards; longest follow-up first."""
    w = np.exp(eta - eta.max())
    total = np.cumsum(w)
    hazard = np.cumsum((event / total)[::-1])[::-1]
    return w, total, hazard


def ridge_path(x: Floats, event: Floats) -> Floats:
    """Ridge Cox, one Newton step per penalty from the solution before, shape (penalties, p)."""
    found, beta = [], np.zeros(x.shape[1])
    for penalty in PENALTIES:
        scaled = penalty * max(event.sum(), 1)
        w, total, hazard = cox_state(x @ beta, event)
        mass = w * hazard
        means = (np.cumsum(w[:, None] * x, axis=0) / total[:, None])[event]
        information = (x * mass[:, None]).T @ x - means.T @ means + scaled * np.eye(x.shape[1])
        step = np.linalg.solve(information, x.T @ (event - mass) - scaled * beta)
        beta = beta + step * min(1.0, 3.0 / max(np.abs(x @ step).max(), 1e-12))
        found.append(beta)
    return np.array(found)


def boosted(x: Floats, event: Floats, new: Floats) -> Floats:
    """Component-wise boosting of stumps at the quartiles; scores of `new`, shape (steps, m)."""
    cuts = np.quantile(x, [0.25, 0.5, 0.75], axis=0, method="closest_observation")
    below = np.concatenate([x <= c for c in cuts], axis=1).astype(float)
    new_below = np.concatenate([new <= c for c in cuts], axis=1)
    eta, scores, found = np.zeros(len(x)), np.zeros(len(new)), []
    for m in range(ROUNDS):
        w, _, hazard = cox_state(eta, event)
        mass = w * hazard
        gradient = event - mass
        g, v = gradient @ below, mass @ below + 1
        other, rest = gradient.sum() - g, mass.sum() - v + 2
        best = int(np.argmax(g**2 / v + other**2 / rest))
        left, right = SHRINK * g[best] / v[best], SHRINK * other[best] / rest[best]
        eta += np.where(below[:, best] > 0, left, right)
        scores = scores + np.where(new_below[:, best], left, right)
        if (m + 1) % EVERY == 0:
            found.append(scores)
    return np.array(found)


def losses(eta: Floats, event: Floats) -> Floats:
    """Negative log partial likelihood of every slope times eta (choices, m): (choices, slopes)."""
    scaled = eta[:, None, :] * SLOPES[None, :, None]
    terms = np.log(np.cumsum(np.exp(scaled), axis=2)) - scaled
    return terms[:, :, event].sum(2)


def scores_of_inner_model(
    learner: str, x: Floats, event: Floats, new: Floats, rng: np.random.Generator
) -> Floats:
    """Scores of new rows at each penalty or number of rounds, shape (choices, m)."""
    if learner == "boosting":
        return boosted(x, event, new)
    if learner == "random layer":
        weights = rng.normal(size=(x.shape[1], HIDDEN)) * 1.5 / np.sqrt(x.shape[1])
        shift = rng.normal(size=HIDDEN) * 0.5
        x, new = np.tanh(x @ weights + shift), np.tanh(new @ weights + shift)
    return ridge_path(x, event) @ new.T


def cross_fit(
    setting: Setting,
    x: Floats,
    event: Floats,
    fold: Floats,
    groups: list[Floats],
    fresh: tuple[Floats, Floats, Floats] | None,
    loadings: Floats,
    rng: np.random.Generator,
) -> tuple[dict[tuple[str, str], InnerScores], float]:
    """Inner scores by fold, and the mean true C of the five models."""
    inner, truth = {}, []
    for k in range(FOLDS):
        test, development = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        new = [x[test]] if fresh is None else [x[test], fresh[0]]
        if setting.learner == "ridge":
            new.append(np.eye(x.shape[1]))  # its scores are the coefficients
        rows, loss, kept = np.concatenate(new), 0.0, []
        for a in range(FOLDS):
            learn = development[groups[k][development] != a]
            tune = development[groups[k][development] == a]
            both = np.concatenate([x[tune], rows])
            found = scores_of_inner_model(setting.learner, x[learn], event[learn], both, rng)
            centre = found[:, : len(tune)].mean(1, keepdims=True)
            loss = loss + losses(found[:, : len(tune)] - centre, event[tune])
            kept.append((found[:, len(tune) :], centre))
        chosen = int(np.argmin(np.min(loss, axis=1)))
        by_model = np.array([f[chosen, : len(test)] - c[chosen] for f, c in kept])
        further = np.mean([f[chosen, len(test) :] for f, _ in kept], axis=0)
        if fresh is None:
            b = further
            spread = np.sqrt(b @ b + (b @ loadings) ** 2)
            truth.append(true_c(setting)(float(b @ loadings / spread)) if spread > 0 else 0.5)
        else:
            truth.append(harrell(fresh[1], fresh[2], further).c)
        none = np.full(by_model.shape, np.nan)
        inner["0", str(k)] = InnerScores(test, by_model, {}, none, groups[k])
    return inner, float(np.mean(truth))


def one_cohort(setting: Setting, seed: int) -> dict[str, float]:
    """Whether each interval covered and each test rejected, by method."""
    rng = np.random.default_rng([2025, seed])
    time, event, x = setting.cohort(setting.n, rng)
    fold = stratified(event, np.arange(setting.n), rng)
    groups = [stratified(event, np.flatnonzero(fold != k), rng) for k in range(FOLDS)]
    fresh = None if setting.learner == "ridge" else setting.cohort(FRESH, rng)
    panel = Panel(np.array([f"{i:04d}" for i in range(setting.n)]), np.zeros((0, setting.n)))
    found: dict[str, dict[str, CrossfitEstimate]] = {"with": {}, "without": {}}
    row: dict[str, float] = {"events": int(event.sum())}
    for arm, values in x.items():
        loadings = setting.loadings if arm in ("A", "B") else np.zeros(setting.features)
        new = None if fresh is None else (fresh[2][arm], fresh[0], fresh[1])
        inner, truth = cross_fit(setting, values, event, fold, groups, new, loadings, rng)
        folds = [
            fold_scores(str(k), s.patient, time, event, s.risk.mean(0))
            for (_, k), s in inner.items()
        ]
        scored = ArmScores(arm, tuple(folds))
        found["with"][arm] = crossfit_estimate(panel, scored, harrell_in_fold, inner)
        found["without"][arm] = crossfit_estimate(panel, scored, harrell_in_fold)
        row[f"truth {arm}"] = truth
        for method, (low, high) in limits(found, lambda e, arm=arm: e[arm]).items():
            row[f"{method}: {arm} covered"] = low <= truth <= high
    for what, (a, b) in {"noise": ("N", "N'"), "equal": ("A", "B")}.items():
        pairs = limits(found, lambda e, a=a, b=b: crossfit_difference(e[a], e[b]))
        for method, (low, high) in pairs.items():
            row[f"{method}: {what} rejected"] = low > 0 or high < 0
    return row


def limits(
    found: dict[str, dict[str, CrossfitEstimate]],
    chosen: Callable[[dict[str, CrossfitEstimate]], CrossfitEstimate],
) -> dict[str, tuple[float, float]]:
    """Interval of one arm or difference by each method."""
    inner, none = chosen(found["with"]), chosen(found["without"])
    half = 1.959964 * np.sqrt(inner.found.v0)
    fixed = (inner.value - half, inner.value + half)
    return dict(zip(METHODS, (fixed, none.interval(), inner.interval()), strict=True))


def summary(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Per cent, with the Monte Carlo standard error over cohorts in brackets."""
    rows = []
    for name, table in tables.items():
        for method in METHODS:
            named = {
                "arm covered": [f"{method}: {a} covered" for a in ("A", "B")],
                "noise arm covered": [f"{method}: {a} covered" for a in ("N", "N'")],
                "noise = noise rejected": [f"{method}: noise rejected"],
                "equal arms rejected": [f"{method}: equal rejected"],
            }
            shown = {k: percent(table[v].astype(float).mean(axis=1)) for k, v in named.items()}
            rows.append({"setting": name, "cohorts": len(table), "method": method, **shown})
    return pd.DataFrame(rows)


def percent(values: pd.Series) -> str:
    return f"{100 * values.mean():.1f} ({100 * values.std() / np.sqrt(len(values)):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--cohorts", type=int, default=60)
    parser.add_argument("--settings", type=int, nargs="*", default=list(range(len(GRID))))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    tables = {}
    for index in asked.settings:
        path = asked.out / f"{index}.csv"
        done = pd.read_csv(path) if path.exists() else pd.DataFrame()
        seeds = range(len(done), asked.cohorts)
        rows = pd.DataFrame([one_cohort(GRID[index], seed) for seed in seeds])
        tables[GRID[index].name] = table = pd.concat([done, rows], ignore_index=True)
        table.to_csv(path, index=False)
        print(f"{index}: {GRID[index].name}, {len(table)} cohorts", flush=True)
    if len(tables) > 1:
        tables["all"] = pd.concat(tables.values(), ignore_index=True)
    print("\n" + markdown(summary(tables)))


if __name__ == "__main__":
    main()
