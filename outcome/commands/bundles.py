"""Commands of a trained model: fit, predict, validate, attention."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from outcome.commands.console import (
    Cache,
    Device,
    Jobs,
    Resamples,
    Seed,
    Set,
    StudyFile,
    command_line,
    print_metrics,
    print_table,
    progress_bars,
    say,
)
from outcome.counting import plural

if TYPE_CHECKING:
    import pandas as pd

BundleFolder = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="The folder that `outcome fit` wrote.")
]
Source = Annotated[
    Path, typer.Argument(metavar="COHORT_OR_STUDY", help="A cohort table, or a study file (YAML).")
]
Patches = Annotated[
    Path | None,
    typer.Option(help="Folder of patch features, with a table, or of the study."),
]
Reports = Annotated[
    Path | None,
    typer.Option(help="File of report vectors, with a table, or of the study."),
]
Horizons = Annotated[
    str,
    typer.Option(metavar="T1,T2", help="Times at which survival is given; default: the model's."),
]
AllowImport = Annotated[
    bool,
    typer.Option(
        "--allow-import", help="Import the aggregator named in the bundle. This runs its code."
    ),
]


def fit(
    study: StudyFile,
    arm: Annotated[str | None, typer.Option(help="Default: the baseline.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the bundle; default reports/<study name>-bundle.")
    ] = None,
    without_fold: Annotated[
        str | None,
        typer.Option(
            metavar="FOLD",
            help="Exclude the test patients of this fold, to validate the model on them.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="A run of the study; its performance is written into the model card."),
    ] = None,
    set_: Set = None,
    jobs: Jobs = None,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Fit one arm on all patients: a model to use.

    The procedure is that of cross-validation.
    """
    from outcome import Study
    from outcome.pipeline.fit_model import fit as fit_model
    from outcome.pipeline.prepare import default_folder

    read = Study.read(study, set_ or [])
    folder = out or default_folder(read, "-bundle")
    with progress_bars() as progress:
        bundle = fit_model(
            read, arm=arm, without_fold=without_fold, out=folder, run=run, jobs=jobs,
            device=device, cache=cache, progress=progress,
        )  # fmt: skip
    facts = bundle.facts
    typer.echo(
        f"arm {bundle.arm.name}: {plural(facts['patients'], 'patient')}, {facts['events']} events"
    )
    if not facts["performance"]:
        say([], ["no cross-validated run of this arm was found, so its performance is unknown"])
    typer.echo(f"bundle: {folder} (read {folder / 'MODEL_CARD.md'})")


def predict(
    bundle: BundleFolder,
    source: Source,
    out: Annotated[Path, typer.Option(help="Table to write (CSV).")] = Path("predictions.csv"),
    patches: Patches = None,
    reports: Reports = None,
    horizons: Horizons = "",
    jobs: Jobs = None,
    cache: Cache = None,
    allow_import: AllowImport = False,
) -> None:
    """Predict new patients: risk, survival, risk group.

    Outcomes are not needed.
    """
    from outcome.commands.tables import numbers
    from outcome.pipeline.predict_patients import predict as predict_patients

    with progress_bars() as progress:
        found = predict_patients(
            bundle, source, patches=patches, reports=reports, horizons=numbers(horizons),
            jobs=jobs, cache=cache, allow_import=allow_import, progress=progress,
        )  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.part")
    found.table.to_csv(partial, index=False)
    partial.replace(out)
    groups = found.table["risk_group"].value_counts()
    typer.echo("; ".join(f"{name}: {n}" for name, n in groups.items()))
    say([], found.warnings)
    typer.echo(f"{plural(len(found.table), 'patient')}: {out}")


def validate(
    bundle: BundleFolder,
    study: StudyFile,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default reports/<study name>-validation.")
    ] = None,
    horizons: Horizons = "",
    resamples: Resamples = 1000,
    seed: Seed = 0,
    jobs: Jobs = None,
    cache: Cache = None,
    allow_import: AllowImport = False,
) -> None:
    """Evaluate a trained model on an external cohort.

    Writes the report.
    """
    from outcome.commands.tables import numbers
    from outcome.pipeline.validate_model import validate as validate_model

    with progress_bars() as progress:
        found = validate_model(
            bundle, study, out=out, horizons=numbers(horizons), n_resamples=resamples, seed=seed,
            jobs=jobs, cache=cache, allow_import=allow_import, command=command_line(),
            progress=progress,
        )  # fmt: skip
    print_metrics(found.metrics, found.metrics.head(0).assign(baseline=[]), None)
    # The slope of the original model is always 1 in this table; its calibration slope is among the
    # metrics.
    again = found.recalibration[found.recalibration["version"] != "as trained"]
    if len(again):
        print_table(
            "Recalibration (slope 1: no change needed)",
            list(again.columns),
            [[f"{v:.3f}" if isinstance(v, float) else v for v in row]
             for row in again.to_numpy(dtype=object).tolist()],
        )  # fmt: skip
    say(found.notes, found.warnings)
    typer.echo(f"report: {found.report}")


def attention(
    bundle: BundleFolder,
    study: Source,
    slide: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A slide; may be given several times.")
    ] = None,
    patient: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="All slides of a patient.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default reports/<study name>-attention.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of patches to list at each end.")] = 20,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the slides, for thumbnails (extra [slides]).")
    ] = None,
    patches: Patches = None,
    reports: Reports = None,
    cache: Cache = None,
    allow_import: AllowImport = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random deletions.")] = 0,
    lazyslide: Annotated[
        Literal["copy", "original"] | None,
        typer.Option(
            help="Write a table into a copy of the LazySlide store, or into the store itself."
        ),
    ] = None,
) -> None:
    """Map which patches raised and which lowered the risk."""
    from outcome.pipeline.explain_model import attention as explain

    with progress_bars() as progress:
        found = explain(
            bundle, study, slides=slide or [], patients=patient or [], out=out, top=top,
            images=images, patches=patches, reports=reports, cache=cache,
            allow_import=allow_import, seed=seed, lazyslide=lazyslide, progress=progress,
        )  # fmt: skip
    rows = found.modalities
    print_table("Contributions to the risk", list(rows.columns), _rounded(rows))
    if len(found.faithfulness):
        rows = found.faithfulness
        print_table("Risk when patches are deleted", list(rows.columns), _rounded(rows))
    say(found.notes, found.warnings)
    typer.echo(f"maps: {found.folder}")


def _rounded(table: pd.DataFrame) -> list[list[object]]:
    rows = table.to_numpy(dtype=object).tolist()
    return [[f"{v:.3f}" if isinstance(v, float) else v for v in row] for row in rows]
