"""Area under the ROC curve with weighted cases and controls, and DeLong's covariance.

scikit-learn has the area, but not within groups and without influence values, which are needed for
intervals and paired comparisons. With weights 1 / G it is AUC(t). scikit-survival's
`cumulative_dynamic_auc` weights an event at t by G(t) instead of G(t-) as in R's riskRegression. It
differs from R by up to 2e-5 if events and censoring share a time, and so do its Brier scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from outcome.errors import InputError
from outcome.statistics._arrays import FloatArray, group_codes, numbers

__all__ = ["RocArea", "delong", "placements", "roc_area"]


@dataclass(frozen=True)
class RocArea:
    """An area and the influence of each patient on it.

    Attributes
    ----------
    area : float
        Probability that a case has a higher risk than a control; ties count one half: 1 is
        perfect, 0.5 is chance. NaN without cases or without controls.
    influence : ndarray, shape (n,)
        Derivative of `area` by each patient's weight; squares sum to the variance, with case
        and control weights taken as known.
    n_pairs : int
        Pairs of a case and a control of the same group, unweighted.
    """

    area: float
    influence: FloatArray
    n_pairs: int

    @property
    def se(self) -> float:
        """Standard error of `area`."""
        return float(np.sqrt(self.influence @ self.influence))


def placements(
    risk: FloatArray, case: FloatArray, control: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Proportion of controls below each risk, and of cases above it; ties count one half.

    Sorting makes this O(n log n) [1]_.

    References
    ----------
    .. [1] Sun & Xu (2014), IEEE Signal Processing Letters 21:1389-1393.
    """
    order = np.argsort(risk, kind="stable")
    ordered = risk[order]
    controls = np.concatenate([[0.0], np.cumsum(control[order])])
    cases = np.concatenate([[0.0], np.cumsum(case[order])])
    left = np.searchsorted(ordered, risk, side="left")
    right = np.searchsorted(ordered, risk, side="right")
    below = (controls[left] + controls[right]) / (2 * controls[-1])
    above = 1 - (cases[left] + cases[right]) / (2 * cases[-1])
    return below, above


def roc_area(
    risk: ArrayLike, case: ArrayLike, control: ArrayLike, *, group: Any | None = None
) -> RocArea:
    """Area under the ROC curve.

    Parameters
    ----------
    risk : array_like, shape (n,)
        Higher values predict cases.
    case, control : array_like, shape (n,)
        Weights as case and as control, 0 if not: a label and its complement, or inverse
        probabilities of censoring for cases by a horizon and controls beyond it [1]_.
    group : array_like, shape (n,), optional
        Only pairs within a group are compared.

    Returns
    -------
    RocArea

    Raises
    ------
    InputError
        Lengths differ, or a value is not finite or a weight negative.

    References
    ----------
    .. [1] Uno et al. (2007), Journal of the American Statistical Association 102:527-537.
    """
    risks = numbers(risk, "risk")
    n = len(risks)
    cases, controls = numbers(case, "case", n), numbers(control, "control", n)
    if (cases < 0).any() or (controls < 0).any():
        raise InputError("case and control weights must not be negative")
    codes, labels = group_codes(group, n)
    agreeing, pairs, n_pairs = np.zeros(n), np.zeros(n), 0
    for code in range(len(labels)):
        i = np.flatnonzero(codes == code)
        w, v = cases[i], controls[i]
        n_pairs += int((w > 0).sum() * (v > 0).sum())
        if w.sum() > 0 and v.sum() > 0:
            below, above = placements(risks[i], w, v)
            # derivatives of the sums over pairs by each patient's weight
            agreeing[i] = w * v.sum() * below + v * w.sum() * above
            pairs[i] = w * v.sum() + v * w.sum()
    total = float(pairs.sum() / 2)  # every pair was counted from both sides
    if total == 0:
        return RocArea(float("nan"), np.full(n, np.nan), n_pairs)
    area = float(agreeing.sum() / 2 / total)
    return RocArea(area, (agreeing - area * pairs) / total, n_pairs)


def delong(label: ArrayLike, scores: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Areas under the ROC curve of several scores with DeLong's covariance [1]_.

    Parameters
    ----------
    label : array_like, shape (n,)
        True or 1 for cases.
    scores : array_like, shape (n,) or (k, n)
        Higher values predict cases.

    Returns
    -------
    areas : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
        NaN with fewer than two cases or two controls.

    References
    ----------
    .. [1] DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837-845.
    """
    cases = numbers(label, "label")
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    k, m, n = len(table), int(cases.sum()), int((1 - cases).sum())
    if m == 0 or n == 0:
        return np.full(k, np.nan), np.full((k, k), np.nan)
    pairs = [placements(numbers(s, "score", len(cases)), cases, 1 - cases) for s in table]
    below = np.array([b[cases == 1] for b, _ in pairs])
    above = np.array([a[cases == 0] for _, a in pairs])
    areas = below.mean(1)
    if min(m, n) < 2:
        return areas, np.full((k, k), np.nan)
    covariance = np.atleast_2d(np.cov(below)) / m + np.atleast_2d(np.cov(above)) / n
    return areas, covariance
