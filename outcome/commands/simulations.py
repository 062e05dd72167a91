"""Commands that simulate a cohort: simulate and demo."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from outcome.commands.console import (
    Jobs,
    chosen_folder,
    command_line,
    print_results,
    printed_warnings,
    progress_bars,
)

if TYPE_CHECKING:
    from outcome.simulation.simulate import Simulation


FREE = {"patients", "patches", "missing_reports", "seed"}
"""Settings in which an external cohort may differ from the first."""
DEMO = "outcome-demo"
DEMO_HORIZONS = "endpoint.horizons=[365, 730]"
"""One and two years, at which the page of the demo shows AUC, Brier score and calibration."""


def simulate(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="A new folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder, given as an option.")] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="STUDY",
            help="Rehearsal: simulate only embeddings, for the patients of this study.",
        ),
    ] = None,
    external_to: Annotated[
        Path | None,
        typer.Option(
            metavar="COHORT",
            help="Simulate an external cohort for this simulated cohort: other patients, "
            "another site. Only --patients, --patches, --missing-reports and --seed may "
            "differ.",
        ),
    ] = None,
    endpoint: Annotated[
        Literal["survival", "relapse", "response"], typer.Option(help="Endpoint to simulate.")
    ] = "survival",
    patients: Annotated[int, typer.Option(help="Number of patients.")] = 300,
    patches: Annotated[int, typer.Option(help="Median number of patches per slide.")] = 500,
    dimension: Annotated[int, typer.Option(help="Length of a vector.")] = 1024,
    informative: Annotated[
        float, typer.Option(help="Largest proportion of a slide that carries information.")
    ] = 0.1,
    image_effect: Annotated[float, typer.Option(help="Log hazard per SD.")] = 0.65,
    report_effect: Annotated[float, typer.Option(help="Log hazard per SD.")] = 0.55,
    sites: Annotated[int, typer.Option(help="Hospitals, each with a batch effect.")] = 5,
    missing_reports: Annotated[
        float, typer.Option(help="Proportion of patients without a report.")
    ] = 0.1,
    event_rate: Annotated[float, typer.Option(help="Proportion of patients with an event.")] = 0.5,
    treatment_effect: Annotated[
        float | None,
        typer.Option(
            help="Simulate two treatments, with this log hazard ratio of the drug. Default: no "
            "treatments."
        ),
    ] = None,
    interaction: Annotated[
        float, typer.Option(help="Change of --treatment-effect per SD of the image score.")
    ] = 0.0,
    delayed_entry: Annotated[
        float,
        typer.Option(help="Proportion of the source population with delayed entry."),
    ] = 0.0,
    image_c: Annotated[
        float,
        typer.Option(help="With --study: C-index (or AUROC) of the information in the images."),
    ] = 0.68,
    report_c: Annotated[
        float,
        typer.Option(help="With --study: C-index (or AUROC) of the information in the reports."),
    ] = 0.64,
    reference_share: Annotated[
        float,
        typer.Option(
            help="With --study and two treatments: share of this association that is present "
            "with the reference treatment (0 to 1)"
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 0,
) -> None:
    """Write a cohort with a known truth.

    Its files have the layout of real feature extractors.
    """
    from outcome.errors import InputError
    from outcome.simulation.simulate import Simulation
    from outcome.simulation.simulate import simulate as write

    target = chosen_folder(folder, out)
    if target is None:
        raise InputError("give a new folder, e.g. outcome simulate my-cohort")
    if external_to is not None:
        given = [
            name for name in context.params
            if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
        ]  # fmt: skip
        _simulate_external(target, external_to, {name: context.params[name] for name in given})
        return
    settings = Simulation(
        endpoint=endpoint, patients=patients, patches=patches, dimension=dimension,
        informative=informative, image_effect=image_effect, report_effect=report_effect,
        sites=sites, missing_reports=missing_reports, event_rate=event_rate, seed=seed,
        treatment_effect=treatment_effect, interaction=interaction,
        delayed_entry=delayed_entry,
    )  # fmt: skip
    if study is not None:
        _rehearse(target, study, settings, image_c, report_c, reference_share)
        return
    with progress_bars() as progress:
        path = write(target, settings, progress=lambda a, b: progress("writing slides", a, b))
    typer.echo(f"SIMULATED cohort: {path}\nnext: outcome run {shlex.quote(str(path))}")


def _simulate_external(out: Path, cohort: Path, given: dict[str, Any]) -> None:
    from outcome.errors import InputError
    from outcome.simulation.external import simulate_external

    others = {"folder", "out", "external_to", "verbose", "quiet"}
    if fixed := sorted(given.keys() - FREE - others):
        options = ", ".join("--" + name.replace("_", "-") for name in fixed)
        raise InputError(f"{options}: taken from {cohort} if --external-to is given; omit it")
    wanted = {name: value for name, value in given.items() if name in FREE}
    with progress_bars() as progress:
        path = simulate_external(
            out, cohort, **wanted, progress=lambda a, b: progress("writing slides", a, b)
        )
    typer.echo(f"SIMULATED external cohort: {path}")
    typer.echo(f"next: outcome validate BUNDLE {shlex.quote(str(path))}")


def _rehearse(
    out: Path,
    path: Path,
    settings: Simulation,
    image_c: float,
    report_c: float,
    reference_share: float,
) -> None:
    from outcome import Study
    from outcome.simulation.rehearsal import rehearse

    with progress_bars() as progress:
        made = rehearse(
            out, Study.read(path), settings, image_c=image_c, report_c=report_c,
            reference_share=reference_share,
            progress=lambda a, b: progress("writing slides", a, b),
        )  # fmt: skip
    typer.echo(
        f"SIMULATED embeddings of {made.patients} patients and {made.slides} slides in {out}"
    )
    for part, c in made.carried.items():
        typer.echo(f"true score of the {part}s: C-index or AUROC {c:.3f}")
    typer.echo(f"next: outcome run {shlex.quote(str(made.study))}")


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(help=f"Folder for the cohort and the run; default {DEMO}."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder, given as an option.")] = None,
    jobs: Jobs = None,
) -> None:
    """Simulate a small cohort, run three arms on it, report."""
    from outcome import Study
    from outcome import run as run_study
    from outcome.simulation.simulate import Simulation
    from outcome.simulation.simulate import simulate as write

    out = chosen_folder(folder, out) or Path(DEMO)
    typer.echo("The demo uses SIMULATED data, without real patients.")
    path = out / "cohort" / "study.yaml"
    with printed_warnings() as printed, progress_bars() as progress:
        if not path.is_file():
            small = Simulation(
                patients=160, patches=80, dimension=128, image_effect=1.1, report_effect=0.9
            )
            write(out / "cohort", small, progress=lambda a, b: progress("writing slides", a, b))
        # Three inner folds, fewer than the default, keep it short.
        settings = ["name=demo-simulated", "split.inner_folds=3", DEMO_HORIZONS]
        study = Study.read(path, settings)
        results = run_study(
            study, out=out / "run", jobs=jobs, cache=out / "cache",
            command=command_line(), progress=progress,
        )  # fmt: skip
    print_results(results, study.baseline, printed)
