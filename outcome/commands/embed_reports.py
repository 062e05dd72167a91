"""The command that turns report texts into vectors: embed-reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outcome.commands.console import Device, progress_bars, say


def embed_reports(
    texts: Annotated[
        Path, typer.Argument(metavar="TEXTS", help="A csv or tsv table, or a folder of ID.txt.")
    ],
    encoder: Annotated[
        str, typer.Option(help="musk, sentence-transformers:NAME_OR_PATH, or package.module:Class.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("reports.h5"),
    patient_column: Annotated[str, typer.Option(help="Column of patient ids.")] = "patient_id",
    text_column: Annotated[str, typer.Option(help="Column of texts.")] = "text",
    date_column: Annotated[
        str | None, typer.Option(help="Column of the reports' dates (2014-03-31).")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Remove sentences that state the outcome.")
    ] = False,
    chunk_length: Annotated[
        int | None,
        typer.Option(
            min=8, help="Maximum number of tokens per chunk; default: the maximum of the encoder."
        ),
    ] = None,
    weights: Annotated[str | None, typer.Option(help="File of weights (musk).")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Tokenizer file, tokenizer.spm (musk).")
    ] = None,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Chunks per batch.")] = 32,
    half: Annotated[
        bool | None, typer.Option("--half/--full", help="Half precision; default on a GPU.")
    ] = None,
) -> None:
    """Turn report texts into vectors (HDF5).

    Chunks consist of whole sentences and fit the encoder. If run again, the command continues where
    it stopped and adds new and changed texts.
    """
    from outcome.checks.report_text_leaks import scan_words
    from outcome.embeddings.reports.embed import embed_texts
    from outcome.embeddings.reports.encoders import make_encoder
    from outcome.embeddings.reports.study_texts import redacted
    from outcome.embeddings.reports.text_table import read_report_texts

    table = read_report_texts(texts, patient=patient_column, text=text_column, when=date_column)
    model = make_encoder(
        encoder, device=device, batch=batch, half=half, weights=weights, tokenizer=tokenizer
    )
    wanted = table.texts
    if redact:
        changed = redacted(table)
        wanted = changed.texts
        typer.echo(changed.said)
    notes = []
    if table.empty:
        notes.append(
            f"{len(table.empty)} patients have an empty text and count as patients without a report"
        )
    found = scan_words(wanted, table.dates)
    notes += [f.text for f in found if f.severity == "note"]
    warnings = [f for f in found if f.severity != "note"]
    say(notes, [str(f) if f.severity == "severe" else f.text for f in warnings])
    with progress_bars() as progress:
        done = embed_texts(
            wanted, model, out, limit=chunk_length,
            progress=lambda a, b: progress("encoding reports", a, b),
        )  # fmt: skip
    typer.echo(
        f"{out}: {done.patients} patients, {done.chunks} chunks of {done.dimension} numbers"
        f" ({done.encoded} patients encoded now)"
    )
