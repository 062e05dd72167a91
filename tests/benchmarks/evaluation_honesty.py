"""How honest, and how quick, the statistics are: coverage, type-I error, time.

Run: `python tests/benchmarks/evaluation_honesty.py` (a quarter of an hour on two cores; with
`--quick` a tenth of the cohorts). It prints Markdown for `reports/benchmarks.md`.

Cohorts: n = 200, censored by the end of study; a score is the true log hazard plus noise.
Two scores with independent noise of one size have the same C in the population, so the paired test
of their difference should reject in 5% of cohorts.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import joblib
import numpy as np
import pandas as pd
from lifelines.utils import concordance_index
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import concordance_index_censored, cumulative_dynamic_auc
from sksurv.util import Surv

from outcome.evaluation.evaluation import evaluate
from outcome.predictions import Predictions
from outcome.statistics.concordance import harrell

N, RESAMPLES = 200, 500


def cohort(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log hazard, follow-up and event of n patients."""
    hazard = rng.normal(size=n)
    event_time = rng.exponential(np.exp(-0.7 * hazard))
    end = rng.uniform(0.5, 3.0, n)
    return hazard, np.minimum(event_time, end), (event_time <= end).astype(int)


def scores(hazard: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: hazard + rng.normal(size=len(hazard)) for name in ("a", "b")}


def table(
    time_: np.ndarray, event: np.ndarray, risks: dict[str, np.ndarray], fold: np.ndarray
) -> Predictions:
    ids = [f"p{i:05d}" for i in range(len(time_))]
    common = {"patient_id": ids, "repeat": 0, "fold": fold.astype(str)}
    parts = [
        pd.DataFrame({"arm": k, **common, "time": time_, "event": event, "risk": r})
        for k, r in risks.items()
    ]
    return Predictions(pd.concat(parts, ignore_index=True))


def population_c() -> float:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(20):
        hazard, t, e = cohort(20_000, rng)
        found.append(harrell(t, e, scores(hazard, rng)["a"]).c)
    return float(np.mean(found))


def held_out(seed: int, truth: float) -> list[bool]:
    """Whether the bootstrap and the jackknife interval cover, and whether the test rejects."""
    rng = np.random.default_rng([7, seed])
    hazard, t, e = cohort(N, rng)
    risks = scores(hazard, rng)
    found = evaluate(
        table(t, e, risks, np.zeros(N, int)),
        baseline="b",
        unit="years",
        n_resamples=RESAMPLES,
        seed=seed,
        cross_validated=False,
    )
    row = found.metrics.set_index(["arm", "metric"]).loc[("a", "harrell_c")]
    p = found.comparisons.set_index("metric").loc["harrell_c", "p_value_fixed"]
    jackknife = abs(row["estimate"] - truth) <= 1.959964 * row["se_fixed"]
    return [row["lower_fixed"] <= truth <= row["upper_fixed"], bool(jackknife), bool(p < 0.05)]


def cross_validated(seed: int) -> list[bool]:
    """The same with five-fold ridge Cox models; truth: C of these very models on new patients."""
    rng = np.random.default_rng([8, seed])
    hazard, t, e = cohort(N, rng)
    inputs = {k: hazard[:, None] * 0.3 + rng.normal(size=(N, 10)) for k in ("a", "b")}
    big_hazard, big_t, big_e = cohort(2_000, rng)
    fold = rng.permutation(N) % 5
    risks = {k: np.empty(N) for k in inputs}
    truth = []
    for k, x in inputs.items():
        big = big_hazard[:, None] * 0.3 + rng.normal(size=(2_000, 10))
        for f in range(5):
            train = fold != f
            model = CoxPHSurvivalAnalysis(alpha=10.0)
            model.fit(x[train], Surv.from_arrays(e[train] == 1, t[train]))
            risks[k][~train] = model.predict(x[~train])
            if k == "a":
                truth.append(harrell(big_t, big_e, model.predict(big)).c)
    found = evaluate(
        table(t, e, risks, fold), baseline="b", unit="years", n_resamples=RESAMPLES, seed=seed
    )
    row = found.metrics.set_index(["arm", "metric"]).loc[("a", "harrell_c")]
    p = found.comparisons.set_index("metric").loc["harrell_c", "p_value_fixed"]
    return [row["lower_fixed"] <= np.mean(truth) <= row["upper_fixed"], bool(p < 0.05)]


def speed() -> pd.DataFrame:
    """1,000 resamples of 5 arms at n = 1,000, beside loops over two libraries, in one run."""
    rng = np.random.default_rng(3)
    n, loops = 1_000, 20
    hazard, t, e = cohort(n, rng)
    risks = {f"arm{k}": hazard + rng.normal(size=n) for k in range(5)}
    fold = rng.permutation(n) % 5
    given = table(t, e, risks, fold)
    rows = []
    for name, horizons in (("C", ()), ("C and AUC at 3 horizons", (0.5, 1.0, 1.5))):
        start = time.perf_counter()
        evaluate(given, baseline="arm0", unit="years", horizons=horizons)
        rows.append((f"outcome: {name}, comparisons, groups", time.perf_counter() - start))
    y = Surv.from_arrays(e == 1, t)

    def loop(what: str, one: Callable[[np.ndarray, np.ndarray], object]) -> None:
        start = time.perf_counter()
        for _ in range(loops):
            for r in risks.values():
                draw = rng.integers(n, size=n)
                one(draw, r[draw])
        rows.append(
            (f"{what} (from {loops} resamples)", (time.perf_counter() - start) * 1000 / loops)
        )

    loop(
        "loop over scikit-survival: C", lambda i, r: concordance_index_censored(e[i] == 1, t[i], r)
    )
    loop("loop over lifelines: C", lambda i, r: concordance_index(t[i], -r, e[i]))
    loop(
        "loop over scikit-survival: AUC at 3 horizons",
        lambda i, r: cumulative_dynamic_auc(y, y[i], r, (0.5, 1.0, 1.5)),
    )
    return pd.DataFrame(rows, columns=["what", "seconds"])


def share(found: list[list[bool]], column: int) -> str:
    values = np.array(found)[:, column]
    p = values.mean()
    error = 1.96 * np.sqrt(p * (1 - p) / len(values))
    return f"{100 * p:.1f}% (± {100 * error:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    n = 200 if parser.parse_args().quick else 2_000
    print(f"### Statistics\n\n{platform.platform()}, {joblib.cpu_count()} processors\n")
    truth = population_c()
    run = joblib.Parallel(n_jobs=-1)
    fixed = run(joblib.delayed(held_out)(s, truth) for s in range(n))
    crossed = run(joblib.delayed(cross_validated)(s) for s in range(n // 2))
    print(
        f"| n = {N}; 95% intervals, tests at 5% | fixed scores ({n} cohorts) |"
        f" cross-validated ridge Cox ({n // 2}) |\n|---|---|---|"
    )
    print(f"| bootstrap interval covers | {share(fixed, 0)} | {share(crossed, 0)} |")
    print(f"| jackknife interval covers | {share(fixed, 1)} | |")
    print(f"| paired test rejects, arms equal | {share(fixed, 2)} | {share(crossed, 1)} |\n")
    print("| 1,000 resamples, 5 arms, n = 1,000 | seconds |\n|---|---|")
    for row in speed().itertuples():
        print(f"| {row.what} | {row.seconds:.1f} |")


if __name__ == "__main__":
    main()
