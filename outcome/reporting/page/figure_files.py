"""Saves figures as files, and embeds them in the report as data URIs."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from outcome.plotting.palette import INK, MUTED
from outcome.reporting.page.blocks import Picture

__all__ = ["FigureFiles", "plain_style"]

DPI = 300
INDEX = "drawn.txt"
"""Names of the figures of the last report; the next report may remove only these."""
SCALE = 1.25
"""Size in the page relative to the size on paper."""
_DARK = {INK: "#e4e7ea", MUTED: "#98a1ab"}


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw with matplotlib's defaults, and restore the settings of the caller afterwards."""
    defaults = {k: v for k, v in mpl.rcParamsDefault.items() if not k.startswith("backend")}
    with mpl.rc_context():
        mpl.rcParams.update(defaults)
        mpl.rcParams.update({"svg.hashsalt": "slide-outcome", "svg.fonttype": "path"})
        yield


class FigureFiles:
    """The figures of one report.

    Parameters
    ----------
    folder : Path
        `figures/` of the run folder; made when the first figure is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved: list[str] = []

    def save(self, figure: Figure, name: str, *, alt: str, caption: str) -> Picture:
        """Write `<name>.svg`, `.pdf` and `.png` (300 dpi), and return the picture for the page."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.saved.append(name)
        around = figure.get_tightbbox().padded(0.08)
        buffer = io.BytesIO()
        figure.savefig(
            buffer, format="svg", bbox_inches=around, transparent=True, metadata={"Date": None}
        )
        svg = buffer.getvalue().decode("utf-8")
        (self.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        figure.savefig(
            self.folder / f"{name}.pdf",
            bbox_inches=around,
            transparent=True,
            metadata={"CreationDate": None, "Producer": None},
        )
        figure.savefig(
            self.folder / f"{name}.png",
            dpi=DPI,
            bbox_inches=around,
            facecolor="white",
            metadata={"Software": None},
        )
        width, height = _size(svg)
        encoded = base64.b64encode(_for_page(svg).encode("utf-8")).decode("ascii")
        return Picture(
            name,
            f"data:image/svg+xml;base64,{encoded}",
            round(width * SCALE),
            round(height * SCALE),
            alt,
            caption,
        )

    def close(self) -> None:
        """Remove only figures of an earlier report that this report does not have."""
        index = self.folder / INDEX
        before = index.read_text(encoding="utf-8").splitlines() if index.is_file() else []
        for name in set(before) - set(self.saved):
            for kind in ("svg", "pdf", "png"):
                (self.folder / f"{name}.{kind}").unlink(missing_ok=True)
        if self.folder.is_dir():
            index.write_text("".join(f"{name}\n" for name in self.saved), encoding="utf-8")


def _size(svg: str) -> tuple[float, float]:
    """Width and height in CSS pixels."""
    points = (re.search(rf'<svg[^>]*?\s{side}="([\d.]+)pt"', svg) for side in ("width", "height"))
    width, height = (float(found.group(1)) * 96 / 72 if found else 480.0 for found in points)
    return width, height


def _for_page(svg: str) -> str:
    """Remove the prolog and metadata; change the colours if the reader prefers a dark page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in _DARK.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>"
    head = svg.index(">") + 1
    return svg[:head] + style + svg[head:]
