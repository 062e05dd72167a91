"""How often does the test of a treatment-by-score interaction find one, with and without one?

Run: `python tests/benchmarks/treatment_interaction.py fixed` and `... cross-validated` (`--runs`
sets the number of simulated trials of each row). Each prints Markdown for `reports/benchmarks.md`.

Trials: treatment drawn by lot, half of the patients; exponential times, uniform censoring that
leaves about half of the events; the score is prognostic (0.5 per SD of the log hazard) unless the
row says otherwise; the treatment's log hazard ratio is -0.4 at the mean score, and changes by the
interaction per SD of the score. A yes/no outcome has the same numbers as log odds.

`fixed`: scores that are no estimate. `cross-validated`: the score is out-of-fold; 12 Gaussian
features, 6 of which carry the true score; ridge regression on martingale residuals, which sees the
outcomes of both arms and not the treatment; five outer folds of five inner models; risk groups cut
at the median of the development patients' own out-of-fold scores. Models are stratified by fold.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from cv_intervals import FEATURES, FOLDS, markdown, outcomes_of, residuals, ridge, stratified

from outcome.risk.cutoffs import cut_offs, risk_groups
from outcome.statistics.calibration_measures import spline_basis
from outcome.statistics.interaction import treatment_interaction

Floats = np.ndarray
PROGNOSTIC, EFFECT = 0.5, -0.4
OWN = 0.5  # squared length of the loadings of the features on the true score
KNOTS = (10, 50, 90)


def trial(
    h: Floats, interaction: float, rng: np.random.Generator, *, prognostic: float = PROGNOSTIC
) -> tuple[Floats, Floats, Floats]:
    """Treatment, time and event; half of the events are seen."""
    treated = (rng.permutation(len(h)) < len(h) / 2).astype(float)
    log_hazard = prognostic * h + treated * (EFFECT + interaction * h)
    time = rng.exponential(np.exp(-log_hazard))
    censored = rng.uniform(0.1, 2.2, len(h))
    return treated, np.minimum(time, censored), time <= censored


def tests(
    treated: Floats, score: Floats, high: Floats, event: Floats, **options: Any
) -> dict[str, float]:
    """Return every p value of the interaction."""
    linear = treatment_interaction(treated, score, event, **options)
    smooth = spline_basis(score, np.percentile(score, KNOTS))
    found = {"likelihood ratio": linear.p, "Wald": linear.wald_p}
    found["smooth, likelihood ratio"] = treatment_interaction(treated, smooth, event, **options).p
    found["risk groups, likelihood ratio"] = treatment_interaction(
        treated, high, event, **options
    ).p
    return found


def fixed_scores(n: int, interaction: float, seed: int, *, labels: bool) -> dict[str, float]:
    """Return the p values of one trial."""
    rng = np.random.default_rng([41, seed])
    h = rng.normal(size=n)
    high = (h > np.median(h)).astype(float)
    treated, time, event = trial(h, interaction, rng)
    if not labels:
        return tests(treated, h, high, event, time=time)
    logit = PROGNOSTIC * h + treated * (EFFECT + interaction * h)
    label = rng.random(n) < 1 / (1 + np.exp(-logit))
    return tests(treated, h, high, label)


def cross_validated(
    n: int, interaction: float, seed: int, *, prognostic: float
) -> dict[str, float]:
    """Return the p values of one trial, of out-of-fold scores."""
    rng = np.random.default_rng([43, seed])
    h = rng.normal(size=n)
    treated, time, event = trial(h, interaction, rng, prognostic=prognostic)
    w = np.where(np.arange(FEATURES) < 6, np.sqrt(OWN / 6), 0.0)
    x = np.sqrt(1 - OWN / 6) * rng.normal(size=(n, FEATURES)) + np.outer(h, w)
    fold, outcomes = stratified(event, np.arange(n), rng), outcomes_of(time, event)
    score, high = np.empty(n), np.empty(n)
    for k in range(FOLDS):
        test, development = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        inner = stratified(event, development, rng)
        by_model, tuned = np.empty((FOLDS, len(test))), np.empty(n)
        for a in range(FOLDS):
            learn, tune = (development[(inner[development] == a) == own] for own in (False, True))
            beta = ridge(x[learn], residuals(time[learn], event[learn]))
            centre = (x[tune] @ beta).mean()
            tuned[tune], by_model[a] = x[tune] @ beta - centre, x[test] @ beta - centre
        risk = by_model.mean(0)
        cuts = cut_offs(tuned[development], outcomes[development], "median", False)
        high[test] = np.array(risk_groups(risk, [""] * len(test), cuts)) == "high"
        score[test] = (risk - risk.mean()) / risk.std()
    return tests(treated, score, high, event, time=time, strata=fold)


def row(about: dict[str, object], found: list[dict[str, float]]) -> dict[str, object]:
    """Return the share of trials with p below .05, in per cent."""
    table = pd.DataFrame(found)
    return about | {name: round(100 * float((table[name] < 0.05).mean()), 1) for name in table}


def main() -> None:
    """Print the table of one kind of score."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scores", choices=["fixed", "cross-validated"])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--only", type=int, nargs="*", help="rows, from 0")
    asked = parser.parse_args()
    settings: list[tuple[dict[str, object], Any]] = []
    if asked.scores == "fixed":
        for labels in (False, True):
            for n in (200, 400):
                for size in (0.0, -0.5):
                    about = {"outcome": "yes/no" if labels else "time", "patients": n}
                    settings.append(
                        (
                            about | {"interaction": size},
                            lambda s, n=n, size=size, labels=labels: fixed_scores(
                                n, size, s, labels=labels
                            ),
                        )
                    )
    else:
        for n in (200, 400):
            for prognostic, size in ((0.0, 0.0), (PROGNOSTIC, 0.0), (PROGNOSTIC, -0.5)):
                about = {"patients": n, "prognostic": prognostic, "interaction": size}
                settings.append(
                    (
                        about,
                        lambda s, n=n, p=prognostic, size=size: cross_validated(
                            n, size, s, prognostic=p
                        ),
                    )
                )
    rows = [
        row(about, [make(seed) for seed in range(asked.runs)])
        for k, (about, make) in enumerate(settings)
        if not asked.only or k in asked.only
    ]
    print(f"{asked.runs} trials a row; p below .05, in per cent.\n")
    print(markdown(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
