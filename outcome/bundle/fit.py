"""A final model: the procedure of one outer fold, on all patients or on those outside a fold."""

from __future__ import annotations

import platform
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from outcome.bundle.bundle import Bundle, BundleMember, Contract, fingerprint
from outcome.bundle.ensemble import Ensemble, PlainNetwork
from outcome.bundle.ensemble_torch import torch_networks
from outcome.bundle.out_of_distribution import ClinicalRange, VectorRange
from outcome.bundle.patient_vectors import PatientVectors
from outcome.cohort import Fold, whole_fold
from outcome.crossval.arm_fold import Settled, settle
from outcome.crossval.executors import Here
from outcome.crossval.grid import Grid, network_errors
from outcome.crossval.late_fusion import MemberScores
from outcome.crossval.outer_fold import HISTORY, chosen_network, chosen_penalty, few_events
from outcome.crossval.scheduler import train
from outcome.crossval.selection import combine
from outcome.dataset.study_data import StudyData
from outcome.devices import pinned_threads
from outcome.embeddings.patches.find import find_slide_files, patch_geometry
from outcome.errors import CohortError, Problems, StudyError
from outcome.models.ridge import PENALTIES
from outcome.progress import Progress, no_progress
from outcome.study import Arm, Study
from outcome.training.arm_members import Member, members
from outcome.training.fold_data import FoldData, clinical_coding
from outcome.training.linear_models import fit_linear_fold
from outcome.training.precision import resolved

__all__ = ["choose_arm", "choose_fold", "fit_bundle", "performance"]

PACKAGES = ("slide-outcome", "torch", "numpy", "pandas", "scipy", "scikit-learn", "safetensors")


def choose_arm(study: Study, name: str | None) -> Arm:
    """Return an arm by name; by default the first that is not the baseline.

    Raises
    ------
    StudyError
        There is no such arm.
    """
    if name is None:
        others = [a for a in study.arms if a.name != study.baseline]
        return (others or list(study.arms))[0]
    for arm in study.arms:
        if arm.name == name:
            break
    else:
        raise StudyError(f"there is no arm {name!r}: {', '.join(a.name for a in study.arms)}")
    return arm


def _check_storable(study: Study, arm: Arm) -> None:
    if "report" in arm.inputs and getattr(study.embeddings.reports, "learned", False):
        raise StudyError(
            f"arm {arm.name!r} uses report vectors that are learned anew from every development"
            " set, and such an encoder cannot be stored in a bundle yet. To do: embed the texts"
            " with a fixed encoder (`outcome embed-reports`), and give the file as"
            " `embeddings: {reports: ...}`"
        )


def choose_fold(study: Study, study_data: StudyData, without: str | None) -> Fold:
    """Return all patients as development, or what the study's own fold of that name develops on.

    Raises
    ------
    CohortError
        There is no such fold, or there are too few events.
    """
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
    raise CohortError(f"there is no fold {without!r}: {', '.join(f.name for f in first)}")


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
    """Fit an arm on the development patients of a fold, and gather what predicting needs.

    Parameters
    ----------
    study, study_data
        As for a run.
    arm : Arm
    fold : Fold
        See `choose_fold`.
    fits : Path
        Folder of finished fits: those of a run are used where they are the same.
    device : str
    jobs : int
    progress : callable

    Raises
    ------
    StudyError
        The arm cannot be stored: its report vectors are learned anew for every fold.
    """
    _check_storable(study, arm)
    study = resolved(study, device)
    alone = study.model_copy(update={"arms": (arm,), "baseline": arm.name, "contrasts": ()})
    grid = Grid(alone, replace(study_data, folds=(fold,)), fits, device)
    for error in network_errors(alone):
        raise error
    train(grid, Here(jobs), progress)
    with pinned_threads(study.training.threads):
        made = [_member(grid, fold, member) for member in members(arm)]
        data = _projected(grid, fold, arm)
        settled = settle(
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
    """Project every input of vectors, those that only a linear model sees too."""
    inputs = [name for name in arm.inputs if name != "clinical"]
    pooled = tuple(Arm(name=name, inputs=(name,), aggregator="mean") for name in inputs)
    study = grid.study.model_copy(update={"arms": pooled})
    return replace(grid, study=study).data(fold)


def _member(grid: Grid, fold: Fold, member: Member) -> tuple[BundleMember, MemberScores]:
    """Return a member's inner models, and their risks of the patients held out from them."""
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


Models = tuple[float, list[NDArray[np.float64]], list[dict[str, NDArray[Any]]]]


def _networks(grid: Grid, fold: Fold, member: Member, epoch: int) -> Models:
    folders = [grid.folder(fold, member, i) for i in range(len(fold.inner))]
    states = [{k: v.numpy() for k, v in f.state(epoch).items()} for f in folders]
    return epoch, [folder.tune_raw()[epoch - 1] for folder in folders], states


def _linear(grid: Grid, fold: Fold, member: Member) -> Models:
    found = fit_linear_fold(grid.study_data, grid.study, member.inputs, fold, grid.head)
    k = chosen_penalty(grid, fold, found)
    models = [
        {"mean": p.mean, "scale": p.scale, "weights": p.weights[k],
         "intercept": p.intercepts[k : k + 1]}
        for p in found.paths
    ]  # fmt: skip
    return PENALTIES[k], [r[k] for r in found.tune], models


def _ranges(
    study: Study, study_data: StudyData, fold: Fold, data: FoldData, arm: Arm
) -> dict[str, VectorRange | ClinicalRange]:
    """Measure where training patients lie, with distances of patients held out."""
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
    settled: Settled,
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
        contracts=_contracts(study, study_data, arm),
        ranges=ranges,
        salt=salt,
        known=frozenset(fingerprint(salt, i) for i in [*patients.index, *own]),
        facts=_facts(study, study_data, fold, patients),
    )


def _contracts(study: Study, study_data: StudyData, arm: Arm) -> dict[str, Contract]:
    found = {}
    if "image" in arm.inputs:
        slides = [s for own in study_data.slides.values() for s in own if s.n]
        first, geometry = slides[0], {}
        if study.embeddings.patches is not None:
            files = find_slide_files(study.embeddings.patches, study.embeddings.layout).files
            named = [n for n in study_data.cohort.slides["slide_id"] if n in files]
            geometry = patch_geometry(files[named[0]].first) if named else {}
        size = {k: v for k, v in geometry.items() if k not in ("width", "height")}
        found["image"] = Contract(
            dimension=first.dimension,
            encoder=first.encoder,
            layout=first.layout,
            dtype=first.dtype,
            geometry=size,
        )
    if "report" in arm.inputs:
        assert study_data.reports is not None
        found["report"] = Contract(
            dimension=study_data.reports.dimension, encoder=study_data.reports.encoder
        )
    return found


def _facts(
    study: Study, study_data: StudyData, fold: Fold, patients: pd.DataFrame
) -> dict[str, Any]:
    versions = {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}}
    facts: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "patients": len(patients),
        "events": int(study.endpoint.positive_outcome(patients).sum()),
        "inner_models": len(fold.inner),
        "left_out_fold": None if fold.name == "all" else fold.name,
        "simulated": study_data.facts().get("encoder") == "simulated",
        "notes": list(study_data.notes),
    }
    longest = study.endpoint.longest_follow_up(patients)
    return facts if longest is None else facts | {"longest_follow_up": longest}


def _checked(bundle: Bundle, study_data: StudyData, fold: Fold) -> Bundle:
    """Apply networks with numpy where that gives what torch gives, for some patients."""
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


def performance(run: Path, study: Study, arm: Arm) -> list[dict[str, Any]]:
    """Return what a run of the same study measured for the arm; empty where there is none.

    Parameters
    ----------
    run : Path
        Folder of the run.
    """
    try:
        written = yaml.safe_load((run / "study.yaml").read_text(encoding="utf-8"))
        metrics = pd.read_csv(run / "metrics.csv")
    except (OSError, ValueError, yaml.YAMLError):
        return []
    ours = yaml.safe_load(study.to_yaml())
    same = all(written.get(k) == ours[k] for k in ("endpoint", "covariates", "training", "split"))
    described = arm.model_dump(mode="json")
    if not same or described not in written.get("arms", []) or "arm" not in metrics:
        return []
    rows = metrics[metrics["arm"] == arm.name]
    if "endpoint" in rows:
        rows = rows[rows["endpoint"].isna() | (rows["endpoint"] == "")]
    columns = ["metric", "estimate", "lower", "upper", "n", "events"]
    known = rows.loc[rows["estimate"].notna(), columns].to_dict("records")
    return [{str(k): None if pd.isna(v) else v for k, v in row.items()} for row in known]
