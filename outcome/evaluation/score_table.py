"""Conversion of outcomes and scores in arrays to a table of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from outcome.errors import InputError, Problems
from outcome.evaluation.horizon_columns import horizon_name
from outcome.predictions import Predictions
from outcome.tables.outcome_frame import label_codes, outcome_frame

__all__ = ["score_table"]


def score_table(
    y: Any,
    scores: ArrayLike | Mapping[str, ArrayLike],
    *,
    horizon: float | Sequence[float] | None = None,
    probabilities: bool = False,
    groups: Any = None,
    strata: Any = None,
) -> Predictions:
    """Return a table of predictions of one or several models.

    Parameters
    ----------
    y : Surv array, DataFrame or array of labels, shape (n,)
        For labels, the last class in sorted order is positive.
    scores : array, shape (n,), or mapping of name to array
        Risks, higher is worse.
    horizon : float or sequence of float, optional
        Scores are the probability of the event by this time; for several, shape (n, horizons).
    probabilities : bool
        Scores are probabilities of the positive label.
    groups : array, shape (n,), optional
        Folds of a cross-validation; scores are compared only within folds.
    strata : array, shape (n,), optional

    Raises
    ------
    InputError
        Lengths do not match, or a score is not a number; the message lists all problems.
    """
    known = outcome_frame(y).drop(columns="patient_id", errors="ignore").reset_index(drop=True)
    if "label" in known:
        known["label"] = label_codes(known["label"])[1]
    n = len(known)
    problems = Problems("scores")
    named = scores if isinstance(scores, Mapping) else {"model": scores}
    parts = []
    at = [] if horizon is None else np.atleast_1d(np.asarray(horizon, dtype=float)).tolist()
    for name, values in named.items():
        array = _numbers(values, str(name), n, problems)
        if array is None:
            continue
        part = known.assign(arm=str(name), patient_id=[f"{i:07d}" for i in range(n)], repeat=0)
        part["fold"] = _labels(groups, "groups", n, problems, "all")
        if strata is not None:
            part["strata"] = _labels(strata, "strata", n, problems, "")
        columns = array.reshape(n, -1)
        if (at or probabilities) and (columns.min() < 0 or columns.max() > 1):
            problems.add(f"{name!r} contains values outside 0 to 1", remedy="give probabilities")
        if at and columns.shape[1] != len(at):
            problems.add(f"{name!r} has {columns.shape[1]} columns for {len(at)} horizons")
            continue
        for i, h in enumerate(at):
            part[f"survival_{horizon_name(h)}"] = 1 - columns[:, i]
        if probabilities:
            part["probability"] = columns[:, 0]
        parts.append(part.assign(risk=columns[:, -1]))
    problems.raise_if_any(InputError)
    return Predictions(pd.concat(parts, ignore_index=True))


def _numbers(values: Any, name: str, n: int, problems: Problems) -> Any:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        problems.add(f"{name!r} is not an array of numbers")
        return None
    if array.ndim not in (1, 2) or len(array) != n:
        problems.add(f"{name!r} has shape {array.shape}, but y has {n} patients")
        return None
    if not np.isfinite(array).all():
        problems.add(f"{name!r} contains NaN or infinite values")
        return None
    return array


def _labels(values: Any, name: str, n: int, problems: Problems, default: str) -> Any:
    if values is None:
        return default
    array = np.asarray(values).astype(str)
    if array.shape != (n,):
        problems.add(f"`{name}` has shape {array.shape}, but y has {n} patients")
        return default
    return array
