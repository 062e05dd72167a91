"""Train one network on one set of patients, watched on another. Knows nothing of folds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, cast

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
KEPT_PATCHES = 65_536
"""So many patches of a step may keep what back-propagation needs; more are computed twice."""
MIN_STEPS = 3

State = dict[str, Tensor]
Read = TypeVar("Read")


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
    train = placed(train, device)
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
        groups = list(_groups(patients, range(len(patients)), PATCHES_AT_ONCE))
        for inputs in _fed(patients, groups, device):
            parts.append(network(inputs).double().cpu().numpy())
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
        seen = _sampled(train.take(rows), settings.patches_per_epoch, order)
        loss = head.loss(score(network, seen, range(len(rows)), device).cpu(), target)
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
    """Raw outputs with their gradient, in the memory of a group or two of at most `limit` vectors.

    Where there are more, each group is scored once without keeping what back-propagation
    needs, and once more when the gradient of the loss with respect to its outputs is known. The
    gradient is that of one graph over all patients, so a risk set may be the whole cohort.
    """
    groups = list(_groups(patients, rows, limit))
    if sum(_size(patients, row) for row in rows) <= min(KEPT_PATCHES, 2 * limit):
        return torch.cat([network(inputs) for inputs in _fed(patients, groups, device)])
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
        n = _size(patients, row)
        if group and size + n > limit:
            yield group
            group, size = [], 0
        group.append(row)
        size += n
    if group:
        yield group


def placed(patients: Patients, device: torch.device) -> Patients:
    """Move all vectors to a GPU where half of its free memory holds them; else leave them."""
    if device.type != "cuda":
        return patients
    size = sum(b.nbytes for bags in patients.bags.values() for b in bags if b is not None)
    free, _ = torch.cuda.mem_get_info(device)
    if size > free // 2:
        return patients
    bags = {
        name: [None if b is None else b.to(device) for b in found]
        for name, found in patients.bags.items()
    }
    return Patients(bags, patients.target)


def _fed(
    patients: Patients, groups: Sequence[list[int]], device: torch.device
) -> Iterator[dict[str, Inputs]]:
    """Yield the inputs of each group; for a GPU, the next ones are read while it computes."""
    if device.type == "cpu" or len(groups) < 2:
        yield from (_inputs(patients, group, device) for group in groups)
        return
    yield from _ahead(lambda group: _inputs(patients, group, device), groups)


def _ahead(read: Callable[[list[int]], Read], groups: Sequence[list[int]]) -> Iterator[Read]:
    """Yield what `read` returns of each group, in order, one group ahead in a thread."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, groups[0])
        for group in groups[1:]:
            found = coming.result()
            coming = pool.submit(read, group)
            yield found
        yield coming.result()


def _size(patients: Patients, row: int) -> int:
    return sum(len(b) for bags in patients.bags.values() if (b := bags[row]) is not None)


def _sampled(patients: Patients, limit: int | None, order: np.random.Generator) -> Patients:
    """Return patients with at most `limit` vectors of each image, evenly spread, random start.

    The store's order of patches is random, so that these are a random sample; even spread makes
    every slide of a patient count by its size.
    """
    if limit is None or "image" not in patients.bags:
        return patients
    bags: list[Tensor | None] = []
    for bag in patients.bags["image"]:
        if bag is not None and len(bag) > limit:
            start = int(order.integers(len(bag)))
            rows = (start + np.arange(limit) * len(bag) // limit) % len(bag)
            bags.append(bag[torch.from_numpy(rows)])
        else:
            bags.append(bag)
    return Patients({**patients.bags, "image": bags}, patients.target)


def _inputs(patients: Patients, rows: Sequence[int], device: torch.device) -> dict[str, Inputs]:
    dimensions = patients.dimensions
    return {
        name: Inputs.join([bags[i] for i in rows], dimensions[name], device)
        for name, bags in patients.bags.items()
    }
