"""Predict new patients with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from outcome.progress import Progress, as_progress

if TYPE_CHECKING:
    import pandas as pd

    from outcome.bundle.bundle import Bundle
    from outcome.study import Study

__all__ = ["Predicted", "predict"]


@dataclass(frozen=True)
class Predicted:
    """Predictions for new patients.

    Parameters
    ----------
    table : DataFrame
        One row per patient: see `outcome.bundle.predict.prediction_table`.
    bundle : Bundle
    warnings : list of str
        Warnings about the predictions.
    """

    table: pd.DataFrame
    bundle: Bundle
    warnings: list[str]


def predict(
    bundle: str | Path | Bundle,
    source: str | Path | Study,
    *,
    patches: str | Path | None = None,
    reports: str | Path | None = None,
    horizons: Sequence[float] = (),
    jobs: int | None = None,
    cache: str | Path | None = None,
    allow_import: bool = False,
    progress: Progress | bool = False,
) -> Predicted:
    """Predict new patients; outcomes are not needed and not read.

    Parameters
    ----------
    bundle : path or Bundle
    source : path or Study
        A study file, or a cohort table with the id and clinical columns of the training study.
    patches, reports : path, optional
        Location of the vectors, for a cohort table or instead of that given in the study.
    horizons : sequence of float
        Times at which S(t) is given, in the unit of the endpoint; by default those of the bundle.
    jobs : int, optional
        Number of processes; by default one, or for many patients one per processor. Results do not
        depend on it.
    cache : path, optional
    allow_import : bool
        Import an external aggregator that the bundle names.
    progress : bool or callable
        As for `outcome.run`.

    Raises
    ------
    InputError
        The input is invalid, e.g. vectors of another encoder or dimension. The message lists all
        problems.

    Examples
    --------
    >>> import outcome
    >>> predicted = outcome.predict("bundle", "study.yaml")
    >>> sorted(set(predicted.table["risk_group"]))
    ['high', 'low']
    """
    from outcome.bundle.new_patients import as_study, read_new_patients
    from outcome.bundle.predict import prediction_table, score_patients
    from outcome.bundle.serialization import as_bundle

    model = as_bundle(bundle, allow_import=allow_import)
    study = as_study(model, source, patches, reports)
    patients = read_new_patients(model, study, cache, with_outcomes=False)
    at = model.horizons_for(horizons)
    scored = score_patients(model, patients, jobs=jobs, progress=as_progress(progress))
    table, warnings = prediction_table(model, patients, scored, at)
    return Predicted(table, model, warnings)
