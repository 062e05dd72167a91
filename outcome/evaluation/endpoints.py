"""The same predictions judged on the endpoint of a study, and on its secondary endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from outcome.endpoint import Binary, Endpoint, Landmark
from outcome.evaluation.evaluation import Evaluation, evaluate
from outcome.predictions import Predictions

__all__ = ["evaluate_endpoint", "evaluate_endpoints", "judged_on"]

OUTCOMES = ("time", "event", "label", "weight")


def evaluate_endpoint(
    predictions: Predictions,
    endpoint: Endpoint,
    *,
    baseline: str | None = None,
    contrasts: Sequence[tuple[str, str]] = (),
    n_resamples: int = 1000,
    seed: int = 0,
    cross_validated: bool = True,
) -> Evaluation:
    """Run `evaluate` as the kind of endpoint asks for; parameters as there."""
    landmark = endpoint.horizon if isinstance(endpoint, Landmark) else None
    return evaluate(
        predictions,
        baseline=baseline,
        contrasts=contrasts,
        unit="days" if isinstance(endpoint, Binary) else endpoint.unit,
        horizons=() if isinstance(endpoint, Binary) else endpoint.horizons,
        favourable=isinstance(endpoint, Binary) and endpoint.favourable,
        landmark=landmark,
        n_resamples=n_resamples,
        seed=seed,
        cross_validated=cross_validated,
    )


def evaluate_endpoints(
    predictions: Predictions,
    endpoint: Endpoint,
    secondary: Sequence[Endpoint],
    *,
    baseline: str | None = None,
    contrasts: Sequence[tuple[str, str]] = (),
    n_resamples: int = 1000,
    seed: int = 0,
    cross_validated: bool = True,
) -> Evaluation:
    """Evaluate the primary endpoint, and the same risks on each secondary one.

    Returns
    -------
    Evaluation
        With secondary endpoints, its tables have a column `endpoint`: empty for the primary one.
        Secondary endpoints are descriptive, and noted so.
    """
    judge = partial(
        evaluate_endpoint,
        baseline=baseline,
        n_resamples=n_resamples,
        seed=seed,
        cross_validated=cross_validated,
    )
    found = judge(predictions, endpoint, contrasts=contrasts)
    if not secondary:
        return found
    metrics = [found.metrics.assign(endpoint="")]
    comparisons = [found.comparisons.assign(endpoint="")]
    groups = [found.risk_groups.assign(endpoint="")]
    notes, warnings = list(found.notes), list(found.warnings)
    for other in secondary:
        table = judged_on(predictions.table, other.name)
        if table.empty or not other.positive_outcome(table).any():
            warnings.append(f"secondary endpoint {other.name}: nobody has an event; not evaluated")
            continue
        judged = judge(Predictions(table), other)
        metrics.append(judged.metrics.assign(endpoint=other.name))
        comparisons.append(judged.comparisons.assign(endpoint=other.name))
        groups.append(judged.risk_groups.assign(endpoint=other.name))
        n = table["patient_id"].nunique()
        lost = predictions.table["patient_id"].nunique() - n
        notes.append(
            f"secondary endpoint {other.name}: the same risks and risk groups judged on {n}"
            f" patients ({lost} lack it); nothing was trained on it: descriptive"
        )
        warnings += [f"secondary endpoint {other.name}: {w}" for w in judged.warnings]
    return replace(
        found,
        metrics=pd.concat(metrics, ignore_index=True),
        comparisons=pd.concat(comparisons, ignore_index=True),
        risk_groups=pd.concat(groups, ignore_index=True),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def judged_on(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows with another outcome, from the columns `<name>_time` and so on.

    Calibrated columns are left out: they are about the primary endpoint.
    """
    columns = {f"{name}_{c}": c for c in OUTCOMES if f"{name}_{c}" in table}
    primary = [
        c
        for c in table.columns
        if c in (*OUTCOMES, "probability", "threshold") or str(c).startswith("survival_")
    ]
    other = table.drop(columns=primary).rename(columns=columns)
    return other.dropna(subset=list(columns.values())).reset_index(drop=True)
