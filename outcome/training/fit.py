"""Train one network on one set of patients, watched on another. Knows nothing of folds."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
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
from outcome.models.network import Inputs, OutcomeNetwork, Spread
from outcome.study import Training
from outcome.training.members import Member

__all__ = ["Epoch", "Patients", "Trained", "build", "fit_network", "pooled", "predict", "score"]

PATCHES_AT_ONCE = 32_768
MIN_STEPS = 3

State = dict[str, Tensor]


@dataclass(frozen=True)
class Patients:
    """Inputs, ready for a network, and outcomes of some patients.

    Parameters
    ----------
    bags : mapping of input to list of Tensor or None
        One entry per patient; None where the patient lacks the input.
    target : Target
    """

    bags: Mapping[str, Sequence[Tensor | None]]
    target: Target

    def __len__(self) -> int:
        return int(self.target.event.numel())

    @property
    def dimensions(self) -> dict[str, int]:
        """Length of the vectors per input."""
        return {
            name: next(int(b.shape[1]) for b in bags if b is not None)
            for name, bags in self.bags.items()
        }

    def take(self, rows: Sequence[int]) -> Patients:
        """Return some of the patients."""
        bags = {name: [bags[i] for i in rows] for name, bags in self.bags.items()}
        return Patients(bags, self.target[torch.as_tensor(rows, dtype=torch.long)])


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
        if name == "clinical"  # a single vector: there is nothing to pool
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
    """Train for the full number of epochs; which of them to use is decided elsewhere.

    Parameters
    ----------
    train, tune : Patients
        `tune` is only watched: its loss is recorded after every epoch.
    head : Head
    settings : Training
    member : Member
    seed : int
        Of initial weights, order of patients and dropout.
    device : torch.device

    Raises
    ------
    ValueError
        There is no event to learn from.
    """
    if not head.usable(train.target):
        raise ValueError("no event among the training patients")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # noqa: TID251 - inside fork_rng: the caller's random state stays
        spread = {name: Spread.of(bags) for name, bags in train.bags.items()}
        network = build(train.dimensions, settings, member, head.start(train.target), spread)
        for name, pool in network.pools.items():
            if callable(fit_bags := getattr(pool, "fit_bags", None)):
                fit_bags([b for b in train.bags[name] if b is not None], seed)
        network.to(device)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        order = np.random.default_rng(seed)
        history: list[Epoch] = []
        states: list[State] = []
        outputs: list[NDArray[np.float64]] = []
        for epoch in range(1, settings.epochs + 1):
            loss = _one_epoch(network, optimizer, train, head, settings, order, device)
            raw = predict(network, tune, device)
            outputs.append(raw)
            tune_loss = _loss(head, raw, tune.target)
            history.append(Epoch(epoch, loss, tune_loss))
            states.append({k: v.cpu() for k, v in copy.deepcopy(network.state_dict()).items()})
    return Trained(tuple(history), tuple(states), np.stack(outputs))


def predict(
    network: OutcomeNetwork, patients: Patients, device: torch.device
) -> NDArray[np.float64]:
    """Raw output per patient, shape (n,); evaluation mode, every patch, no gradient."""
    network.eval()
    parts = []
    with torch.no_grad():
        for rows in _groups(patients, range(len(patients)), PATCHES_AT_ONCE):
            parts.append(network(_inputs(patients, rows, device)).double().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty(0)


def pooled(
    network: OutcomeNetwork, patients: Patients, device: torch.device
) -> NDArray[np.float64]:
    """Pooled vectors of the inputs that `patients` has, side by side, shape (n, width)."""
    network.eval()
    parts = []
    with torch.no_grad():
        for rows in _groups(patients, range(len(patients)), PATCHES_AT_ONCE):
            inputs = _inputs(patients, rows, device)
            found = torch.cat(list(network.branches(inputs).values()), dim=1)
            parts.append(found.double().cpu().numpy())
    return np.concatenate(parts)


def _one_epoch(
    network: OutcomeNetwork,
    optimizer: torch.optim.Optimizer,
    train: Patients,
    head: Head,
    settings: Training,
    order: np.random.Generator,
    device: torch.device,
) -> float:
    """One pass over the patients in random order; returns the mean loss of the steps."""
    network.train()
    total = weight = 0.0
    for rows in _batches(order.permutation(len(train)), settings.batch_size):
        target = train.target[torch.as_tensor(rows)]
        if not head.usable(target):
            continue
        # The loss is taken on the CPU, in double precision: a few numbers, exact on any device.
        loss = head.loss(score(network, train, rows, device).cpu(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        total += float(loss.detach()) * head.weight(target)
        weight += head.weight(target)
    return total / weight


def score(
    network: OutcomeNetwork,
    patients: Patients,
    rows: Sequence[int],
    device: torch.device,
    limit: int = PATCHES_AT_ONCE,
) -> Tensor:
    """Raw outputs with their gradient, in the memory of one group of at most `limit` vectors.

    Where there are several groups, each is scored once without keeping what back-propagation
    needs, and once more when the gradient of the loss with respect to its outputs is known. The
    gradient is that of one graph over all patients, so a risk set may be the whole cohort.
    """
    groups = list(_groups(patients, rows, limit))
    if len(groups) == 1:
        raw: Tensor = network(_inputs(patients, groups[0], device))
        return raw
    parts = [
        checkpoint(
            lambda group=group: network(_inputs(patients, group, device)), use_reentrant=False
        )
        for group in groups
    ]
    return torch.cat(parts)


def _loss(head: Head, raw: NDArray[np.float64], target: Target) -> float:
    return float(head.loss(torch.from_numpy(raw), target)) if head.usable(target) else float("nan")


def _batches(order: NDArray[np.int64], size: int | str) -> list[list[int]]:
    """Cut an order into batches of about equal size: no small last one, no tiny risk set.

    A small cohort is cut into three all the same (of at least 8 patients), since it needs its steps
    as much as a large one; unless the size is `all`.
    """
    if isinstance(size, str):
        return [order.tolist()]
    n = max(min(MIN_STEPS, len(order) // 8), round(len(order) / size), 1)
    return [part.tolist() for part in np.array_split(order, n)]


def _groups(patients: Patients, rows: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Cut patients into groups of at most `limit` vectors, or one patient."""
    group: list[int] = []
    size = 0
    for row in rows:
        n = sum(len(b) for bags in patients.bags.values() if (b := bags[row]) is not None)
        if group and size + n > limit:
            yield group
            group, size = [], 0
        group.append(row)
        size += n
    if group:
        yield group


def _inputs(patients: Patients, rows: Sequence[int], device: torch.device) -> dict[str, Inputs]:
    dimensions = patients.dimensions
    return {
        name: Inputs.join([bags[i] for i in rows], dimensions[name], device)
        for name, bags in patients.bags.items()
    }
