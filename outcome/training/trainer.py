"""Train one network on one set of patients and monitor it on another, independent of folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from outcome.models.aggregators import MeanPool, make_aggregator
from outcome.models.fusion import CrossAttention
from outcome.models.heads import Head, Target
from outcome.models.network import Inputs, OutcomeNetwork, Spread, moments
from outcome.study import Training
from outcome.training.arm_members import Member
from outcome.training.batching import (
    Patients,
    batches,
    fed,
    groups_of,
    inputs_of,
    placed,
    sampled,
    vectors_of,
)
from outcome.training.clinical_initialization import start_from_clinical
from outcome.training.data_parallel import Ranks
from outcome.training.optimizer import ClippedAdamW

__all__ = [
    "Epoch",
    "Trained",
    "back_propagate",
    "build",
    "fit_network",
    "pooled",
    "predict",
    "score",
]

PATCHES_AT_ONCE = 32_768
KEPT_PATCHES = 65_536
"""So many patches of a step may keep what back-propagation needs; more are computed twice."""

State = dict[str, Tensor]


@dataclass(frozen=True)
class Epoch:
    """Losses after one pass: of the training steps, and of the tune patients (lower is better)."""

    epoch: int
    train_loss: float
    tune_loss: float


@dataclass(frozen=True)
class Trained:
    """A training in full, first epoch first.

    Parameters
    ----------
    history : tuple of Epoch
    states : tuple of dict
        Weights after every epoch.
    tune_raw : array, shape (epochs, tune patients)
        Raw outputs for the tune patients after every epoch.
    """

    history: tuple[Epoch, ...]
    states: tuple[State, ...]
    tune_raw: NDArray[np.float64]


def build(
    dimensions: Mapping[str, int],
    settings: Training,
    member: Member,
    start: float = 0.0,
    spread: Mapping[str, Spread] | None = None,
) -> OutcomeNetwork:
    """Return an untrained network for these inputs."""
    options = dict(member.options)
    if member.aggregator == "attention":
        options.setdefault("attention_width", settings.attention_width)
    pools: dict[str, nn.Module] = {
        name: MeanPool(d)
        if name == "clinical"  # a single vector needs no pooling
        else make_aggregator(member.aggregator, d, options)
        for name, d in dimensions.items()
    }
    if member.fusion == "cross":
        report = cast(int, pools["report"].width)
        pools["image"] = CrossAttention(dimensions["image"], report, options["attention_width"])
    return OutcomeNetwork(
        pools,
        dimensions,
        dropout=settings.dropout,
        start=start,
        spread=spread,
        fusion=member.fusion,
        absent=settings.hidden_inputs,
        low_precision=settings.precision == "bfloat16",
    )


def fit_network(
    train: Patients,
    tune: Patients,
    head: Head,
    settings: Training,
    member: Member,
    *,
    seed: int,
    device: torch.device,
) -> Trained:
    """Train for the full number of epochs; the epoch to use is chosen elsewhere.

    Parameters
    ----------
    train, tune : Patients
        `tune` is only monitored: its loss is recorded after every epoch.
    head : Head
    settings : Training
    member : Member
    seed : int
        Seed of initial weights, order of patients and dropout.
    device : torch.device

    Raises
    ------
    ValueError
        There is no event to learn from.
    """
    if not head.usable(train.target):
        raise ValueError("no event among the training patients")
    ranks = Ranks.current()
    train = placed(train, device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # noqa: TID251 - inside fork_rng: the caller's random state stays
        spread = {name: _spread(inputs, ranks) for name, inputs in train.inputs.items()}
        network = build(train.dimensions, settings, member, head.start(train.target), spread)
        for name, pool in network.pools.items():
            if callable(fit_bags := getattr(pool, "fit_bags", None)):
                fit_bags([b.cpu() for b in train.inputs[name].bags], seed)
        if "clinical" in train.inputs and len(train.inputs) > 1:
            start_from_clinical(network, train.inputs["clinical"], train.target, head)
        network.to(device)
        ranks.share_weights(network)
        if not ranks.first:  # dropout of other patients is other dropout
            torch.manual_seed(seed + ranks.rank)  # noqa: TID251 - inside fork_rng
        optimizer = ClippedAdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        order = np.random.default_rng(seed)
        history: list[Epoch] = []
        states: list[State] = []
        outputs: list[NDArray[np.float64]] = []
        for epoch in range(1, settings.epochs + 1):
            loss = one_epoch(network, optimizer, train, head, settings, order, device)
            raw = predict(network, tune, device)
            outputs.append(raw)
            tune_loss = _loss(head, raw, tune.target)
            history.append(Epoch(epoch, loss, tune_loss))
            states.append({k: v.detach().cpu().clone() for k, v in network.state_dict().items()})
    return Trained(tuple(history), tuple(states), np.stack(outputs))


def predict(
    network: OutcomeNetwork, patients: Patients, device: torch.device
) -> NDArray[np.float64]:
    """Raw output per patient, shape (n,); evaluation mode, every patch, no gradient."""
    network.eval()
    ranks = Ranks.current()
    mine = ranks.share(patients.sizes.tolist())
    parts = [torch.zeros(0, dtype=torch.float64)]
    with torch.no_grad():
        groups = groups_of(patients.sizes, mine, PATCHES_AT_ONCE)
        for inputs in fed(patients, groups, device):
            parts.append(network(inputs).double().cpu())
    return ranks.gather(torch.cat(parts), mine, len(patients)).numpy()


def pooled(
    network: OutcomeNetwork, patients: Patients, device: torch.device
) -> NDArray[np.float64]:
    """Pooled vectors of the inputs that `patients` has, side by side, shape (n, width)."""
    network.eval()
    parts = []
    with torch.no_grad():
        for rows in groups_of(patients.sizes, range(len(patients)), PATCHES_AT_ONCE):
            inputs = inputs_of(patients, rows, device)
            found = torch.cat(list(network.branches(inputs).values()), dim=1)
            parts.append(found.double().cpu().numpy())
    return np.concatenate(parts)


def one_epoch(
    network: OutcomeNetwork,
    optimizer: ClippedAdamW,
    train: Patients,
    head: Head,
    settings: Training,
    order: np.random.Generator,
    device: torch.device,
) -> float:
    """One pass over the patients in random order; returns the mean loss of the steps."""
    network.train()
    ranks = Ranks.current()
    total = weight = 0.0
    for rows in batches(order.permutation(len(train)), settings.batch_size):
        seen = train.take(rows)
        target = seen.target
        if not head.usable(target):
            continue
        limit = settings.patches_per_epoch
        mine = ranks.share(vectors_of(seen, limit).tolist())
        seen = sampled(seen, limit, order, mine)
        optimizer.zero_grad()
        loss = back_propagate(network, seen, mine, head, device)
        optimizer.step()
        total += loss * head.weight(target)
        weight += head.weight(target)
    return total / weight


def back_propagate(
    network: OutcomeNetwork,
    patients: Patients,
    mine: Sequence[int],
    head: Head,
    device: torch.device,
) -> float:
    """Return the loss over all patients, and leave its gradient in the network.

    Parameters
    ----------
    network : OutcomeNetwork
    patients : Patients
    mine : sequence of int
        Rows whose vectors this process reads; of a process alone, all. Their scores are exchanged,
        so that the loss is that of all patients, and the gradients of all processes are added up.
    head : Head
    device : torch.device
    """
    ranks = Ranks.current()
    # The loss is taken on the CPU, in double precision: a few numbers, exact on any device.
    own = score(network, patients, mine, device).cpu()
    loss = head.loss(ranks.gather(own, mine, len(patients)), patients.target)
    if mine:
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    ranks.sum_gradients(network)
    return float(loss.detach())


def score(
    network: OutcomeNetwork,
    patients: Patients,
    rows: Sequence[int],
    device: torch.device,
    limit: int = PATCHES_AT_ONCE,
) -> Tensor:
    """Raw outputs with their gradient, in the memory of a group or two of at most `limit` vectors.

    Where there are more, each group is scored once without keeping what back-propagation
    needs, and once more when the gradient of the loss with respect to its outputs is known. The
    gradient is that of one graph over all patients, so a risk set may be the whole cohort.
    """
    groups = groups_of(patients.sizes, rows, limit)
    if not groups:  # a step of fewer patients than there are processes
        return torch.zeros(0)
    if patients.sizes[list(rows)].sum() <= min(KEPT_PATCHES, 2 * limit):
        return torch.cat([network(inputs) for inputs in fed(patients, groups, device)])
    # Given a tensor of the device, so that its random state is restored for the second time.
    token = torch.empty(0, device=device)
    parts = [
        checkpoint(
            lambda _, group=group: network(inputs_of(patients, group, device)),
            token,
            use_reentrant=False,
        )
        for group in groups
    ]
    return torch.cat(parts)


def _spread(inputs: Inputs, ranks: Ranks) -> Spread:
    """Measure how mean vectors vary; every process reads its share of the patients."""
    there = inputs.take(inputs.present)
    mine = ranks.share(there.lengths.tolist())
    groups = groups_of(there.lengths, mine, PATCHES_AT_ONCE)
    parts = [moments(there.take(group)).cpu() for group in groups]
    none = torch.zeros(0, 2, inputs.dimension, dtype=torch.float64)
    return Spread.of(ranks.gather(torch.cat([none, *parts]), mine, len(there)))


def _loss(head: Head, raw: NDArray[np.float64], target: Target) -> float:
    return float(head.loss(torch.from_numpy(raw), target)) if head.usable(target) else float("nan")
