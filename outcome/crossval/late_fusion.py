"""Average the calibrated scores of the models of an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.outcomes import Outcomes
from outcome.risk.recalibration import Array, fit_calibration, fit_weights

__all__ = ["MemberScores", "fuse"]


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
        The epoch that every inner network uses.
    penalties : mapping of input to float
        The penalties that every inner linear model uses; empty for a network.
    changes : mapping
        Training settings that a search has chosen instead of the study's.
    vectors : mapping of "patients" or "slides" to (ids, array)
        Pooled vectors of test patients, where they were asked for.
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
    scores: Sequence[MemberScores], outcomes: Outcomes, *, learned: bool, fixed_slope: bool
) -> tuple[list[Array], Array, Array, list[float]]:
    """Join the members of an arm into one risk.

    Parameters
    ----------
    scores : sequence of MemberScores
    outcomes : Outcomes
        Of the development patients, in the order of `tune`.
    learned : bool
        Weights fitted on development patients (not below 0, ridged towards equal ones); else the
        plain mean of the calibrated log hazards or logits.
    fixed_slope : bool
        Too few events to calibrate.

    Returns
    -------
    tune : list of array
        Per inner fold.
    test : array
    test_by_inner : array, shape (inner models, n)
        By the inner models of all members that left the same patients out.
    weights : list of float
        What each member's centred risk was multiplied with; 1 for a single member.
    """
    if len(scores) == 1:
        return scores[0].tune, scores[0].test, scores[0].test_by_inner, [1.0]
    risks = np.column_stack([np.concatenate(s.tune) for s in scores])
    slopes = np.array(
        [fit_calibration(r, outcomes, fixed_slope=fixed_slope).slope for r in risks.T]
    )
    shares = np.full(len(scores), 1 / len(scores))
    if learned and not fixed_slope:
        shares, _ = fit_weights(risks * slopes, outcomes, around=1 / len(scores))
    weights = slopes * shares
    tune = [
        sum(w * s.tune[k] for w, s in zip(weights, scores, strict=True))
        for k in range(len(scores[0].tune))
    ]
    test = sum(w * s.test for w, s in zip(weights, scores, strict=True))
    by_inner = sum(w * s.test_by_inner for w, s in zip(weights, scores, strict=True))
    tuned = [np.asarray(t) for t in tune]
    return tuned, np.asarray(test), np.asarray(by_inner), weights.tolist()
