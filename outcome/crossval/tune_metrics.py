"""Learning curves: ranking of the tune patients after every epoch.

They are computed from the stored outputs of every fit, for all tune patients, without random
numbers. They are not used to choose anything: the epoch minimises the loss.

torchmetrics has no concordance for censored times; its AUROC and average precision have no patient
weights and use single precision. The metrics here are subclasses of torchmetrics and give the same
values as `outcome.statistics`, which is used for the test patients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from outcome.outcomes import Outcomes
from outcome.statistics.concordance import harrell
from outcome.statistics.resampling import average_precision_draws
from outcome.statistics.roc import roc_area

__all__ = ["AveragePrecision", "ConcordanceIndex", "RocAuc", "tune_metrics"]


class _Ranking(Metric):
    """A ranking metric. It needs all patients at once, and therefore stores them.

    Several scores of the same patients, such as those after each epoch, are evaluated in one pass.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(self, *states: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._names = states
        for name in states:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def _keep(self, *values: Tensor) -> None:
        for name, value in zip(self._names, values, strict=True):
            getattr(self, name).append(value.detach().double())

    def _kept(self) -> list[NDArray[np.float64]]:
        """Return each state, for all patients so far."""
        kept = [getattr(self, name) for name in self._names]
        return [(torch.cat(k) if isinstance(k, list) else k).cpu().numpy() for k in kept]


class ConcordanceIndex(_Ranking):
    """Harrell's C within strata: see `outcome.statistics.concordance.harrell`.

    Higher is better, 0.5 is chance; NaN with fewer than two comparable pairs. float64.

    Parameters
    ----------
    **kwargs
        Arguments of `torchmetrics.Metric`.

    Examples
    --------
    >>> metric = ConcordanceIndex()
    >>> metric.update(torch.tensor([2.0, 1, 3]), torch.tensor([1.0, 2, 3]), torch.tensor([1, 1, 0]))
    >>> metric.compute()
    tensor(0.3333, dtype=torch.float64)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("risk", "time", "event", "stratum", "entry", **kwargs)

    def update(
        self,
        risk: Tensor,
        time: Tensor,
        event: Tensor,
        stratum: Tensor | None = None,
        entry: Tensor | None = None,
    ) -> None:
        """Add patients.

        Parameters
        ----------
        risk : Tensor, shape (n,) or (n, scores)
            Higher is worse.
        time : Tensor, shape (n,)
            Follow-up, any unit.
        event : Tensor, shape (n,)
            True or 1 if the event was observed.
        stratum : integer Tensor, shape (n,), optional
            Only patients of one stratum are compared.
        entry : Tensor, shape (n,), optional
            Start of observation, if it is delayed.
        """
        stratum = torch.zeros_like(time) if stratum is None else stratum
        entry = torch.full_like(time, torch.nan) if entry is None else entry
        self._keep(risk, time, event, stratum, entry)

    def compute(self) -> Tensor:
        """Return C of all patients so far: one value, or one per score."""
        risk, time, event, stratum, entry = self._kept()
        begun = None if np.isnan(entry).all() else np.nan_to_num(entry)
        return _of_each(risk, lambda r: harrell(time, event, r, group=stratum, entry=begun).c)


class _LabelRanking(_Ranking):
    """A ranking metric of a label, with patient weights."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("score", "label", "weight", **kwargs)

    def update(self, score: Tensor, label: Tensor, weight: Tensor | None = None) -> None:
        """Add patients.

        Parameters
        ----------
        score : Tensor, shape (n,) or (n, scores)
            On any scale; higher predicts the positive class.
        label : Tensor, shape (n,)
            True or 1 for positives.
        weight : Tensor, shape (n,), optional
            Weight of each patient; 0 if the outcome is unknown.
        """
        self._keep(score, label, torch.ones(len(label)) if weight is None else weight)


class RocAuc(_LabelRanking):
    """Area under the ROC curve with weights: see `outcome.statistics.roc.roc_area`.

    Higher is better, 0.5 is chance; NaN without positives or without negatives. float64.

    Parameters
    ----------
    **kwargs
        Arguments of `torchmetrics.Metric`.

    Examples
    --------
    >>> metric = RocAuc()
    >>> metric.update(torch.tensor([0.1, 0.4, 0.8]), torch.tensor([0, 1, 0]))
    >>> metric.compute()
    tensor(0.5000, dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Return the area of all patients so far: one value, or one per score."""
        score, label, weight = self._kept()
        case, control = weight * label, weight * (1 - label)
        return _of_each(score, lambda s: roc_area(s, case, control).area)


class AveragePrecision(_LabelRanking):
    """Area under the precision-recall curve with weights, without interpolation.

    Higher is better, the share of positives is chance; NaN with one class only.
    float64. See `outcome.statistics.resampling.average_precision_draws`.

    Parameters
    ----------
    **kwargs
        Arguments of `torchmetrics.Metric`.

    Examples
    --------
    >>> metric = AveragePrecision()
    >>> metric.update(torch.tensor([0.1, 0.4, 0.8]), torch.tensor([0, 1, 0]))
    >>> metric.compute()
    tensor(0.5000, dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Return the average precision of all patients so far: one value, or one per score."""
        score, label, weight = self._kept()
        case, once = weight * label, np.ones((1, len(score)))
        return _of_each(score, lambda s: float(average_precision_draws(s, case, weight, once)[0]))


def tune_metrics(raw: NDArray[np.float64], outcomes: Outcomes) -> pd.DataFrame:
    """Compute the ranking of tune patients after every epoch.

    Parameters
    ----------
    raw : array, shape (epochs, n)
        Outputs of the network: log hazards, or logits of the event or positive label.
    outcomes : Outcomes
        Outcomes of these patients. Follow-up is compared within strata; labels and events by a
        horizon are weighted.

    Returns
    -------
    DataFrame
        One row per epoch: `tune_concordance` for times, else `tune_auroc` and
        `tune_average_precision`. NaN if a metric is undefined.
    """
    # Every process of torchrun has all patients, so nothing has to be gathered.
    alone = {"sync_on_compute": False}
    metrics: dict[str, _Ranking]
    seen: tuple[Tensor, ...]
    event = torch.from_numpy(outcomes.event)
    if outcomes.time is not None:
        metrics = {"tune_concordance": ConcordanceIndex(**alone)}
        stratum = torch.from_numpy(np.unique(outcomes.strata, return_inverse=True)[1])
        seen = (torch.from_numpy(outcomes.time), event, stratum)
        if outcomes.entry is not None:
            seen = (*seen, torch.from_numpy(outcomes.entry))
    else:
        metrics = {
            "tune_auroc": RocAuc(**alone),
            "tune_average_precision": AveragePrecision(**alone),
        }
        seen = (event, torch.from_numpy(outcomes.weights))
    for metric in metrics.values():
        metric.update(torch.from_numpy(raw).T, *seen)
    # One epoch is a scalar.
    found = {name: np.atleast_1d(metric.compute().numpy()) for name, metric in metrics.items()}
    return pd.DataFrame(found)


def _of_each(
    scores: NDArray[np.float64], measure: Callable[[NDArray[np.float64]], float]
) -> Tensor:
    """Evaluate a score of shape (n,), or each column of scores of shape (n, k)."""
    if scores.ndim == 1:
        return torch.tensor(measure(scores), dtype=torch.float64)
    return torch.tensor([measure(s) for s in scores.T], dtype=torch.float64)
