"""Fit one arm of a study on all patients: a model to use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from outcome.errors import CohortError, Problems, StudyError
from outcome.pipeline.prepare import default_folder, processes
from outcome.progress import Progress, as_progress

if TYPE_CHECKING:
    import pandas as pd

    from outcome.bundle.bundle import Bundle
    from outcome.cohort import Fold
    from outcome.dataset.study_data import StudyData
    from outcome.study import Arm, Study

__all__ = ["choose_arm", "choose_fold", "fit"]


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
    progress: Progress | bool = False,
) -> Bundle:
    """Fit one arm on all patients, by the procedure of cross-validation, and write the bundle.

    Parameters
    ----------
    study : Study
    arm : str, optional
        Arm to fit; by default the baseline.
    without_fold : str, optional
        Exclude the test patients of the study's fold with this name, to validate on them.
    out : path, optional
        Folder of the bundle; by default `reports/<study name>-bundle`.
    run : path, optional
        A run of the same study. Its fits are reused if they are the same, and its performance is
        written into the model card. By default `reports/<study name>`, if this folder exists.
    cohort : DataFrame, optional
        The cohort table, used instead of the file of the study.
    jobs, device, cache, progress
        As for `outcome.run`.

    Raises
    ------
    InputError
        The input is invalid. The message lists all problems, and nothing is written.

    Examples
    --------
    >>> import outcome
    >>> study = outcome.Study.read("study.yaml")
    >>> bundle = outcome.fit(study, arm="image", out="bundle")
    >>> bundle.inputs
    ('image',)
    """
    from outcome.bundle.bundle import with_facts
    from outcome.bundle.fit import fit_bundle
    from outcome.bundle.model_card import model_card
    from outcome.bundle.provenance import performance
    from outcome.bundle.serialization import check_place, write_bundle
    from outcome.crossval.grid import network_errors
    from outcome.dataset.study_data import prepare
    from outcome.devices import choose_device
    from outcome.embeddings.patches.packed_store import default_cache

    chosen = choose_arm(study, arm)
    folder = Path(out) if out is not None else default_folder(study, "-bundle")
    check_place(folder)
    device = choose_device(device)
    receive = as_progress(progress)
    alone = study.model_copy(update={"arms": (chosen,), "baseline": chosen.name, "contrasts": ()})
    study_data = prepare(
        study,
        Path(cache) if cache is not None else default_cache(),
        frame=cohort,
        known=network_errors(alone),
        progress=lambda done, total: receive("reading", done, total),
    )
    fold = choose_fold(study, study_data, without_fold)
    jobs = processes(jobs, study, device)
    earlier = Path(run) if run is not None else Path("reports") / study.name
    with TemporaryDirectory() as scratch:
        kept = earlier.absolute() / "fits"  # processes may be in another folder
        fits = kept if kept.is_dir() else Path(scratch) / "fits"
        bundle = fit_bundle(
            study, study_data, chosen, fold, fits=fits, device=device, jobs=jobs, progress=receive
        )
    bundle = with_facts(bundle, performance=performance(earlier, study, chosen))
    write_bundle(bundle, folder, model_card(bundle))
    return bundle


def choose_arm(study: Study, name: str | None) -> Arm:
    """Return an arm by name; by default the baseline.

    Raises
    ------
    StudyError
        There is no such arm.
    """
    name = study.baseline if name is None else name
    for arm in study.arms:
        if arm.name == name:
            break
    else:
        raise StudyError(
            f"there is no arm {name!r}; arms are {', '.join(a.name for a in study.arms)}"
        )
    return arm


def choose_fold(study: Study, study_data: StudyData, without: str | None) -> Fold:
    """Return all patients as development patients, or those of the fold with this name.

    Raises
    ------
    CohortError
        There is no such fold, or there are too few events.
    """
    from outcome.cohort import whole_fold

    if without is None:
        problems = Problems(f"study {study.name!r}")
        fold = whole_fold(study_data.cohort, study.split, problems, networks=study.networks)
        problems.raise_if_any(CohortError)
        assert fold is not None
        return fold
    first = [f for f in study_data.folds if f.repeat == 0]
    for fold in first:
        if fold.name == without:
            return replace(fold, test=())
    raise CohortError(f"there is no fold {without!r}; folds are {', '.join(f.name for f in first)}")
