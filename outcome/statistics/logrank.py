"""Log-rank tests: plain, stratified and Peto-weighted, for any number of groups.

Neither lifelines nor scikit-survival has the stratified test, which is needed for out-of-fold risk
groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincc

from outcome.statistics._arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    follow_up_from_entry,
    group_codes,
)
from outcome.statistics.multiple_testing import holm
from outcome.statistics.risk_sets import number_at_risk

__all__ = ["LogRank", "chi_square_p", "logrank", "logrank_influence", "pairwise_logrank"]


@dataclass(frozen=True)
class LogRank:
    """Result of a log-rank test.

    Attributes
    ----------
    chi_square : float
        NaN with one group, or no event at which two groups were at risk.
    df : int
    p : float
        Two-sided.
    groups : tuple
        Labels, sorted; `n`, `observed` and `expected` follow this order.
    n : tuple of int
    observed, expected : tuple of float
        Events (weighted if `rho` is not 0), summed over strata.
    """

    chi_square: float
    df: int
    p: float
    groups: tuple[Any, ...]
    n: tuple[int, ...]
    observed: tuple[float, ...]
    expected: tuple[float, ...]


def logrank(
    time: ArrayLike,
    event: ArrayLike,
    group: Any,
    *,
    strata: Any | None = None,
    rho: float = 0.0,
    entry: ArrayLike | None = None,
) -> LogRank:
    """Compare survival between groups, within strata if given [1]_.

    Parameters
    ----------
    time, event : array_like, shape (n,)
    group : array_like, shape (n,)
        Two groups or more.
    strata : array_like, shape (n,), optional
        Observed and expected events are compared within each stratum and then summed, e.g. for
        folds of a cross-validated study.
    rho : float
        Events at t are weighted by S(t-)^rho: 0 is the log-rank test, 1 Peto and Peto's [2]_.
    entry : array_like, shape (n,), optional
        Start of observation; patients are at risk only after it.

    Returns
    -------
    LogRank

    Raises
    ------
    InputError
        Lengths differ, or times and events are not usable.

    References
    ----------
    .. [1] Mantel (1966), Cancer Chemotherapy Reports 50:163-170.
    .. [2] Harrington & Fleming (1982), Biometrika 69:553-566.
    """
    times, events, entries = follow_up_from_entry(time, event, entry)
    codes, labels = group_codes(group, len(times))
    strata_codes, strata_labels = group_codes(strata, len(times))
    k = len(labels)
    observed, expected, variance = np.zeros(k), np.zeros(k), np.zeros((k, k))
    for stratum in range(len(strata_labels)):
        i = strata_codes == stratum
        begun = None if entries is None else entries[i]
        o, e, v = _one_stratum(times[i], events[i], codes[i], k, rho, begun)
        observed += o
        expected += e
        variance += v
    chi_square, df = _quadratic_form(observed - expected, variance, expected > 0)
    return LogRank(
        chi_square,
        df,
        chi_square_p(chi_square, df),
        tuple(labels),
        tuple(int(x) for x in np.bincount(codes, minlength=k)),
        tuple(map(float, observed)),
        tuple(map(float, expected)),
    )


def logrank_influence(
    time: ArrayLike,
    event: ArrayLike,
    group: Any,
    *,
    strata: Any | None = None,
    entry: ArrayLike | None = None,
) -> FloatArray:
    """Return the contribution of each patient to observed minus expected events of each group.

    Parameters
    ----------
    time, event, group, strata, entry
        As for `logrank`.

    Returns
    -------
    ndarray, shape (n, groups)
        Groups sorted by label. Columns sum to observed minus expected events; their squares and
        products sum to a variance that does not depend on the null hypothesis [1]_.

    References
    ----------
    .. [1] Lin & Wei (1989), Journal of the American Statistical Association 84:1074-1078.
    """
    times, events, entries = follow_up_from_entry(time, event, entry)
    codes, labels = group_codes(group, len(times))
    strata_codes, strata_labels = group_codes(strata, len(times))
    found = np.zeros((len(times), len(labels)))
    for stratum in range(len(strata_labels)):
        rows = strata_codes == stratum
        distinct, when = np.unique(times[rows], return_inverse=True)
        member = (codes[rows][:, None] == np.arange(len(labels))).astype(float)
        begun = None if entries is None else entries[rows]
        deaths = np.zeros(len(distinct))
        np.add.at(deaths, when, events[rows])
        at_risk = _at_risk_by_group(times[rows], distinct, codes[rows], len(labels), begun)
        share = at_risk / at_risk.sum(1, keepdims=True)
        hazard = (deaths / at_risk.sum(1))[:, None]
        # Expected contribution of a patient while at risk.
        until, of_group = hazard.cumsum(0), (hazard * share).cumsum(0)
        expected = member * until[when] - of_group[when]
        if begun is not None:
            missed = np.searchsorted(distinct, begun, side="right")
            until, of_group = (np.vstack([0 * a[:1], a]) for a in (until, of_group))
            expected -= member * until[missed] - of_group[missed]
        found[rows] = events[rows][:, None] * (member - share[when]) - expected
    return found


def pairwise_logrank(
    time: ArrayLike,
    event: ArrayLike,
    group: Any,
    *,
    strata: Any | None = None,
    entry: ArrayLike | None = None,
) -> list[tuple[Any, Any, LogRank, float]]:
    """Log-rank test of every two groups: first, second, test, Holm-corrected p."""
    times, events, entries = follow_up_from_entry(time, event, entry)
    codes, labels = group_codes(group, len(times))
    strata_codes, _ = group_codes(strata, len(times))
    found = []
    for a in range(len(labels)):
        for b in range(a + 1, len(labels)):
            i = (codes == a) | (codes == b)
            begun = None if entries is None else entries[i]
            test = logrank(times[i], events[i], codes[i], strata=strata_codes[i], entry=begun)
            found.append((labels[a], labels[b], test))
    corrected = holm([test.p for _, _, test in found])
    return [(*pair, float(p)) for pair, p in zip(found, corrected, strict=True)]


def chi_square_p(statistic: float, df: int) -> float:
    """Upper tail of a chi-square; NaN without degrees of freedom."""
    if df < 1 or np.isnan(statistic):
        return float("nan")
    return float(gammaincc(df / 2.0, statistic / 2.0))


def _one_stratum(
    time: FloatArray,
    event: BoolArray,
    code: IntArray,
    k: int,
    rho: float,
    entry: FloatArray | None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Observed and expected events per group, and the covariance of their differences."""
    distinct, when = np.unique(time, return_inverse=True)
    dying = np.zeros((len(distinct), k))
    np.add.at(dying, (when[event], code[event]), 1.0)
    at_risk = _at_risk_by_group(time, distinct, code, k, entry)
    total, deaths = at_risk.sum(1), dying.sum(1)
    weight = np.ones(len(distinct))
    if rho:
        weight[1:] = np.cumprod(1 - deaths / total)[:-1] ** rho
    share = at_risk / total[:, None]
    # hypergeometric variance; 0 for a single patient at risk
    scale = weight**2 * deaths * (total - deaths) / np.maximum(total - 1, 1)
    variance = np.diag(scale @ share) - (share * scale[:, None]).T @ share
    return weight @ dying, weight @ (share * deaths[:, None]), variance


def _at_risk_by_group(
    time: FloatArray, when: FloatArray, code: IntArray, k: int, entry: FloatArray | None
) -> FloatArray:
    """Patients at risk at each time in each of k groups, shape (m, k)."""
    groups = [code == g for g in range(k)]
    begun = [None if entry is None else entry[g] for g in groups]
    counts = [number_at_risk(time[g], when, e) for g, e in zip(groups, begun, strict=True)]
    return np.stack(counts, axis=1).astype(np.float64)


def _quadratic_form(
    difference: FloatArray, variance: FloatArray, used: BoolArray
) -> tuple[float, int]:
    df = int(used.sum()) - 1
    if df < 1:
        return float("nan"), max(df, 0)
    keep = np.flatnonzero(used)[1:]  # the differences sum to 0: one group is redundant
    inner = variance[np.ix_(keep, keep)]
    if np.linalg.matrix_rank(inner) < df:
        return float("nan"), df
    d = difference[keep]
    return float(d @ np.linalg.solve(inner, d)), df
