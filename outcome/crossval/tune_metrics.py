"""Learning curves beside the loss: how well tune patients are ranked after every epoch.

They are written into `history.csv` and shown in the report. Nothing is chosen by them: the epoch
minimises the loss. They follow from the stored outputs of every epoch, so no fit is read twice and
no random number is drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_average_precision

from outcome.outcomes import Outcomes

__all__ = ["Concordance", "tune_metrics"]


class Concordance(Metric):
    """Harrell's C of one or several scores of the same patients; 0.5 is chance, higher is better.

    A pair is comparable if the earlier follow-up ended with an event and both patients are in one
    stratum; a patient censored at the time of an event outlived it. Equal scores count one half.

    Examples
    --------
    >>> metric = Concordance()
    >>> metric.update(
    ...     torch.tensor([2.0, 1.0, 3.0]), torch.tensor([1.0, 2.0, 3.0]), torch.ones(3).bool()
    ... )
    >>> metric.compute()
    tensor([0.3333], dtype=torch.float64)

    References
    ----------
    Harrell et al. (1982), JAMA 247:2543-2546.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    risk: list[Tensor]
    time: list[Tensor]
    event: list[Tensor]
    stratum: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("risk", "time", "event", "stratum"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(
        self, risk: Tensor, time: Tensor, event: Tensor, stratum: Tensor | None = None
    ) -> None:
        """Add patients.

        Parameters
        ----------
        risk : Tensor, shape (n,) or (n, scores)
            Higher is worse.
        time : Tensor, shape (n,)
            Follow-up, any unit.
        event : bool Tensor, shape (n,)
        stratum : integer Tensor, shape (n,), optional
        """
        self.risk.append(risk.reshape(len(time), -1).double())
        self.time.append(time.double())
        self.event.append(event.bool())
        self.stratum.append(torch.zeros_like(time).long() if stratum is None else stratum)

    def compute(self) -> Tensor:
        """Return C of each score, shape (scores,); NaN without a comparable pair."""
        risk, time = torch.cat(self.risk), torch.cat(self.time)
        event, stratum = torch.cat(self.event), torch.cat(self.stratum)
        first = torch.nonzero(event)[:, 0]
        later = (time > time[first, None]) | ((time == time[first, None]) & ~event)
        pairs = later & (stratum == stratum[first, None])
        won = []
        for score in risk.T.contiguous():
            own = score[first, None]
            won.append(((own > score) & pairs).sum() + 0.5 * ((own == score) & pairs).sum())
        shares: Tensor = torch.stack(won).double() / pairs.sum()  # 0 / 0 is NaN
        return shares


def tune_metrics(raw: NDArray[np.float64], outcomes: Outcomes) -> pd.DataFrame:
    """Measure the ranking of tune patients after every epoch.

    Parameters
    ----------
    raw : array, shape (epochs, n)
        Outputs of the network: log hazards, or logits of the event or positive label.
    outcomes : Outcomes
        Of these patients. Those whose outcome by the horizon is unknown are left out.

    Returns
    -------
    DataFrame
        One row per epoch: `tune_concordance` where outcomes are times, else `tune_auroc` and
        `tune_average_precision` (torchmetrics divides in single precision: exact to 1e-7). NaN
        where undefined: no comparable pair, or no positive patient.
    """
    known = np.flatnonzero(outcomes.known)
    scores = torch.from_numpy(np.ascontiguousarray(raw[:, known]))
    event = torch.from_numpy(outcomes.event[known])
    metric = Concordance()
    if outcomes.time is not None:
        stratum = torch.from_numpy(np.unique(outcomes.strata[known], return_inverse=True)[1])
        metric.update(scores.T, torch.from_numpy(outcomes.time[known]), event, stratum)
        return pd.DataFrame({"tune_concordance": metric.compute().numpy()})
    # AUROC is the concordance of patients with the event, as if first, and those without.
    metric.update(scores.T, 1.0 - event.double(), event)
    precision = np.full(len(scores), np.nan)
    if event.any():
        label = event.long()
        precision[:] = [
            float(binary_average_precision(_ranks(s), label, validate_args=False)) for s in scores
        ]
    return pd.DataFrame(
        {"tune_auroc": metric.compute().numpy(), "tune_average_precision": precision}
    )


def _ranks(score: Tensor) -> Tensor:
    """Return the place of each score among the distinct ones, as a share.

    torchmetrics takes probabilities, and would squash other scores by a sigmoid, which ties large
    ones.
    """
    distinct, place = torch.unique(score, return_inverse=True)
    shares: Tensor = (place + 1).double() / (len(distinct) + 1)
    return shares
