"""Cut-offs from development patients, and the resulting risk groups, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from outcome.outcomes import Outcomes
from outcome.risk.recalibration import MIN_STRATUM_EVENTS
from outcome.statistics.cutpoint import maximally_selected_cut
from outcome.study import RiskGroups

__all__ = [
    "cut_offs",
    "cut_p_value",
    "group_names",
    "risk_groups",
    "rule_words",
    "shares_of",
    "specificity_threshold",
]

Array = NDArray[np.float64]


def group_names(n: int) -> list[str]:
    """Names of n risk groups, lowest first."""
    between = [f"intermediate {k}" for k in range(1, n - 1)]
    return ["low", *(["intermediate"] if n == 3 else between), "high"]


def risk_groups(
    risk: NDArray[np.float64], strata: Sequence[str], cuts: Mapping[str, tuple[float, ...]]
) -> list[str]:
    """Return the group of each test patient; a risk equal to a cut-off is in the lower group."""
    names = group_names(len(cuts[""]) + 1)
    own = [cuts.get(s, cuts[""]) for s in strata]
    return [names[int(np.searchsorted(c, r))] for r, c in zip(risk, own, strict=True)]


def cut_offs(
    risk: Array, outcomes: Outcomes, rule: RiskGroups, stratified: bool
) -> dict[str, tuple[float, ...]]:
    """Return the cut-offs of each stratum, from out-of-fold development risks.

    Parameters
    ----------
    risk : array, shape (n,)
    outcomes : Outcomes
        Outcomes of the same patients.
    rule : str or tuple of float
        `median`, `tertiles`, `maxstat` (the maximally selected log-rank cut-off), or quantiles.
    stratified : bool
        Whether the endpoint has strata.

    Returns
    -------
    dict of stratum to tuple of float
        The key `""` is for all patients together, and is used for a stratum with fewer than 10
        development events.
    """
    cuts = {"": _cuts(risk, outcomes, rule, np.full(len(risk), True))}
    if stratified:
        for stratum in np.unique(outcomes.strata):
            rows = outcomes.strata == stratum
            if outcomes.worse[rows].sum() >= MIN_STRATUM_EVENTS:
                cuts[str(stratum)] = _cuts(risk, outcomes, rule, rows)
    return cuts


def cut_p_value(risk: Array, outcomes: Outcomes, rule: RiskGroups) -> float:
    """Return the p of a maximally selected cut-off, corrected for selection; NaN for other rules.

    Both corrections are conservative, so the smaller p value is used.
    """
    if rule != "maxstat" or outcomes.time is None:
        return np.nan
    found = maximally_selected_cut(outcomes.time, outcomes.worse, risk)
    return float(np.fmin(found.p_asymptotic, found.p_bonferroni))


def _cuts(
    risk: Array, outcomes: Outcomes, rule: RiskGroups, rows: NDArray[np.bool_]
) -> tuple[float, ...]:
    if rule == "maxstat" and outcomes.time is not None:
        found = maximally_selected_cut(outcomes.time[rows], outcomes.worse[rows], risk[rows])
        # If no cut-off can be found, because of too few events or different risks, the median is
        # used.
        return (found.cut if np.isfinite(found.cut) else float(np.median(risk[rows])),)
    return tuple(float(q) for q in np.quantile(risk[rows], shares_of(rule)))


def shares_of(rule: RiskGroups) -> Array:
    """Return the proportions of patients below each cut-off, for rules without outcomes."""
    shares = {"median": (0.5,), "tertiles": (1 / 3, 2 / 3)}.get(str(rule), rule)
    return np.asarray(shares, dtype=float)


def specificity_threshold(risk: Array, outcomes: Outcomes, specificity: float = 0.9) -> float:
    """Return the risk at which a proportion of the negative patients are called negative.

    Patients are called positive above the threshold. If the positive label is the better outcome,
    low risk predicts it, and patients are called positive below the threshold.

    Parameters
    ----------
    risk : array, shape (n,)
        Higher is worse.
    outcomes : Outcomes
        Outcomes of the same patients; patients with an unknown outcome are skipped.
    specificity : float
        The proportion.

    Returns
    -------
    float
        NaN without such patients.
    """
    sign = -1.0 if outcomes.favourable else 1.0
    negative = sign * risk[~outcomes.event & outcomes.known]
    if not len(negative):
        return np.nan
    return sign * float(np.quantile(negative, specificity, method="higher"))


_CUTS = {
    "median": "the median",
    "tertile": "the tertiles",
    "tertiles": "the tertiles",
    "quartile": "the quartiles",
    "quartiles": "the quartiles",
    "maxstat": "the maximally selected log-rank statistic",
}


def rule_words(cut: object) -> str:
    """Name the rule of the cut-offs.

    Examples
    --------
    >>> rule_words("median"), rule_words([0.25, 0.75])
    ('the median', 'the 25% and 75% quantiles')
    """
    if isinstance(cut, (list, tuple)):
        shares = [f"{100 * float(c):g}%" for c in cut]
        joined = " and ".join([", ".join(shares[:-1]), shares[-1]]) if shares[1:] else shares[0]
        return f"the {joined} quantile{'s' if len(shares) > 1 else ''}"
    return _CUTS.get(str(cut), f"the rule “{cut}”")
