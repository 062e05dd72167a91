"""Commands about the machine and the cache: pack and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outcome.commands.console import Cache, Jobs, Set, StudyFile, progress_bars


def pack(
    study: StudyFile,
    set_: Set = None,
    jobs: Jobs = None,
    cache: Cache = None,
) -> None:
    """Pack the patch features of a study ahead of time.

    Every command does this on first use. If interrupted, it continues when run again.
    """
    import os

    from outcome import Study
    from outcome.dataset.study_data import prepare
    from outcome.embeddings.patches.packed_store import default_cache

    read = Study.read(study, set_ or [])
    with progress_bars() as progress:
        study_data = prepare(
            read,
            cache or default_cache(),
            jobs=jobs or os.cpu_count() or 1,
            progress=lambda done, total: progress("packing", done, total),
        )
    removed = study_data.store.remove_leftovers()
    slides = [s for found in study_data.slides.values() for s in found]
    patches = sum(s.n for s in slides)
    size = sum(study_data.store.size(s) for s in slides)
    typer.echo(f"{len(slides)} slides, {patches} patches, {size / 2**30:.2f} GiB")
    typer.echo(f"cache: {study_data.store.folder}")
    if removed:
        typer.echo(f"removed {removed} incomplete files of killed processes")


def doctor(
    cache: Annotated[Path | None, typer.Option(help="Folder of packed features to check.")] = None,
) -> None:
    """Print versions, device, precision and threads.

    The exit status is 2 if there is a problem.
    """
    from outcome.commands.environment import facts, findings
    from outcome.embeddings.patches.packed_store import default_cache
    from outcome.errors import InputError, Problems

    folder = cache or default_cache()
    for name, value in facts(folder).items():
        typer.echo(f"{name:<22}{value}")
    problems = Problems("this installation")
    problems.extend(findings(folder))
    problems.raise_if_any(InputError)
    typer.echo("no problems found")
