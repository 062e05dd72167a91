"""How often does the log-rank test of cross-validated risk groups find something?

Run: `python tests/benchmarks/risk_groups.py` (`--cohorts` sets the number of cohorts of noise; a
third as many have a signal). It prints Markdown for `reports/benchmarks.md`.

Cohorts: 12 Gaussian features that tell nothing, or a part of the log hazard; exponential times,
uniform censoring. Learner: ridge regression on martingale residuals; five outer folds of five inner
models; patients are cut at the median of the development patients' own out-of-fold scores.

The row `cut chosen on the test patients` searches the pooled out-of-fold scores for the cut with
the largest log-rank statistic, and then takes these groups as given: what a test of cross-validated
groups finds if the cut-off was not fixed in advance.

Power is also given at the true level: with the critical value that 5% of the cohorts of noise
exceed. A test that holds its level should lose nothing there.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from cv_intervals import FEATURES, FOLDS, markdown, outcomes_of, residuals, ridge, stratified

from outcome.evaluation.arrays import FoldScores
from outcome.evaluation.crossfit_estimates import InnerScores
from outcome.evaluation.group_test import crossfit_logrank
from outcome.outcomes import Outcomes
from outcome.risk.cutoffs import cut_offs, risk_groups
from outcome.statistics.cutpoint import maximally_selected_cut
from outcome.statistics.logrank import logrank

SLOPE, OWN = 0.8, 0.4  # of the log hazard; squared length of the loadings
SETTINGS = [(100, 0.25), (100, 0.5), (200, 0.25), (200, 0.5)]  # patients, share with an event
Floats = np.ndarray


def end_of_study(events: float) -> float:
    rng = np.random.default_rng(5)
    h = rng.normal(size=100_000)
    time = rng.exponential(np.exp(-SLOPE * h))
    return float(np.quantile(time / rng.uniform(0.2, 1, 100_000), events))


def one_cohort(n: int, own: float, end: float, seed: int) -> dict[str, float]:
    """P values by test, negative where the high-risk group fares better."""
    rng = np.random.default_rng([77, seed])
    h = rng.normal(size=n)
    event_time, censored = rng.exponential(np.exp(-SLOPE * h)), rng.uniform(0.2, 1, n) * end
    time, event = np.minimum(event_time, censored), event_time <= censored
    w = np.where(np.arange(FEATURES) < 6, np.sqrt(own / 6), 0.0)
    x = rng.normal(size=(n, FEATURES)) + np.outer(h, w)
    fold = stratified(event, np.arange(n), rng)
    groups = [stratified(event, np.flatnonzero(fold != k), rng) for k in range(FOLDS)]
    outcomes = outcomes_of(time, event)
    folds, codes, inner = [], [], {}
    for k in range(FOLDS):
        test, development = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        by_model, tuned = np.empty((FOLDS, len(test))), np.empty(n)
        for a in range(FOLDS):
            learn = development[groups[k][development] != a]
            tune = development[groups[k][development] == a]
            beta = ridge(x[learn], residuals(time[learn], event[learn]))
            centre = (x[tune] @ beta).mean()
            tuned[tune], by_model[a] = x[tune] @ beta - centre, x[test] @ beta - centre
        codes.append(high_risk(tuned[development], by_model.mean(0), outcomes, development))
        folds.append(fold_scores(str(k), test, time, event, by_model.mean(0)))
        none = np.full(by_model.shape, np.nan)
        inner["0", str(k)] = InnerScores(test, by_model, {}, none, groups[k])
    rows, code = np.concatenate([f.patient for f in folds]), np.concatenate(codes)
    fixed = logrank(time[rows], event[rows], code, strata=fold[rows])
    sign = 1.0 if fixed.observed[-1] > fixed.expected[-1] else -1.0
    risk = np.concatenate([f.risk for f in folds])
    best = risk > maximally_selected_cut(time[rows], event[rows], risk).cut
    searched = logrank(time[rows], event[rows], best, strata=fold[rows])
    worse = 1.0 if searched.observed[-1] > searched.expected[-1] else -1.0
    return {
        "cut chosen on the test patients": worse * searched.p,
        "groups as given": sign * fixed.p,
        "twice their variance": sign * crossfit_logrank(folds, codes).p,
        "testing and training": sign * crossfit_logrank(folds, codes, inner).p,
    }


def high_risk(development: Floats, risk: Floats, outcomes: Outcomes, rows: Floats) -> Floats:
    """Cut at the median of the development scores, as a study does."""
    cuts = cut_offs(development, outcomes[rows], "median", False)
    return (np.array(risk_groups(risk, [""] * len(risk), cuts)) == "high").astype(np.int64)


def fold_scores(name: str, test: Floats, time: Floats, event: Floats, risk: Floats) -> FoldScores:
    unknown = np.full(len(test), np.nan)
    return FoldScores(
        repeat="0", fold=name, patient=test, time=time[test], event=event[test], ended=event[test],
        risk=risk, stratum=np.zeros(len(test), np.int64), survival={}, probability=unknown,
        weight=np.ones(len(test)), threshold=unknown, survival_at_time=unknown,
        event_at_time=unknown, group=np.full(len(test), ""),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cohorts", type=int, default=900)
    asked = parser.parse_args()
    rows = []
    for n, events in SETTINGS:
        end = end_of_study(events)
        noise = pd.DataFrame([one_cohort(n, 0.0, end, 5_000 + s) for s in range(asked.cohorts)])
        weak = pd.DataFrame(
            [one_cohort(n, OWN, end, 1_005_000 + s) for s in range(asked.cohorts // 3)]
        )
        for test in noise:
            level = np.quantile(noise[test].abs(), 0.05)
            found, better = weak[test].abs(), weak[test] > 0
            rows.append(
                {
                    "patients": n, "events": f"{events:.0%}", "test": test,
                    "noise: p < .05": _percent(noise[test].abs() < 0.05),
                    "weak signal found": _percent((found < 0.05) & better),
                    "at the true level": _percent((found < level) & better),
                }
            )  # fmt: skip
    print(f"{asked.cohorts} cohorts of noise, {asked.cohorts // 3} with a weak signal; per cent.\n")
    print(markdown(pd.DataFrame(rows)))


def _percent(values: pd.Series) -> float:
    return round(100 * float(values.mean()), 1)


if __name__ == "__main__":
    main()
