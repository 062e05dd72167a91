"""Losses as pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cox_nll"]


def cox_nll(
    log_hazard: Tensor, time: Tensor, event: Tensor, strata: Tensor | None = None
) -> Tensor:
    r"""Negative log partial likelihood per event, Efron ties [1]_, in double precision.

    Parameters
    ----------
    log_hazard : Tensor, shape (n,)
        Higher is worse. Only differences within a stratum matter.
    time : Tensor, shape (n,)
        Follow-up, any unit.
    event : bool Tensor, shape (n,)
        True where the event was seen, False where censored.
    strata : integer Tensor, shape (n,), optional
        Patients are at risk together only within a stratum.

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
    With tied events, the k-th of m events of one time sees the risk set less k/m of the tied
    patients: log(R - k/m D) = log R + log(1 - k/m D/R).

    References
    ----------
    .. [1] Efron (1977), J Am Stat Assoc 72:557-565.
    """
    if not bool(event.any()):
        raise ValueError(f"cox_nll needs an event, got {event.numel()} censored patients")
    log_hazard = log_hazard.double()
    groups = torch.zeros_like(time, dtype=torch.long) if strata is None else strata
    total = log_hazard.new_zeros(())
    for stratum in torch.unique(groups):
        rows = groups == stratum
        if bool(event[rows].any()):
            total = total + _log_likelihood(log_hazard[rows], time[rows], event[rows])
    return -total / event.sum()


def _log_likelihood(log_hazard: Tensor, time: Tensor, event: Tensor) -> Tensor:
    order = time.argsort(descending=True, stable=True)
    log_hazard, time, event = log_hazard[order], time[order], event[order]
    # A risk set holds everybody whose time is at least as long, ties included.
    last = torch.searchsorted(-time, -time, right=True) - 1
    risk_set = log_hazard.logcumsumexp(0)[last][event]
    hazard, when = log_hazard[event], time[event]
    _, tie, size = torch.unique_consecutive(when, return_inverse=True, return_counts=True)
    start = size.cumsum(0) - size
    rank = torch.arange(len(when), device=when.device) - start[tie]
    share = rank / size[tie].to(hazard.dtype)
    tied = _segment_logsumexp(hazard, tie, len(size))[tie]
    return (hazard - risk_set - torch.log1p(-share * torch.exp(tied - risk_set))).sum()


def _segment_logsumexp(values: Tensor, segment: Tensor, n: int) -> Tensor:
    """Logarithm of the sum of exponentials per segment, shape (n,)."""
    start = values.detach().new_full((n,), -torch.inf)
    top = start.scatter_reduce(0, segment, values.detach(), "amax")
    shifted = torch.exp(values - top[segment])
    return top + values.new_zeros(n).index_add(0, segment, shifted).log()
