"""Intervals and tests under cross-validation, of the whole pipeline with its default network.

Run: `python tests/benchmarks/pipeline_intervals.py found.csv --minutes 60` draws cohorts from the
settings in turn until the time is over. What it finds is added to the table after each cohort, and
it goes on where it was stopped; processes share the work with tables and a `--first` of their own.
`--report` prints Markdown for `reports/benchmarks.md`. `--check`
compares a few fits with those of the library.

Cohorts: bags of 8 vectors of 12 numbers. One number marks the half of a bag that tells something;
six others then show a part of the log hazard, in noise between patients and between vectors.
Exponential times, uniform censoring. Two inputs, both bags: A and B tell the same amount, N and N'
nothing; AN is A with N' as the second input, AB is A with B.

Folds, network and training are the defaults. The networks of a cohort are trained side by side,
which bags of one size allow: the same steps as `outcome.training.trainer`, ten times as fast.

The target of an interval is the mean performance of the fitted models of the five outer folds on
5,000 new patients, drawn anew for each cohort.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from cv_intervals import markdown
from torch import Tensor

from outcome.cohort import make_folds, read_cohort, splits_table
from outcome.crossval.arm_fold import ArmFold, predict_arm_fold
from outcome.crossval.epoch_loss import combine, epoch_losses
from outcome.crossval.grid import Grid
from outcome.crossval.joined_predictions import joined_predictions
from outcome.crossval.late_fusion import MemberScores
from outcome.crossval.outer_fold import few_events
from outcome.dataset.study_data import StudyData
from outcome.embeddings.patches.packed_store import PackedStore
from outcome.errors import Problems
from outcome.evaluation.arrays import ArmScores, read_arms
from outcome.evaluation.censoring_weights import censoring_weights
from outcome.evaluation.crossfit_estimates import (
    CrossfitEstimate,
    crossfit_difference,
    crossfit_estimate,
    read_inner_scores,
    weighted_sum,
)
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.fold_metrics import (
    area_at_horizon,
    brier_at_horizon,
    harrell_in_fold,
    uno_in_fold,
)
from outcome.models.heads import CoxHead, Target
from outcome.models.network import OutcomeNetwork, Spread
from outcome.predictions import Predictions
from outcome.statistics.roc import roc_area
from outcome.study import Arm, Study, Training
from outcome.training.arm_members import Member
from outcome.training.batching import Patients as SeenPatients
from outcome.training.batching import batches
from outcome.training.checkpoints import fit_seed
from outcome.training.projection import Projection
from outcome.training.trainer import build, fit_network

BAG, WIDTH, FRESH, RESAMPLES, SCALE = 8, 12, 5_000, 200, 0.3
METRICS = ("harrell_c", "uno_c", "auc", "brier", "ibs")
PAIRS = {"noise": ("N'", "N"), "equal": ("B", "A"), "nested": ("AN", "A"), "gain": ("AB", "A")}
Floats = np.ndarray


@dataclass(frozen=True)
class Setting:
    """What is drawn: the slope of the log hazard, and how strongly a bag shows it."""

    n: int
    signal: str
    events: float

    @property
    def name(self) -> str:
        return f"n = {self.n}, {self.signal} signal, {self.events:.0%} events"

    @property
    def slope(self) -> float:
        return {"weak": 0.8, "strong": 1.5}[self.signal]

    @property
    def shown(self) -> float:
        return {"weak": 0.8, "strong": 1.6}[self.signal]

    @property
    def end(self) -> float:
        """End of the study: censoring is uniform between a tenth of it and itself."""
        rng = np.random.default_rng(1)
        h, share = rng.normal(size=40_000), rng.uniform(0.1, 1.0, 40_000)
        event = rng.exponential(np.exp(-self.slope * h) / SCALE)
        return float(np.quantile(event / share, self.events))

    def patients(self, n: int, rng: np.random.Generator) -> Patients:
        h = rng.normal(size=n)
        event = rng.exponential(np.exp(-self.slope * h) / SCALE)
        end = rng.uniform(0.1, 1.0, n) * self.end
        shown = {"A": self.shown, "B": self.shown, "N": 0.0, "N'": 0.0}
        return Patients(event, end, {k: bags(s * h, rng) for k, s in shown.items()})


@dataclass(frozen=True)
class Patients:
    """Event time, end of follow-up, and bags of each block, shape (n, BAG, WIDTH)."""

    event_time: Floats
    end: Floats
    bags: Mapping[str, Floats]

    @property
    def time(self) -> Floats:
        return np.minimum(self.event_time, self.end)

    @property
    def event(self) -> Floats:
        return self.event_time <= self.end


SETTINGS = [
    Setting(100, "weak", 0.5),
    Setting(200, "weak", 0.25),
    Setting(100, "strong", 0.25),
    Setting(200, "strong", 0.5),
]


def bags(signal: Floats, rng: np.random.Generator) -> Floats:
    """Bags of which half are marked, and show the signal in six of their numbers."""
    n = len(signal)
    marked = (np.arange(BAG) < BAG // 2).astype(float)
    direction = np.r_[0.0, np.full(6, 6**-0.5), np.zeros(WIDTH - 7)]
    own = signal[:, None] * direction + rng.normal(scale=0.8, size=(n, WIDTH))
    found = rng.normal(size=(n, BAG, WIDTH)) + marked[:, None] * own[:, None]
    found[..., 0] += 2 * marked
    return found.astype(np.float32)


def study_of(folder: Path, seed: int, horizons: tuple[float, ...]) -> Study:
    """The study file of a cohort: everything that it does not say is as `outcome run` has it."""
    (folder / "features").mkdir(exist_ok=True)
    for name in ("reports.csv", "cohort.csv"):
        (folder / name).touch()
    return Study.parse(
        {
            "name": "simulated",
            "cohort": "cohort.csv",
            "endpoint": {
                "kind": "survival", "time": "time", "event": "event", "unit": "years",
                "horizons": list(horizons),
            },
            "embeddings": {"patches": "features", "reports": "reports.csv"},
            "split": {"seed": seed},
        },
        folder=folder,
    )  # fmt: skip


@dataclass(frozen=True)
class Stack:
    """Networks of the same inputs, trained side by side: parameters have a leading dimension."""

    parameters: dict[str, Tensor]
    spread: dict[str, Tensor]
    inputs: tuple[str, ...]

    @classmethod
    def of(cls, networks: list[OutcomeNetwork], inputs: tuple[str, ...]) -> Stack:
        states = [n.state_dict() for n in networks]
        joined = {k: torch.stack([s[k] for s in states]) for k in states[0]}
        spread = {k: v for k, v in joined.items() if k.startswith(("mean_", "gain_"))}
        learned = {k: v for k, v in joined.items() if k not in spread and "absent" not in k}
        return cls(learned, spread, inputs)

    def take(self, rows: list[int]) -> Stack:
        return Stack(
            {k: v[rows] for k, v in self.parameters.items()},
            {k: v[rows] for k, v in self.spread.items()},
            self.inputs,
        )

    def __call__(self, x: Mapping[str, Tensor]) -> Tensor:
        """Raw outputs, shape (networks, patients), of bags (networks, patients, BAG, WIDTH)."""
        p, parts = self.parameters, []
        for name in self.inputs:
            shape = x[name].shape
            flat = x[name].reshape(shape[0], -1, WIDTH)
            branch = {
                k: torch.baddbmm(
                    p[f"pools.{name}.{k}.bias"][:, None], flat,
                    p[f"pools.{name}.{k}.weight"].transpose(1, 2),
                )
                for k in ("content", "gate")
            }  # fmt: skip
            gated = torch.tanh(branch["content"]) * torch.sigmoid(branch["gate"])
            scores = gated @ p[f"pools.{name}.score.weight"].transpose(1, 2)
            weights = torch.softmax(scores.reshape(*shape[:3], 1), 2)
            pooled = (weights * x[name]).sum(2)
            mean, gain = self.spread[f"mean_{name}"], self.spread[f"gain_{name}"]
            parts.append((pooled - mean[:, None]) * gain[:, None])
        vectors = torch.cat(parts, 2)
        return (vectors * p["readout.weight"]).sum(2) + p["readout.bias"]


@dataclass(frozen=True)
class Task:
    """One network: its arm, outer fold, inner model, and the rows of its patients."""

    arm: str
    fold: int
    inner: int
    train: Floats
    tune: Floats
    seed: int


def trained(
    tasks: list[Task],
    blocks: Mapping[str, tuple[str, ...]],
    x: Mapping[tuple[str, int], Tensor],
    time_: Tensor,
    event: Tensor,
    settings: Training,
) -> tuple[list[Stack], Tensor]:
    """Train all networks as `fit_network` does: weights and tune outputs after every epoch.

    Parameters
    ----------
    tasks : list of Task
    blocks : mapping of arm to tuple of str
        What stands for the image, and the report.
    x : mapping of (block, fold) to Tensor, shape (patients, BAG, WIDTH)
        As projected in the fold.
    time_, event : Tensor
    settings : Training
    """
    inputs = ("image", "report")[: len(blocks[tasks[0].arm])]
    stack = Stack.of([_start(t, blocks, x, inputs, settings) for t in tasks], inputs)
    keys = {key: k for k, key in enumerate(x)}
    everything = torch.stack(list(x.values()))
    source = [
        torch.tensor([keys[blocks[t.arm][i], t.fold] for t in tasks]) for i in range(len(inputs))
    ]

    def vectors(rows: Tensor) -> dict[str, Tensor]:
        return {name: everything[source[i][:, None], rows] for i, name in enumerate(inputs)}

    parameters = stack.parameters
    first = {k: torch.zeros_like(v) for k, v in parameters.items()}
    second = {k: torch.zeros_like(v) for k, v in parameters.items()}
    steps = torch.zeros(len(tasks))
    orders = {t.seed: np.random.default_rng(t.seed) for t in tasks}
    tune, _ = _padded([t.tune for t in tasks])
    watched = vectors(tune)
    states, outputs = [], []
    for _ in range(settings.epochs):
        drawn: dict[tuple[int, int], list[list[int]]] = {}
        for t in tasks:  # arms share the order of patients
            if (t.seed, len(t.train)) not in drawn:
                drawn[t.seed, len(t.train)] = batches(
                    orders[t.seed].permutation(len(t.train)), settings.batch_size
                )
        cut = [drawn[t.seed, len(t.train)] for t in tasks]
        for k in range(len(cut[0])):
            rows, there = _padded([t.train[c[k]] for t, c in zip(tasks, cut, strict=True)])
            for v in parameters.values():
                v.requires_grad_(True)
            loss, usable = cox(stack(vectors(rows)), time_[rows], event[rows], there)
            gradients = torch.autograd.grad(loss.sum(), list(parameters.values()))
            square = sum((g.flatten(1) ** 2).sum(1) for g in gradients)
            scale = (1 / (square.sqrt() + 1e-6)).clamp(max=1)
            steps += usable
            with torch.no_grad():
                for (name, v), g in zip(parameters.items(), gradients, strict=True):
                    shape = (-1,) + (1,) * (v.dim() - 1)
                    on, t = usable.view(shape), steps.view(shape).clamp(min=1)
                    g = g * scale.view(shape)
                    m, s = first[name], second[name]
                    m.copy_(torch.where(on, m.lerp(g, 0.1), m))
                    s.copy_(torch.where(on, 0.999 * s + 0.001 * g * g, s))
                    rate = settings.learning_rate
                    step = rate / (1 - 0.9**t) * m / (s.sqrt() / (1 - 0.999**t).sqrt() + 1e-8)
                    v.copy_(torch.where(on, v * (1 - rate * settings.weight_decay) - step, v))
        with torch.no_grad():
            state = {k: v.detach().clone() for k, v in parameters.items()}
            states.append(Stack(state, stack.spread, inputs))
            outputs.append(states[-1](watched).double())
    return states, torch.stack(outputs)


def _start(
    task: Task,
    blocks: Mapping[str, tuple[str, ...]],
    x: Mapping[tuple[str, int], Tensor],
    inputs: tuple[str, ...],
    settings: Training,
) -> OutcomeNetwork:
    spread = {}
    for name, block in zip(inputs, blocks[task.arm], strict=True):
        seen = x[block, task.fold][torch.from_numpy(task.train)]
        means, errors = seen.mean(1), seen.var(1) / BAG  # as `outcome.models.network.moments`
        spread[name] = Spread.of(torch.stack([means, errors], 1).double())
    with torch.random.fork_rng():
        torch.manual_seed(task.seed)  # noqa: TID251 - inside fork_rng, as the trainer does
        return build(
            dict.fromkeys(inputs, WIDTH), settings, Member(inputs, "attention"), 0.0, spread
        )


def _padded(rows: list[Floats]) -> tuple[Tensor, Tensor]:
    most = max(len(r) for r in rows)
    joined = torch.zeros(len(rows), most, dtype=torch.long)
    there = torch.zeros(len(rows), most, dtype=torch.bool)
    for k, r in enumerate(rows):
        joined[k, : len(r)] = torch.from_numpy(r)
        there[k, : len(r)] = True
    return joined, there


def cox(raw: Tensor, time_: Tensor, event: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Cox loss per row, for times without ties; and whether there is an event."""
    order = torch.where(there, time_, -1.0).argsort(1, descending=True)
    event = (event & there).gather(1, order)
    raw = raw.double().gather(1, order)
    gain = ((raw - raw.logcumsumexp(1)) * event).sum(1)
    count = event.sum(1)
    return -gain / count.clamp(min=1), count > 0


def chosen_epoch(raw: list[Tensor], time_: list[Tensor], event: list[Tensor]) -> int:
    """Place of the epoch with the least loss: `epoch_losses`, all epochs at once.

    The loss is convex in the slope, so that thirds of its range can be left out in turn.
    """
    epochs = len(raw[0])
    parts = []
    for r, t, e in zip(raw, time_, event, strict=True):
        order = t.argsort(descending=True)
        parts.append(((r - r.mean(1, keepdim=True))[:, order], e[order]))

    def loss(slope: Tensor) -> Tensor:
        total = torch.zeros(epochs, dtype=torch.float64)
        for r, e in parts:
            scaled = slope[:, None] * r
            total -= ((scaled - scaled.logcumsumexp(1)) * e).sum(1)
        return total

    low, high = torch.zeros(epochs).double(), torch.full((epochs,), 3.0).double()
    for _ in range(18):
        left, right = (2 * low + high) / 3, (low + 2 * high) / 3
        less = loss(left) < loss(right)
        low, high = torch.where(less, low, left), torch.where(less, right, high)
    return int(loss((low + high) / 2).argmin())


@dataclass(frozen=True)
class Cohort:
    """A simulated cohort as the pipeline divides it."""

    known: Patients
    new: Patients
    study: Study
    data: StudyData
    ids: list[str]

    def rows(self, patients: tuple[str, ...]) -> Floats:
        return np.array([int(p[1:]) for p in patients])


ARMS = {"A": ("A",), "B": ("B",), "N": ("N",), "N'": ("N'",), "AB": ("A", "B"), "AN": ("A", "N'")}


def drawn(setting: Setting, seed: int, folder: Path) -> Cohort:
    rng = np.random.default_rng([29, SETTINGS.index(setting), seed])
    known, new = setting.patients(setting.n, rng), setting.patients(FRESH, rng)
    horizons = tuple(round(share * setting.end, 3) for share in (0.25, 0.5, 0.75))
    ids = [f"p{i:04d}" for i in range(setting.n)]
    frame = pd.DataFrame({"patient_id": ids, "slide_id": ids, "time": known.time})
    frame["event"] = known.event.astype(int)
    study, problems = study_of(folder, seed, horizons), Problems("simulated")
    cohort = read_cohort(study, problems, frame)
    folds = make_folds(cohort, study.split, problems)
    problems.raise_if_any(ValueError)
    data = StudyData(cohort, tuple(folds), PackedStore(folder), {}, None, {}, ())
    return Cohort(known, new, study, data, ids)


def projected(c: Cohort) -> tuple[dict, dict]:
    """Vectors of the patients and of new ones, by block and outer fold."""
    x, fresh = {}, {}
    for block, values in c.known.bags.items():
        every, new = torch.from_numpy(values), torch.from_numpy(c.new.bags[block])
        for k, fold in enumerate(c.data.folds):
            development = every[torch.from_numpy(c.rows(fold.development))]
            projection = Projection.fit(iter(development), c.study.training.components)
            x[block, k] = projection(every.reshape(-1, WIDTH)).reshape(every.shape)
            fresh[block, k] = (projection, new)
    return x, fresh


def cross_fitted(c: Cohort) -> dict[str, list[tuple[ArmFold, Floats]]]:
    """Every arm in every outer fold, and the risk of new patients by its models."""
    x, fresh = projected(c)
    settings, grid = c.study.training, Grid(c.study, c.data, Path(), "cpu")
    time_ = torch.tensor(c.data.cohort.patients["time"].to_numpy(dtype=float))
    event = torch.from_numpy(c.known.event)
    found: dict[str, list[tuple[ArmFold, Floats]]] = {}
    for n_inputs in (1, 2):
        blocks = {a: b for a, b in ARMS.items() if len(b) == n_inputs}
        tasks = [
            Task(arm, k, a, c.rows(i.train), c.rows(i.tune), fit_seed(settings, fold, i))
            for arm in blocks
            for k, fold in enumerate(c.data.folds)
            for a, i in enumerate(fold.inner)
        ]
        states, outputs = trained(tasks, blocks, x, time_, event, settings)
        for arm, parts in blocks.items():
            for k, fold in enumerate(c.data.folds):
                own = [s for s, t in enumerate(tasks) if t.arm == arm and t.fold == k]
                tune = [torch.from_numpy(tasks[s].tune) for s in own]
                raw = [outputs[:, s, : len(t)] for s, t in zip(own, tune, strict=True)]
                epoch = settings.epochs // 2 - 1
                if not (few := few_events(grid, fold)):
                    epoch = chosen_epoch(raw, [time_[t] for t in tune], [event[t] for t in tune])
                networks = states[epoch].take(own)

                def outputs_of(block_x: list[Tensor], networks: Stack = networks) -> Floats:
                    given = {n: v[None].expand(len(networks.parameters["readout.bias"]), *v.shape)
                             for n, v in zip(networks.inputs, block_x, strict=True)}  # fmt: skip
                    with torch.no_grad():
                        return networks(given).double().numpy()

                test = outputs_of([x[b, k][torch.from_numpy(c.rows(fold.test))] for b in parts])
                centred, by_inner = combine([r[epoch].numpy() for r in raw], list(test))
                scores = MemberScores(centred, by_inner, pd.DataFrame(), epochs=epoch + 1)
                one = Arm(name=arm, inputs=("image", "report")[:n_inputs])
                tested = predict_arm_fold(c.study, c.data, fold, one, [scores], few=few)
                level = np.mean([float(r[epoch].mean()) for r in raw])
                projection = [fresh[b, k] for b in parts]
                new = outputs_of([p(v.reshape(-1, WIDTH)).reshape(v.shape) for p, v in projection])
                found.setdefault(arm, []).append((tested, new.mean(0) - level))
    return found


def truth_of(
    folds: list[tuple[ArmFold, Floats]], new: Patients, horizons: tuple[float, ...], tau: float
) -> dict[str, float]:
    """Mean performance of the models of the outer folds on new patients."""
    rows, at, none = [], horizons[1], np.full(FRESH, "")
    t = new.event_time
    for fold, risk in folds:
        briers = [
            float(np.mean((fold.calibration.survival(risk, none, h) - (t > h)) ** 2))
            for h in horizons
        ]
        rows.append(
            (
                pairs_agreeing(new.time, new.event, risk),
                pairs_agreeing(t, t <= tau, risk),
                roc_area(risk, t <= at, t > at).area,
                briers[1],
                float(np.array(briers) @ shares(horizons)),
            )
        )
    return dict(zip(METRICS, np.mean(rows, axis=0).tolist(), strict=True))


def pairs_agreeing(time_: Floats, event: Floats, risk: Floats) -> float:
    """C without ties, in much less time than its influence values take."""
    agree = comparable = 0
    for i in np.array_split(np.flatnonzero(event), 20):
        later = time_[i][:, None] < time_
        comparable += np.count_nonzero(later)
        agree += np.count_nonzero(later & (risk[i][:, None] > risk))
    return agree / comparable


def shares(horizons: tuple[float, ...]) -> Floats:
    """Weights of the trapezoid mean over the horizons."""
    width = np.diff(horizons) / (horizons[-1] - horizons[0])
    return (np.append(width, 0.0) + np.append(0.0, width)) / 2


def one_cohort(setting: Setting, seed: int) -> list[dict[str, object]]:
    """Rows of arm or pair, metric and method: covered, rejected, better, width."""
    started = time.process_time()
    with TemporaryDirectory() as scratch:
        c = drawn(setting, seed, Path(scratch))
    found = cross_fitted(c)
    tested = [f for part in found.values() for f, _ in part]
    predictions = Predictions(joined_predictions(tested, c.data))
    inner = pd.concat([f.inner_scores for f in tested], ignore_index=True)
    splits = splits_table(c.data.folds, c.data.cohort)
    about = {"setting": setting.name, "cohort": seed, "inner": len(c.data.folds[0].inner)}
    rows = judged(predictions, inner, splits, found, c.new, c.study.endpoint.horizons, about)
    spent = round(time.process_time() - started, 1)
    return [row | {"seconds": spent} for row in rows]


def judged(
    predictions: Predictions,
    inner: pd.DataFrame,
    splits: pd.DataFrame,
    found: Mapping[str, list[tuple[ArmFold, Floats]]],
    new: Patients,
    horizons: tuple[float, ...],
    about: dict[str, object],
) -> list[dict[str, object]]:
    panel, arms = read_arms(predictions)
    weights = censoring_weights(arms, horizons, cross_validated=True)
    truth = {a: truth_of(part, new, horizons, weights.tau) for a, part in found.items()}
    scores = read_inner_scores(inner, splits, panel)

    def measured(arm: ArmScores) -> dict[str, CrossfitEstimate]:
        def one(metric) -> CrossfitEstimate:
            return crossfit_estimate(panel, arm, metric, scores[arm.name])

        briers = [one(brier_at_horizon(weights, h)) for h in horizons]
        return {
            "harrell_c": one(harrell_in_fold),
            "uno_c": one(uno_in_fold(weights)),
            "auc": one(area_at_horizon(weights, horizons[1])),
            "brier": briers[1],
            "ibs": weighted_sum(briers, list(shares(horizons))),
        }

    estimates = {a.name: measured(a) for a in arms}
    old = evaluate(
        predictions, horizons=horizons, contrasts=list(PAIRS.values()), unit="years",
        n_resamples=RESAMPLES,
    )  # fmt: skip
    old_arms = old.metrics.set_index(["arm", "metric"])
    old_pairs = old.comparisons.set_index(["arm", "baseline", "metric"])
    name = {m: m for m in METRICS} | {
        "auc": f"auc_{horizons[1]:g}",
        "brier": f"brier_{horizons[1]:g}",
    }
    rows = []
    for metric in METRICS:
        lower_is_better = metric in ("brier", "ibs")
        for arm, by_metric in estimates.items():
            e, before = by_metric[metric], old_arms.loc[(arm, name[metric])]
            part = about | {"what": arm, "metric": metric, "truth": truth[arm][metric]}
            part |= {"estimate": e.value, "v0": e.found.v0 if e.found else np.nan}
            part |= {"j": e.found.j if e.found else np.nan}
            fixed = (before["lower_fixed"], before["upper_fixed"])
            limits = {"fixed": fixed, "new": e.interval()}
            rows += [part | _covered(m, ci, truth[arm][metric]) for m, ci in limits.items()]
        for what, (first, second) in PAIRS.items():
            e = crossfit_difference(estimates[first][metric], estimates[second][metric])
            before = old_pairs.loc[(first, second, name[metric])]
            true = truth[first][metric] - truth[second][metric]
            part = about | {"what": what, "metric": metric, "truth": true, "estimate": e.value}
            part |= {k: getattr(e.found, k, np.nan) for k in ("v0", "j", "q")}
            better = (e.value > 0) != lower_is_better
            for method, ci, p in (
                (
                    "fixed",
                    (before["lower_fixed"], before["upper_fixed"]),
                    before["p_value_fixed"],
                ),
                ("new", e.interval(), e.p_value),
            ):
                row = part | _covered(method, ci, true)
                rows.append(row | {"p": p, "rejected": p < 0.05, "better": p < 0.05 and better})
    return rows


def _covered(method: str, ci: tuple[float, float], truth: float) -> dict[str, object]:
    known = bool(np.isfinite(ci[0]))
    covered = float(ci[0] <= truth <= ci[1]) if known else np.nan
    return {"method": method, "covered": covered, "width": ci[1] - ci[0]}


def check() -> None:
    """Compare the networks of one outer fold with those of the library."""
    with TemporaryDirectory() as scratch:
        c = drawn(SETTINGS[2], 0, Path(scratch))
    x, _ = projected(c)
    settings, fold = c.study.training, c.data.folds[0]
    time_ = torch.tensor(c.data.cohort.patients["time"].to_numpy(dtype=float))
    event = torch.from_numpy(c.known.event)
    for arm in ("A", "AN"):
        blocks = {arm: ARMS[arm]}
        inputs = ("image", "report")[: len(ARMS[arm])]
        tasks = [
            Task(arm, 0, a, c.rows(i.train), c.rows(i.tune), fit_seed(settings, fold, i))
            for a, i in enumerate(fold.inner)
        ]
        _, outputs = trained(tasks, blocks, x, time_, event, settings)
        raw = []
        for task in tasks:
            train, tune = (
                SeenPatients(
                    {
                        name: list(x[block, 0][torch.from_numpy(rows)])
                        for name, block in zip(inputs, ARMS[arm], strict=True)
                    },
                    Target(time_[torch.from_numpy(rows)], event[torch.from_numpy(rows)]),
                )
                for rows in (task.train, task.tune)
            )
            fit = fit_network(
                train, tune, CoxHead(), settings, Member(inputs, "attention"), seed=task.seed,
                device=torch.device("cpu"),
            )  # fmt: skip
            raw.append(fit.tune_raw)
            mine = outputs[:, task.inner, : len(task.tune)].numpy()
            apart = (mine - mine.mean(1, keepdims=True)) - (
                fit.tune_raw - fit.tune_raw.mean(1, keepdims=True)
            )
            print(f"{arm}, inner model {task.inner}: outputs differ by at most {abs(apart).max()}")
        rows = [torch.from_numpy(t.tune) for t in tasks]
        losses = epoch_losses(raw, [Target(time_[r], event[r]) for r in rows], CoxHead())
        mine = chosen_epoch(
            [torch.from_numpy(r) for r in raw], [time_[r] for r in rows], [event[r] for r in rows]
        )
        print(f"{arm}: epoch {losses.argmin() + 1} there, {mine + 1} here")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path, nargs="?", default=Path("found.csv"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=0, help="number of the first cohort")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.check:
        check()
        return
    if asked.report:
        report(pd.read_csv(asked.table))
        return
    stop = time.monotonic() + 60 * asked.minutes
    seed = asked.first
    if asked.table.is_file():
        seed = int(pd.read_csv(asked.table, usecols=["cohort"])["cohort"].max()) + 1
    while time.monotonic() < stop:
        for setting in SETTINGS:
            if time.monotonic() >= stop:
                break
            rows = pd.DataFrame(one_cohort(setting, seed)).reindex(columns=COLUMNS)
            rows.to_csv(asked.table, mode="a", header=not asked.table.is_file(), index=False)
        seed += 1


COLUMNS = [
    "setting", "cohort", "inner", "seconds", "what", "metric", "method", "truth", "estimate", "v0",
    "j", "q", "covered", "width", "p", "rejected", "better",
]  # fmt: skip


def report(found: pd.DataFrame) -> None:
    counts = found.groupby("setting", sort=False)["cohort"].nunique()
    print("; ".join(f"{name}: {count} cohorts" for name, count in counts.items()), "\n")
    print(markdown(summary(found, ["metric"])), "\n")
    print(markdown(summary(found[found["metric"] == "harrell_c"], ["setting"])))


def summary(found: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Per cent, with the Monte-Carlo standard error of rates of cohorts."""
    rows = []
    for key, part in found.groupby([*by, "method"], sort=False):
        what = dict(iter(part.groupby("what")))
        arms = pd.concat([what[k] for k in ("A", "B", "AN", "AB")])
        noise = pd.concat([what[k] for k in ("N", "N'")])
        pairs = pd.concat([what[k] for k in PAIRS])
        shown = {
            "arm covered": arms["covered"], "noise arm covered": noise["covered"],
            "differences covered": pairs["covered"],
            "noise = noise rejected": what["noise"]["rejected"],
            "equal arms rejected": what["equal"]["rejected"],
            "noise input called better": what["nested"]["better"],
            "real gain found": what["gain"]["better"],
        }  # fmt: skip
        cells = {k: _rate(v, part.loc[v.index, ["setting", "cohort"]]) for k, v in shown.items()}
        width = round(float(arms["width"].mean()), 3)
        rows.append(dict(zip([*by, "method"], key, strict=True)) | cells | {"width": width})
    return pd.DataFrame(rows)


def _rate(values: pd.Series, cohort: pd.DataFrame) -> str:
    """Give a mean over cohorts, and its standard error: arms of one cohort are not independent."""
    keys = [cohort["setting"], cohort["cohort"]]
    means = values.astype(float).groupby(keys).mean().dropna()
    return f"{100 * means.mean():.1f} ({100 * means.std() / len(means) ** 0.5:.1f})"


if __name__ == "__main__":
    main()
