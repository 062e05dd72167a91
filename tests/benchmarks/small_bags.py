"""Training on small bags inside `outcome.run`, beside a plain dense PyTorch loop of the same steps.

    python tests/benchmarks/small_bags.py FOLDER [--case embeddings] [--case chunks]

Two cohorts: 1,000 patients with one vector of 768 numbers (embeddings of whole slides), and 750
patients with 8 vectors of 512. A run of 25 fits x 40 epochs with `jobs=1` is timed by its own
reports of progress. The plain loop is what one would write by hand for such data: all patients in
one dense tensor of the same principal components, the same folds and batches, gated attention over
the second axis (none for one vector), Breslow's Cox loss, clipping, AdamW, held-out loss after
every epoch, weights kept. Both run in this process, on one thread. All times are processor time.
"""

import argparse
import copy
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
import yaml
from speed import processor
from torch import Tensor, nn

import outcome
from outcome.dataset.study_data import prepare
from outcome.training.batching import batches

EFFECT = 1.0


@dataclass(frozen=True)
class Case:
    """A cohort, and how many times the plain loop training may take."""

    patients: int
    vectors: int
    dimension: int
    most: float


CASES = {"embeddings": Case(1000, 1, 768, 1.5), "chunks": Case(750, 8, 512, 2.0)}


def make(folder: Path, case: Case) -> outcome.Study:
    """Write the cohort once, one slide per patient."""
    rng = np.random.default_rng(case.patients)
    hazard = rng.normal(size=case.patients)
    names = [f"p{i:04d}" for i in range(case.patients)]
    features = folder / "features"
    if not features.is_dir():
        features.mkdir(parents=True)
        low = rng.normal(size=(40, case.dimension))
        for name, h in zip(names, hazard, strict=True):
            x = rng.normal(size=(case.vectors, 40)) @ low + h * low[0]
            x += rng.normal(size=(case.vectors, case.dimension))
            with h5py.File(features / f"{name}.h5", "w") as file:
                file.create_dataset("features", data=x.astype(np.float16))
                file["coords"] = rng.integers(0, 50_000, size=(case.vectors, 2))
    rng = np.random.default_rng(case.patients + 1)  # the same whether features were there or not
    days = rng.exponential(1000 * np.exp(-EFFECT * hazard))
    limit = rng.uniform(300, 3000, size=case.patients)
    table = {
        "patient_id": names,
        "slide_id": names,
        "days": np.minimum(days, limit).round(1) + 1,
        "event": (days <= limit).astype(int),
    }
    pd.DataFrame(table).to_csv(folder / "cohort.csv", index=False)
    study = {
        "name": "small-bags",
        "cohort": "cohort.csv",
        "endpoint": {"kind": "survival", "time": "days", "event": "event", "unit": "days"},
        "embeddings": {"patches": "features"},
        "arms": ["image"],
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return outcome.Study.read(folder / "study.yaml")


class Stages:
    """Processor time by what a run says it does."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last, self.what = time.process_time(), "reading"

    def __call__(self, what: str, done: int, total: int) -> None:
        """Count the time since the last call for what was being done until now."""
        now = time.process_time()
        self.seconds[self.what] = self.seconds.get(self.what, 0.0) + now - self.last
        self.last, self.what = now, "the rest" if done == total else what
        if what == "predicting" and done == total:
            self.what = "evaluation and report"


class Plain(nn.Module):
    """Gated attention over the second axis of a dense tensor, and a read-out."""

    def __init__(self, dimension: int, width: int = 16) -> None:
        super().__init__()
        self.content = nn.Linear(dimension, width)
        self.gate = nn.Linear(dimension, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.readout = nn.Linear(dimension, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.readout.weight)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == 1:
            return self.readout(x[:, 0]).squeeze(1)
        raw = self.score(torch.tanh(self.content(x)) * torch.sigmoid(self.gate(x)))
        return self.readout((torch.softmax(raw, 1) * x).sum(1)).squeeze(1)


def cox(raw: Tensor, days: Tensor, event: Tensor) -> Tensor:
    """Breslow's partial likelihood, as in a tutorial."""
    order = torch.argsort(days, descending=True)
    raw, event = raw[order], event[order]
    return -((raw - torch.logcumsumexp(raw, 0)) * event).sum() / event.sum()


def plain_fit(x: Tensor, days: Tensor, event: Tensor, train, tune, settings, seed: int) -> None:
    """Train as `outcome` does, with as many steps."""
    torch.manual_seed(seed)  # noqa: TID251
    network = Plain(x.shape[2])
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    order = np.random.default_rng(seed)
    held_out = x[tune]
    states, losses = [], []
    for _ in range(settings.epochs):
        network.train()
        for rows in batches(train[order.permutation(len(train))], settings.batch_size):
            chosen = torch.as_tensor(rows)
            optimizer.zero_grad()
            loss = cox(network(x[chosen]), days[chosen], event[chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        network.eval()
        with torch.no_grad():
            losses.append(float(cox(network(held_out), days[tune], event[tune])))
        states.append(copy.deepcopy(network.state_dict()))


def plain_training(study: outcome.Study, cache: Path) -> float:
    """Seconds of all fits of the run, on the same folds."""
    study_data = prepare(study, cache)
    names = list(study_data.cohort.patients.index)
    place = {name: i for i, name in enumerate(names)}
    table = study_data.cohort.patients
    days = torch.tensor(table["time"].to_numpy(float))
    event = torch.tensor(table["event"].to_numpy(float))
    x = torch.tensor(np.stack([np.array(study_data.sample(p).patches) for p in names])).float()
    flat = x.reshape(-1, x.shape[2])
    _, _, axes = torch.pca_lowrank(flat - flat.mean(0), study.training.components)
    x = (flat - flat.mean(0)) @ axes
    x = (x / x.std()).reshape(len(names), -1, x.shape[1])
    started = time.process_time()
    for fold in study_data.folds:
        for inner in fold.inner:
            train, tune = (np.array([place[p] for p in part]) for part in (inner.train, inner.tune))
            plain_fit(x, days, event, train, tune, study.training, inner.name)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--case", choices=CASES, action="append")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"processor: {processor()}; torch {torch.__version__}")
    print("| cohort | plain loop | training | times | projecting | predicting | whole run | C |")
    print("|---|---|---|---|---|---|---|---|")
    for name in asked.case or CASES:
        case = CASES[name]
        study = make(asked.folder / name, case)
        for old in ("run", "cache"):
            shutil.rmtree(asked.folder / name / old, ignore_errors=True)
        started, stages = time.process_time(), Stages()
        found = outcome.run(
            study,
            out=asked.folder / name / "run",
            cache=asked.folder / name / "cache",
            jobs=1,
            progress=stages,
        )
        whole, spent = time.process_time() - started, stages.seconds
        plain = plain_training(study, asked.folder / name / "cache")
        c = found.metrics.query("metric == 'harrell_c'")["estimate"].iloc[0]
        times = spent["training"] / plain
        print(
            f"| {case.patients} x {case.vectors} x {case.dimension} | {plain:.1f} s"
            f" | {spent['training']:.1f} s | {times:.2f} (at most {case.most})"
            f" | {spent['projecting']:.2f} s | {spent['predicting']:.1f} s | {whole:.1f} s"
            f" | {c:.3f} |",
            flush=True,
        )
        parts = ", ".join(f"{what} {seconds:.1f}" for what, seconds in spent.items())
        print(f"seconds of each part: {parts}")


if __name__ == "__main__":
    main()
