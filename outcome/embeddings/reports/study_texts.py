"""The report texts of a study: reading, redaction if requested, caching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from outcome.embeddings.reports.redaction import redact
from outcome.embeddings.reports.text_table import ReportTable, read_report_texts
from outcome.study import ReportTexts

__all__ = ["StudyTexts", "redacted", "study_texts"]


@dataclass(frozen=True, eq=False)
class StudyTexts:
    """Texts for models.

    Parameters
    ----------
    texts : mapping of patient to str
        In order of the ids; without patients with no remaining text.
    dates : mapping of patient to date
    removed : int
        Number of removed sentences.
    shortened : int
        Number of patients with removed sentences.
    emptied : int
        Number of patients with no remaining text.
    """

    texts: Mapping[str, str]
    dates: Mapping[str, date]
    removed: int = 0
    shortened: int = 0
    emptied: int = 0

    @property
    def said(self) -> str:
        """A sentence about the removed text."""
        text = f"{self.removed} sentences that state the outcome were removed from the reports of"
        text += f" {self.shortened} patients"
        return text + (f"; {self.emptied} of them have no text left" if self.emptied else "")


def redacted(table: ReportTable) -> StudyTexts:
    """Remove the sentences that state the outcome, and count them."""
    found = {p: redact(text, table.dates.get(p)) for p, text in table.texts.items()}
    texts = {p: r.text for p, r in found.items() if r.text.strip()}
    removed = [r.removed for r in found.values() if r.removed]
    return StudyTexts(texts, table.dates, sum(removed), len(removed), len(found) - len(texts))


def study_texts(source: ReportTexts, patient_column: str) -> StudyTexts:
    """Read the texts of a study; a process caches the last ones until the file changes.

    Raises
    ------
    EmbeddingError
        See `read_report_texts`.
    """
    try:
        status = source.texts.stat()
        stamp = (status.st_size, status.st_mtime_ns)
    except OSError:
        stamp = (0, 0)
    return _read(source, patient_column, stamp)


@lru_cache(maxsize=1)
def _read(source: ReportTexts, patient_column: str, stamp: tuple[int, int]) -> StudyTexts:
    columns = source.columns
    table = read_report_texts(
        source.texts,
        patient=columns.patient or patient_column,
        text=columns.text,
        when=columns.date,
    )
    return redacted(table) if source.redact else StudyTexts(table.texts, table.dates)
