"""Do conformal lower bounds of survival times cover, at the sizes that studies have?

Run: `python tests/benchmarks/survival_bounds.py --cohorts 400` (about ten minutes on one core). It
prints Markdown for `reports/benchmarks.md`.

A cohort of n patients has 20 covariates. One outer fold of five is played: ridge Cox models on
0.8 n development patients in five inner folds, calibration and bound on their out-of-fold risks,
and 1,000 new patients whose times are all known. Coverage is the share of new patients whose event
comes at or after their bound.
"""

from __future__ import annotations

import argparse
import time as clock

import numpy as np
from numpy.typing import NDArray

from outcome.outcomes import Outcomes
from outcome.risk.recalibration import SurvivalCalibration, fit_calibration
from outcome.risk.survival_bounds import SurvivalBound, fit_survival_bound
from outcome.statistics.cox import event_terms

Array = NDArray[np.float64]
NEW, FEATURES, FOLDS, PENALTY, COVERAGE = 1000, 20, 5, 10.0, 0.9
SCENARIOS = (
    "proportional hazards, half with an event",
    "proportional hazards, a quarter with an event",
    "proportional hazards, one in eight with an event",
    "no proportional hazards: spread depends on a covariate",
    "censoring depends on the strongest covariate",
)


def patients(scenario: str, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Covariates, true times of the event and of censoring, in years."""
    x = rng.normal(size=(n, FEATURES))
    eta = 0.35 * x[:, :5].sum(axis=1)
    rates = {"half": 0.2, "quarter": 0.055, "eight": 0.022}
    rate = next((r for word, r in rates.items() if word in scenario), 0.2)
    event = (rng.exponential(size=n) * np.exp(-eta) / rate) ** (1 / 1.2)
    if scenario.startswith("no prop"):
        event = np.exp(1.3 - eta + np.exp(0.5 * x[:, 5]) * 0.7 * rng.normal(size=n))
    lost = rng.exponential(size=n) / 0.05
    if scenario.startswith("censoring"):
        lost = rng.exponential(size=n) / (0.15 * np.exp(0.8 * x[:, 0]))
    return x, event, np.minimum(rng.uniform(1.0, 6.0, n), lost)


def ridge_cox(x: Array, time: Array, event: NDArray[np.bool_]) -> Array:
    """Coefficients of a Cox model with the penalty |coefficients|^2 * PENALTY / 2."""
    beta, one = np.zeros(x.shape[1]), np.zeros(len(time), dtype=np.int64)
    for _ in range(6):
        terms = event_terms(time, event, x, x @ beta, one)
        gradient = (x[terms.row] - terms.mean).sum(0) - PENALTY * beta
        step = np.linalg.solve(terms.variance.sum(0) + PENALTY * np.eye(len(beta)), gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-6:
            break
    return beta


def one_cohort(scenario: str, n: int, seed: int) -> dict[str, float]:
    """Coverage and size of the bounds in one cohort."""
    rng = np.random.default_rng([11, SCENARIOS.index(scenario), n, seed])
    x, event_time, censored = patients(scenario, n * 4 // 5, rng)
    time, event = np.minimum(event_time, censored), event_time <= censored
    fold = rng.permutation(len(time)) % FOLDS
    order = np.argsort(fold, kind="stable")
    new, truth, _ = patients(scenario, NEW, rng)
    risks, of_new = [], np.zeros(NEW)
    for k in range(FOLDS):
        beta = ridge_cox(x[fold != k], time[fold != k], event[fold != k])
        held_out = x[fold == k] @ beta
        risks.append(held_out - held_out.mean())
        of_new += (new @ beta - held_out.mean()) / FOLDS
    outcomes = Outcomes(event[order], time[order])
    calibration = fit_calibration(np.concatenate(risks), outcomes)
    assert isinstance(calibration, SurvivalCalibration)
    found = fit_survival_bound(risks, outcomes, coverage=COVERAGE)
    assert found is not None
    plain = SurvivalBound(1 - COVERAGE, found.latest, COVERAGE)
    names, result = [""] * NEW, {"events": float(event.mean()), "latest": found.latest}
    best = of_new < np.median(of_new)
    for name, rule in (("conformal", found), ("plain", plain)):
        bound = rule.of(calibration, of_new, names)
        covered = truth >= bound
        result |= {
            name: float(covered.mean()),
            f"{name} low": float(covered[best].mean()),
            f"{name} high": float(covered[~best].mean()),
            f"{name} bound": float(np.median(bound)),
            f"{name} at the end": float((bound >= found.latest).mean()),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("--sizes", type=int, nargs="*", default=[200, 500, 1000])
    asked = parser.parse_args()
    print("| | n | events | conformal covers | low / high risk | 5% of cohorts below | ", end="")
    print("median bound, years | at the end | uncorrected S(t) covers |")
    print("|---|---|---|---|---|---|---|---|---|")
    start = clock.time()
    for scenario in SCENARIOS:
        for n in asked.sizes:
            rows = [one_cohort(scenario, n, seed) for seed in range(asked.cohorts)]
            mean = {k: float(np.mean([r[k] for r in rows])) for k in rows[0]}
            cover = np.array([r["conformal"] for r in rows])
            error = 100 * cover.std(ddof=1) / np.sqrt(len(cover))
            plain = np.array([r["plain"] for r in rows])
            plain_error = 100 * plain.std(ddof=1) / np.sqrt(len(plain))
            print(
                f"| {scenario} | {n} | {100 * mean['events']:.0f}% | "
                f"{100 * cover.mean():.1f} (± {2 * error:.1f}) | "
                f"{100 * mean['conformal low']:.1f} / {100 * mean['conformal high']:.1f} | "
                f"{100 * np.quantile(cover, 0.05):.1f} | {mean['conformal bound']:.2f} | "
                f"{100 * mean['conformal at the end']:.0f}% | "
                f"{100 * plain.mean():.1f} (± {2 * plain_error:.1f}) |",
                flush=True,
            )
    print(f"\n{asked.cohorts} cohorts a row, {clock.time() - start:.0f} s.")


if __name__ == "__main__":
    main()
