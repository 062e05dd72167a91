"""The PyTorch level: aggregators, networks and losses, for your own training loop.

In: bags as tensors. Out: one number per patient, and a loss. `outcome.testing.check_aggregator`
checks whether your own aggregator can be used in a study and in `MILCox`.

Examples
--------
A Cox model trained on the whole risk set, in a loop:

>>> import numpy as np
>>> import torch
>>> from torch.utils.data import DataLoader
>>> from outcome import SlideDataset
>>> from outcome.models import GatedAttention, OutcomeNetwork, collate, cox_nll
>>> from sksurv.util import Surv
>>> rng = np.random.default_rng(0)
>>> y = Surv.from_arrays(np.ones(20, dtype=bool), rng.exponential(100, size=20))
>>> data = SlideDataset([rng.normal(size=(30, 8)) for _ in range(20)], outcomes=y)
>>> network = OutcomeNetwork({"image": GatedAttention(8)}, {"image": 8})
>>> optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
>>> losses = []
>>> for epoch in range(3):
...     for batch in DataLoader(data, batch_size=20, shuffle=True, collate_fn=collate):
...         log_hazard = network(batch.inputs)
...         loss = cox_nll(log_hazard, batch.target.time, batch.target.event)
...         optimizer.zero_grad()
...         loss.backward()
...         optimizer.step()
...         losses.append(loss.item())
>>> losses[-1] < losses[0]
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from outcome.lazy_names import lazy_names

if TYPE_CHECKING:
    from outcome.models.aggregators import (
        ABMIL,
        Aggregator,
        GatedAttention,
        InducedTransformer,
        MeanPool,
        PrototypePool,
        make_aggregator,
    )
    from outcome.models.heads import CoxHead, LogisticHead, Target
    from outcome.models.losses import cox_nll
    from outcome.models.network import Inputs, OutcomeNetwork, Spread
    from outcome.models.sample_batches import PaddedBatch, SampleBatch, collate, collate_padded

__all__ = [
    "ABMIL",
    "Aggregator",
    "CoxHead",
    "GatedAttention",
    "InducedTransformer",
    "Inputs",
    "LogisticHead",
    "MeanPool",
    "OutcomeNetwork",
    "PaddedBatch",
    "PrototypePool",
    "SampleBatch",
    "Spread",
    "Target",
    "collate",
    "collate_padded",
    "cox_nll",
    "make_aggregator",
]

_MODULES = {
    "aggregators": (
        "ABMIL", "Aggregator", "GatedAttention", "InducedTransformer", "MeanPool", "PrototypePool",
        "make_aggregator",
    ),
    "heads": ("CoxHead", "LogisticHead", "Target"),
    "losses": ("cox_nll",),
    "network": ("Inputs", "OutcomeNetwork", "Spread"),
    "sample_batches": ("PaddedBatch", "SampleBatch", "collate", "collate_padded"),
}  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__, {n: f"{__name__}.{module}" for module, names in _MODULES.items() for n in names}
)
