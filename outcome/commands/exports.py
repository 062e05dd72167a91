"""The command that writes files of other tools: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from outcome.commands.console import Cache, Jobs, progress_bars
from outcome.counting import plural


def export(
    source: Annotated[
        Path, typer.Argument(help="Run folder or table of predictions; anndata: a study file.")
    ],
    to: Annotated[
        Literal["stamp", "patho-bench", "anndata"], typer.Option(help="Tool whose files to write.")
    ],
    out: Annotated[Path, typer.Option(help="The new folder (predictions) or file to write.")],
    arm: Annotated[str | None, typer.Option(help="Arm of the predictions.")] = None,
    jobs: Jobs = None,
    cache: Cache = None,
) -> None:
    """Write results in the files of another tool.

    Predictions in the format of STAMP; metrics and predictions in the folders of Patho-Bench; the
    folds of a study file as a task of Patho-Bench; slide vectors with the cohort as AnnData.
    Nothing is overwritten.
    """
    import os

    from outcome.pipeline.export_files import export_predictions, export_study

    if to == "stamp" or (to == "patho-bench" and source.suffix.lower() not in (".yaml", ".yml")):
        written = export_predictions(source, out, arm=arm, to=to)
        typer.echo(f"{len(written)} tables of predictions: {out}")
        return
    with progress_bars() as progress:
        slides = export_study(
            source, out, to, cache=cache, jobs=jobs or os.cpu_count() or 1,
            progress=lambda done, total: progress("packing", done, total),
        )  # fmt: skip
    typer.echo(f"{plural(slides, 'slide')}: {out}")
