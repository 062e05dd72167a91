"""What delayed entry (left truncation) means for an evaluation: what is left out, and why.

Patients who had the event before they could enter are never seen, so those seen are not a sample
of all. Estimates from risk sets allow for that: a patient is at risk only after the entry. Shares
of the patients seen do not, nor do weights for censoring alone [1]_.

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
    "delayed entry: weights for censoring do not stand for patients who had the event before they"
    " could enter"
)
"""Why there is no Uno's C, AUC(t) or Brier score."""
SHARES = (
    "delayed entry: the patients seen are those who lived to enter, so that a mean over them is not"
    " that over all"
)
"""Why there is no ratio of observed to expected events, nor net benefit."""
DISTRIBUTION = (
    "delayed entry: among those who lived to enter, survival at the own time is not uniform"
)
"""Why there is no D-calibration."""
TREATMENT = (
    "delayed entry: effects of the treatment are not estimated, since their models do not use risk"
    " sets with entry yet"
)
"""Why there are no tables of treatment."""
UNDEFINED = frozenset({WEIGHTS, SHARES, DISTRIBUTION})
"""Reasons why a metric is left out of every evaluation with delayed entry."""


def entry_times(arms: Sequence[ArmScores]) -> dict[int, tuple[float, float]]:
    """Return entry and end of follow-up of each patient of any arm."""
    found: dict[int, tuple[float, float]] = {}
    for f in (f for arm in arms for f in arm.folds):
        if f.entry is not None:
            pairs = zip(f.entry.tolist(), f.time.tolist(), strict=True)
            found.update(zip(f.patient.tolist(), pairs, strict=True))
    return found


def describe_delayed_entry(arms: Sequence[ArmScores], unit: str) -> str:
    """Say how many entered late, how that is allowed for, and what is left out."""
    entry, _ = (np.array(column) for column in zip(*entry_times(arms).values(), strict=True))
    late = entry > 0
    text = f"Delayed entry: {int(late.sum())} of {len(entry)} patients came under observation"
    text += " after the origin"
    if late.any():
        middle, last = np.median(entry[late]), entry.max()
        text += f" (median {middle:.4g} {unit}, the last {last:.4g})"
    text += ", and are at risk only from then on; a pair counts in the concordance only if the"
    text += " later patient had entered before the earlier event. Left out, since they weigh or"
    text += " average over the patients seen as if these were all: Uno's C, AUC(t), Brier scores,"
    text += " the ratio of observed to expected events, D-calibration, decision curves, maximally"
    text += " selected cut-offs, Gray's test, subdistribution hazards and bounds of survival time"
    if entry.min() > 0:
        text += (
            f". No patient is under observation before {entry.min():.4g} {unit}: survival is that"
            " of patients without the event until then"
        )
    return text
