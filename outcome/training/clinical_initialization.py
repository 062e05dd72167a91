"""A network with clinical data starts as the ridge model of the clinical data."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from outcome.models.heads import Head, Target
from outcome.models.network import Inputs, OutcomeNetwork
from outcome.models.ridge import PENALTIES, fit_linear

__all__ = ["FOLDS", "chosen_penalty", "start_from_clinical"]

Array = NDArray[np.float64]
FOLDS = 5


def start_from_clinical(
    network: OutcomeNetwork, clinical: Inputs, target: Target, head: Head
) -> None:
    """Set the output weights of the clinical columns to a ridge model of the training patients.

    If all weights start at zero and are learned at the same rate, many weak image components
    dominate a few strong clinical columns. With this start, the image and the report add to the
    clinical data.

    Parameters
    ----------
    network : OutcomeNetwork
        Changed in place.
    clinical : Inputs
        Clinical vectors of the training patients, one each.
    target : Target
        Their outcomes.
    head : Head
    """
    network.eval()  # hidden inputs would be fitted too
    width = clinical.dimension
    with torch.no_grad():
        given = clinical.to(network.readout.weight.device)
        columns = network.branch("clinical", given).cpu().double().numpy()
        path = fit_linear(columns, target, head)
        row = chosen_penalty(columns, target, head)
        weights = path.weights[row] / path.scale
        names = list(network.pools)
        first = sum(network.widths[: names.index("clinical")])
        to = network.readout.weight[0, first : first + width]
        to.copy_(torch.from_numpy(weights))
        network.readout.bias.fill_(float(path.intercepts[row] - weights @ path.mean))


def chosen_penalty(x: Array, target: Target, head: Head) -> int:
    """Return the place in `PENALTIES` with the least loss on held-out training patients.

    Parameters
    ----------
    x : array, shape (n, d)
    target : Target
    head : Head

    Notes
    -----
    Patients are dealt to five parts in the order of outcome and follow-up, so that parts are alike
    and (but for ties) do not depend on the order of the patients. If no part can be evaluated, the
    middle penalty is returned.
    """
    event = target.event.numpy()
    keys = [event] if target.time is None else [target.time.numpy(), event]
    part = np.empty(len(x), dtype=np.int64)
    part[np.lexsort(keys)] = np.arange(len(x)) % FOLDS
    losses = np.zeros(len(PENALTIES))
    for k in range(FOLDS):
        learn, watch = np.flatnonzero(part != k), np.flatnonzero(part == k)
        known, judged = target[torch.from_numpy(learn)], target[torch.from_numpy(watch)]
        if not (head.usable(known) and head.usable(judged)):
            continue
        raw = torch.from_numpy(fit_linear(x[learn], known, head)(x[watch]))
        losses += [head.weight(judged) * float(head.loss(r, judged)) for r in raw]
    return int(np.argmin(losses)) if losses.any() else len(PENALTIES) // 2
