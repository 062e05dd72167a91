"""How inputs of different strength are best combined: no input more should cost.

    python tests/benchmarks/fusion.py FOLDER [STUDY.yaml ...] [--seeds 3]

The criterion, stated before looking: of the rules whose worst loss against the best subset is at
most .01 (averaged over seeds), the one with the highest mean C-index. The loss of an arm is the
C-index of its best single input, or of fewer inputs combined by the same rule, less its own.

All rules are computed from one set of fits per cohort and seed: a network per set of inputs, and
a ridge model of the clinical data. A simulation is drawn anew for each seed; of a given study the
networks' seed changes, and the division where it is drawn. Results are kept in FOLDER/fusion.csv:
what is there is not computed again. The table is printed in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import outcome
from outcome.cohort import Fold
from outcome.crossval.epoch_loss import epoch_losses
from outcome.crossval.executors import LocalProcesses
from outcome.crossval.grid import Grid
from outcome.crossval.late_fusion import MemberScores, fuse, held_out_loss
from outcome.crossval.outer_fold import few_events, member_scores
from outcome.crossval.scheduler import train
from outcome.dataset.study_data import StudyData, prepare
from outcome.models.heads import Target
from outcome.outcomes import Outcomes
from outcome.progress import no_progress
from outcome.risk.recalibration import fit_calibration, fit_weights
from outcome.simulation.simulate import Simulation, simulate
from outcome.statistics.concordance import harrell
from outcome.study import Arm
from outcome.training.arm_members import Member, members
from outcome.training.precision import resolved

PLAIN = Simulation(patients=250, patches=40, dimension=64)
SIMULATED = {
    "rare": PLAIN,
    "diffuse": replace(PLAIN, informative=0.6),
    "small": replace(PLAIN, patients=120),
    "clinical": replace(PLAIN, stage_effect=0.7, age_effect=0.5, image_effect=0.1),
    "report": replace(PLAIN, report_effect=1.0, image_effect=0.0, event_rate=0.3),
}
MOST_LOSS = 0.01

Inputs = tuple[str, ...]
Scores = Mapping[Inputs, MemberScores]


class Development:
    """What a rule may know of one outer fold: scores and outcomes of development patients."""

    def __init__(self, grid: Grid, fold: Fold, scores: Scores) -> None:
        self.scores, self.fold, self.head = scores, fold, grid.head
        self.cohort = grid.study_data.cohort
        self.parts = [self.of([k]) for k in range(len(fold.inner))]
        self.outcomes = self.of(range(len(fold.inner)))
        self.few = few_events(grid, fold)

    def fused(self, found: Sequence[MemberScores], learned: bool) -> MemberScores:
        """Join scores as the arms `late` and `stacked` do."""
        tune, _, by_inner, _ = fuse(
            found, self.outcomes, self.head, learned=learned, fixed_slope=self.few
        )
        return replace(found[0], tune=tune, test_by_inner=by_inner)

    def stack(self, found: Sequence[MemberScores]) -> MemberScores:
        """Weigh all of them by learned weights; none is left out."""
        if self.few or len(found) == 1:
            return self.fused(found, False)
        risks = np.column_stack([np.concatenate(s.tune) for s in found])
        slopes = np.array([fit_calibration(r, self.outcomes).slope for r in risks.T])
        shares, _ = fit_weights(risks * slopes, self.outcomes, around=1 / len(found))
        pairs = list(zip(slopes * shares, found, strict=True))
        tune = [sum(w * s.tune[k] for w, s in pairs) for k in range(len(self.parts))]
        by_inner = sum(w * s.test_by_inner for w, s in pairs)
        return replace(found[0], tune=tune, test_by_inner=by_inner)

    def loss(self, found: MemberScores) -> float:
        """Loss on the held-out inner folds, after calibration, as an epoch is chosen."""
        targets = [Target.of(part) for part in self.parts]
        return float(epoch_losses([t[None] for t in found.tune], targets, self.head)[0])

    def of(self, parts: Iterable[int]) -> Outcomes:
        """Outcomes of the patients held out from some inner folds."""
        patients = [p for k in parts for p in self.fold.inner[k].tune]
        return self.cohort.outcomes(patients, self.fold.development)

    def singles(self, inputs: Inputs) -> list[MemberScores]:
        return [self.scores[i,] for i in inputs]


def early(d: Development, inputs: Inputs) -> MemberScores:
    return d.scores[inputs]


def late(d: Development, inputs: Inputs) -> MemberScores:
    return d.fused(d.singles(inputs), False)


def stacked(d: Development, inputs: Inputs) -> MemberScores:
    return d.stack(d.singles(inputs))


def early_and_stacked(d: Development, inputs: Inputs) -> MemberScores:
    return d.fused([early(d, inputs), stacked(d, inputs)], False)


def stacked_with_early(d: Development, inputs: Inputs) -> MemberScores:
    """Stack the network of all inputs too; what does not lower the loss is left out."""
    return d.fused([*d.singles(inputs), early(d, inputs)], True)


def stacked_chosen(d: Development, inputs: Inputs) -> MemberScores:
    """Stack, leaving inputs out where the loss is lower without, as arms with `stacked` do."""
    return d.fused(d.singles(inputs), True)


def chosen_subset(d: Development, inputs: Inputs) -> MemberScores:
    """The set of inputs, and the rule, with the least loss in development."""
    sets = [s for k in range(1, len(inputs) + 1) for s in combinations(inputs, k)]
    found = [(d.loss(d.scores[s]), d.scores[s]) for s in sets]
    for s in sets:
        if len(s) > 1:
            singles = d.singles(s)
            loss = held_out_loss(singles, d.outcomes, d.head)
            found.append((loss, d.stack(singles)))
    return min(found, key=lambda one: one[0])[1]


RULES: dict[str, Callable[[Development, Inputs], MemberScores]] = {
    "early": early,
    "late": late,
    "stacked, all kept": stacked,
    "stacked, inputs chosen by loss": stacked_chosen,
    "early and stacked, averaged": early_and_stacked,
    "stacked with early, chosen by loss": stacked_with_early,
    "inputs and rule chosen by loss": chosen_subset,
}


def measure(path: Path, seed: int, options: argparse.Namespace) -> pd.DataFrame:
    """C-index within folds of every rule on every set of inputs of one cohort."""
    study = outcome.Study.read(path, [f"training.seed={seed}", *options.set])
    if not study.split.given:
        split = study.split.model_copy(update={"seed": seed})
        study = study.model_copy(update={"split": split})
    have = ["clinical", "image"] + (["report"] if study.embeddings.reports else [])
    sets = [s for k in range(1, len(have) + 1) for s in combinations(have, k)]
    arms = tuple(Arm(name="+".join(s), inputs=s, fusion="early") for s in sets)
    study = resolved(study.model_copy(update={"arms": arms, "contrasts": ()}), "cpu")
    study_data = prepare(study, options.folder / "cache")
    grid = Grid(study, study_data, options.folder / "fits", "cpu")
    train(grid, LocalProcesses(options.jobs), no_progress)
    risks: dict[tuple[str, Inputs], list[np.ndarray]] = {}
    for fold in study_data.folds:
        scores = {a.inputs: member_scores(grid, fold, _member(a)) for a in arms}
        d = Development(grid, fold, scores)
        for s in sets:
            for rule, combine in RULES.items() if len(s) > 1 else [("alone", early)]:
                risks.setdefault((rule, s), []).append(combine(d, s).test)
    known, c_of = held_out_c(study_data)
    return pd.DataFrame(
        [(rule, "+".join(s), c_of(r)) for (rule, s), r in risks.items()],
        columns=["rule", "inputs", "c"],
    ).assign(n=len(known.time), events=int(known.event.sum()))


def held_out_c(
    study_data: StudyData,
) -> tuple[Outcomes, Callable[[Sequence[np.ndarray]], float]]:
    """Outcomes of the test patients, and their C-index within folds from the risks per fold."""
    patients = [p for f in study_data.folds for p in f.test]
    sizes = [len(f.test) for f in study_data.folds]
    group = np.repeat([str(f.key) for f in study_data.folds], sizes)
    known = study_data.cohort.outcomes(patients, patients)

    def c_index(risks: Sequence[np.ndarray]) -> float:
        return harrell(known.time, known.event, np.concatenate(risks), group=group).c

    return known, c_index


def _member(arm: Arm) -> Member:
    (found,) = members(arm)
    return found


def losses(found: pd.DataFrame) -> pd.DataFrame:
    """Mean C-index over seeds, and the loss against the best subset by the same rule."""
    c = found.groupby(["cohort", "rule", "inputs"])["c"].mean()
    rows = []
    for (cohort, rule, inputs), value in c.items():
        if rule == "alone":
            continue
        names = inputs.split("+")
        subsets = ["+".join(s) for k in range(1, len(names)) for s in combinations(names, k)]
        best = max(c[cohort, "alone" if "+" not in s else rule, s] for s in subsets)
        rows.append((cohort, rule, inputs, value, best - value))
    return pd.DataFrame(rows, columns=["cohort", "rule", "inputs", "c", "loss"])


def report(found: pd.DataFrame) -> str:
    """Summarise in Markdown: each cohort with all inputs, then every rule over all arms."""
    table, seeds = losses(found), found.groupby("cohort")["seed"].nunique()
    alone = found[found["rule"] == "alone"].groupby(["cohort", "inputs"])["c"].mean()
    sizes = found.groupby("cohort")[["n", "events"]].mean().round().astype(int)
    cohorts = list(dict.fromkeys(found["cohort"]))
    heads = [f"{c} ({sizes.n[c]} / {sizes.events[c]}; {seeds[c]})" for c in cohorts]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(cohorts) + 1) + "|"]

    def line(name: str, values: Sequence[float]) -> str:
        return f"| {name} | " + " | ".join("" if np.isnan(v) else f"{v:.3f}" for v in values) + " |"

    for s in ("image", "report", "clinical"):
        lines.append(line(s, [alone.get((c, s), np.nan) for c in cohorts]))
    for rule in RULES:
        own = table[table["rule"] == rule].copy()
        own["inputs_n"] = own["inputs"].str.count(r"\+")
        full = own.sort_values("inputs_n").groupby("cohort")["c"].last()
        lines.append(line(f"all inputs, {rule}", [full.get(c, np.nan) for c in cohorts]))
    lines += ["", "| rule | mean C of all arms | mean loss | worst loss | where | at most .01 |"]
    lines += ["|---" * 6 + "|"]
    for rule in RULES:
        own = table[table["rule"] == rule].reset_index(drop=True)
        worst = own.loc[own["loss"].idxmax()]
        kept = "yes" if worst["loss"] <= MOST_LOSS else "no"
        lines.append(
            f"| {rule} | {own['c'].mean():.4f} | {own['loss'].mean():+.4f} | {worst['loss']:+.3f}"
            f" | {worst['cohort']}, {worst['inputs']} | {kept} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("studies", nargs="*", type=Path, help="study files of given cohorts")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of cohorts")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="e.g. training.epochs=20")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "fusion.csv"
    found = pd.read_csv(kept) if kept.is_file() else pd.DataFrame(columns=["cohort", "seed"])
    for seed in range(options.seeds):
        given = {path.stem: path for path in options.studies}
        for name in [*given, *SIMULATED]:
            done = ((found["cohort"] == name) & (found["seed"] == seed)).any()
            if done or (options.only and name not in options.only):
                continue
            path = given.get(name, options.folder / f"{name}-{seed}" / "study.yaml")
            if not path.is_file():
                simulate(path.parent, replace(SIMULATED[name], seed=300 + seed))
            rows = measure(path, seed, options).assign(cohort=name, seed=seed)
            found = pd.concat([found, rows], ignore_index=True)
            found.to_csv(kept, index=False)
            print(name, seed, flush=True)
    print(report(found))


if __name__ == "__main__":
    main()
