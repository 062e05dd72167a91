"""Simulated tables of a cross-validated run: predictions, scores by inner models, and splits."""

import numpy as np
import pandas as pd

HORIZONS = (200, 500)


def outcomes(n, rng, *, binary=False, strata=False):
    z = rng.normal(size=n)
    time, censor = rng.exponential(np.exp(-z) * 500), rng.exponential(800, n)
    table = pd.DataFrame({"patient_id": [f"p{i:04}" for i in range(n)]})
    if binary:
        table["label"] = (time < 300).astype(int)
    else:
        table["time"] = np.ceil(np.minimum(time, censor))
        table["event"] = (time <= censor).astype(int)
    if strata:
        table["strata"] = np.where(rng.random(n) < 0.5, "a", "b")
    return z, table


def run_tables(
    n=90, arms=2, folds=3, inner=3, repeats=1, seed=0, *, binary=False, strata=False, noise=0.4
):
    """Predictions, inner scores and splits; the mean over inner models is the arm's risk."""
    rng = np.random.default_rng(seed)
    z, outcome = outcomes(n, rng, binary=binary, strata=strata)
    predictions, scores, splits = [], [], []
    for repeat in range(repeats):
        fold = rng.permutation(np.arange(n) % folds)
        for k in range(folds):
            left = np.full(n, -1)
            development = np.flatnonzero(fold != k)
            left[development] = rng.permutation(np.arange(len(development)) % inner)
            rows = pd.DataFrame({"patient_id": outcome["patient_id"], "repeat": repeat})
            rows["outer_fold"], rows["role"] = str(k), np.where(fold == k, "test", "development")
            rows["inner_fold"] = np.where(left >= 0, left.astype(str), "")
            splits.append(rows)
        for a in range(arms):
            by_model = (z + (a + 0.5) * rng.normal(size=n))[:, None]
            by_model = by_model + noise * rng.normal(size=(n, inner))
            where = {"arm": f"arm{a}", "repeat": repeat, "fold": fold.astype(str)}
            predictions.append(_scored(outcome.assign(**where), by_model.mean(1), binary))
            ids = outcome[["patient_id"]].assign(**where)
            for m in range(inner):
                one = _scored(ids.assign(inner_fold=str(m)), by_model[:, m], binary)
                scores.append(one)
    tables = (predictions, scores, splits)
    return tuple(pd.concat(t, ignore_index=True) for t in tables)


def _scored(rows, risk, binary):
    rows = rows.assign(risk=risk)
    if binary:
        return rows.assign(probability=1 / (1 + np.exp(-risk)))
    return rows.assign(**{f"survival_{h}": np.exp(-h / 500 * np.exp(risk)) for h in HORIZONS})
