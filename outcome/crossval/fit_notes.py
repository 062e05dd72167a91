"""Notes and warnings about the fits: slopes of zero, few events, sizes of risk groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcome.crossval.arm_fold import ArmFold

__all__ = ["fit_notes", "fit_warnings"]

MOST_NAMED = 5


def fit_warnings(finished: Sequence[ArmFold]) -> list[str]:
    """Return warnings about folds whose predicted probabilities are not informative."""
    found = []
    for arm in dict.fromkeys(f.arm for f in finished):
        mine = [f for f in finished if f.arm == arm]
        if flat := [f for f in mine if f.calibration.slope == 0]:
            whose = "its patients" if len(flat) == 1 else "patients of such a fold"
            found.append(
                f"arm {arm}, {_where(flat, len(mine))}: the development scores showed no "
                f"association with outcome, so all {whose} receive the same predicted risk. The "
                "ranking is kept"
            )
    return found


def fit_notes(finished: Sequence[ArmFold], asked: int) -> list[str]:
    """Return notes on changes due to few events, and on the sizes of risk groups in test patients.

    Parameters
    ----------
    finished : sequence of ArmFold
    asked : int
        Number of inner folds in the study.
    """
    one = [f for f in finished if f.arm == finished[0].arm]
    found = []
    if reduced := [f for f in one if f.inner_folds < asked]:
        numbers = sorted({f.inner_folds for f in reduced})
        found.append(
            f"{_where(reduced, len(one))}: {' or '.join(map(str, numbers))} inner folds instead "
            f"of {asked}, so that each has enough events"
        )
    if few := [f for f in one if f.few]:
        found.append(
            f"{_where(few, len(one))}: too few development events to choose epochs or a slope; "
            "half of the epochs and slope 1 are used"
        )
    found += _cuts(finished)
    test = pd.concat([f.test for f in finished])
    for arm, rows in test.groupby("arm", sort=False):
        shares = rows["risk_group"].value_counts(normalize=True, sort=False)
        said = ", ".join(f"{group} {100 * share:.0f}%" for group, share in shares.items())
        found.append(f"arm {arm}, test patients per risk group: {said}")
    return found


def _cuts(finished: Sequence[ArmFold]) -> list[str]:
    """Return a note with the p values of maximally selected cut-offs."""
    return [
        f"arm {arm}, maximally selected cut-off in development patients, p corrected for the "
        "selection, per fold: " + ", ".join(f"{f.cut_p:.2g}" for f in finished if f.arm == arm)
        for arm in dict.fromkeys(f.arm for f in finished if not np.isnan(f.cut_p))
    ]


def _where(folds: Sequence[ArmFold], of: int) -> str:
    several = len({f.repeat for f in folds}) > 1
    names = [f"{f.repeat}/{f.fold}" if several else f.fold for f in folds]
    shown = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    kind = "repeat/fold" if several else "fold"
    return f"{kind}{'s' if len(names) > 1 else ''} {shown} of {of}"
