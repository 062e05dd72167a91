"""Commands that take a study file: run and check."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outcome.commands.console import (
    Cache,
    Device,
    Jobs,
    Out,
    Set,
    StudyFile,
    command_line,
    fact,
    is_first,
    is_local_rank_zero,
    print_results,
    print_table,
    printed_warnings,
    progress_bars,
    say,
    silent,
    started_together,
)

if TYPE_CHECKING:
    from outcome import Study


def run(
    study: StudyFile,
    set_: Set = None,
    out: Out = None,
    jobs: Jobs = None,
    device: Device = "auto",
    cache: Cache = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler to train on: tcp://host:port."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Train only the K-th of N parts; when all are done, run without this option.",
        ),
    ] = None,
    save_vectors: Annotated[
        bool,
        typer.Option("--save-vectors", help="Write pooled slide and patient vectors (HDF5)."),
    ] = False,
    log_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="mlflow|wandb|tensorboard",
            help="Also log settings, learning curves, metrics, figures and the page to this "
            "tracker, without patient data. May be repeated.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop before training if the leak scan finds a severe leak."),
    ] = False,
    permutations: Annotated[
        int,
        typer.Option(
            min=0,
            help="Number of permutations of the outcomes for a permutation test; at least 199.",
        ),
    ] = 0,
    permute_inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--permute-inputs",
            metavar="INPUT",
            help="Permute this input instead of the outcomes, to test whether it adds to the "
            "other inputs.",
        ),
    ] = None,
    permute_networks: Annotated[
        bool,
        typer.Option(
            "--permute-networks",
            help="Refit the arms in each permutation, instead of linear models of their inputs.",
        ),
    ] = False,
) -> None:
    """Train, compare and report every arm of a study.

    After an interruption the same command continues. run.log in the run folder keeps a record.
    """
    from outcome import Study
    from outcome import run as run_study
    from outcome.errors import InputError
    from outcome.pipeline.prepare import default_folder
    from outcome.tracking.trackers import check_trackers, log_run

    further = permutations or permute_inputs or save_vectors or log_to
    if shard and (cluster or further):
        raise InputError("--shard only trains: give the other options to the run that follows")
    if started_together():
        if shard or cluster or further:
            raise InputError(
                "torchrun only trains, and divides the work itself. Omit --shard and --cluster, "
                "and give the other options to the run that follows"
            )
        _train_together(study, set_ or [], out, device, cache)
        return
    if permute_inputs and not permutations:
        raise InputError("--permute-inputs: the number is missing. To do: add --permutations 199")
    check_trackers(log_to or ())
    read = Study.read(study, set_ or [])
    folder = out or default_folder(read)
    if shard:
        _run_shard(read, shard, folder, jobs, device, cache)
        return
    if permutations and permute_networks:
        times = permutations * max(1, len(permute_inputs or ()))
        typer.echo(f"the permutations take {times} times as long as the study")
    with printed_warnings() as printed, progress_bars() as progress:
        results = run_study(
            read, out=folder, jobs=jobs, device=device, cache=cache, cluster=cluster,
            permutations=permutations,
            permute_inputs=permute_inputs or (),
            permute_networks=permute_networks,
            save_vectors=save_vectors,
            strict=strict,
            command=command_line(), progress=progress,
        )  # fmt: skip
    print_results(results, read.baseline, printed)
    for tracker in log_to or ():
        typer.echo(f"logged: {log_run(folder, tracker)}")


def _train_together(
    study: Path, settings: list[str], out: Path | None, device: str, cache: Path | None
) -> None:
    """Train with the other processes of torchrun; the first process prints the progress."""
    from outcome import Study
    from outcome.errors import InputError
    from outcome.pipeline.distributed import train_together

    try:
        with progress_bars() if is_first() else nullcontext(silent) as progress:
            done, total = train_together(
                Study.read(study, settings), out=out, device=device, cache=cache,
                command=command_line(), progress=progress,
            )  # fmt: skip
    except InputError:
        if is_local_rank_zero():  # a file may be missing only on this machine
            raise
        raise typer.Exit(2) from None
    if is_first():
        typer.echo(f"training under torchrun is finished; {done} of {total} fits exist")
        typer.echo("next, run the same command without torchrun, to evaluate and report")


def _run_shard(
    study: Study, shard: str, folder: Path, jobs: int | None, device: str, cache: Path | None
) -> None:
    from outcome.pipeline.distributed import run_shard

    with progress_bars() as progress:
        done, total = run_shard(
            study, shard, out=folder, jobs=jobs, device=device, cache=cache,
            command=command_line(), progress=progress,
        )  # fmt: skip
    typer.echo(f"part {shard} is finished; {done} of {total} fits exist")
    typer.echo("when all parts are finished, run the same command without --shard")


def check(
    study: StudyFile,
    set_: Set = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write cohort_flow.csv and cohort_lost.csv here.")
    ] = None,
    cache: Cache = None,
) -> None:
    """Check all inputs of a study before it is run.

    Prints the cohort flow, the leak probes, and every problem at once.
    """
    from outcome import Study
    from outcome.checks import check_study, single_vectors
    from outcome.crossval.grid import network_errors
    from outcome.dataset.study_data import prepare
    from outcome.embeddings.patches.packed_store import default_cache

    read = Study.read(study, set_ or [])
    with progress_bars() as progress:
        study_data = prepare(
            read,
            cache or default_cache(),
            known=network_errors(read) if read.networks else (),
            progress=lambda done, total: progress("reading", done, total),
        )
    flow = study_data.cohort.flow_table()
    print_table("Cohort flow", flow.columns, flow.to_numpy().tolist())
    for key, value in study_data.facts().items():
        typer.echo(f"{key}: {fact(value)}")
    typer.echo(f"folds: {len(study_data.folds)}")
    checked = check_study(read, study_data)
    scan = checked.scan
    print_table(
        f"Leak probes ({scan.metric} out of fold; severe only if the whole interval is above the "
        "bound; an empty cell means no finding)",
        ["probe", "estimate", "95% interval", "bound", "found"],
        [
            [p.name, f"{p.accuracy.value:.3f}", f"{p.accuracy.lower:.3f} to {p.accuracy.upper:.3f}",
             f"{p.bound:.2f}", p.severity or ""]
            for p in scan.probes
        ],
    )  # fmt: skip
    say([*study_data.notes, *single_vectors(read, study_data),
         *(f.text for f in scan.findings if f.severity == "note")],
        checked.warnings)  # fmt: skip
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        flow.to_csv(out / "cohort_flow.csv", index=False)
        study_data.cohort.lost_table().to_csv(out / "cohort_lost.csv", index=False)
        scan.table().to_csv(out / "leak_probes.csv", index=False)
    typer.echo(f"{study}: no problems found. Next: outcome run {shlex.quote(str(study))}")
