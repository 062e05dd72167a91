"""What could be predicted from how the material was gathered, without looking at tissue."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.evaluation.evaluation import evaluate
from outcome.predictions import Predictions
from outcome.statistics.concordance import concordance

__all__ = ["NUISANCE_COLUMNS", "nuisance_baselines"]

Floats = NDArray[np.float64]
NUISANCE_COLUMNS = ["variable", "metric", "estimate", "lower", "upper", "n", "events", "note"]


def nuisance_baselines(
    predictions: Predictions,
    acquisition: pd.DataFrame,
    *,
    favourable: bool = False,
    landmark: float | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Discrimination of site, numbers of patches and slides, and a missing report, each alone.

    A number keeps or changes its sign, and a category is given its rate of events, by what was
    seen in the other folds of the repeat: nothing is learned from the patients it is judged on.
    A value well away from 0.5 means that a model can profit from how the material was gathered.

    Parameters
    ----------
    predictions : Predictions
        Cross-validated; the outcomes and folds of its first arm are used.
    acquisition : DataFrame
        `patient_id` and the variables; text is a category.
    favourable, landmark, n_resamples, seed
        As for `outcome.evaluation.evaluation.evaluate`.

    Returns
    -------
    DataFrame
        `NUISANCE_COLUMNS`; empty for a single fold, where there are no others to learn from.

    Raises
    ------
    PredictionsError
        The predictions cannot be evaluated.
    """
    base = predictions.arm(predictions.arms[0])
    known = acquisition.set_index(acquisition["patient_id"].astype(str)).drop(columns="patient_id")
    values = known.reindex(base["patient_id"].astype(str)).reset_index(drop=True)
    if base["fold"].nunique() < 2:
        return pd.DataFrame(columns=NUISANCE_COLUMNS)
    parts, remarks = [], {}
    for name in map(str, values):
        column = values[name]
        if column.isna().any():
            remarks[name] = "not known for everybody"
        elif column.nunique() < 2:
            remarks[name] = "the same for everybody"
        else:
            risk = _learned(base, column, favourable=favourable)
            parts.append(base.assign(arm=name, risk=risk, risk_group=""))
    rows: list[list[object]] = [[n, "", *[np.nan] * 3, 0, 0, why] for n, why in remarks.items()]
    if parts:
        found = evaluate(
            Predictions(pd.concat(parts, ignore_index=True)),
            favourable=favourable,
            landmark=landmark,
            n_resamples=n_resamples,
            seed=seed,
            unit="days",
        ).metrics
        main = found[found["metric"].isin(["harrell_c", "auroc"])]
        kept = main[["arm", "metric", "estimate", "lower", "upper", "n", "events", "note"]]
        rows = [*kept.to_numpy().tolist(), *rows]
    return pd.DataFrame(rows, columns=NUISANCE_COLUMNS)


def _learned(base: pd.DataFrame, column: pd.Series, *, favourable: bool) -> Floats:
    """Risk of every row, from the other folds of its repeat."""
    risk = np.zeros(len(base))
    number = pd.api.types.is_numeric_dtype(column)
    for _, rows in base.groupby("repeat"):
        fold = rows["fold"].to_numpy()
        for name in np.unique(fold):
            test, other = rows.index[fold == name], rows.index[fold != name]
            time, event = _outcome(base.loc[other], favourable)
            if number:
                c = concordance(time, event, column[other].to_numpy(dtype=float)).c
                risk[test] = column[test].to_numpy(dtype=float) * (-1 if c < 0.5 else 1)
            else:
                exposure = _exposure(base.loc[other])
                risk[test] = _rates(column[other], event, exposure, column[test])
    return risk


def _outcome(rows: pd.DataFrame, favourable: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """Return times and bad events; a label is a follow-up in which the bad ones come first."""
    if "label" in rows:
        bad = np.asarray((rows["label"].to_numpy(dtype=float) == 1) != favourable)
        return np.where(bad, 0.0, 1.0), bad
    return rows["time"].to_numpy(dtype=float), rows["event"].to_numpy(dtype=float) == 1


def _exposure(rows: pd.DataFrame) -> Floats:
    """Events to expect of each patient if all were alike: 1 each, or the Nelson-Aalen hazard."""
    if "label" in rows:
        return np.ones(len(rows))
    time = rows["time"].to_numpy(dtype=float)
    event = (rows["event"].to_numpy(dtype=float) == 1).astype(float)
    return _cumulative_hazard(time, event)


def _rates(seen: pd.Series, event: NDArray[np.bool_], exposure: Floats, asked: pd.Series) -> Floats:
    """Events per exposure of each level; a level that was not seen has the average."""
    total = float(exposure.sum())
    rate = float(event.sum()) / total if total > 0 else 0.0
    worth = total / max(len(seen), 1)
    table = pd.DataFrame({"e": event.astype(float), "x": exposure, "level": seen.astype(str)})
    sums = table.groupby("level")[["e", "x"]].sum()
    # One patient's worth of the average keeps a site of two from being certain.
    rates = (sums["e"] + rate * worth) / (sums["x"] + worth) if worth > 0 else sums["e"] * 0
    return asked.astype(str).map(rates).fillna(rate).to_numpy(dtype=float)


def _cumulative_hazard(time: Floats, event: Floats) -> Floats:
    """Nelson-Aalen estimate at each patient's own time."""
    distinct, code = np.unique(time, return_inverse=True)
    leaving = np.bincount(code, minlength=len(distinct))
    at_risk = leaving[::-1].cumsum()[::-1]
    steps = np.bincount(code, weights=event, minlength=len(distinct)) / at_risk
    found: Floats = np.cumsum(steps)[code]
    return found
