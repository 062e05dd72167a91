"""Detection and removal of sentences of a report that state the outcome.

The words are English. They are matched in context: a tumour that *recurred* in 2015 states the
outcome, an Oncotype *recurrence score* does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from outcome.embeddings.reports.chunking import sentences

__all__ = ["AMBIGUOUS", "STATEMENT", "Hit", "Redacted", "hits", "late_dates", "redact"]

STATEMENT, AMBIGUOUS = "statement", "ambiguous"
GRACE = timedelta(days=30)
"""Addenda and supplementary reports follow within a month."""

_DISEASE = r"(?:disease|cancer|tumou?r|carcinoma|melanoma|metasta\w+)"
_OUTCOME = (
    r"(?:death|recurrence|relapse|progression|metastasis|last (?:contact|follow-?\s?up|visit))"
)
_TOLD = (
    # fields of a registry that were pasted into the text
    r"vital status|survival (?:time|status|months|days)|(?:overall|disease.free|disease.specific"
    r"|progression.free|relapse.free|recurrence.free|event.free) (?:survival|interval)(?: \w+)?"
    r" ?(?::|=|was\b|of \d)"
    rf"|(?:days|months|years|time) (?:to|until|since) (?:the )?(?:\w+ )?{_OUTCOME}"
    rf"|date of (?:the )?(?:first )?{_OUTCOME}|cause of death"
    r"|(?:last|date of) (?:contact|known alive)"
    r"|(?:new )?tumou?r (?:status|event) ?(?::|after)|(?:tumou?r|with tumou?r) free at"
    r"|(?:best|overall|clinical|objective) response ?:|treatment (?:outcome|response) ?:"
    r"|follow-?\s?up (?:status|time|months|days|period)\b"
    r"|(?:lost to|at (?:last|latest)) follow-?\s?up"
    # outcome of the patient
    rf"|(?<!cells )(?<!cells have )\bdied\b|\bdeceased\b|passed away|\bdead of\b|\bis dead\b"
    rf"|(?:patient|pt|she|he) (?:has )?expired|death certificate|\bautops\w+|post.?mortem\b"
    rf"|(?:alive|living|dead) with(?:out)? (?:\w+ )?{_DISEASE}|\b(?:remains|is|was|still) alive\b"
    r"|\b(?:NED|no evidence of disease) (?:at (?:last|\d)|as of|on \d|after \d|\d+ (?:mo|y))"
    r"|(?:subsequently|later|eventually|ultimately) (?:recurred|relapsed|progressed|metastasi[sz]ed"
    r"|developed (?:\w+ ){0,3}(?:recurrence|metasta\w+|relapse|progression))"
    rf"|(?:{_DISEASE}|patient|she|he) (?:has |had )?(?:recurred|relapsed|progressed)\b"
    r"|(?:recurred|relapsed|progressed|recurrence|relapse|progression|death) (?:\w+ ){0,2}"
    r"(?:after )?(?:\d+|several|two|three|four|five|six) (?:days|weeks|months|years)(?! ago)"
)
_UNSURE = (
    r"\bsurviv\w+|\bdeath\b|\bdead\b|\balive\b|\brecurr\w+|\brelaps\w+|\bprogress(?:ion|ed)\b"
    r"|follow-?\s?up\b|\bexpired\b|\boutcomes?\b|\bhospice\b|\bpalliative\b|\bterminal(?:ly)? ill"
    r"|\d+ (?:days|weeks|months|years) (?:later|after (?:surgery|diagnosis|resection|treatment))"
)
_RISK = (
    r"recurrence score|oncotype|(?:risk|rate|likelihood) of (?:\w+ ){0,2}"
    r"(?:recurrence|relapse|progression|death)"
)
_HARMLESS = re.compile(
    # scores, recommendations, history, tissue, and negated events
    rf"{_RISK}|(?:cell|cellular|programmed|sudden) death|dead (?:cells?|tissue|space|end)|PD-?L?1"
    r"|(?:prior|previous|history of|known|past|old|first|locally|local|possible|suspected"
    r"|rule out|r/o) (?:\w+ ){0,2}(?:recurr\w+|relaps\w+)|recurrent laryngeal"
    r"|recurrent (?:carcinoma|tumou?r|cancer)"
    r"|(?:clinical|imaging|recommend\w*|suggest\w*|advise\w*|require\w*|needs?|for|appropriate|close"
    r"|continued|routine|short|annual|month|please) (?:\w+ ){0,3}follow-?\s?up"
    r"|follow-?\s?up (?:is |are |was )?(?:recommended|suggested|advised|needed|report"
    r"|biops\w+|with)"
    r"|in progress|progression of (?:labou?r|pregnancy)|survival (?:analysis|statistics|benefit)",
    re.IGNORECASE,
)
_NO_STATEMENT = re.compile(
    rf"{_RISK}|(?:prior|previous|history of|past) (?:\w+ ){{0,2}}(?:recurr\w+|relaps\w+)",
    re.IGNORECASE,
)
_STATEMENT = re.compile(_TOLD, re.IGNORECASE)
_WORD = re.compile(_UNSURE, re.IGNORECASE)

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_DATE = re.compile(
    r"\b(?P<y1>(?:19|20)\d\d)[-/.](?P<m1>\d{1,2})[-/.](?P<d1>\d{1,2})\b"
    r"|\b(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<y2>(?:19|20)\d\d)\b"
    r"|\b(?:(?P<d3>\d{1,2})(?:st|nd|rd|th)?\.? )?(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct"
    r"|nov|dec)[a-z]*\.?,? (?:(?P<d4>\d{1,2})(?:st|nd|rd|th)?,? )?(?P<y3>(?:19|20)\d\d)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Hit:
    """A sentence with outcome words.

    Parameters
    ----------
    index : int
        Position of the sentence in its report.
    sentence : str
    word : str
        Matched text, in lower case.
    start, stop : int
        Position of the match.
    kind : str
        `statement`: states the outcome of the patient; `ambiguous`: may state it.
    """

    index: int
    sentence: str
    word: str
    start: int
    stop: int
    kind: str


@dataclass(frozen=True)
class Redacted:
    """A text without the sentences that state the outcome, and their number."""

    text: str
    removed: int


def hits(parts: Sequence[str]) -> Iterator[Hit]:
    """Find outcome words in the sentences of a report, at most one per sentence."""
    for index, sentence in enumerate(parts):
        if (found := _STATEMENT.search(_NO_STATEMENT.sub(_blank, sentence))) is not None:
            kind = STATEMENT
        elif (found := _WORD.search(_HARMLESS.sub(_blank, sentence))) is not None:
            kind = AMBIGUOUS
        else:
            continue
        word = sentence[found.start() : found.end()].lower()
        yield Hit(index, sentence, word, found.start(), found.end(), kind)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found.group())


def late_dates(parts: Sequence[str], when: date) -> Iterator[tuple[int, re.Match[str], date]]:
    """Find dates later than a month after that of the report: sentence, match and date."""
    for index, sentence in enumerate(parts):
        for found in _DATE.finditer(sentence):
            # Day and month may be in either order: a date is late only if it is late in both.
            read = [d for d in _readings(found) if d is not None]
            if read and min(read) > when + GRACE:
                yield index, found, min(read)


def _readings(found: re.Match[str]) -> list[date | None]:
    part = found.groupdict()
    if part["y1"]:
        return [_date(part["y1"], part["m1"], part["d1"])]
    if part["y2"]:
        return [_date(part["y2"], part["a"], part["b"]), _date(part["y2"], part["b"], part["a"])]
    month = _MONTHS[part["name"].lower()]
    return [_date(part["y3"], month, part["d3"] or part["d4"] or 1)]


def _date(year: str, month: str | int, day: str | int) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def redact(text: str, when: date | None = None) -> Redacted:
    """Remove the sentences that state the outcome.

    Parameters
    ----------
    text : str
    when : date, optional
        Date of the report; sentences with a later date (by more than a month) are also removed.

    Returns
    -------
    Redacted
        The text is unchanged if nothing is removed. After a removed question, or a field name
        without content after its colon, the answer is also removed.
    """
    parts = sentences(text)
    gone = {hit.index for hit in hits(parts) if hit.kind == STATEMENT}
    answers = {i + 1 for i in gone if parts[i].endswith(("?", ":")) and i + 1 < len(parts)}
    gone |= answers
    if when is not None:
        gone |= {index for index, _, _ in late_dates(parts, when)}
    if not gone:
        return Redacted(text, 0)
    return Redacted(" ".join(p for i, p in enumerate(parts) if i not in gone), len(gone))
