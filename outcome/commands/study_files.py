"""Commands that make a study file from existing files: init and import."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from outcome.commands.console import (
    EventCodes,
    EventColumn,
    PatientColumn,
    TimeColumn,
    parse_event_codes,
)
from outcome.counting import plural

if TYPE_CHECKING:
    import pandas as pd

    from outcome.cohort.drafting.guess_columns import Guesses

Positive = Annotated[str, typer.Option(help="Code of the positive class of a label.")]
Unit = Annotated[str, typer.Option(help="Unit of the times: days, months or years.")]
NewName = Annotated[str, typer.Option(help="Name of the study.")]


def init(
    table: Annotated[Path, typer.Argument(help="The cohort table: csv, tsv, xlsx or parquet.")],
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of patch embeddings.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The study file to write.")] = Path("study.yaml"),
    name: NewName = "",
    reports: Annotated[
        Path | None,
        typer.Option(help="HDF5 file of report vectors; or report texts: a table, or a folder."),
    ] = None,
    patient: PatientColumn = "",
    slide: Annotated[str, typer.Option(help="Column of slide ids.")] = "",
    time: TimeColumn = "",
    event: EventColumn = "",
    event_codes: EventCodes = "",
    label: Annotated[str, typer.Option(help="Column of a yes/no outcome.")] = "",
    positive: Positive = "",
    unit: Unit = "",
) -> None:
    """Write a study file from a table and folders of features.

    The columns are guessed, and the guesses are printed. The meaning of outcome codes is never
    guessed: the command asks for it, or leaves it for you to declare.
    """
    from outcome.cohort.drafting.drafts import write_draft
    from outcome.cohort.drafting.guess_columns import guess
    from outcome.cohort.drafting.init import draft_init
    from outcome.embeddings.patches.find import find_slide_files, first_readable
    from outcome.embeddings.patches.tcga import describe_tcga, tcga_kinds
    from outcome.errors import InputError
    from outcome.tables.read_table import read_table

    _check_unit(unit)
    out = out / "study.yaml" if out.is_dir() else out
    read = read_table(table).with_plain_numbers()
    _say_all(read.notes)
    frame = read.frame
    for option, column in (
        ("--patient", patient), ("--slide", slide), ("--time", time), ("--event", event),
        ("--label", label),
    ):  # fmt: skip
        if column and column not in frame:
            shown = ", ".join(map(repr, frame.columns[:20]))
            raise InputError(f"{option}: {table.name} has no column {column!r} (it has {shown})")
    files: list[str] = []
    if folders:
        found = find_slide_files(folders)
        files = list(found.files)
        first = first_readable(list(found.files.values())[:5])
        what = f", {first.layout}, {first.features.shape[1]} numbers a vector" if first else ""
        encoder = f", encoder {first.encoder}" if first and first.encoder else ""
        typer.echo(f"features: {plural(len(files), 'slide')}{what}{encoder}")
        _say_all([*found.notes, *describe_tcga(tcga_kinds(files))])
    given = {
        "patient": patient, "slide": slide, "time": time, "event": event, "label": label,
        "unit": unit,
    }  # fmt: skip
    guesses = guess(frame, files, given)
    _print_guesses(guesses)
    codes = _codes(event_codes, guesses) or _ask_codes(guesses)
    positive = positive or _ask_positive(guesses, frame)
    draft = draft_init(
        frame, table, guesses, files, out=out, name=name or table.stem, folders=folders or [],
        reports=reports, codes=codes, positive=positive,
    )  # fmt: skip
    _finish(*write_draft(draft, out.parent, out.name), draft.understood)


def import_(
    layout: Annotated[
        Literal[
            "patho-bench",
            "panther",
            "mcat",
            "survpath",
            "clam",
            "stamp",
            "nnmil",
            "pathbench-mil",
            "moozy",
            "hancock",
            "cbioportal",
            "tcga-cdr",
            "gdc",
        ],
        typer.Argument(help="Tool that wrote the files."),
    ],
    path: Annotated[Path, typer.Argument(help="The table, or the folder that contains it.")],
    patches: Annotated[
        list[Path] | None, typer.Option("--patches", help="Folder of features; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new folder; default: named after PATH.")
    ] = None,
    splits: Annotated[Path | None, typer.Option(help="Split files, if stored elsewhere.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="A further table: clinical, or of slides (stamp).")
    ] = None,
    endpoint: Annotated[
        str, typer.Option(help="Endpoint, if there are several: os, dss, pfi, dfi, rfs, or a task.")
    ] = "",
    positive: Positive = "",
    time: TimeColumn = "",
    event: EventColumn = "",
    unit: Unit = "",
    name: NewName = "",
) -> None:
    """Turn the files of another tool into a study.

    Its cohort becomes a study file and a table, its splits become splits.csv.
    """
    import re

    from outcome.cohort.drafting.drafts import relative, write_draft
    from outcome.cohort.drafting.importers import Source, draft_import
    from outcome.embeddings.patches.find import find_slide_files

    _check_unit(unit)
    called = name or re.sub(r"[^\w.+-]+", "-", path.absolute().stem).strip("-.") or layout
    folder = out or Path(called)
    columns = {k: v for k, v in (("time", time), ("event", event), ("unit", unit)) if v}
    files: list[str] = []
    if patches:
        found = find_slide_files(patches)
        files = list(found.files)
        _say_all(found.notes)
    draft = draft_import(
        layout,
        Source(path, splits, table, endpoint, positive, columns),
        called,
        [relative(p, folder) for p in patches or []],
        files,
    )
    _finish(*write_draft(draft, folder), draft.understood)


def _check_unit(unit: str) -> None:
    from outcome.errors import InputError

    if unit not in ("", "days", "months", "years"):
        raise InputError(f"--unit {unit!r} is none of days, months and years")


def _print_guesses(found: Guesses) -> None:
    roles: dict[str, Any] = {
        "patient": found.patient, "slide": found.slide,
        "time": _described(found.time), "event": found.event,
        "unit": found.unit if found.time else "",
        "label": found.label, "site": found.site, "folds": ", ".join(found.folds),
        "numeric covariates": ", ".join(found.numeric),
        "categorical covariates": ", ".join(found.categorical),
    }  # fmt: skip
    if not found.slide:
        typer.echo("guess: slides are matched by the patient id in their file names")
    for role, column in roles.items():
        if column:
            reason = f"  ({found.reasons[role]})" if role in found.reasons else ""
            typer.echo(f"guess: {role}: {column}{reason}")
    if found.unused:
        shown = ", ".join(found.unused[:10]) + (" ..." if len(found.unused) > 10 else "")
        typer.echo(
            f"note: not used: {shown}. Add a column that is known at the time of prediction under "
            "`covariates`"
        )
    if found.event and not found.codes:
        meaning = "censored" if found.censored else "event"
        typer.echo(f"guess: 1 in {found.event} means {meaning}; correct the study file if not")


def _described(time: Any) -> str:
    if isinstance(time, str):
        return time
    ends = " or ".join(time["to"])
    return f"from {time['from']} to {ends}" if "from" in time else ends


def _codes(text: str, found: Guesses) -> dict[str, int]:
    """Read the codes, and check them against the column."""
    from outcome.errors import InputError

    codes = parse_event_codes(text)
    if codes and not found.event:
        raise InputError(
            "--event-codes: no columns of follow-up were recognised. To do: name them with --time "
            "and --event (or a label with --label). For follow-up from dates, write `time: {from: "
            "diagnosis_date, to: [death_date, last_contact_date]}` under `endpoint` of the study "
            "file"
        )
    if codes and (missing := [c for c in found.codes if c not in codes]):
        raise InputError(f"--event-codes: {found.event!r} also contains {', '.join(missing[:5])}")
    return codes


def _ask_codes(found: Guesses) -> dict[str, int]:
    if not (found.event and found.codes and sys.stdin.isatty()):
        return {}
    typer.echo(f"column {found.event!r} contains codes; state the meaning of each")
    ask = "1 = censored, 0 = event" if found.censored else "1 = event, 0 = no event, 2 = competing"
    return {code: typer.prompt(f"{code!r} ({ask})", type=int) for code in found.codes}


def _ask_positive(found: Guesses, table: pd.DataFrame) -> str:
    if not (found.label and sys.stdin.isatty()):
        return ""
    codes = sorted(set(table[found.label]) - {""})
    answer: str = typer.prompt(
        f"which code of {found.label!r} is positive? {', '.join(codes[:10])}"
    )
    return answer


def _say_all(notes: Any) -> None:
    for note in notes:
        typer.echo(f"note: {note}")


def _finish(path: Path, problems: list[str], understood: Any) -> None:
    from outcome.cohort.drafting.drafts import understood_cohort

    for line in understood:
        typer.echo(line)
    if not problems and (counted := understood_cohort(path)):
        typer.echo(f"cohort: {counted}")
    for problem in problems:
        typer.echo(f"to do: {problem}")
    typer.echo(f"written: {path}\nnext: outcome check {shlex.quote(str(path))}")
