"""The commands: parse, call the Python API, print. Only typer is imported here at the top."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from outcome.run import Progress, Results

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does this slide, and this report, tell how the patient will do?",
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: training.epochs=10."),
]
Out = Annotated[Path | None, typer.Option(help="Folder to write; default reports/<study name>.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes; default one per processor.", metavar="N")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda:N or mps.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder of packed features; default $SLIDE_OUTCOME_CACHE or ~/.cache."),
]


def main() -> None:
    """Run a command; bad input ends with status 2 and one message, never a traceback."""
    from outcome.errors import InputError

    try:
        app()
    except InputError as error:
        sys.stdout.flush()
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        sys.stdout.flush()
        typer.echo(f"error: a file or folder cannot be read or written: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("\nstopped; run the same command again to go on", err=True)
        sys.exit(130)


@app.command()
def run(
    study: StudyFile,
    set_: Set = None,
    out: Out = None,
    jobs: Jobs = None,
    device: Device = "auto",
    cache: Cache = None,
    permutations: Annotated[
        int, typer.Option(min=0, help="Also test against permuted outcomes; 199 or more.")
    ] = 0,
    permute_networks: Annotated[
        bool,
        typer.Option(
            "--permute-networks",
            help="Refit the arms in each permutation, not linear models of their inputs.",
        ),
    ] = False,
) -> None:
    """Train, cross-validate and compare every arm of a study; write the report. Resumes."""
    from outcome import Study
    from outcome import run as run_study

    read = Study.read(study, set_ or [])
    folder = out or Path("reports") / read.name
    typer.echo(f"run folder: {folder}")
    if permutations and permute_networks:
        typer.echo(f"{permutations} permutations take {permutations} times as long as the study")
    with _progress() as progress:
        results = run_study(
            read, out=folder, jobs=jobs, device=device, cache=cache, permutations=permutations,
            permute_networks=permute_networks,
            command=_command(), progress=progress,
        )  # fmt: skip
    _print_results(results, read.baseline)


@app.command()
def check(
    study: StudyFile,
    set_: Set = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write cohort_flow.csv and cohort_lost.csv here.")
    ] = None,
    cache: Cache = None,
) -> None:
    """Validate everything a study names; print the cohort flow and every problem at once."""
    from outcome import Study
    from outcome.checks import study_warnings
    from outcome.embeddings.material import prepare
    from outcome.embeddings.store import default_cache

    read = Study.read(study, set_ or [])
    with _progress() as progress:
        material = prepare(
            read,
            cache or default_cache(),
            progress=lambda done, total: progress("reading", done, total),
        )
    flow = material.cohort.flow_table()
    _print_table("Cohort flow", flow.columns, flow.to_numpy().tolist())
    for key, value in material.facts().items():
        typer.echo(f"{key}: {_fact(value)}")
    typer.echo(f"folds: {len(material.folds)}")
    _say(material.notes, study_warnings(read, material))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        flow.to_csv(out / "cohort_flow.csv", index=False)
        material.cohort.lost_table().to_csv(out / "cohort_lost.csv", index=False)
    typer.echo(f"{study} can be run: outcome run {shlex.quote(str(study))}")


Tables = Annotated[
    list[Path], typer.Argument(metavar="PRED.csv...", help="Tables of predictions, one per arm.")
]
Unit = Annotated[str | None, typer.Option(help="Of the times: days, months or years.")]
Horizons = Annotated[
    str, typer.Option(metavar="T1,T2", help="Times at which AUC, Brier and survival are reported.")
]


@app.command()
def evaluate(
    tables: Tables,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("reports/evaluation"),
    unit: Unit = None,
    horizons: Horizons = "",
    baseline: Annotated[str | None, typer.Option(help="Arm to compare with.")] = None,
    covariates: Annotated[
        str, typer.Option(metavar="C1,C2", help="Columns for added value and subgroups.")
    ] = "",
    favourable: Annotated[
        bool, typer.Option("--favourable", help="The positive label is the better outcome.")
    ] = False,
    resamples: Annotated[int, typer.Option(min=0)] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Evaluate predictions made anywhere: metrics with intervals, risk groups, figures, report.

    Columns: patient_id or case_id; time (or time_days, time_months, time_years) and event, or
    label; risk or probability; optional arm, repeat, fold, strata, risk_group, survival_<h>.
    """
    from outcome.reporting.assess import assess

    found = assess(
        tables, out, baseline=baseline, unit=unit, horizons=_numbers(horizons), seed=seed,
        covariates=_words(covariates), favourable=favourable, n_resamples=resamples,
        command=_command(),
    )  # fmt: skip
    _print_metrics(found.evaluation.metrics, found.evaluation.comparisons, found.baseline)
    _say(found.evaluation.notes, found.evaluation.warnings)
    typer.echo(f"report: {found.report}")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A.csv", help="The one.")],
    b: Annotated[Path, typer.Argument(metavar="B.csv", help="The other: the baseline.")],
    unit: Unit = None,
    horizons: Horizons = "",
    favourable: Annotated[bool, typer.Option("--favourable")] = False,
    resamples: Annotated[int, typer.Option(min=0)] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write everything here.")] = None,
) -> None:
    """Compare two tables of predictions of the same patients: difference, interval, p."""
    from tempfile import TemporaryDirectory

    from outcome.reporting.assess import assess

    with TemporaryDirectory() as scratch:
        found = assess(
            [a, b], out or Path(scratch) / "comparison", baseline=b.stem, unit=unit,
            horizons=_numbers(horizons), favourable=favourable, n_resamples=resamples, seed=seed,
            command=_command(),
        )  # fmt: skip
    changes = found.evaluation.comparisons
    rows = [
        [r.metric, f"{r.difference:+.4f}", f"{r.lower:+.4f} to {r.upper:+.4f}", f"{r.p_value:.4g}",
         r.n_patients_common, r.note]
        for r in changes.itertuples()
    ]  # fmt: skip
    head = ["metric", "difference", "95% interval", "p", "patients", "note"]
    _print_table(f"{a.stem} minus {b.stem}", head, rows)
    _say(found.evaluation.notes, found.evaluation.warnings)
    if out is not None:
        typer.echo(f"report: {found.report}")


def _words(text: str) -> list[str]:
    return [w.strip() for w in text.split(",") if w.strip()]


def _numbers(text: str) -> list[float]:
    from outcome.errors import InputError

    try:
        return [float(w) for w in _words(text)]
    except ValueError:
        raise InputError(f"--horizons {text!r}: write numbers, e.g. --horizons 12,36,60") from None


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    endpoint: Annotated[
        Literal["survival", "relapse", "response"], typer.Option(help="What is simulated.")
    ] = "survival",
    patients: Annotated[int, typer.Option()] = 300,
    patches: Annotated[int, typer.Option(help="Median per slide.")] = 500,
    dimension: Annotated[int, typer.Option(help="Length of a vector.")] = 1024,
    informative: Annotated[
        float, typer.Option(help="Largest share of a slide that carries information.")
    ] = 0.1,
    image_effect: Annotated[float, typer.Option(help="Log hazard per SD.")] = 0.65,
    report_effect: Annotated[float, typer.Option(help="Log hazard per SD.")] = 0.55,
    sites: Annotated[int, typer.Option(help="Hospitals, each with a batch effect.")] = 5,
    missing_reports: Annotated[float, typer.Option(help="Share without a report.")] = 0.1,
    event_rate: Annotated[float, typer.Option(help="Share with an event.")] = 0.5,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Write a cohort with a known truth, in the layout of real feature extractors."""
    from outcome.simulate import Simulation
    from outcome.simulate import simulate as write

    settings = Simulation(
        endpoint=endpoint, patients=patients, patches=patches, dimension=dimension,
        informative=informative, image_effect=image_effect, report_effect=report_effect,
        sites=sites, missing_reports=missing_reports, event_rate=event_rate, seed=seed,
    )  # fmt: skip
    with _progress() as progress:
        path = write(out, settings, progress=lambda a, b: progress("writing slides", a, b))
    typer.echo(f"SIMULATED cohort: {path}\nnext: outcome run {shlex.quote(str(path))}")


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for the cohort and the run.")] = Path(
        "outcome-demo"
    ),
    jobs: Jobs = None,
) -> None:
    """Simulate a small cohort, run three arms on it, and say where the report is."""
    from outcome import Study
    from outcome import run as run_study
    from outcome.simulate import Simulation
    from outcome.simulate import simulate as write

    typer.echo("The demo uses SIMULATED data; no real patient is in it.")
    path = out / "cohort" / "study.yaml"
    with _progress() as progress:
        if not path.is_file():
            small = Simulation(
                patients=160, patches=80, dimension=128, image_effect=1.1, report_effect=0.9
            )
            write(out / "cohort", small, progress=lambda a, b: progress("writing slides", a, b))
        study = Study.read(path, ["name=demo-simulated"])
        results = run_study(
            study, out=out / "run", jobs=jobs, cache=out / "cache",
            command=_command(), progress=progress,
        )  # fmt: skip
    _print_results(results, study.baseline)


def _command() -> str:
    return shlex.join(["outcome", *sys.argv[1:]])


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show what is being done and the time left; on a terminal only as a moving bar."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield tell


def _print_results(results: Results, baseline: str) -> None:
    _print_metrics(results.metrics, results.comparisons, baseline)
    _say(results.notes, results.warnings)
    if results.manifest["simulated"]:
        typer.echo("These are SIMULATED patients.")
    typer.echo(f"report: {results.report}")


def _print_metrics(metrics: Any, comparisons: Any, baseline: str | None) -> None:
    main = "harrell_c" if "harrell_c" in set(metrics["metric"]) else "auroc"
    differences = comparisons[comparisons["metric"] == main].set_index("arm")
    rows: list[list[Any]] = []
    for row in metrics[metrics["metric"] == main].itertuples():
        text = f"{row.estimate:.3f} ({row.lower:.3f} to {row.upper:.3f})"
        change, p = ("baseline", "") if row.arm == baseline else ("", "")
        if row.arm in differences.index:
            found = differences.loc[row.arm]
            change = f"{found.difference:+.3f} ({found.lower:+.3f} to {found.upper:+.3f})"
            p = f"{found.p_value:.3f}"
        rows.append([row.arm, text, change, p, f"{row.n} / {row.events}"])
    name = {"harrell_c": "C-index", "auroc": "AUROC"}[main]
    head = ["arm", f"{name} (95% interval)", f"difference to {baseline}", "p", "n / events"]
    if baseline is None:
        head, rows = [head[i] for i in (0, 1, 4)], [[row[i] for i in (0, 1, 4)] for row in rows]
    _print_table("Results", head, rows)


def _print_table(title: str, head: Any, rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in head:
        table.add_column(escape(str(name)))
    for row in rows:
        table.add_row(*(escape(str(v)) for v in row))
    console = Console()
    # Output that is read by a program, or kept in a log, is not cut to 80 columns.
    Console(width=None if console.is_terminal else 160).print(table)


def _say(notes: Any, warnings: Any) -> None:
    for note in notes:
        typer.echo(f"note: {note}")
    for warning in warnings:
        typer.echo(f"warning: {warning}")


def _fact(value: Any) -> str:
    return (
        ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    )
