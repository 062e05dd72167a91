"""External validation of a trained model: its predictions, evaluated on other patients."""

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

__all__ = ["Validation", "validate"]


@dataclass(frozen=True)
class Validation:
    """A trained model evaluated on patients whom it was not trained on.

    Parameters
    ----------
    folder : Path
    report : Path
        The same page that a run writes.
    predictions, metrics, risk_groups, recalibration : DataFrame
        Also in the folder. The log-rank p of the risk groups needs no adjustment, because cut-offs
        and model were fixed in advance.
    notes, warnings : list of str
    """

    folder: Path
    report: Path
    predictions: pd.DataFrame
    metrics: pd.DataFrame
    risk_groups: pd.DataFrame
    recalibration: pd.DataFrame
    notes: list[str]
    warnings: list[str]


def validate(
    bundle: str | Path | Bundle,
    study: str | Path | Study,
    *,
    out: str | Path | None = None,
    horizons: Sequence[float] = (),
    n_resamples: int = 1000,
    seed: int = 0,
    jobs: int | None = None,
    cache: str | Path | None = None,
    allow_import: bool = False,
    command: str = "",
    progress: Progress | bool = False,
) -> Validation:
    """Evaluate a trained model on other patients, with outcomes, and write the report.

    Parameters
    ----------
    bundle : path or Bundle
    study : path or Study
        Patients of the training cohort are excluded and counted.
    out : path, optional
        Folder of the results; by default `reports/<study name>-validation`.
    horizons : sequence of float
        Times at which predictions are evaluated; by default those of the bundle.
    n_resamples, seed : int
        Number of bootstrap resamples, and their seed.
    jobs, cache, allow_import, progress
        As for `predict`.
    command : str
        Command line that is recorded in the manifest.

    Raises
    ------
    InputError
        The input is invalid. The message lists all problems, and nothing is written.

    Examples
    --------
    >>> import outcome
    >>> study = outcome.Study.read("study.yaml")
    >>> bundle = outcome.fit(study, arm="image", without_fold="0", out="without-0")
    >>> validated = outcome.validate("without-0", study, out="validation")
    >>> "harrell_c" in set(validated.metrics["metric"])
    True
    """
    from outcome.bundle.external_validation import (
        check_endpoint,
        external_predictions,
        usable_horizons,
        without_training_patients,
    )
    from outcome.bundle.model_card import about_bundle
    from outcome.bundle.new_patients import as_study, read_new_patients
    from outcome.bundle.predict import prediction_table, score_patients, training_patients
    from outcome.bundle.serialization import as_bundle
    from outcome.pipeline.prepare import default_folder
    from outcome.pipeline.write_validation import check_folder, write_validation

    model = as_bundle(bundle, allow_import=allow_import)
    read = as_study(model, study)
    folder = Path(out) if out is not None else default_folder(read, "-validation")
    check_folder(folder)
    patients = read_new_patients(model, read, cache, with_outcomes=True)
    patients, notes = check_endpoint(model, patients)
    known = training_patients(model, patients)
    patients, left = without_training_patients(patients, known)
    at, beyond = usable_horizons(model.horizons_for(horizons), patients.cohort)
    scored = score_patients(model, patients, jobs=jobs, progress=as_progress(progress))
    table, warnings = prediction_table(model, patients, scored, at)
    found = external_predictions(model, patients.cohort, scored, table, at)
    return Validation(
        **write_validation(
            folder,
            found.table,
            patients.cohort,
            recalibration=found.recalibration,
            trained_on=known,
            horizons=at,
            about={"name": read.name, "command": command, **about_bundle(model)},
            notes=[*notes, *left, *beyond, *found.notes],
            warnings=warnings,
            n_resamples=n_resamples,
            seed=seed,
        )
    )
