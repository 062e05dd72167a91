"""Effects of delayed entry (left truncation) on an evaluation: omitted results and reasons.

Patients who had the event before entry are never observed, so the observed patients are not a
random sample of all. Estimates from risk sets account for this: a patient is at risk only after
entry. Proportions of the observed patients do not, and neither do censoring weights [1]_.

References
----------
.. [1] Hartman, Kim, He & Kalbfleisch (2023), Biometrics 79:1624-1634: concordance of
   left-truncated and right-censored data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outcome.evaluation.arrays import ArmScores

__all__ = [
    "DISTRIBUTION",
    "SHARES",
    "TREATMENT",
    "UNDEFINED",
    "WEIGHTS",
    "describe_delayed_entry",
    "entry_times",
]

WEIGHTS = (
    "delayed entry: censoring weights do not represent patients who had the event before entry"
)
"""Reason why there is no Uno's C, AUC(t) or Brier score."""
SHARES = (
    "delayed entry: only patients who were event-free until entry are observed, so a mean "
    "over them is not the mean over all patients"
)
"""Reason why there is no ratio of observed to expected events, and no net benefit."""
DISTRIBUTION = (
    "delayed entry: among patients who were event-free until entry, predicted survival at "
    "the patient's own time is not uniformly distributed"
)
"""Reason why there is no D-calibration."""
TREATMENT = (
    "delayed entry: treatment effects are not estimated, because their models do not "
    "support risk sets with delayed entry yet"
)
"""Reason why there are no treatment tables."""
UNDEFINED = frozenset({WEIGHTS, SHARES, DISTRIBUTION})
"""Reasons why a metric is omitted in evaluations with delayed entry."""


def entry_times(arms: Sequence[ArmScores]) -> dict[int, tuple[float, float]]:
    """Return entry and end of follow-up of each patient of any arm."""
    found: dict[int, tuple[float, float]] = {}
    for f in (f for arm in arms for f in arm.folds):
        if f.entry is not None:
            pairs = zip(f.entry.tolist(), f.time.tolist(), strict=True)
            found.update(zip(f.patient.tolist(), pairs, strict=True))
    return found


def describe_delayed_entry(arms: Sequence[ArmScores], unit: str) -> str:
    """Describe delayed entry: number of patients, handling, and omitted results."""
    entry, _ = (np.array(column) for column in zip(*entry_times(arms).values(), strict=True))
    late = entry > 0
    text = f"Delayed entry: {int(late.sum())} of {len(entry)} patients came under observation"
    text += " after the origin"
    if late.any():
        middle, last = np.median(entry[late]), entry.max()
        text += f" (median {middle:.4g} {unit}, the last {last:.4g})"
    text += (
        ". They are at risk only from their entry. A pair counts in the concordance only if the"
        " patient with the longer time had entered before the earlier event. Not computed, since"
        " they weight or average the observed patients as if there were no others: Uno's C, AUC(t),"
        " Brier scores, the ratio of observed to expected events, D-calibration, decision curves,"
        " maximally selected cut-offs, Gray's test, subdistribution hazards and bounds of survival"
        " time"
    )
    if entry.min() > 0:
        text += (
            f". No patient is under observation before {entry.min():.4g} {unit}, so survival is "
            "conditional on no event until then"
        )
    return text
