"""Log-rank test of risk groups under cross-validation.

The groups of a cross-validated study come from models that were trained on each other's test
patients. The variance of the log-rank test treats the groups as fixed, so the test finds a
difference in 13 to 14% of simulated studies without any association. Here it is replaced by the
variance of `outcome.statistics.crossfit_variance`: the groups that each inner model would have
given show how training changes the difference between observed and expected events. This test finds
a difference in 4 to 5% of these studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as fisher

from outcome.evaluation.arrays import FoldScores
from outcome.evaluation.crossfit_estimates import InnerScores
from outcome.statistics.crossfit_variance import CrossfitInfluence, Source, crossfit_variance
from outcome.statistics.logrank import logrank_influence

__all__ = ["GroupTest", "crossfit_logrank"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class GroupTest:
    """A test of equal survival in risk groups.

    Attributes
    ----------
    p : float
    source : str
        Source of the variance, see `CrossfitVariance`.
    """

    p: float
    source: Source


def crossfit_logrank(
    folds: Sequence[FoldScores],
    codes: Sequence[Ints],
    inner: Mapping[tuple[str, str], InnerScores] | None = None,
) -> GroupTest:
    """Test risk groups of several folds of one repeat, stratified by fold and stratum.

    Parameters
    ----------
    folds : sequence of FoldScores
        Two or more.
    codes : sequence of ndarray of int, shape (m,)
        Group of each patient of each fold: 0 for the lowest risk.
    inner : mapping of (repeat, fold) to InnerScores, optional
        Of this arm. Without them the variance is twice that of fixed models.

    Returns
    -------
    GroupTest
        NaN with one group, or if too few patients with an event contribute to the difference.

    Notes
    -----
    Inner model a assigns the same number of patients of a fold and stratum to each group as the
    ensemble, by its own scores. With two groups, U observed minus expected events, and t_i the
    influence of patient i on U, the test is U^2 / (V0 + (J + Q) / 2) against F with 1 degree of
    freedom, as for a difference of two arms. With more groups U is a vector: it is divided by the
    root of its matrix V0, and the mean of J and of Q over the components inflates the variance.
    Without inner scores the variance is 2 V0. The degrees of freedom of the denominator are the
    smallest of the components, see `CrossfitVariance`. Influences have no small-sample factor.
    """
    n = 1 + max(int(f.patient.max()) for f in folds)
    groups = np.unique(np.concatenate(codes))
    known = [(inner or {}).get((f.repeat, f.fold)) for f in folds]
    scores = [s for f, s in zip(folds, known, strict=True) if s is not None and s.covers(f)]
    ensemble, place = np.zeros((n, len(groups))), np.full(n, -1)
    for k, (f, own) in enumerate(zip(folds, codes, strict=True)):
        place[f.patient] = k
        ensemble[f.patient] = _influence(f, own, groups)
    by_model = left_out = None
    if len(scores) == len(folds):
        by_model = np.full((n, max(s.n_models for s in scores), len(groups)), np.nan)
        for f, own, s in zip(folds, codes, scores, strict=True):
            for a in range(s.n_models):
                moved = _regrouped(f, own, s.under(a, f).risk)
                by_model[f.patient, a] = _influence(f, moved, groups)
        left_out = np.stack([s.left_out[:n] for s in scores])
    variance = ensemble[:, 1:].T @ ensemble[:, 1:]
    if len(groups) < 2 or np.linalg.matrix_rank(variance) < len(groups) - 1:
        return GroupTest(float("nan"), "fixed models")
    # Columns of unit variance, uncorrelated: the lowest group is redundant.
    root = np.linalg.inv(np.linalg.cholesky(variance)).T
    white = ensemble[:, 1:] @ root
    moved_white = None if by_model is None else by_model[:, :, 1:] @ root
    found = [
        crossfit_variance(
            [
                CrossfitInfluence(
                    float(white[:, c].sum()), white[:, c], place,
                    None if moved_white is None else moved_white[:, :, c], left_out,
                )
            ],
            difference=True,
        )
        for c in range(white.shape[1])
    ]  # fmt: skip
    ratio = sum(v.estimate**2 for v in found) / sum(v.variance for v in found)
    df = min(v.df for v in found)
    return GroupTest(float(fisher.sf(ratio, len(found), df)), found[0].source)


def _influence(fold: FoldScores, codes: Ints, groups: Ints) -> Floats:
    """Influence on observed minus expected events of every group, in the order of `groups`."""
    found = np.zeros((len(codes), len(groups)))
    here = np.searchsorted(groups, np.unique(codes))
    found[:, here] = logrank_influence(
        fold.time, fold.event, codes, strata=fold.stratum, entry=fold.entry
    )
    return found


def _regrouped(fold: FoldScores, codes: Ints, risk: Floats) -> Ints:
    """Make groups of the same sizes by other scores, within each stratum."""
    found = codes.copy()
    for stratum in np.unique(fold.stratum):
        rows = np.flatnonzero(fold.stratum == stratum)
        found[rows[np.argsort(risk[rows], kind="stable")]] = np.sort(codes[rows])
    return found
