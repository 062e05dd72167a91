"""Blocks of a section of the report; `templates/report.html.j2` renders each kind of block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from outcome.reporting.page.formatting import Table

__all__ = [
    "Answer",
    "Block",
    "Fact",
    "Facts",
    "Flow",
    "Folded",
    "Picture",
    "ReportSection",
    "Step",
    "Tab",
    "Tabs",
    "Text",
]


@dataclass(frozen=True)
class Text:
    """Paragraphs."""

    kind: ClassVar[str] = "text"
    paragraphs: Sequence[str]
    quiet: bool = False
    """Small and grey: a condition or a technical remark."""


@dataclass(frozen=True)
class Fact:
    """One point for or against the result."""

    good: bool
    text: str
    anchor: str = ""
    """Id of the section with details."""


@dataclass(frozen=True)
class Facts:
    """A list of points; with `mark`, each is marked as in favour or as a caution."""

    kind: ClassVar[str] = "facts"
    items: Sequence[Fact]
    mark: bool = True


@dataclass(frozen=True)
class Picture:
    """A figure: inline in the page, and as files in `figures/`."""

    kind: ClassVar[str] = "picture"
    name: str
    source: str
    """A data URI."""
    width: int
    height: int
    alt: str
    caption: str
    as_file: bool = True
    """Whether it is also saved in `figures/`."""


@dataclass(frozen=True)
class Step:
    """One box of the cohort flow, with the exclusions before it."""

    title: str
    counts: str
    lost: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Flow:
    """The cohort flow, from the table to the analysed patients."""

    kind: ClassVar[str] = "flow"
    steps: Sequence[Step]


@dataclass(frozen=True)
class Tab:
    """The content for one arm."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Tabs:
    """The same content for several arms: tabs with JavaScript, one below the other without."""

    kind: ClassVar[str] = "tabs"
    label: str
    tabs: Sequence[Tab]


@dataclass(frozen=True)
class TableBlock:
    """A table."""

    kind: ClassVar[str] = "table"
    table: Table


@dataclass(frozen=True)
class Folded:
    """Blocks that are closed at first; always open in print."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: Sequence[Block]


Block = Text | Facts | Picture | Flow | Tabs | TableBlock | Folded


@dataclass
class ReportSection:
    """A chapter of the report.

    Parameters
    ----------
    anchor : str
        Id in the page.
    title : str
    blocks : list of Block
    folded : bool
        Closed at first and opened by a click on the title. Always open in print.
    """

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    folded: bool = False

    def say(self, *paragraphs: str, quiet: bool = False) -> None:
        """Append paragraphs; empty paragraphs are skipped."""
        if kept := [p for p in paragraphs if p]:
            self.blocks.append(Text(kept, quiet))

    def show(self, block: Block | Table) -> None:
        """Append a block; a table without rows is skipped."""
        if not isinstance(block, Table):
            self.blocks.append(block)
        elif block.rows:
            self.blocks.append(TableBlock(block.without_empty_columns()))

    def fold(self, title: str, *tables: Table) -> None:
        """Append tables that are closed at first; tables without rows are skipped."""
        made = [TableBlock(t.without_empty_columns()) for t in tables if t.rows]
        if made:
            self.blocks.append(Folded(title, made))


@dataclass(frozen=True)
class Answer:
    """A question of the first screen with its answer.

    Parameters
    ----------
    question, short : str
    sentences : sequence of str
        The first sentence is always shown, the others on demand.
    """

    question: str
    short: str
    sentences: Sequence[str]
