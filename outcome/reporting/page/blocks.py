"""What a section of the report is made of; `templates/report.html.j2` draws each kind of block."""

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
    """Id of the section that says more."""


@dataclass(frozen=True)
class Facts:
    """A list of points; with `mark`, each is named as in favour or as a caution."""

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
    """Whether it also lies in `figures/`."""


@dataclass(frozen=True)
class Step:
    """One box of the cohort flow, with what was lost on the way to it."""

    title: str
    counts: str
    lost: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Flow:
    """The cohort, from the table that was read to the patients that were analysed."""

    kind: ClassVar[str] = "flow"
    steps: Sequence[Step]


@dataclass(frozen=True)
class Tab:
    """What is shown for one arm."""

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
    """Blocks that a reader opens on demand; always open on paper."""

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
        Closed at first; a reader opens it by its title. Always open on paper.
    """

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    folded: bool = False

    def say(self, *paragraphs: str, quiet: bool = False) -> None:
        """Append paragraphs, empty ones left out."""
        if kept := [p for p in paragraphs if p]:
            self.blocks.append(Text(kept, quiet))

    def show(self, block: Block | Table) -> None:
        """Append a block; a table without rows is left out."""
        if not isinstance(block, Table):
            self.blocks.append(block)
        elif block.rows:
            self.blocks.append(TableBlock(block.without_empty_columns()))

    def fold(self, title: str, *tables: Table) -> None:
        """Append tables that a reader opens on demand; those without rows are left out."""
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
        The first is always shown, the others on demand.
    """

    question: str
    short: str
    sentences: Sequence[str]
