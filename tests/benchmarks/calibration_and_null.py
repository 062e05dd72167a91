"""Calibration against the truth, and what pure noise gives.

    python tests/benchmarks/calibration_and_null.py calibration --out FOLDER
    python tests/benchmarks/calibration_and_null.py null --out FOLDER

`calibration`: in five simulated worlds, 1,000 patients are development and 5,000 fresh ones, whose
true survival is known, are predicted: slope of the true event probability on the predicted one
(logit scale; 1 is right) and mean predicted over mean true probability, at each horizon. Beside it
the same of a Cox model of the true scores.
`null`: 20 cohorts of 500 with outcomes permuted.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from scipy.special import logit

import outcome
from outcome.crossval.arm_fold import joined_predictions
from outcome.crossval.executors import LocalProcesses
from outcome.crossval.grid import Grid
from outcome.crossval.scheduler import run_grid
from outcome.dataset.study_data import prepare
from outcome.simulation.simulate import Simulation, simulate
from outcome.statistics.logistic import fit_logistic

HORIZONS = [365, 730, 1095]
PARTS = {
    "image": ["image"],
    "report": ["report"],
    "clinical": ["stage", "age"],
    "image+report": ["image", "report"],
    "image+report+clinical": ["image", "report", "stage", "age"],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["calibration", "null"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.what == "calibration":
        calibration(options.out, options.seeds or range(5))
    else:
        null(options.out, options.seeds or range(20))


def calibration(out: Path, seeds) -> None:
    rows = []
    for seed in seeds:
        folder = out / f"calibration-{seed}"
        world = Simulation(patients=6000, patches=60, dimension=64, seed=seed, informative=0.3)
        if not (folder / "study.yaml").is_file():
            simulate(folder, world)
        table = pd.read_csv(folder / "cohort.csv", dtype=str)
        known = np.random.default_rng(seed).permutation(sorted(set(table["patient_id"])))[:1000]
        table["fold"] = np.where(table["patient_id"].isin(known), "development", "fresh")
        study = outcome.Study.read(
            folder / "study.yaml",
            [f"endpoint.horizons={HORIZONS}", "split={column: fold}", f"name=calibration-{seed}",
             "arms=[image, report, clinical, image+report, image+report+clinical]"],
        )  # fmt: skip
        study_data = prepare(study, out / "cache", frame=table)
        fresh = tuple(f for f in study_data.folds if f.name == "fresh")
        grid = Grid(study, replace(study_data, folds=fresh), folder / "fits", "cpu")
        finished = run_grid(grid, LocalProcesses(2))
        predicted = joined_predictions(finished, grid.study_data)
        events = int(study_data.cohort.patients.loc[sorted(known), "event"].sum())
        truth = pd.read_csv(folder / "truth.csv").set_index("patient_id")
        rows += _against_truth(predicted, truth["log_hazard"], seed, events)
        rows += _against_truth(_true_scores(table, truth), truth["log_hazard"], seed, events)
        pd.DataFrame(rows).to_csv(out / "calibration.csv", index=False)
    found = pd.DataFrame(rows)
    print(found.drop(columns="seed").groupby("arm", sort=False).mean().round(3).to_string())


def _true_scores(table: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Predict by a Cox model of what is truly there, fitted on all 6,000 patients.

    What a part of the inputs says has no proportional hazards, since the rest is not seen: this is
    how far any Cox model is from slope 1.
    """
    outcomes = table.drop_duplicates("patient_id").set_index("patient_id")
    found = []
    for arm, parts in PARTS.items():
        score = truth[parts].sum(axis=1)
        frame = outcomes[["os_days", "os_event"]].astype(float).assign(score=score)
        fitted = CoxPHFitter().fit(frame, "os_days", "os_event")
        survival = fitted.predict_survival_function(frame, times=HORIZONS).T
        survival.columns = [f"survival_{h}" for h in HORIZONS]
        survival.insert(0, "arm", f"{arm}, truth in a Cox model")
        found.append(survival.rename_axis("patient_id").reset_index())
    return pd.concat(found, ignore_index=True)


def _against_truth(predicted: pd.DataFrame, log_hazard, seed: int, events: int) -> list[dict]:
    """Compare with the true survival, exp(-(t / 1500)^1.2 exp(log hazard)); see the simulation."""
    rows = []
    for arm, part in predicted.groupby("arm", sort=False):
        hazard = np.exp(log_hazard.loc[part["patient_id"]].to_numpy())
        row: dict = {"arm": arm, "seed": seed, "events": events}
        for h in HORIZONS:
            true = -np.expm1(-hazard * (h / 1500) ** 1.2)
            said = 1 - part[f"survival_{h}"].to_numpy()
            row[f"predicted/true {h}"] = said.mean() / true.mean()
            # What patients with the same prediction truly have, on the logit scale.
            # The Cox model of all inputs is certain of some patients, up to rounding.
            row[f"slope {h}"] = fit_logistic(true, logit(said.clip(1e-12, 1 - 1e-12))).coef[1]
        rows.append(row)
    return rows


def null(out: Path, seeds) -> None:
    rows = []
    for seed in seeds:
        folder = out / f"null-{seed}"
        if not (folder / "study.yaml").is_file():
            world = Simulation(patients=500, patches=40, dimension=64, seed=seed)
            simulate(folder, replace(world, event_rate=0.4))
        table = pd.read_csv(folder / "cohort.csv", dtype=str)
        outcome_of = table.drop_duplicates("patient_id").set_index("patient_id")
        order = np.random.default_rng(seed + 999).permutation(len(outcome_of))
        for column in ("os_days", "os_event"):
            exchanged = dict(
                zip(outcome_of.index, outcome_of[column].to_numpy()[order], strict=True)
            )
            table[column] = table["patient_id"].map(exchanged)
        study = outcome.Study.read(
            folder / "study.yaml", [f"name=null-{seed}", "arms=[image, report, image+report]"]
        )
        results = outcome.run(study, table, out=folder / "run", cache=out / "cache")
        c = results.metrics.query("metric == 'harrell_c'").set_index("arm")["estimate"]
        p = results.comparisons.query("metric == 'harrell_c'").set_index("arm")["p_value"]
        rows.append({"seed": seed, **c.to_dict(), **{f"p {arm}": v for arm, v in p.items()}})
        pd.DataFrame(rows).to_csv(out / "null.csv", index=False)
    found = pd.DataFrame(rows).set_index("seed")
    arms = [c for c in found if not c.startswith("p ")]
    for arm in arms:
        mean, error = found[arm].mean(), found[arm].std(ddof=1) / np.sqrt(len(found))
        print(f"{arm}: mean C {mean:.3f}, {(mean - 0.5) / error:+.2f} standard errors from 0.5")
    p = found[[c for c in found if c.startswith("p ")]].to_numpy()
    print(f"{(p < 0.05).sum()} of {p.size} comparisons with p below .05")


if __name__ == "__main__":
    main()
