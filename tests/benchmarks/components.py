"""How many principal components a network needs, for vectors of different length.

    python tests/benchmarks/components.py FOLDER [STUDY.yaml ...] [--seeds 3] [--set ...]

The image arm, with 32, 64, 128 and 256 components, and with none (standardised features) with
dropout of .25 and of .5. Simulated cohorts of 250 patients with 20 patches of 256, 768 and 1,024
numbers, drawn anew for each seed, and given studies. Per setting: C-index within folds, processor
time of training and projecting, and the size of the projected vectors. Results are kept in
FOLDER/components.csv: what is there is not computed again. The table is printed in Markdown.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fusion import held_out_c

import outcome
from outcome.crossval.executors import LocalProcesses
from outcome.crossval.grid import Grid
from outcome.crossval.outer_fold import member_scores
from outcome.crossval.scheduler import train
from outcome.dataset.study_data import prepare
from outcome.progress import no_progress
from outcome.simulation.simulate import Simulation, simulate
from outcome.training.precision import resolved

PLAIN = Simulation(patients=250, patches=20)
SIMULATED = {
    f"{kind}-{d}": replace(PLAIN, dimension=d, informative=share)
    for kind, share in (("diffuse", 0.6), ("rare", 0.1))
    for d in (256, 768, 1024)
}
SETTINGS = {
    "64 (default)": {},
    "32": {"components": 32},
    "128": {"components": 128},
    "256": {"components": 256},
    "none, dropout .25": {"components": 0, "dropout": 0.25},
    "none, dropout .5": {"components": 0, "dropout": 0.5},
}


def measure(path: Path, seed: int, name: str, options: argparse.Namespace) -> dict[str, float]:
    """C-index within folds of the image arm, and what it costs."""
    given = [f"training.{k}={v}" for k, v in SETTINGS[name].items()]
    study = outcome.Study.read(
        path, [f"training.seed={seed}", "arms=[image]", *given, *options.set]
    )
    if not study.split.given:
        split = study.split.model_copy(update={"seed": seed})
        study = study.model_copy(update={"split": split})
    study = resolved(study.model_copy(update={"contrasts": ()}), "cpu")
    study_data = prepare(study, options.folder / "cache")
    grid = Grid(study, study_data, options.folder / "fits", "cpu")
    (member,) = grid.members
    started = time.process_time()
    train(grid, LocalProcesses(1), no_progress)
    spent = time.process_time() - started
    scores = [member_scores(grid, fold, member).test for fold in study_data.folds]
    stored = sum(p.stat().st_size for p in grid.scratch.rglob("vectors.npy"))
    _, c_of = held_out_c(study_data)
    return {"c": c_of(scores), "seconds": spent, "megabytes": stored / 2**20}


def report(found: pd.DataFrame) -> str:
    """Mean C over seeds per cohort; mean change against the default; time and disk as ratios."""
    c = found.pivot_table(index="setting", columns="cohort", values="c")[found["cohort"].unique()]
    c = c.loc[[s for s in SETTINGS if s in c.index]]
    cost = found.pivot_table(index="setting", columns="cohort", values=["seconds", "megabytes"])
    seeds = found.groupby("cohort")["seed"].nunique()
    lines = [
        f"| components | {' | '.join(f'{n} ({seeds[n]})' for n in c)} | change | time | disk |",
        "|---" * (len(c.columns) + 4) + "|",
    ]
    first = next(iter(SETTINGS))
    for name, row in c.iterrows():
        change = (row - c.loc[first]).mean()
        ratio = [
            float((cost[what].loc[name] / cost[what].loc[first]).mean())
            for what in ("seconds", "megabytes")
        ]
        values = " | ".join("" if np.isnan(v) else f"{v:.3f}" for v in row)
        lines.append(f"| {name} | {values} | {change:+.3f} | {ratio[0]:.1f} | {ratio[1]:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("studies", nargs="*", type=Path, help="study files of given cohorts")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="e.g. training.epochs=20")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "components.csv"
    found = pd.read_csv(kept) if kept.is_file() else pd.DataFrame(columns=["cohort", "seed"])
    given = {path.stem: path for path in options.studies}
    for seed in range(options.seeds):
        for cohort in [*given, *SIMULATED]:
            path = given.get(cohort, options.folder / f"{cohort}-{seed}" / "study.yaml")
            if not path.is_file():
                simulate(path.parent, replace(SIMULATED[cohort], seed=400 + seed))
            for name in SETTINGS:
                done = (found["cohort"] == cohort) & (found["seed"] == seed)
                if len(found) and (done & (found["setting"] == name)).any():
                    continue
                row = measure(path, seed, name, options)
                row |= {"cohort": cohort, "seed": seed, "setting": name}
                found = pd.concat([found, pd.DataFrame([row])], ignore_index=True)
                found.to_csv(kept, index=False)
                print(cohort, seed, name, f"{row['c']:.3f}", flush=True)
    print(report(found))


if __name__ == "__main__":
    main()
