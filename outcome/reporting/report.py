"""Writes `report.html` and `figures/` from the files of a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outcome.plotting.number_text import plural
from outcome.reporting.page.blocks import Picture, ReportSection
from outcome.reporting.page.figure_files import FigureFiles, plain_style
from outcome.reporting.page.figures import ReportFigures
from outcome.reporting.page.glossary import glossary
from outcome.reporting.page.main_metric import main_scores
from outcome.reporting.page.render import Page, render, write_page
from outcome.reporting.sections.contents import make_sections
from outcome.reporting.sections.first_screen import first_screen
from outcome.reporting.sections.summary_section import answers, trust
from outcome.run_folder.folder import Run
from outcome.run_folder.read import read_run

__all__ = ["render_report", "write_report"]


def write_report(folder: Path, *, show_ids: bool = False) -> Path:
    """Write `report.html`, and `figures/` (PDF, SVG, PNG), from a run folder.

    Parameters
    ----------
    folder : Path
        The folder of a run. `manifest.json` and `predictions.csv` are needed; every other file is
        used if it exists. Nothing is computed: `outcome.pipeline.rebuild_report.report` first
        computes missing tables.
    show_ids : bool
        Add a table of all patients. Otherwise the page contains no patient ids: ids in notes,
        warnings and file names are replaced, unless they look like a plain word or number.

    Returns
    -------
    Path
        The page, one self-contained file without external resources.

    Raises
    ------
    RunFolderError
        The folder is not a run folder.
    PredictionsError
        Its predictions cannot be used.
    """
    return render_report(read_run(Path(folder), show_ids=show_ids))


def render_report(run: Run) -> Path:
    """Write the page and the figures of a run folder that has been read."""
    gallery = FigureFiles(run.path / "figures")
    with plain_style():
        drawings = ReportFigures(run, gallery)
        headline = first_screen(run, drawings)
        sections, checklists = make_sections(run, drawings)
    html = render(_page(run, headline, sections))
    page = write_page(run.path / "report.html", html)
    write_page(run.path / "checklists.csv", checklists.to_csv(index=False))
    gallery.close()
    return page


def _page(
    run: Run, headline: Sequence[tuple[str, Picture]], sections: Sequence[ReportSection]
) -> Page:
    main, _ = main_scores(run)
    return Page(
        title=run.name,
        subtitle=_subtitle(run),
        simulated=bool(run.manifest.get("simulated")),
        answers=answers(run),
        headline=headline,
        trust=trust(run),
        glossary=glossary(run, main),
        sections=sections,
    )


def _subtitle(run: Run) -> str:
    end = run.endpoint
    count = f"{plural(run.n_patients, 'patient')}, {plural(run.n_events, end.word)}"
    day = str(run.manifest.get("created") or "")[:10]
    return " · ".join(x for x in (end.name, count, run.division, day) if x)
