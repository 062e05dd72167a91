"""The chapter of reporting checklists, and the same as a table for a submission."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from outcome.reporting.checklists import CHECKLISTS
from outcome.reporting.page.blocks import ReportSection
from outcome.reporting.page.formatting import Cell, Table
from outcome.run_folder.folder import Run

__all__ = ["checklist_table", "checklists"]

FOR_AUTHORS = "to be filled in by the authors"


def checklist_table(run: Run, titles: Mapping[str, str]) -> pd.DataFrame:
    """Return every item of every checklist with what this run answers.

    Parameters
    ----------
    run : Run
    titles : mapping
        Id to title of the chapters of this page.

    Returns
    -------
    DataFrame
        `checklist, item, asks, answer, chapter`; without an answer of the run, `answer` says
        that the authors have to fill it in and `chapter` is empty.
    """
    rows = []
    for checklist in CHECKLISTS:
        for item in checklist.items:
            anchor = item.anchor(run)
            known = anchor in titles
            answer = item.answer(run) if known and item.answer is not None else ""
            answer = answer or (titles[anchor] if known else FOR_AUTHORS)
            chapter = titles[anchor] if known else ""
            rows.append((checklist.name, item.number, item.asks, answer, chapter))
    return pd.DataFrame(rows, columns=["checklist", "item", "asks", "answer", "chapter"])


def checklists(table: pd.DataFrame, anchors: Collection[tuple[str, str]]) -> ReportSection:
    """List the items of each checklist with the chapter that answers them.

    Parameters
    ----------
    table : DataFrame
        See `checklist_table`.
    anchors : collection of (str, str)
        Id and title of the chapters of this page.
    """
    section = ReportSection("checklists", "Reporting checklists")
    section.say(
        "Items of three checklists, paraphrased, with the answers that this run can give. A run "
        "has no information on eligibility, dates, ethics or funding; the authors must answer "
        "these items. “Answered” does not mean “answered well”. The same table is in "
        "checklists.csv, for a submission."
    )
    places = {title: anchor for anchor, title in anchors}
    for checklist in CHECKLISTS:
        mine = table[table["checklist"] == checklist.name]
        answered = int((mine["chapter"] != "").sum())
        made = Table(
            f"{checklist.name}: {checklist.about}",
            ["Item", "Item", "Answer of this run"],
        )
        for i, row in enumerate(mine.to_dict("records")):
            answer = str(row["answer"])
            link = places.get(str(row["chapter"]), "")
            made.add(Cell(str(row["item"]), i, True), str(row["asks"]), Cell(answer, link=link))
        made.notes.append(f"{checklist.source}.")
        section.fold(f"{checklist.name}: {answered} of {len(mine)} items answered", made)
    return section
