"""Losses as pure functions of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from outcome.statistics.risk_sets import RiskSets

__all__ = ["cox_nll"]

Array = NDArray[np.float64]


def cox_nll(
    log_hazard: Tensor,
    time: Tensor,
    event: Tensor,
    strata: Tensor | None = None,
    entry: Tensor | None = None,
) -> Tensor:
    r"""Negative log partial likelihood per event, with Efron ties, in double precision.

    Parameters
    ----------
    log_hazard : Tensor, shape (n,)
        Higher is worse. Only differences within a stratum matter.
    time : Tensor, shape (n,)
        Follow-up, any unit.
    event : bool Tensor, shape (n,)
        True if the event was observed, False if censored.
    strata : integer Tensor, shape (n,), optional
        Patients are at risk together only within a stratum.
    entry : Tensor, shape (n,), optional
        Start of observation, before `time`; patients are at risk only after it.

    Returns
    -------
    Tensor, shape ()
        float64.

    Raises
    ------
    ValueError
        No event among the patients, so the loss is undefined.

    Notes
    -----
    Sums of exponentials are kept as logarithms throughout, so log hazards of any size are safe.
    With tied events [1]_, the k-th of m events of one time sees the risk set less k/m of the tied
    patients: log(R - k/m D) = log R + log(1 - k/m D/R).

    References
    ----------
    .. [1] Efron (1977), J Am Stat Assoc 72:557-565.
    """
    if not bool(event.any()):
        raise ValueError(f"cox_nll needs an event, got {event.numel()} censored patients")
    loss: Tensor = _CoxLoss.apply(log_hazard, time, event, strata, entry)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return loss


class _CoxLoss(torch.autograd.Function):
    """Loss and gradient in closed form: as operations of autograd they take ten times as long."""

    @staticmethod
    def forward(
        ctx: Any,
        log_hazard: Tensor,
        time: Tensor,
        event: Tensor,
        strata: Tensor | None,
        entry: Tensor | None,
    ) -> Tensor:
        hazard = log_hazard.detach().cpu().double().numpy()
        when, seen = time.cpu().numpy(), event.cpu().numpy().astype(bool)
        begun = None if entry is None else entry.cpu().numpy()
        if strata is None:
            total, gradient = _log_likelihood(hazard, when, seen, begun)
        else:
            codes = strata.cpu().numpy()
            total, gradient = 0.0, np.zeros(len(hazard))
            for rows in (codes == code for code in np.unique(codes[seen])):
                own = None if begun is None else begun[rows]
                value, gradient[rows] = _log_likelihood(hazard[rows], when[rows], seen[rows], own)
                total += value
        events = int(seen.sum())
        ctx.save_for_backward(torch.from_numpy(gradient / -events).to(log_hazard))
        return torch.tensor(-total / events, dtype=torch.float64, device=log_hazard.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return slope.to(gradient) * gradient, None, None, None, None


def _log_likelihood(
    log_hazard: Array, time: Array, event: NDArray[np.bool_], entry: Array | None
) -> tuple[float, Array]:
    """Log partial likelihood of one stratum, and its gradient."""
    order = np.argsort(-time, kind="stable")
    log_hazard, time, event = log_hazard[order], time[order], event[order]
    hazard, when = log_hazard[event], time[event]
    sets = RiskSets(time, when, None if entry is None else entry[order])
    level = sets.log_sums(log_hazard)
    first = np.flatnonzero(np.concatenate([[True], when[1:] != when[:-1]]))
    left_out: Array | float = 0.0
    if len(first) < len(when):
        size = np.diff(np.append(first, len(when)))
        tie = np.repeat(np.arange(len(size)), size)
        share = (np.arange(len(when)) - first[tie]) / size[tie]
        top = np.maximum.reduceat(hazard, first)[tie]
        tied = top + np.log(np.add.reduceat(np.exp(hazard - top), first))[tie]
        level = level + np.log1p(-share * np.exp(tied - level))
        # With tied events, the k-th leaves out k/m of each of them.
        floor = np.maximum.reduceat(-level, first)[tie]
        parts = np.add.reduceat(share * np.exp(-level - floor), first)[tie]
        left_out = np.exp(hazard + floor) * parts
    # Expected events of each patient: the sum over all events while under observation.
    expected = np.exp(log_hazard + sets.log_sums_over_time(-level))
    expected[event] -= left_out
    gradient = np.empty_like(log_hazard)
    gradient[order] = event - expected
    return float((hazard - level).sum()), gradient
