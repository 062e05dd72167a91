"""Fit a bundle: the procedure of one outer fold, on all patients or on those outside a fold."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.bundle.bundle import Bundle, BundleMember, fingerprint
from outcome.bundle.contracts import contracts_of
from outcome.bundle.ensemble import Ensemble, PlainNetwork
from outcome.bundle.ensemble_torch import torch_networks
from outcome.bundle.out_of_distribution import ClinicalRange, VectorRange
from outcome.bundle.patient_vectors import PatientVectors
from outcome.bundle.provenance import training_facts
from outcome.cohort import Fold
from outcome.crossval.arm_fold import DevelopmentFit, fit_on_development
from outcome.crossval.epoch_loss import combine
from outcome.crossval.executors import LocalProcesses
from outcome.crossval.grid import Grid, check_networks
from outcome.crossval.late_fusion import MemberScores
from outcome.crossval.outer_fold import HISTORY, chosen_network, few_events, linear_losses
from outcome.crossval.scheduler import train
from outcome.dataset.study_data import StudyData
from outcome.devices import pinned_threads
from outcome.errors import StudyError
from outcome.progress import Progress, no_progress
from outcome.study import Arm, Study
from outcome.training.arm_members import Member, members
from outcome.training.fold_data import FoldData, clinical_coding
from outcome.training.linear_models import fit_linear_fold
from outcome.training.precision import resolved

__all__ = ["fit_bundle"]


def _check_storable(study: Study, arm: Arm) -> None:
    if "report" in arm.inputs and getattr(study.embeddings.reports, "learned", False):
        raise StudyError(
            f"arm {arm.name!r} uses report vectors that are learned from each development set. "
            "Such an encoder cannot be stored in a bundle yet. To do: embed the texts with a "
            "fixed encoder (`outcome embed-reports`) and give the file as `embeddings: "
            "{reports: ...}`"
        )


def fit_bundle(
    study: Study,
    study_data: StudyData,
    arm: Arm,
    fold: Fold,
    *,
    fits: Path,
    device: str,
    jobs: int,
    progress: Progress = no_progress,
) -> Bundle:
    """Fit an arm on the development patients of a fold, and collect the parts of the bundle.

    Parameters
    ----------
    study, study_data
        As for a run.
    arm : Arm
    fold : Fold
        The model is trained on its development patients; it has no test patients.
    fits : Path
        Folder of finished fits; fits of a run are reused if they are the same.
    device : str
    jobs : int
    progress : callable

    Raises
    ------
    StudyError
        The arm cannot be stored, because its report vectors are learned separately in every fold.
    """
    _check_storable(study, arm)
    if "report" not in arm.inputs:  # reports of other arms may exist only within a fold
        study_data = replace(study_data, reports=None)
    study = resolved(study, device)
    alone = study.model_copy(update={"arms": (arm,), "baseline": arm.name, "contrasts": ()})
    grid = Grid(alone, replace(study_data, folds=(fold,)), fits, device)
    check_networks(alone)
    train(grid, LocalProcesses(jobs), progress)
    with pinned_threads(study.training.threads):
        made = [_member(grid, fold, member) for member in members(arm)]
        data = _projected(grid, fold, arm)
        settled = fit_on_development(
            alone, grid.study_data, fold, arm, [s for _, s in made], few=few_events(grid, fold)
        )
        parts = [
            replace(m, weight=float(w)) for (m, _), w in zip(made, settled.weights, strict=True)
        ]
        ranges = _ranges(alone, study_data, fold, data, arm)
    shutil.rmtree(grid.scratch, ignore_errors=True)
    bundle = _bundle(alone, study_data, arm, fold, data, parts, settled, ranges)
    return _checked(bundle, study_data, fold)


def _projected(grid: Grid, fold: Fold, arm: Arm) -> FoldData:
    """Project the vectors of every input, including inputs used only by a linear model."""
    inputs = [name for name in arm.inputs if name != "clinical"]
    pooled = tuple(Arm(name=name, inputs=(name,), aggregator="mean") for name in inputs)
    study = grid.study.model_copy(update={"arms": pooled})
    return replace(grid, study=study).data(fold)


def _member(grid: Grid, fold: Fold, member: Member) -> tuple[BundleMember, MemberScores]:
    """Return the inner models of a member, and their risks for held-out patients."""
    if member.linear:
        step, raw, models = _linear(grid, fold, member)
    else:
        member, epoch = chosen_network(grid, fold, member)
        step, raw, models = _networks(grid, fold, member, epoch)
    tune = [grid.head.risk(r) for r in raw]
    centred, test = combine(tune, [np.empty(0) for _ in tune])
    scores = MemberScores(centred, test, pd.DataFrame(columns=HISTORY[1:]))
    centres = tuple(float(r.mean()) for r in tune)
    return BundleMember(member, 1.0, step, centres, tuple(models), plain=False), scores


Models = tuple[float | dict[str, float], list[NDArray[np.float64]], list[dict[str, NDArray[Any]]]]


def _networks(grid: Grid, fold: Fold, member: Member, epoch: int) -> Models:
    folders = [grid.folder(fold, member, i) for i in range(len(fold.inner))]
    states = [{k: v.numpy() for k, v in f.state(epoch).items()} for f in folders]
    return epoch, [folder.tune_raw()[epoch - 1] for folder in folders], states


def _linear(grid: Grid, fold: Fold, member: Member) -> Models:
    losses = linear_losses(grid, fold)
    found = fit_linear_fold(grid.study_data, grid.study, member.inputs, fold, grid.head, losses)
    models = [
        {"mean": m.mean, "scale": m.scale, "weights": m.weights[0], "intercept": m.intercepts}
        for m in found.models
    ]
    penalties = dict(found.penalties)
    step = penalties if len(penalties) > 1 else penalties[member.inputs[0]]
    return step, found.tune, models


def _ranges(
    study: Study, study_data: StudyData, fold: Fold, data: FoldData, arm: Arm
) -> dict[str, VectorRange | ClinicalRange]:
    """Estimate the range of the training patients, with distances of held-out patients."""
    found: dict[str, VectorRange | ClinicalRange] = {}
    for name in arm.inputs:
        if name == "clinical":
            rows = study_data.cohort.patients.loc[list(fold.development)]
            found[name] = ClinicalRange.of(rows, study.covariates)
            continue
        bags = data.development(Member((name,), "mean"), fold.development).bags[name]
        there = [i for i, bag in enumerate(bags) if bag is not None]
        seen = np.stack([bag.double().mean(0).numpy() for bag in bags if bag is not None])
        means = [study_data.mean(name, fold.development[i]) for i in there]
        raw = np.stack([m for m in means if m is not None])
        place = {fold.development[i]: row for row, i in enumerate(there)}
        held_out = [
            np.array([place[p] for p in inner.tune if p in place], dtype=np.int64)
            for inner in fold.inner
        ]
        found[name] = VectorRange.fit(seen, raw, held_out)
    return found


def _bundle(
    study: Study,
    study_data: StudyData,
    arm: Arm,
    fold: Fold,
    data: FoldData,
    parts: Sequence[BundleMember],
    settled: DevelopmentFit,
    ranges: Mapping[str, VectorRange | ClinicalRange],
) -> Bundle:
    patients = study_data.cohort.patients.loc[list(fold.development)]
    slides = study_data.cohort.slides
    own = slides.loc[slides["patient_id"].isin(patients.index), "slide_id"]
    salt = secrets.token_hex(8)
    return Bundle(
        name=study.name,
        arm=arm,
        endpoint=study.endpoint,
        columns=study.columns,
        covariates=study.covariates,
        training=study.training,
        members=tuple(parts),
        projections={
            name: (p.mean.numpy(), p.matrix.numpy()) for name, p in data.projections.items()
        },
        clinical=clinical_coding(study_data, study, fold) if "clinical" in arm.inputs else None,
        calibration=settled.calibration,
        cuts=settled.cuts,
        threshold=settled.threshold,
        horizons=study.endpoint.default_horizons(patients),
        strata=tuple(sorted(set(patients["strata"]))) if "strata" in patients else ("",),
        contracts=contracts_of(study, study_data, arm),
        ranges=ranges,
        salt=salt,
        known=frozenset(fingerprint(salt, i) for i in [*patients.index, *own]),
        facts=training_facts(study, study_data, fold, patients),
    )


def _checked(bundle: Bundle, study_data: StudyData, fold: Fold) -> Bundle:
    """Apply networks with numpy if the results agree with torch for some patients."""
    some = fold.development[:: max(1, len(fold.development) // 5)][:5]
    ensemble = Ensemble(replace(bundle, members=()))
    seen = [_vectors(ensemble, bundle, study_data, p) for p in some]
    parts = []
    for m in bundle.members:
        plain = not m.member.linear and PlainNetwork.possible(m)
        if plain:
            for arrays, network in zip(m.models, torch_networks(bundle, m), strict=True):
                mine = [PlainNetwork(m, arrays).raw(s) for s in seen]
                theirs = [network.raw(s) for s in seen]
                plain = plain and bool(np.allclose(mine, theirs, rtol=1e-4, atol=1e-5))
        parts.append(replace(m, plain=plain))
    return replace(bundle, members=tuple(parts))


def _vectors(
    ensemble: Ensemble, bundle: Bundle, study_data: StudyData, patient: str
) -> PatientVectors:
    given: dict[str, NDArray[Any] | None] = {}
    sample = study_data.sample(patient)
    if "image" in bundle.inputs:
        given["image"] = sample.patches
    if "report" in bundle.inputs:
        given["report"] = sample.report
    if bundle.clinical is not None:
        given["clinical"] = bundle.clinical(study_data.cohort.patients.loc[[patient]])[0]
    return ensemble.see(**given)
