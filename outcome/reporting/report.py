"""Writes `report.html` and `figures/` from the files of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from outcome.plotting.numbers import plural
from outcome.reporting.derived import DERIVED, with_derived
from outcome.reporting.page.blocks import ReportSection
from outcome.reporting.page.figure_files import Gallery, plain_style
from outcome.reporting.page.figures import Drawings
from outcome.reporting.page.glossary import glossary
from outcome.reporting.page.render import Page, render, write_page
from outcome.reporting.sections.contents import make_sections
from outcome.reporting.sections.summary_section import answers, main_scores, trust
from outcome.run_folder.folder import Run
from outcome.run_folder.read import read_run
from outcome.run_folder.write import write_derived

__all__ = ["Report", "make_report", "write_report"]


def write_report(folder: Path, *, show_ids: bool = False) -> Path:
    """Write `report.html`, and `figures/*.png` and `*.svg`, from a run folder alone.

    Parameters
    ----------
    folder : Path
        What a run wrote: `manifest.json` and `predictions.csv` are needed, every other file is
        used where it is there. Tables that follow from them are written beside the page.
    show_ids : bool
        Add a table of all patients. Without it no patient id is on the page: ids in notes,
        warnings and file names are replaced, unless they look like a plain word or number.

    Returns
    -------
    Path
        The page, one self-contained file: it loads nothing.

    Raises
    ------
    RunFolderError
        The folder is not a run folder.
    PredictionsError
        Its predictions cannot be used.
    """
    return make_report(folder, show_ids=show_ids).path


@dataclass(frozen=True)
class Report:
    """A page, and the tables that were computed for it.

    Parameters
    ----------
    path : Path
    tables : mapping of name to DataFrame
        They lie beside the page as `<name>.csv`.
    """

    path: Path
    tables: Mapping[str, pd.DataFrame]


def make_report(folder: Path, *, show_ids: bool = False) -> Report:
    """Do what `write_report` does, and return its tables too."""
    run, tables = with_derived(read_run(Path(folder), show_ids=show_ids))
    write_derived(run.path, tables, DERIVED)
    gallery = Gallery(run.path / "figures")
    with plain_style():
        sections = make_sections(run, Drawings(run, gallery))
    html = render(_page(run, sections))
    page = write_page(run.path / "report.html", html)
    gallery.close()
    return Report(page, tables)


def _page(run: Run, sections: Sequence[ReportSection]) -> Page:
    main, _ = main_scores(run)
    return Page(
        title=run.name,
        subtitle=_subtitle(run),
        simulated=bool(run.manifest.get("simulated")),
        answers=answers(run),
        trust=trust(run),
        glossary=glossary(run, main),
        sections=sections,
    )


def _subtitle(run: Run) -> str:
    end = run.endpoint
    count = f"{plural(run.patients, 'patient')}, {plural(run.events, end.word)}"
    day = str(run.manifest.get("created") or "")[:10]
    return " · ".join(x for x in (end.name, count, run.division, day) if x)
