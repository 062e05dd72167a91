"""The mean of a metric over several cohorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["Z", "mean_over_cohorts"]

Z = 1.959963984540054
"""Half the width of a 95% interval, in standard errors."""


def mean_over_cohorts(table: pd.DataFrame, value: str, by: Sequence[str]) -> pd.DataFrame:
    """Compute the unweighted mean over cohorts, with a normal interval.

    Every cohort has the same weight, e.g. for a comparison over cancer types. The interval applies
    to these cohorts only. They are independent: the variance is the sum of their variances divided
    by the squared number of cohorts.

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
        `by`, `estimate, lower, upper, cohorts`, if there are at least two cohorts; no interval if a
        standard error is missing.
    """
    rows = []
    for key, part in table.dropna(subset=value).groupby(list(by), sort=False):
        k, mean = len(part), float(part[value].mean())
        if k < 2:
            continue
        error = float(np.sqrt((part["se"].astype(float) ** 2).sum(skipna=False)) / k)
        rows.append([*key, mean, mean - Z * error, mean + Z * error, k])
    return pd.DataFrame(rows, columns=[*by, "estimate", "lower", "upper", "cohorts"])
