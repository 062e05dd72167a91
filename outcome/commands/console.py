"""Shared parts of the commands: options, progress, tables on the terminal."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from outcome.pipeline.run import Results
    from outcome.progress import Progress

LOGGER = logging.getLogger("outcome")
"""Logger for messages to the user; its level is set by `set_verbosity`."""

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: training.epochs=10."),
]
PatientColumn = Annotated[
    str, typer.Option("--patient", metavar="COLUMN", help="Column of patient ids.")
]
TimeColumn = Annotated[
    str, typer.Option("--time", metavar="COLUMN", help="Column of follow-up times.")
]
EventColumn = Annotated[
    str,
    typer.Option(
        "--event", metavar="COLUMN", help="Column that states whether the event was observed."
    ),
]
EntryColumn = Annotated[
    str,
    typer.Option(
        "--entry",
        metavar="COLUMN",
        help="Column of the time at which observation began, if entry was delayed (left "
        "truncation).",
    ),
]
EventCodes = Annotated[
    str,
    typer.Option(
        metavar="CODE=0,CODE=1",
        help="Codes of the event column: 0 = no event, 1 = event, 2 = competing event.",
    ),
]
Resamples = Annotated[int, typer.Option(min=0, help="Bootstrap samples for the intervals.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write; default reports/<study name>.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes; default one per processor.", metavar="N")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda:N or mps.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder of packed features; default $SLIDE_OUTCOME_CACHE or ~/.cache."),
]


def started_together() -> bool:
    """Whether this is one of several processes that torchrun has started."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Whether it is the first of them, which prints for all."""
    return os.environ.get("RANK", "0") == "0"


def is_local_rank_zero() -> bool:
    """Whether it is the first of them on its machine, which reports problems there."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def command_line() -> str:
    """Return the command line as typed."""
    return shlex.join(["outcome", *sys.argv[1:]])


def set_verbosity(*, verbose: bool, quiet: bool) -> None:
    """Set what is printed: also details, or neither progress nor notes."""
    from outcome.errors import InputError

    if verbose and quiet:
        raise InputError("--verbose and --quiet exclude each other: give one of them")
    if verbose or quiet:
        LOGGER.setLevel(logging.DEBUG if verbose else logging.WARNING)


def is_verbose() -> bool:
    """Whether details are printed."""
    return LOGGER.isEnabledFor(logging.DEBUG)


def is_quiet() -> bool:
    """Whether progress and notes are omitted."""
    return not LOGGER.isEnabledFor(logging.INFO)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Show progress and remaining time: bars on a terminal, else lines."""
    if is_quiet():
        yield silent
    elif sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        from outcome.progress import ProgressLines

        with ProgressLines(_print_with_time) as progress:
            yield progress


def _print_with_time(line: str) -> None:
    from datetime import datetime

    typer.echo(f"{datetime.now():%H:%M:%S}  {line}", err=True)


@contextmanager
def _bars() -> Iterator[Progress]:
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

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def chosen_folder(argument: Path | None, option: Path | None) -> Path | None:
    """Return the folder that was given, as an argument or as `--out`."""
    from outcome.errors import InputError

    if argument is not None and option is not None:
        raise InputError("the folder is given twice, as an argument and with --out: give it once")
    return argument or option


def parse_event_codes(text: str) -> dict[str, int]:
    """Read `Alive=0,Dead=1`."""
    from outcome.errors import InputError
    from outcome.tables.codes import canonical_code

    codes: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        code, _, value = part.rpartition("=")
        if value.strip() not in ("0", "1", "2") or not code.strip():
            raise InputError(f"--event-codes {text!r}: write CODE=0,CODE=1, e.g. Alive=0,Dead=1")
        codes[canonical_code(code)] = int(value)
    return codes


def silent(what: str, done: int, total: int) -> None:
    """Show no progress."""


class _Printer(logging.Handler):
    """Prints what the library logs, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        typer.echo(f"{kind}{record.getMessage()}")


class _Collector(logging.Handler):
    """Keeps the warnings that have been printed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def printed_messages() -> Iterator[None]:
    """Print messages of the library as they occur; by default without details."""
    before = LOGGER.level, LOGGER.propagate
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    try:
        with _handler(_Printer()):
            yield
    finally:
        LOGGER.setLevel(before[0])
        LOGGER.propagate = before[1]


@contextmanager
def printed_warnings() -> Iterator[list[str]]:
    """Yield the warnings printed inside this context, so that they are not printed again."""
    collector = _Collector()
    with _handler(collector):
        yield collector.messages


@contextmanager
def _handler(handler: logging.Handler) -> Iterator[None]:
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


def print_results(results: Results, baseline: str, printed: Collection[str] = ()) -> None:
    """Print the results of a study and the path of its report; each warning is printed once."""
    print_metrics(results.metrics, results.comparisons, baseline)
    print_treatment(results.evaluation.tables)
    say(results.notes, [w for w in results.warnings if w not in printed])
    if results.manifest["simulated"]:
        typer.echo("These are SIMULATED patients.")
    typer.echo(f"report: {results.report}")


def print_metrics(metrics: Any, comparisons: Any, baseline: str | None) -> None:
    """Print the main metric of each arm and its difference from the baseline."""
    from outcome.evaluation.metric_descriptions import metric

    if "endpoint" in metrics:
        metrics = metrics[metrics["endpoint"] == ""]
    if "endpoint" in comparisons:
        comparisons = comparisons[comparisons["endpoint"] == ""]
    main = "auroc" if "auroc" in set(metrics["metric"]) else "harrell_c"
    differences = comparisons[
        (comparisons["metric"] == main) & (comparisons["baseline"] == baseline)
    ].set_index("arm")
    rows: list[list[Any]] = []
    for row in metrics[metrics["metric"] == main].itertuples():
        text = _with_interval(row.estimate, row.lower, row.upper, ".3f")
        change, p = ("baseline", "") if row.arm == baseline else ("", "")
        if row.arm in differences.index:
            found = differences.loc[row.arm]
            change = _with_interval(found.difference, found.lower, found.upper, "+.3f")
            p = p_text(found.p_value, ".3f")
        rows.append([row.arm, text, change, p, f"{row.n} / {row.events}"])
    name = metric(main, "").label
    head = ["arm", f"{name} (95% interval)", f"difference to {baseline}", "p", "n / events"]
    if baseline is None:
        head, rows = [head[i] for i in (0, 1, 4)], [[row[i] for i in (0, 1, 4)] for row in rows]
    print_table("Results", head, rows)
    if "note" in differences:
        noted = differences["note"].fillna("").items()
        say([f"{arm} against {baseline}: {note}" for arm, note in noted if note], [])


def print_treatment(tables: Mapping[str, Any]) -> None:
    """Print whether the effect of the treatment depends on the score of each arm."""
    if (table := tables.get("treatment_interaction")) is None:
        return
    # The last model of an arm is the weighted one, if there is one.
    rows = [
        [r.arm, r.model, _with_interval(r.ratio, r.lower, r.upper, ".2f"),
         p_text(r.p_value if r.p_value == r.p_value else r.wald_p, ".3f"),
         p_text(r.p_adjusted, ".3f"), r.note]
        for r in table[table["term"] == "score x treatment"]
        .drop_duplicates("arm", keep="last").itertuples()
    ]  # fmt: skip
    head = ["arm", "model", "ratio of ratios per SD (95% interval)", "p", "p (Holm)", "note"]
    title = "Treatment effect by score: a ratio of 1 means that it does not depend on the score"
    print_table(title, head, rows)


def _with_interval(value: Any, lower: Any, upper: Any, form: str) -> str:
    """Write an estimate and its interval."""
    text = estimate_text(value, form)
    return f"{text} ({interval_text(lower, upper, form)})" if value == value else text


def estimate_text(value: Any, form: str) -> str:
    """Write an estimate, or that there is none."""
    return f"{value:{form}}" if value == value else "not estimable"


def p_text(value: Any, form: str = ".4g") -> str:
    """Write a p value; empty if there is none."""
    if value < 0.001 and form == ".3f":
        return "<0.001"
    return f"{value:{form}}" if value == value else ""


def interval_text(lower: Any, upper: Any, form: str) -> str:
    """Write an interval, or state that there is none."""
    known = lower == lower and upper == upper
    return f"{lower:{form}} to {upper:{form}}" if known else "no interval"


def print_table(title: str, head: Any, rows: list[list[Any]]) -> None:
    """Print a table; in full if the output is not a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in head:
        table.add_column(escape(str(name)))
    for row in rows:
        table.add_row(*(escape(str(v)) for v in row))
    console = Console()
    # Output to a program or a log file is not truncated to 80 columns.
    Console(width=None if console.is_terminal else 160).print(table)


def say(notes: Any, warnings: Any) -> None:
    """Print notes and warnings, one per line."""
    for note in [] if is_quiet() else notes:
        typer.echo(f"note: {note}")
    for warning in warnings:
        typer.echo(f"warning: {warning}")


def fact(value: Any) -> str:
    """Write one fact of a cohort."""
    return (
        ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    )
