"""Shared parts of the figures of all chapters: colours and file names of the arms, sizes, tabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from outcome.plotting.palette import arm_colours
from outcome.reporting.page.blocks import Block, Picture, Tab, Tabs
from outcome.reporting.page.figure_files import FigureFiles
from outcome.reporting.page.formatting import slug
from outcome.run_folder.folder import Run

__all__ = ["MOST_ROWS", "WIDTH", "ReportFigures", "arm_tabs", "forest_heading"]

WIDTH = 4.6
"""Inches."""
MOST_ROWS = 40
"""Size of a forest plot."""


class ReportFigures:
    """The figures of one run.

    Parameters
    ----------
    run : Run
        The run to draw.
    gallery : FigureFiles
        Where figures are saved.
    """

    def __init__(self, run: Run, gallery: FigureFiles) -> None:
        self.run = run
        self.gallery = gallery
        self.colours = arm_colours(run.arms)
        taken: set[str] = set()
        self.slugs = {arm: slug(arm, taken) for arm in run.arms}
        self._drawn: dict[str, Picture] = {}

    def save(
        self, draw: Callable[[Axes], object], name: str, size: tuple[float, float], **words: str
    ) -> Picture:
        """Draw on fresh Axes of a size in inches, save, and return the picture for the page.

        A figure that is used in several chapters is drawn once.
        """
        if name not in self._drawn:
            figure = Figure(figsize=size)
            draw(figure.add_subplot())
            self._drawn[name] = self.gallery.save(figure, name, **words)
        return self._drawn[name]


def arm_tabs(
    run: Run, drawings: ReportFigures, prefix: str, make: Callable[[str], Sequence[Block]]
) -> Tabs:
    """Make a tab for each arm that has content."""
    made = [(arm, list(make(arm))) for arm in run.arms]
    tabs = [Tab(f"{prefix}-{drawings.slugs[a]}", a, blocks) for a, blocks in made if blocks]
    return Tabs("Arm", tabs)


def forest_heading(text: str) -> dict[str, object]:
    """Return a row of a forest plot that contains only text."""
    missing = float("nan")
    return {
        "label": text,
        "estimate": missing,
        "lower": missing,
        "upper": missing,
        "heading": True,
    }
