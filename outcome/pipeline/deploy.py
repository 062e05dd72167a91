"""A trained model in use: fit it on all patients, predict, validate, see where it looked.

What `outcome fit`, `predict`, `validate` and `attention` do, as functions.

Examples
--------
>>> import outcome
>>> study = outcome.Study.read("study.yaml")
>>> bundle = outcome.fit(study, arm="image", out="bundle")
>>> bundle.inputs
('image',)

>>> predicted = outcome.predict("bundle", "study.yaml")
>>> sorted(set(predicted.table["risk_group"]))
['high', 'low']

>>> held_out = outcome.fit(study, arm="image", without_fold="0", out="without-0")
>>> validated = outcome.validate("without-0", study, out="validation")
>>> "harrell_c" in set(validated.metrics["metric"])
True

>>> patient = predicted.table["patient_id"][0]
>>> explained = outcome.attention("bundle", study, patients=[patient], out="maps")
>>> explained.modalities["share_image"].tolist()
[1.0]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from outcome.bundle.bundle import Bundle
    from outcome.bundle.new_patients import Newcomers
    from outcome.explain.explanation import Explanation
    from outcome.study import Study

__all__ = ["Predicted", "Validation", "attention", "fit", "predict", "validate"]

Progress = Callable[[str, int, int], None]


def _silent(what: str, done: int, total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Predicted:
    """Predictions for new patients.

    Parameters
    ----------
    table : DataFrame
        One row per patient: see `outcome.bundle.predict.predict_newcomers`.
    bundle : Bundle
    warnings : list of str
        What a reader of the table must know.
    """

    table: pd.DataFrame
    bundle: Bundle
    warnings: list[str]


@dataclass(frozen=True)
class Validation:
    """A trained model judged on patients whom it had not met.

    Parameters
    ----------
    folder : Path
    report : Path
        The same page that a run writes.
    predictions, metrics, risk_groups, recalibration : DataFrame
        Also in the folder. The log-rank p of the risk groups is an ordinary one: cut-offs and
        model were fixed before.
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


def fit(
    study: Study,
    *,
    arm: str | None = None,
    without_fold: str | None = None,
    out: str | Path | None = None,
    run: str | Path | None = None,
    cohort: pd.DataFrame | None = None,
    jobs: int | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    progress: Progress = _silent,
) -> Bundle:
    """Fit one arm on all patients, by the procedure of cross-validation, and write the bundle.

    Parameters
    ----------
    study : Study
    arm : str, optional
        By default the first that is not the baseline.
    without_fold : str, optional
        Leave out the test patients of the study's fold of that name, to validate on them.
    out : path, optional
        Folder of the bundle; by default `reports/<study name>-bundle`.
    run : path, optional
        A run of the same study: its fits are used where they are the same, and its performance is
        written into the model card. By default `reports/<study name>`, where it is there.
    cohort : DataFrame, optional
        The cohort table, instead of the study's file.
    jobs, device, cache, progress
        As for `outcome.run`.

    Raises
    ------
    InputError
        Everything that is wrong with the input, at once; then nothing has been written.
    """
    from outcome.bundle.bundle import with_facts
    from outcome.bundle.fit import choose_arm, choose_fold, fit_bundle, performance
    from outcome.bundle.model_card import model_card
    from outcome.bundle.serialization import check_place, write_bundle
    from outcome.dataset.study_data import prepare
    from outcome.devices import available_cpus, choose_device
    from outcome.embeddings.patches.packed_store import default_cache

    chosen = choose_arm(study, arm)
    folder = Path(out) if out is not None else Path("reports") / f"{study.name}-bundle"
    check_place(folder)
    device = choose_device(device)
    study_data = prepare(
        study,
        Path(cache) if cache is not None else default_cache(),
        frame=cohort,
        progress=lambda done, total: progress("reading", done, total),
    )
    fold = choose_fold(study, study_data, without_fold)
    if jobs is None:
        jobs = max(1, available_cpus() // study.training.threads) if device == "cpu" else 1
    earlier = Path(run) if run is not None else Path("reports") / study.name
    with TemporaryDirectory() as scratch:
        kept = earlier.absolute() / "fits"  # processes may be in another folder
        fits = kept if kept.is_dir() else Path(scratch) / "fits"
        bundle = fit_bundle(
            study, study_data, chosen, fold, fits=fits, device=device, jobs=jobs, progress=progress
        )
    bundle = with_facts(bundle, performance=performance(earlier, study, chosen))
    write_bundle(bundle, folder, model_card(bundle))
    return bundle


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
    progress: Progress = _silent,
) -> Predicted:
    """Predict new patients; outcomes are not needed, and not read.

    Parameters
    ----------
    bundle : path or Bundle
    source : path or Study
        A study file, or a cohort table with the id and clinical columns of the training study.
    patches, reports : path, optional
        Where the vectors are, with a cohort table; or instead of what the study says.
    horizons : sequence of float
        Where S(t) is given, in the unit of the endpoint; by default those of the bundle.
    jobs : int, optional
        Processes; by default one, or for many patients one per processor. No result depends on it.
    cache : path, optional
    allow_import : bool
        Import an aggregator from outside that the bundle names.
    progress : callable

    Raises
    ------
    InputError
        Everything that is wrong, at once; e.g. vectors of another encoder or dimension.
    """
    from outcome.bundle.new_patients import as_study, read_newcomers
    from outcome.bundle.predict import predict_newcomers, score_newcomers

    model = _bundle(bundle, allow_import)
    study = as_study(model, source, _path(patches), _path(reports))
    newcomers = read_newcomers(model, study, _cache(cache), outcomes=False)
    at = _horizons(model, horizons)
    scored = score_newcomers(model, newcomers, jobs=_jobs(jobs, newcomers), progress=progress)
    table, warnings = predict_newcomers(model, newcomers, scored, at)
    return Predicted(table, model, warnings)


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
    progress: Progress = _silent,
) -> Validation:
    """Judge a trained model on patients with outcomes whom it has not met; write the report.

    Parameters
    ----------
    bundle : path or Bundle
    study : path or Study
        Patients of the training cohort are left out, and counted.
    out : path, optional
        Folder of the results; by default `reports/<study name>-validation`.
    horizons : sequence of float
        By default those of the bundle.
    n_resamples, seed : int
        Of the bootstrap.
    jobs, cache, allow_import, progress
        As for `predict`.
    command : str
        Noted in the manifest.

    Raises
    ------
    InputError
        Everything that is wrong, at once; then nothing has been written.
    """
    from outcome.bundle.external_validation import (
        check_endpoint,
        external_predictions,
        usable_horizons,
        without_training_patients,
    )
    from outcome.bundle.model_card import about_bundle
    from outcome.bundle.new_patients import as_study, read_newcomers
    from outcome.bundle.predict import met_before, predict_newcomers, score_newcomers
    from outcome.pipeline.validate import check_folder, write_validation

    model = _bundle(bundle, allow_import)
    read = as_study(model, study)
    folder = Path(out) if out is not None else Path("reports") / f"{read.name}-validation"
    check_folder(folder)
    newcomers = read_newcomers(model, read, _cache(cache), outcomes=True)
    newcomers, notes = check_endpoint(model, newcomers)
    met = met_before(model, newcomers)
    newcomers, left = without_training_patients(newcomers, met)
    at, beyond = usable_horizons(_horizons(model, horizons), newcomers.cohort)
    scored = score_newcomers(model, newcomers, jobs=_jobs(jobs, newcomers), progress=progress)
    table, warnings = predict_newcomers(model, newcomers, scored, at)
    found = external_predictions(model, newcomers.cohort, scored, table, at)
    return Validation(
        **write_validation(
            folder,
            model.endpoint,
            found.table,
            newcomers.cohort,
            recalibration=found.recalibration,
            trained_on=met,
            horizons=at,
            about={"name": read.name, "command": command, **about_bundle(model)},
            notes=[*notes, *left, *beyond, *found.notes],
            warnings=warnings,
            n_resamples=n_resamples,
            seed=seed,
        )
    )


def attention(
    bundle: str | Path | Bundle,
    study: str | Path | Study,
    *,
    slides: Sequence[str] = (),
    patients: Sequence[str] = (),
    out: str | Path | None = None,
    top: int = 20,
    images: str | Path | None = None,
    patches: str | Path | None = None,
    reports: str | Path | None = None,
    cache: str | Path | None = None,
    allow_import: bool = False,
    seed: int = 0,
    progress: Progress = _silent,
) -> Explanation:
    """Say where a trained model looked, and what raised and what lowered the risk.

    Parameters
    ----------
    bundle : path or Bundle
    study : path or Study
        A study file, or a cohort table as for `predict`.
    slides, patients : sequence of str
        Which; a patient stands for all of the patient's slides.
    out : path, optional
        Folder of maps and tables; by default `reports/<study name>-attention`.
    top : int
        Patches that are listed at either end.
    images : path, optional
        Folder of the slides themselves, for a thumbnail under the map (extra `[slides]`).
    patches, reports, cache, allow_import, progress
        As for `predict`.
    seed : int
        Of the random deletions that the faithfulness is compared with.

    Raises
    ------
    InputError
        Everything that is wrong, at once.
    """
    from outcome.bundle.new_patients import as_study, read_newcomers
    from outcome.explain.explanation import explain

    model = _bundle(bundle, allow_import)
    read = as_study(model, study, _path(patches), _path(reports))
    newcomers = read_newcomers(model, read, _cache(cache), outcomes=False)
    return explain(
        model,
        newcomers,
        slides=slides,
        patients=patients,
        out=Path(out) if out is not None else Path("reports") / f"{read.name}-attention",
        top=top,
        images=_path(images),
        seed=seed,
        progress=progress,
    )


def _bundle(bundle: str | Path | Bundle, allow_import: bool) -> Bundle:
    from outcome.bundle.bundle import Bundle
    from outcome.bundle.serialization import read_bundle

    if isinstance(bundle, Bundle):
        return bundle
    return read_bundle(bundle, allow_import=allow_import)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _cache(cache: str | Path | None) -> Path:
    from outcome.embeddings.patches.packed_store import default_cache

    return Path(cache) if cache is not None else default_cache()


def _jobs(jobs: int | None, newcomers: Newcomers) -> int:
    import os

    if jobs is not None:
        return jobs
    if len(newcomers.cohort.patients) < 200:
        return 1  # a pool takes longer to start than so few patients take
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _horizons(bundle: Bundle, asked: Sequence[float]) -> list[float]:
    from outcome.endpoint import TimeToEvent
    from outcome.errors import BundleError

    if not asked:
        return list(bundle.horizons)
    if not isinstance(bundle.endpoint, TimeToEvent):
        raise BundleError("--horizons are for a survival endpoint, and this model has another")
    if list(asked) != sorted(set(asked)) or asked[0] <= 0:
        raise BundleError(f"horizons {list(asked)}: give positive numbers, ascending, each once")
    longest = bundle.facts.get("longest_follow_up", float("inf"))
    if asked[-1] > longest:
        raise BundleError(
            f"horizon {asked[-1]:g} lies beyond the follow-up of training ({longest:g}"
            f" {bundle.endpoint.unit}), where nothing is known"
        )
    return [float(h) for h in asked]
