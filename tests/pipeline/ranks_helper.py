"""A step and a short training by several processes, started by torchrun: leaves what each has."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from outcome.models.heads import CoxHead, Target
from outcome.study import Training
from outcome.training.arm_members import Member
from outcome.training.batching import Patients
from outcome.training.data_parallel import Ranks
from outcome.training.trainer import back_propagate, build, fit_network

CPU = torch.device("cpu")


def patients() -> Patients:
    """Nine bags of very different sizes, two strata, tied times, one patient without an image."""
    generator = torch.Generator().manual_seed(3)
    sizes = (5, 40, 1, 17, 30, 9, 22, 3)
    bags = [torch.randn(n, 8, generator=generator) for n in sizes]
    reports = [torch.randn(3, 4, generator=generator) for _ in range(9)]
    time = torch.tensor([3.0, 1, 4, 1, 5, 9, 2, 6, 5]).double()
    event = torch.tensor([True, False, True] * 3)
    strata = torch.tensor([0, 0, 1, 0, 1, 1, 0, 0, 1])
    return Patients({"image": [*bags, None], "report": reports}, Target(time, event, strata))


def step(aggregator: str) -> dict[str, Any]:
    """Gradient of the whole cohort's loss, and the outputs of a short training."""
    settings, member = Training(epochs=3, batch_size="all"), Member(("image", "report"), aggregator)
    cohort = patients()
    network = build(cohort.dimensions, settings, member)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    mine = Ranks.current().share([len(b) if b is not None else 0 for b in cohort.bags["image"]])
    back_propagate(network, cohort, mine, CoxHead(), CPU)
    without = [p.grad is None for p in network.parameters()]
    slopes = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
    found = torch.cat([slope.flatten() for slope in slopes])
    trained = fit_network(cohort, cohort, CoxHead(), settings, member, seed=1, device=CPU)
    return {"gradient": found, "without": without, "raw": torch.from_numpy(trained.tune_raw)}


if __name__ == "__main__":
    with Ranks.joined() if "RANK" in os.environ else nullcontext(Ranks()) as ranks:
        result = {name: step(name) for name in ("attention", "abmil", "transformer", "prototypes")}
        torch.save(result, Path(sys.argv[1]) / f"{ranks.rank} of {ranks.world}.pt")
