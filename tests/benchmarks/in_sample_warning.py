"""How often `evaluate` warns that predictions look in-sample, of honest and of in-sample ones.

    python tests/benchmarks/in_sample_warning.py [--cohorts 2000] [--seed 0]

Each simulated cohort has 100 to 1,000 patients, 10 to 100 covariates, of which some or none act on
the hazard, 20 to 80% censoring and 5 random folds. Ridge regressions of the log time, with a
penalty of 0.1 to 100, score the patients:

- own fold: the model of the patient's own test fold (honest);
- own fold, scales: the same, with a factor (SD of its logarithm 1) and a shift (SD 1) per fold;
- sites as folds: the same as `own fold`, of folds whose hazards differ (SD 0.5 of the log hazard);
- ensemble: the mean of the five models, four of which were trained on the patient;
- one model: the model of the first fold, trained on four fifths of the patients;
- own fold or not: of one fold the model of the first fold, of the others their own (a mistake in
  one file).

Printed are the share of cohorts with a warning, and the mean excess of C over all patients.
"""

import argparse

import numpy as np
import pandas as pd

from outcome.evaluation.arrays import ArmScores, FoldScores
from outcome.evaluation.fold_metrics import harrell_in_fold
from outcome.evaluation.in_sample import ERRORS, EXCESS, pooled_excess

FOLDS = 5


def cohort(rng):
    """Covariates, times, events and folds of one cohort; folds as sites act on the hazard."""
    n, d = int(rng.integers(100, 1001)), int(rng.integers(10, 101))
    x = rng.normal(size=(n, d))
    fold = rng.permutation(np.arange(n) % FOLDS)
    effect = rng.choice([0, 0.5, 1, 1.5]) * rng.normal(size=d) / np.sqrt(d)
    exponential, censoring = rng.exponential(size=n), rng.uniform(0.2, 0.8)
    site = rng.normal(0, 0.5, FOLDS)

    def outcome(log_hazard):
        time = exponential / np.exp(log_hazard)
        end = np.quantile(time, 1 - censoring) * 2 * rng.random(n)
        return np.minimum(time, end) + 1e-9, time <= end

    return x, fold, outcome(x @ effect), outcome(x @ effect + site[fold]), site


def models(x, fold, time, penalty):
    """Risks of every patient by the model of each fold, of shape (folds, n)."""
    found = []
    for k in range(FOLDS):
        train = fold != k
        y = -np.log(time[train])
        gram = x[train].T @ x[train] + penalty * np.eye(x.shape[1])
        found.append(x @ np.linalg.solve(gram, x[train].T @ (y - y.mean())))
    return np.array(found)


def tables(rng):
    """Yield (name, risks, time, event, fold) of each way of scoring."""
    x, fold, (time, event), (time_of_sites, event_of_sites), site = cohort(rng)
    penalty = 10 ** rng.uniform(-1, 2)
    scores, own = models(x, fold, time, penalty), np.arange(len(fold))
    honest = scores[fold, own]
    scale, shift = np.exp(rng.normal(size=FOLDS)), rng.normal(size=FOLDS)
    yield "own fold", honest, time, event, fold
    yield "own fold, scales", honest * scale[fold] + shift[fold], time, event, fold
    # Of a covariate that goes with the site, an honest model of other sites may know its hazard.
    with_site = np.column_stack([x, site[fold] + rng.normal(0, 0.3, len(fold))])
    scores_of_sites = models(with_site, fold, time_of_sites, penalty)
    yield "sites as folds", scores_of_sites[fold, own], time_of_sites, event_of_sites, fold
    yield "ensemble", scores.mean(axis=0), time, event, fold
    yield "one model", scores[0], time, event, fold
    yield "own fold or not", np.where(fold == 1, scores[0], honest), time, event, fold


def scores_of(risk, time, event, fold):
    """The arm that `read_arms` makes of such a table, without its checks of columns."""
    folds = []
    for k in range(FOLDS):
        own = np.flatnonzero(fold == k)
        none = np.full(len(own), np.nan)
        given = {"patient": own, "time": time[own], "event": event[own], "ended": event[own]}
        given |= {"risk": risk[own], "stratum": np.zeros(len(own), int), "survival": {}}
        given |= {"weight": np.ones(len(own)), "group": np.full(len(own), "")}
        absent = ("probability", "threshold", "survival_at_time", "event_at_time")
        folds.append(FoldScores("0", str(k), **given, **dict.fromkeys(absent, none)))
    return ArmScores("image", tuple(folds))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cohorts", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", default="in_sample_warning.csv")
    asked = options.parse_args()
    rows = []
    for number in range(asked.cohorts):
        rng = np.random.default_rng([asked.seed, number])
        for name, risk, time, event, fold in tables(rng):
            arm = scores_of(risk, time, event, fold)
            _, _, difference, error = pooled_excess(arm, harrell_in_fold)
            warned = difference > max(EXCESS, ERRORS * error)
            rows.append((number, name, len(fold), warned, difference, difference / error))
    columns = ["cohort", "scored by", "patients", "warned", "excess", "errors"]
    found = pd.DataFrame(rows, columns=columns)
    found.to_csv(asked.out, index=False)
    print(found.groupby("scored by", sort=False)[["warned", "excess", "errors"]].mean().round(4))


if __name__ == "__main__":
    main()
