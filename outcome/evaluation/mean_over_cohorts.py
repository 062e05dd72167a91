"""The mean of a metric over several cohorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["Z", "mean_over_cohorts"]

Z = 1.959963984540054
"""Half the width of a 95% interval, in standard errors."""


def mean_over_cohorts(table: pd.DataFrame, value: str, by: Sequence[str]) -> pd.DataFrame:
    """Take the unweighted mean over cohorts, with a normal interval.

    Every cohort counts alike, as where cancer types are compared. The interval is about these
    cohorts (no further ones), which are independent: its variance is the sum of theirs over the
    number of cohorts squared.

    Parameters
    ----------
    table : DataFrame
        A row per cohort and `by`, with `value` and `se`.
    value : str
        Column to be averaged.
    by : sequence of str

    Returns
    -------
    DataFrame
        `by`, `estimate, lower, upper, cohorts`, where there are two cohorts or more; no interval
        where a standard error is missing.
    """
    rows = []
    for key, part in table.dropna(subset=value).groupby(list(by), sort=False):
        k, mean = len(part), float(part[value].mean())
        if k < 2:
            continue
        error = float(np.sqrt((part["se"].astype(float) ** 2).sum(skipna=False)) / k)
        rows.append([*key, mean, mean - Z * error, mean + Z * error, k])
    return pd.DataFrame(rows, columns=[*by, "estimate", "lower", "upper", "cohorts"])
