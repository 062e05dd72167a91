"""Training speed beside a plain per-bag loop and torchmil: same cohort, same network, same labels.

    pip install torchmil && python tests/benchmarks/speed.py FOLDER [--rounds 6] [--threads 1]

Gated attention 1024-512-384, label "event within the median time", AdamW. Peers take one step per
bag, from one HDF5 file per bag (plain loops) or from torchmil's folder of numpy files; ours takes
a step per 8 bags from its mapped vectors. Everything is read once before the clock starts, so all
contenders read from a warm disk cache. The contenders take turns, one epoch each per round, in one
process. bfloat16 is left out where the processor does not compute in it.

Two clocks: processor time (which other users of a machine disturb least) and wall clock.
Last, the C-index on the held-out half, of the survival times.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import torch
from speed_cohort import make
from torch import nn

import outcome
from outcome.dataset.study_data import prepare
from outcome.models.heads import CoxHead, Head, LogisticHead, Target
from outcome.statistics.concordance import harrell
from outcome.training.arm_members import Member
from outcome.training.batching import Patients
from outcome.training.optimizer import ClippedAdamW
from outcome.training.precision import computes_bfloat16
from outcome.training.projection import development_vectors, test_vectors
from outcome.training.trainer import build, one_epoch, predict

CPU = torch.device("cpu")
WIDTHS = {"embedding": 512, "attention_width": 384}
RATE = 2e-4


@dataclass
class Contender:
    """One way to train, and what was measured."""

    name: str
    epoch: Callable[[], None]
    scores: Callable[[], np.ndarray]
    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


class PlainNetwork(nn.Module):
    """As in a tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(1024, 512), nn.ReLU())
        self.content = nn.Sequential(nn.Linear(512, 384), nn.Tanh())
        self.gate = nn.Sequential(nn.Linear(512, 384), nn.Sigmoid())
        self.score = nn.Linear(384, 1)
        self.readout = nn.Linear(512, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.embed(x)
        weights = torch.softmax(self.score(self.content(hidden) * self.gate(hidden)).float(), 0)
        return self.readout(weights.T @ hidden.float()).squeeze()


def plain(name: str, files: list[Path], train: list[int], test: list[int], label, low: bool):
    """One step per bag, each bag read from its HDF5 file."""
    network = PlainNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    order = np.random.default_rng(0)

    def read(i: int) -> torch.Tensor:
        with h5py.File(files[i]) as file:
            return torch.from_numpy(file["features"][()]).float()

    def epoch() -> None:
        network.train()
        for i in order.permutation(train):
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                logit = network(read(i))
            loss = nn.functional.binary_cross_entropy_with_logits(logit.float(), label[i].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def scores() -> np.ndarray:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            return np.array([float(network(read(i))) for i in test])

    return Contender(name, epoch, scores)


def torchmil(files: list[Path], train: list[int], test: list[int], label, folder: Path):
    """Its data set, collation, model and training step, with its default of float32."""
    from torchmil.data import collate_fn
    from torchmil.datasets import ProcessedMILDataset
    from torchmil.models import ABMIL

    for i, path in enumerate(files):
        for kind in ("features", "labels"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        with h5py.File(path) as file:
            np.save(folder / "features" / f"{path.stem}.npy", file["features"][()].astype("f4"))
        np.save(folder / "labels" / f"{path.stem}.npy", np.array([int(label[i])]))

    def loader(rows: list[int], shuffle: bool):
        names = [files[i].stem for i in rows]
        found = ProcessedMILDataset(
            str(folder / "features"), str(folder / "labels"), bag_names=names,
            bag_keys=["X", "Y"],
        )  # fmt: skip
        return torch.utils.data.DataLoader(
            found, batch_size=1, shuffle=shuffle, collate_fn=collate_fn
        )

    embed = nn.Sequential(nn.Linear(1024, 512), nn.ReLU())
    model = ABMIL(in_shape=(1024,), att_dim=384, gated=True, feat_ext=embed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    batches, held_out = loader(train, True), loader(test, False)

    def epoch() -> None:
        model.train()
        for batch in batches:
            _, losses = model.compute_loss(batch["Y"].flatten(), batch["X"], batch["mask"])
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()

    def scores() -> np.ndarray:
        with torch.no_grad():
            return np.array([float(model(b["X"], b["mask"])) for b in held_out])

    return Contender("torchmil, float32", epoch, scores)


def ours(
    name: str,
    study,
    study_data,
    train,
    test,
    target: Target,
    head: Head,
    low: bool,
    scratch: Path,
    bags: int = 8,
):
    """A step per so many bags of `outcome.training.trainer`, on vectors that it maps from disk."""
    patients = list(study_data.cohort.patients.index)
    settings = study.training.model_copy(
        update={"components": 0, "batch_size": bags, "dropout": 0.0}
        | {"learning_rate": RATE if bags == 1 else 2 * RATE}
        | {"precision": "bfloat16" if low else "float32"}
    )
    learned = [patients[i] for i in train]
    projection, vectors = development_vectors(
        study_data, "image", learned, components=0, low_precision=low, scratch=scratch
    )
    others = [patients[i] for i in test]
    far = test_vectors(study_data, "image", others, projection, low_precision=low, scratch=scratch)
    seen = Patients({"image": vectors.of(learned)}, target[torch.tensor(train)])
    held_out = Patients({"image": far.of(others)}, target[torch.tensor(test)])
    member = Member(("image",), "abmil", options=tuple(WIDTHS.items()))
    network = build(seen.dimensions, settings, member, head.start(seen.target))
    optimizer = ClippedAdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    order = np.random.default_rng(0)
    return Contender(
        name,
        lambda: float(one_epoch(network, optimizer, seen, head, settings, order, CPU)) and None,
        lambda: predict(network, held_out, CPU),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--patches", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)  # noqa: TID251
    path = make(
        asked.folder / f"cohort-{asked.slides}-{asked.patches}", asked.slides, asked.patches
    )
    study = outcome.Study.read(path)
    study_data = prepare(study, asked.folder / "cache")
    table = study_data.cohort.patients
    files = sorted((path.parent / "features").iterdir())
    train, test = list(range(0, asked.slides, 2)), list(range(1, asked.slides, 2))
    time_, event = table["time"].to_numpy(float), table["event"].to_numpy(int)
    label = torch.tensor((time_ <= np.median(time_)) & (event == 1))
    binary = Target(None, label)
    cox = Target(torch.tensor(time_), torch.tensor(event == 1))
    scratch = asked.folder / "projected"
    args = (study, study_data, train, test)
    contenders = [
        torchmil(files, train, test, label, asked.folder / f"torchmil-{asked.slides}"),
        plain("plain loop, float32", files, train, test, label, False),
        ours("outcome, float32", *args, binary, LogisticHead(), False, scratch),
    ]
    if computes_bfloat16("cpu"):
        contenders += [
            plain("plain loop, bfloat16", files, train, test, label, True),
            ours("outcome, bfloat16", *args, binary, LogisticHead(), True, scratch),
            ours("outcome, bfloat16, Cox", *args, cox, CoxHead(), True, scratch),
            ours(
                "outcome, bfloat16, a step per bag",
                *(*args, binary, LogisticHead(), True, scratch, 1),
            ),
        ]
    else:
        print("bfloat16 left out: this processor does not compute in it")
    for one in contenders:
        one.epoch()  # the first epoch makes what is made once, and warms the disk cache
    for _ in range(asked.rounds):
        for one in contenders:
            wall, spent = time.perf_counter(), time.process_time()
            one.epoch()
            one.processor.append(time.process_time() - spent)
            one.wall.append(time.perf_counter() - wall)
    patches = len(train) * asked.patches
    print(f"processor: {processor()}; load {Path('/proc/loadavg').read_text().strip()}")
    print(f"matrix product: {products()}")
    print("| | patches/s (processor time) | times torchmil: processor time | wall clock | C |")
    print("|---|---|---|---|---|")
    for one in contenders:
        columns = [f"{patches / statistics.median(one.processor):,.0f}"]
        for clock in ("processor", "wall"):
            pairs = zip(getattr(contenders[0], clock), getattr(one, clock), strict=True)
            ratios = sorted(a / b for a, b in pairs)
            middle = statistics.median(ratios)
            columns.append(f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
        c = harrell(time_[test], event[test] == 1, one.scores())
        print(f"| {one.name} | {' | '.join(columns)} | {c.c:.3f} |")


def processor() -> str:
    """Name of the processor, and the instructions that torch uses."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown'}, {torch.backends.cpu.get_cpu_capability()}"


def products() -> str:
    """GFLOP/s of a product 3000 x 1024 x 512, by processor time of one thread."""
    found = []
    kinds = (torch.float32, torch.bfloat16) if computes_bfloat16("cpu") else (torch.float32,)
    for kind in kinds:
        a, b = torch.randn(3000, 1024).to(kind), torch.randn(1024, 512).to(kind)
        a @ b
        rates = []
        for _ in range(20):
            start = time.process_time()
            a @ b
            rates.append(2 * 3000 * 1024 * 512 / (time.process_time() - start) / 1e9)
        found.append(f"{kind} {statistics.median(rates):.0f} GFLOP/s per thread")
    return ", ".join(found)


if __name__ == "__main__":
    main()
