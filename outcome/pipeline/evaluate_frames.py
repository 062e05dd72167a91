"""Evaluation of predictions in memory: `outcome.evaluate` and `outcome.compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outcome.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from outcome.evaluation.evaluation import Evaluation
    from outcome.study import Treatment

__all__ = ["compare", "evaluate"]


def evaluate(
    predictions: pd.DataFrame | Mapping[str, pd.DataFrame] | Any,
    *,
    baseline: str | None = None,
    contrasts: Sequence[tuple[str, str]] = (),
    unit: str | None = None,
    horizons: Sequence[float] = (),
    risk_groups: str | Sequence[float] | None = None,
    covariates: Sequence[str] = (),
    favourable: bool = False,
    treatment: Mapping[str, Any] | Any | None = None,
    inner_scores: pd.DataFrame | None = None,
    splits: pd.DataFrame | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Evaluate predictions of any tool: metrics with intervals, comparisons, risk groups.

    The command `outcome evaluate` does the same for files, with the same results.

    Parameters
    ----------
    predictions : DataFrame, mapping of arm to DataFrame, or results of a study
        One row per patient (and arm, and repeat): `patient_id`; `time` and `event`, or `label`;
        `risk` (higher is worse) or `probability`. Optional: `entry` (start of observation, if
        delayed; patients are at risk only after it), `arm`, `repeat`, `fold` (risks are compared
        only within a fold), `strata`, `risk_group`, `survival_<h>`.
    baseline : str, optional
        Arm with which the others are compared; by default `image`, else the first of several.
    contrasts : sequence of (str, str)
        Further comparisons: pairs of an arm and a reference arm.
    unit : {"days", "months", "years"}, optional
        Unit of the times; by default the unit in the name of a column `time_<unit>`, else days.
    horizons : sequence of float
        Times, in `unit`, at which AUC(t), Brier score, calibration and survival are reported;
        ascending.
    risk_groups : {"median", "tertiles"} or sequence of float, optional
        By default the groups of the table, else the median within each fold.
    covariates : sequence of str
        Columns of the table, for added value, hazard ratios and subgroups.
    favourable : bool
        The positive label is the better outcome.
    treatment : mapping, optional
        As in the study file: `column` with two treatments, `reference` (one of them), and whether
        treatment was `randomised`. The tables `treatment_*` then show whether the treatment effect
        depends on the score.
    inner_scores, splits : DataFrame, optional
        Scores of test patients by inner models, and the folds of the patients, as returned by
        `outcome.cross_validate`. They make the variance from training in the intervals more
        accurate. For the results of a study they are used automatically.
    n_resamples, seed : int
        Number of bootstrap resamples, and their seed.

    Returns
    -------
    Evaluation
        Its tables are attributes: `metrics`, `comparisons`, `risk_groups`, `calibration` ...

    Raises
    ------
    PredictionsError
        The tables are invalid; the message lists all problems.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import outcome
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.normal(size=80)
    >>> table = pd.DataFrame({
    ...     "patient_id": [f"p{i}" for i in range(80)],
    ...     "time": np.exp(6 - risk + rng.normal(size=80)),
    ...     "event": 1,
    ...     "risk": risk,
    ... })
    >>> found = outcome.evaluate({"image": table}, n_resamples=100)
    >>> bool(found.metrics.set_index("metric").loc["harrell_c", "estimate"] > 0.7)
    True
    """
    from outcome.evaluation.crossfit_estimates import InnerModelTables
    from outcome.evaluation.evaluation import PatientTables, endpoint_outcome, evaluate_study
    from outcome.evaluation.regrouping import regroup
    from outcome.pipeline.evaluate import ASSUMED, annotated, assignment_in, chosen_baseline
    from outcome.pipeline.sources import endpoint_asked
    from outcome.predictions import check_common_patients, read_external

    if inner_scores is None and splits is None:
        inner_scores = getattr(predictions, "inner_scores", None)
        splits = getattr(predictions, "splits", None)
    inner = []
    if inner_scores is not None and splits is not None:
        inner = [InnerModelTables(inner_scores, splits)]
    elif inner_scores is not None:
        raise InputError("`inner_scores` need `splits`, the folds of the patients")
    frames, declared = _frames(predictions), _treatment(treatment)
    read = read_external(
        list(frames), favourable=favourable, covariates=list(covariates),
        treatment=declared.column if declared else "", frames=frames,
    )  # fmt: skip
    assignment = None
    if declared is not None:
        assignment = assignment_in(read, declared)
        read = replace(read, covariates=read.covariates[["patient_id", *covariates]])
    made, kind = read.predictions, read.predictions.kind
    endpoint = endpoint_asked(
        [], kind, unit=unit, found=read.unit, horizons=horizons, favourable=favourable
    )
    described = endpoint_outcome(endpoint, made)
    rule: Any = risk_groups
    if rule is not None and not isinstance(rule, str):
        rule = tuple(float(share) for share in rule)
    grouped = regroup(made, dict.fromkeys(made.arms), rule, ranks_times=described.ranks_times)
    baseline = chosen_baseline(baseline, [], made.arms)
    few = check_common_patients(made, baseline)
    found = evaluate_study(
        grouped.predictions,
        described,
        patients=PatientTables(read.covariates, treatment=assignment),
        baseline=baseline,
        contrasts=contrasts,
        inner=inner,
        n_resamples=n_resamples,
        seed=seed,
        cross_validated=len(made.table[["repeat", "fold"]].drop_duplicates()) > 1,
    )
    if described.times and not (unit or read.unit):
        read = replace(read, notes=(*read.notes, ASSUMED))
    found = annotated(found, read, grouped, [])
    return replace(found, warnings=(*found.warnings, *few))


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    names: tuple[str, str] | None = None,
    unit: str | None = None,
    horizons: Sequence[float] = (),
    favourable: bool = False,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Compare two models on the same patients: paired differences, intervals and p values.

    Parameters
    ----------
    a, b : DataFrame
        Predictions as for `outcome.evaluate`, one arm each; `b` is the baseline.
    names : (str, str), optional
        Names of the arms; by default from their columns `arm`, else `a` and `b`.
    unit, horizons, favourable, n_resamples, seed
        As for `outcome.evaluate`.

    Returns
    -------
    Evaluation
        `comparisons` holds the differences, a minus b.

    Raises
    ------
    PredictionsError
        The tables cannot be used, or have no patient in common.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import outcome
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.normal(size=80)
    >>> known = {"patient_id": np.arange(80), "label": (risk + rng.normal(size=80) > 0).astype(int)}
    >>> good, noise = (pd.DataFrame({**known, "risk": r}) for r in (risk, rng.normal(size=80)))
    >>> found = outcome.compare(good, noise, names=("image", "noise"), n_resamples=100)
    >>> bool(found.comparisons.set_index("metric").loc["auroc", "difference"] > 0.1)
    True
    """
    import pandas as pd

    for name, table in (("a", a), ("b", b)):
        if not isinstance(table, pd.DataFrame):
            raise InputError(f"`{name}` is {type(table).__name__}: give a DataFrame of predictions")
    if names is None:
        own = [
            str(t["arm"].iloc[0]) if "arm" in t and t["arm"].nunique() == 1 else "" for t in (a, b)
        ]
        names = (own[0], own[1]) if all(own) and own[0] != own[1] else ("a", "b")
    for name, table in zip(("a", "b"), (a, b), strict=True):
        if "arm" in table and table["arm"].nunique() > 1:
            raise InputError(
                f"`{name}` contains {table['arm'].nunique()} arms. To do: give one, e.g. "
                "table[table['arm'] == 'image']"
            )
    first, second = (t.drop(columns="arm", errors="ignore") for t in (a, b))
    return evaluate(
        {names[0]: first, names[1]: second},
        baseline=names[1],
        unit=unit,
        horizons=horizons,
        favourable=favourable,
        n_resamples=n_resamples,
        seed=seed,
    )


def _treatment(asked: Any) -> Treatment | None:
    """Check the description of the treatment, as in a study file."""
    from pydantic import ValidationError

    from outcome.study import Treatment

    if asked is None or isinstance(asked, Treatment):
        return asked
    try:
        return Treatment.model_validate(dict(asked))
    except (ValidationError, TypeError, ValueError):
        raise InputError(
            f"`treatment` is {asked!r}: give its `column`, the `reference` and `randomised`, e.g."
            " {'column': 'arm', 'reference': 'control', 'randomised': True}"
        ) from None


def _frames(predictions: Any) -> dict[Path, pd.DataFrame]:
    """Return the tables, each under a path that contains its name."""
    import pandas as pd

    predictions = getattr(predictions, "predictions", predictions)  # of a whole study
    if isinstance(predictions, pd.DataFrame):
        predictions = {"predictions": predictions}
    if not isinstance(predictions, Mapping) or not predictions:
        raise InputError(
            f"`predictions` is {type(predictions).__name__}: give a DataFrame (of a file,"
            " pandas.read_csv(path)), or a mapping of arm to DataFrame"
        )
    for name, table in predictions.items():
        if not isinstance(table, pd.DataFrame):
            raise InputError(f"`predictions`: {name!r} is {type(table).__name__}, not a DataFrame")
    return {Path(str(name)): table for name, table in predictions.items()}
