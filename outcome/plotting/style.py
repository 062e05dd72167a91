"""Common style of all figures: axes, sizes, safe labels."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from matplotlib.font_manager import FontProperties, findfont, get_font

from outcome.plotting.palette import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SMALL", "TEXT", "clean", "legend_above", "shorten"]

TEXT = 9.0
SMALL = 8.0


@lru_cache
def _glyphs() -> frozenset[int]:
    """Characters that the font of the figures can draw."""
    return frozenset(get_font(findfont(FontProperties())).get_charmap())


def drawable(text: str) -> str:
    r"""Replace characters missing in the font by a box, and escape dollar signs.

    Examples
    --------
    >>> print(drawable("a中 $5"))
    a□ \$5
    """
    known = _glyphs()
    return "".join(c if c == "\n" or ord(c) in known else "□" for c in text).replace("$", r"\$")


def shorten(text: str, width: int = 26, lines: int = 2) -> str:
    """Wrap a label to a few lines, also after a plus, and truncate the rest."""
    wrapped = [""]
    for part in re.findall(r"[^\s+]*\+|[^\s+]+|\s+", " ".join(text.split())):
        if wrapped[-1] and len(wrapped[-1]) + len(part.rstrip()) > width:
            wrapped.append("")
        pieces = [part[i : i + width] for i in range(0, len(part), width)]
        wrapped[-1] += pieces[0] if wrapped[-1] else pieces[0].lstrip()
        wrapped += pieces[1:]
    wrapped = [line.rstrip() for line in wrapped]
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], wrapped[lines - 1][: width - 1].rstrip() + "…"]
    return drawable("\n".join(wrapped))


def clean(ax: Axes) -> Axes:
    """Style the axes: no frame at the top and right, the same colours and sizes in every figure."""
    ax.spines[["top", "right"]].set_visible(False)
    for spine in ax.spines.values():
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)
    ax.tick_params(colors=INK, labelsize=SMALL, width=0.8, length=3)
    for text in (ax.xaxis.label, ax.yaxis.label, ax.title):
        text.set_color(INK)
        text.set_fontsize(TEXT)
    return ax


def legend_above(ax: Axes, title: str = "", columns: int = 1) -> None:
    """Put the legend above the axes, so that it does not hide data.

    Parameters
    ----------
    ax : Axes
        Axes with labelled artists.
    title : str
        First line of the legend.
    columns : int
        Number of entries per row.
    """
    legend = ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        handlelength=2.6,
        borderaxespad=0.2,
        title=title or None,
        alignment="left",
        ncols=columns,
    )
    legend.get_title().set(fontsize=SMALL, color=INK)
