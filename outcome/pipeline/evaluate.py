"""Evaluation of tables of predictions of any tool, for `outcome evaluate` and `compare`."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from outcome.endpoint import Endpoint
from outcome.errors import PredictionsError, Problems, RunFolderError
from outcome.evaluation.covariates import MOST_LEVELS, without_many_levels
from outcome.evaluation.crossfit_estimates import InnerModelTables
from outcome.evaluation.evaluation import Evaluation, PatientTables, evaluate_study
from outcome.evaluation.in_sample import models_of_several_folds
from outcome.evaluation.notes import GROUPS_AS_GIVEN, GROUPS_OF_FIRST_REPEAT
from outcome.evaluation.outcome_kinds import described_outcome
from outcome.evaluation.regrouping import Grouped, GroupOrigin, regroup
from outcome.pipeline.sources import PredictionSource, endpoint_asked, read_sources
from outcome.predictions import (
    DeclaredColumns,
    ExternalPredictions,
    check_common_patients,
    read_external,
)
from outcome.reporting.report import write_report
from outcome.run_folder.read import (
    made_of_covariates,
    read_development,
    read_inner_models,
    read_treatment,
)
from outcome.run_folder.write import write_run_folder
from outcome.study import RiskGroups, Treatment
from outcome.tables.codes import canonical_code
from outcome.tables.treatment import TREATMENT, TreatmentAssignment, check_treatment

__all__ = [
    "EvaluatedTables",
    "annotated",
    "assignment_in",
    "check_folder",
    "chosen_baseline",
    "evaluate_tables",
]

OF_RUN = "of the run: "
PACKAGES = ("slide-outcome", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib")
ASSUMED = "times are assumed to be in days, because no unit was given"


@dataclass(frozen=True)
class EvaluatedTables:
    """Results, and the folder in which they were written.

    Parameters
    ----------
    evaluation : Evaluation
    tables : mapping of name to DataFrame
        All tables in the folder.
    baseline : str or None
    report : Path
    simulated : bool
        Whether the patients of a run are simulated.
    group_notes : tuple of str
        How the notes begin that concern risk groups alone.
    """

    evaluation: Evaluation
    tables: Mapping[str, pd.DataFrame]
    baseline: str | None
    report: Path
    simulated: bool = False
    group_notes: tuple[str, ...] = ()


def evaluate_tables(
    paths: Sequence[Path],
    out: Path,
    *,
    baseline: str | None = None,
    unit: str | None = None,
    horizons: Sequence[float] = (),
    risk_groups: RiskGroups | None = None,
    covariates: Sequence[str] = (),
    favourable: bool = False,
    columns: DeclaredColumns | None = None,
    treatment: Treatment | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    command: str = "",
) -> EvaluatedTables:
    """Evaluate tables of predictions and write metrics, comparisons, figures and the report.

    Parameters
    ----------
    paths : sequence of Path
        Tables (see `outcome.predictions.read_external`), or run folders. For run folders, endpoint,
        unit, horizons, baseline and covariates are those of the run, unless they are given here.
    out : Path
        A new folder, or that of an earlier evaluation.
    baseline : str, optional
        Arm with which the others are compared; by default `image` if present, else the first of
        several.
    unit : {"days", "months", "years"}, optional
        Unit of the times; by default from the column name, else days. Times are not converted.
    horizons : sequence of float
        Times, in `unit`, at which AUC(t), Brier score, calibration and survival are reported;
        ascending.
    risk_groups : str or tuple of float, optional
        Rule of the risk groups; see `outcome.evaluation.regrouping.regroup`.
    covariates : sequence of str
        Columns of every table, for added value, hazard ratios and subgroups.
    favourable : bool
        The positive label is the better outcome.
    columns : DeclaredColumns, optional
        Names of the columns of tables, if they differ from the standard names.
    treatment : Treatment, optional
        Column of every table with two treatments, to test whether their difference depends on
        the score. By default that of the run.
    n_resamples, seed : int
        Number of bootstrap resamples, and their seed.
    command : str
        Command line that is recorded in the manifest.

    Raises
    ------
    PredictionsError, RunFolderError
        The input is invalid. The message lists all problems, and nothing is written.
    """
    check_folder(out)
    sources = read_sources(paths)
    if any(s.folder and s.folder.resolve() == out.resolve() for s in sources):
        raise RunFolderError(
            f"{out} is the folder to be evaluated; give another folder for the results"
        )
    alone = sources[0] if len(sources) == 1 and sources[0].folder else None
    if columns and all(s.folder for s in sources):
        raise PredictionsError(
            "columns and codes can be declared only for tables; a run folder already defines them"
        )
    named = treatment.column if treatment else ""
    read = _read(sources, alone, covariates, columns, named, favourable=favourable)
    assignment = _assignment(read, treatment, alone)
    if named and not _is_covariate(named, covariates, alone):
        read = replace(read, covariates=read.covariates.drop(columns=named))
    kind = read.predictions.kind
    endpoint = endpoint_asked(
        sources, kind, unit=unit, found=read.unit, horizons=horizons, favourable=favourable
    )
    described = _endpoint(endpoint, alone)
    outcome = described_outcome(described, read.predictions)
    grouped = regroup(
        read.predictions, _origins(read, sources), risk_groups, ranks_times=outcome.ranks_times
    )
    inner = _inner_models(read, sources)
    baseline = chosen_baseline(baseline, sources, read.predictions.arms)
    _, left_out = without_many_levels(read.covariates)
    dropped = [
        f"covariate {c} is not used, because it is text with more than {MOST_LEVELS} different "
        "values"
        for c in left_out
    ]
    few = check_common_patients(read.predictions, baseline)
    study = alone.study if alone else None
    about = describe(sources, read, described, grouped, alone, assignment) | {
        "command": command,
        "baseline": baseline or "",
        "resamples": n_resamples,
        "seed": seed,
    }
    evaluation = evaluate_study(
        grouped.predictions,
        outcome,
        study.secondary if study else (),
        patients=PatientTables(
            read.covariates,
            numeric=about["covariates"]["numeric"],
            made_of_covariates=made_of_covariates(about["arms"]),
            treatment=assignment,
        ),
        baseline=baseline,
        contrasts=study.contrasts if study else (),
        inner=inner,
        n_resamples=n_resamples,
        seed=seed,
        cross_validated=len(read.predictions.table[["repeat", "fold"]].drop_duplicates()) > 1,
    )
    if outcome.times and not (unit or read.unit or any(s.folder for s in sources)):
        read = replace(read, notes=(*read.notes, ASSUMED))
    evaluation = annotated(evaluation, read, grouped, sources)
    several = models_of_several_folds(grouped.predictions.table)
    evaluation = replace(evaluation, warnings=(*evaluation.warnings, *few, *dropped, *several))
    tables = {
        "predictions": grouped.predictions.table,
        "covariates": read.covariates,
        **evaluation.tables,
    }
    if alone and inner:
        tables |= {"inner_scores": inner[0].scores, "splits": inner[0].splits}
    if assignment is not None:
        tables["treatments"] = assignment.table
    optional = ("inner_scores", "splits", "treatments")
    stale = [f"{name}.csv" for name in optional if name not in tables]
    write_run_folder(out, tables, {**about, **evaluation.manifest_part}, stale=stale)
    page = write_report(out)
    return EvaluatedTables(
        evaluation,
        tables,
        baseline or None,
        page,
        bool(about["simulated"]),
        (grouped.said, GROUPS_AS_GIVEN, GROUPS_OF_FIRST_REPEAT),
    )


def _read(
    sources: Sequence[PredictionSource],
    alone: PredictionSource | None,
    covariates: Sequence[str],
    columns: DeclaredColumns | None,
    treatment: str,
    *,
    favourable: bool,
) -> ExternalPredictions:
    """Read the tables; for a single run with all of its covariates, unless some are named."""
    better = any(bool(s.part("endpoint").get("favourable")) for s in sources)
    of_runs = {s.table: s.covariates() for s in sources if s.folder}
    if alone and not covariates:
        covariates = [c for c in map(str, of_runs[alone.table]) if c != "patient_id"]
    tables = [s.table for s in sources]
    return read_external(
        tables,
        favourable=favourable or better,
        covariates=covariates,
        treatment=treatment,
        of_runs=of_runs,
        declared=columns,
    )


def _assignment(
    read: ExternalPredictions, asked: Treatment | None, alone: PredictionSource | None
) -> TreatmentAssignment | None:
    """Return the treatments of the patients: as requested, or as in the run."""
    if asked is not None:
        return assignment_in(read, asked)
    if alone is None or alone.folder is None:
        return None
    problems: list[str] = []
    found = read_treatment(alone.folder, alone.manifest, problems)
    if problems:
        raise PredictionsError("; ".join(problems))
    return found


def assignment_in(read: ExternalPredictions, asked: Treatment) -> TreatmentAssignment:
    """Return the treatments from a column that was read with the predictions.

    Raises
    ------
    PredictionsError
        The reference is absent, or there are not two treatments.
    """
    values = read.covariates[asked.column]
    text = values.map(canonical_code).where(values.notna(), "")
    problems = Problems("predictions")
    check_treatment(text, asked.column, asked.reference, problems, where="treatment")
    problems.raise_if_any(PredictionsError)
    table = pd.DataFrame({"patient_id": read.covariates["patient_id"], TREATMENT: text})
    return TreatmentAssignment(table, asked.column, asked.reference, asked.randomised)


def _is_covariate(column: str, covariates: Sequence[str], alone: PredictionSource | None) -> bool:
    """Whether a column was named as a covariate, or is one of the run whose covariates are used."""
    of_run = alone is not None and not covariates and column in alone.covariates()
    return column in covariates or of_run


def _origins(
    read: ExternalPredictions, sources: Sequence[PredictionSource]
) -> dict[str, GroupOrigin | None]:
    """Return the origin of the risk groups of each arm; None for tables and several runs."""
    problems = Problems("risk groups")
    by_table: dict[Path, GroupOrigin | None] = {}
    for source in sources:
        protocol = source.part("protocol")
        by_table[source.table] = None
        if source.folder is None:
            continue
        by_table[source.table] = GroupOrigin(
            read_development(source.folder, problems),
            protocol.get("cutoffs"),
            str(protocol.get("risk groups") or ""),
        )
    problems.raise_if_any(PredictionsError)
    return {a: by_table[p[0]] if len(p) == 1 else None for a, p in read.origins.items()}


def _inner_models(
    read: ExternalPredictions, sources: Sequence[PredictionSource]
) -> list[InnerModelTables]:
    """Read the scores by inner models of every run, for arms that belong to only one run."""
    problems, found = Problems("inner scores"), []
    for source in sources:
        tables = read_inner_models(source.folder, problems) if source.folder else None
        mine = [arm for arm, paths in read.origins.items() if paths == (source.table,)]
        if tables is not None and "arm" in tables.scores:
            scores = tables.scores[tables.scores["arm"].isin(mine)]
            found.append(InnerModelTables(scores, tables.splits))
    problems.raise_if_any(PredictionsError)
    return found


def chosen_baseline(
    asked: str | None, sources: Sequence[PredictionSource], arms: Sequence[str]
) -> str | None:
    """Return the baseline: as requested, as declared by a run, `image`, or the first arm."""
    declared = [s.manifest.get("baseline") for s in sources]
    known = [str(d) for d in (*declared, "image") if d in arms]
    if asked is not None:
        return asked
    if len(arms) == 1 and not any(declared):
        return None
    return known[0] if known else arms[0]


def annotated(
    found: Evaluation,
    read: ExternalPredictions,
    grouped: Grouped,
    sources: Sequence[PredictionSource],
) -> Evaluation:
    """Add the source of the cut-offs, and the warnings of the runs."""
    groups = found.risk_groups.copy()
    mine = groups["arm"].map(grouped.exploratory).fillna("")
    notes = groups["note"].fillna("")
    groups["note"] = [
        ("; " if a and b else "").join((a, b)) for a, b in zip(mine, notes, strict=True)
    ]
    said = [w for s in sources for w in s.manifest.get("warnings") or [] if w not in found.warnings]
    return replace(
        found,
        risk_groups=groups,
        notes=(*read.notes, grouped.said, *found.notes),
        warnings=(*found.warnings, *(OF_RUN + w.removeprefix(OF_RUN) for w in dict.fromkeys(said))),
    )


def check_folder(out: Path) -> None:
    """Refuse a folder that contains anything except an earlier evaluation."""
    if out.is_file():
        raise RunFolderError(f"{out} is a file; give another folder")
    if out.is_dir() and any(out.iterdir()):
        if (out / "study.yaml").exists() or (out / "fits").exists():
            raise RunFolderError(f"{out} is the folder of a run; give another one")
        if not (out / "manifest.json").is_file():
            raise RunFolderError(f"{out} contains other files; give another folder")


def describe(
    sources: Sequence[PredictionSource],
    read: ExternalPredictions,
    endpoint: Mapping[str, Any],
    grouped: Grouped,
    alone: PredictionSource | None,
    treatment: TreatmentAssignment | None = None,
) -> dict[str, Any]:
    """Describe the evaluation; for a single run, with the cohort of its manifest."""
    names = [s.name for s in sources]
    inputs = {str(a["name"]): a for s in sources for a in s.manifest.get("arms") or []}
    protocol = alone.part("protocol") if alone else {}
    protocol = {k: v for k, v in protocol.items() if k != "cutoffs"} | {"risk groups": grouped.said}
    if grouped.cutoffs:
        protocol["cutoffs"] = grouped.cutoffs
    declared = alone.part("covariates") if alone else {}
    kept = ("cohort", "split", "secondary")
    return {
        "format": 1,
        "name": " and ".join(names[:2]) + (" and more" if len(names) > 2 else ""),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "platform": platform.platform(),
        "simulated": any(bool(s.manifest.get("simulated")) for s in sources),
        "endpoint": dict(endpoint),
        "arms": [inputs.get(a, {"name": a, "inputs": []}) for a in read.predictions.arms],
        "covariates": _kinds(read.covariates, declared),
        "protocol": protocol,
        "inputs": {_called(s): hashlib.sha256(s.table.read_bytes()).hexdigest() for s in sources},
        **(
            {
                "treatment": {
                    "column": treatment.column,
                    "reference": treatment.reference,
                    "randomised": treatment.randomised,
                }
            }
            if treatment
            else {}
        ),
        **({k: alone.manifest[k] for k in kept if k in alone.manifest} if alone else {}),
    }


def _called(source: PredictionSource) -> str:
    return f"{source.folder.name}/{source.table.name}" if source.folder else source.table.name


def _endpoint(endpoint: Endpoint, alone: PredictionSource | None) -> dict[str, Any]:
    declared = alone.part("endpoint") if alone else {}
    values = {n: getattr(endpoint, n, None) for n in ("favourable", "unit", "horizons")}
    known = {n: list(v) if isinstance(v, tuple) else v for n, v in values.items() if v is not None}
    return {"kind": endpoint.kind, "name": endpoint.label, **declared, **known}


def _kinds(covariates: pd.DataFrame, declared: Mapping[str, Any]) -> dict[str, list[str]]:
    """Divide covariates as declared in the study of the run; others by their content."""
    names = [str(c) for c in covariates if c != "patient_id"]
    numbers = {c for c in names if pd.api.types.is_numeric_dtype(covariates[c])}
    numbers = numbers - set(declared.get("categorical") or ()) | set(declared.get("numeric") or ())
    kinds = {"numeric": numbers, "categorical": set(names) - numbers}
    return {kind: [c for c in names if c in members] for kind, members in kinds.items()}
