"""Average the calibrated scores of the models of an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.crossval.epoch_loss import epoch_losses
from outcome.models.heads import Head, Target
from outcome.outcomes import Outcomes
from outcome.risk.recalibration import Array, fit_calibration, fit_weights

__all__ = ["MemberScores", "fuse", "held_out_loss"]


@dataclass(frozen=True)
class MemberScores:
    """Risks of one member on one outer fold.

    Parameters
    ----------
    tune : list of array
        Per inner model: risks of its tune patients, centred.
    test_by_inner : array, shape (inner models, n)
        Centred risks of the test patients by each inner model.
    history : DataFrame
        Losses per inner fold and epoch; empty for a linear model.
    epochs : int, optional
        The epoch used by every inner network.
    penalties : mapping of input to float
        The penalties used by every inner linear model; empty for a network.
    changes : mapping
        Training settings chosen by a search, instead of those of the study.
    vectors : mapping of "patients" or "slides" to (ids, array)
        Pooled vectors of test patients, if requested.
    """

    tune: list[Array]
    test_by_inner: Array
    history: pd.DataFrame
    epochs: int | None = None
    penalties: Mapping[str, float] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    vectors: dict[str, tuple[list[str], NDArray[np.float32]]] = field(default_factory=dict)

    @property
    def penalty(self) -> float | None:
        """The penalty of a linear model of one input."""
        return next(iter(self.penalties.values())) if len(self.penalties) == 1 else None

    @property
    def test(self) -> Array:
        """Risks of the test patients: the mean over inner models."""
        return np.asarray(np.mean(self.test_by_inner, axis=0), dtype=np.float64)


def fuse(
    scores: Sequence[MemberScores],
    outcomes: Outcomes,
    head: Head,
    *,
    learned: bool,
    fixed_slope: bool,
) -> tuple[list[Array], Array, Array, list[float]]:
    """Combine the members of an arm into one risk.

    Parameters
    ----------
    scores : sequence of MemberScores
    outcomes : Outcomes
        Outcomes of the development patients, in the order of `tune`.
    head : Head
    learned : bool
        Use weights fitted on development patients (non-negative, with a ridge penalty towards equal
        weights), else the mean of the calibrated log hazards or logits. A member gets weight 0 if
        the loss of the inner folds is lower without it, so that an uninformative input does no
        harm.
    fixed_slope : bool
        Whether there are too few events for calibration; then no weights are learned.

    Returns
    -------
    tune : list of array
        Per inner fold.
    test : array
    test_by_inner : array, shape (inner models, n)
        Combined over the inner models of all members with the same held-out patients.
    weights : list of float
        Factor of the centred risk of each member; 1 for a single member.
    """
    if len(scores) == 1:
        return scores[0].tune, scores[0].test, scores[0].test_by_inner, [1.0]
    kept = list(range(len(scores)))
    if fixed_slope:
        weights = np.full(len(scores), 1 / len(scores))
    else:
        if learned:
            kept = _worth_keeping(scores, outcomes, head)
        weights = np.zeros(len(scores))
        weights[kept] = _weights(_risks([scores[i] for i in kept]), outcomes, learned=learned)
    tune = [
        sum(w * s.tune[k] for w, s in zip(weights, scores, strict=True))
        for k in range(len(scores[0].tune))
    ]
    test = sum(w * s.test for w, s in zip(weights, scores, strict=True))
    by_inner = sum(w * s.test_by_inner for w, s in zip(weights, scores, strict=True))
    tuned = [np.asarray(t) for t in tune]
    return tuned, np.asarray(test), np.asarray(by_inner), weights.tolist()


def held_out_loss(scores: Sequence[MemberScores], outcomes: Outcomes, head: Head) -> float:
    """Loss of members combined with learned weights, on patients not used to learn the weights.

    The weights of each inner fold are learned on the others; the loss is that of an epoch: see
    `outcome.crossval.epoch_loss.epoch_losses`. Parameters as `fuse`.
    """
    sizes = [len(t) for t in scores[0].tune]
    owner, risks = np.repeat(np.arange(len(sizes)), sizes), _risks(scores)
    tune = list(scores[0].tune)
    if len(scores) > 1:
        tune = [
            risks[owner == k] @ _weights(risks[owner != k], outcomes[owner != k], learned=True)
            for k in range(len(sizes))
        ]
    targets = [Target.of(outcomes[owner == k]) for k in range(len(sizes))]
    # The risk of a head is its raw output or the negative of it; the conversion is its own inverse.
    return float(epoch_losses([head.risk(t)[None] for t in tune], targets, head)[0])


def _worth_keeping(scores: Sequence[MemberScores], outcomes: Outcomes, head: Head) -> list[int]:
    """Remove members, the weakest first, if the loss is lower without them."""
    alone = [held_out_loss([s], outcomes, head) for s in scores]
    kept = list(range(len(scores)))
    best = held_out_loss(scores, outcomes, head)
    for weakest in sorted(kept, key=lambda i: -alone[i]):
        rest = [i for i in kept if i != weakest]
        if not rest:
            break
        loss = held_out_loss([scores[i] for i in rest], outcomes, head)
        if loss < best:
            kept, best = rest, loss
    return kept


def _risks(scores: Sequence[MemberScores]) -> Array:
    """Out-of-fold risks, shape (n, members)."""
    return np.column_stack([np.concatenate(s.tune) for s in scores])


def _weights(risks: Array, outcomes: Outcomes, *, learned: bool) -> Array:
    """Calibrate each member, and compute weights of the calibrated scores."""
    m = risks.shape[1]
    slopes: Array = np.array([fit_calibration(r, outcomes).slope for r in risks.T])
    if not learned:
        return np.asarray(slopes / m)
    shares, _ = fit_weights(risks * slopes, outcomes, around=1 / m)
    return np.asarray(slopes * shares)
