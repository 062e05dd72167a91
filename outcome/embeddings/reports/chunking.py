"""Division of report texts into sections, sentences, and chunks for an encoder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

__all__ = ["chunks", "sections", "sentences", "word_lengths"]

Lengths = Callable[[Sequence[str]], list[int]]

MONTHS = ("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec")
NEVER_ENDS = frozenset({"dr", "mr", "mrs", "ms", "prof", "vs", "fig", "figs", "e.g", "i.e", "cf"})
"""Abbreviations that never end a sentence."""
ABBREVIATIONS = NEVER_ENDS.union(
    ("st", "no", "nos", "approx", "ca", "al", "eg", "ie", "a.m", "p.m", "pt", "dept", "ref"),
    ("resp", "incl", "min", "max", "inv", "temp", *MONTHS),
)
"""Abbreviations that end a sentence unless a digit or lower-case letter follows."""

END = re.compile(r"[.!?]+[\"')\]]*(?=\s)|[.!?]+[\"')\]]*$")
LAST_WORD = re.compile(r"([^\W\d_](?:[\w.]*[^\W_])?)$")
HEADING = re.compile(r"^(?:[^\W\d_][\w /&,()-]{1,60}:|[A-Z][A-Z0-9 /&,()-]{3,60})$")
ITEM = re.compile(r"^(?:[-*•]|\(?\w{1,3}[.)])\s|^[^\W\d_][\w /&()-]{1,50}:")


def word_lengths(texts: Sequence[str]) -> list[int]:
    """Length of each text in words."""
    return [len(text.split()) for text in texts]


def sections(text: str) -> list[str]:
    """Divide a report at its headings; each heading stays with the following text.

    A heading is a separate line that ends with a colon or is written in capitals.
    """
    found: list[list[str]] = [[]]
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        bare = line.strip()
        if HEADING.match(bare) and any(part.strip() for part in found[-1]):
            found.append([])
        found[-1].append(line)
    return [joined for lines in found if (joined := "\n".join(lines).strip())]


def sentences(text: str) -> list[str]:
    """Divide a text into sentences, and lists into items.

    Decimal points, initials and common abbreviations do not end a sentence. A line break ends a
    sentence at an empty line and before an item (`- ...`, `1. ...`, `Stage: ...`). Only spaces are
    removed.
    """
    return [s for paragraph in _paragraphs(text) for s in _split(paragraph)]


def _paragraphs(text: str) -> Iterator[str]:
    lines: list[str] = []
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        bare = " ".join(line.split())
        starts_anew = not bare or ITEM.match(bare) or (lines and HEADING.match(lines[-1]))
        # A heading stays with the following line.
        lonely = bare and len(lines) == 1 and HEADING.match(lines[0])
        if starts_anew and lines and not lonely:
            yield " ".join(lines)
            lines = []
        if bare:
            lines.append(bare)
    if lines:
        yield " ".join(lines)


def _split(paragraph: str) -> Iterator[str]:
    start = 0
    for end in END.finditer(paragraph):
        if _ends(paragraph, end):
            yield paragraph[start : end.end()].strip()
            start = end.end()
    if rest := paragraph[start:].strip():
        yield rest


def _ends(text: str, mark: re.Match[str]) -> bool:
    if not mark.group().startswith(".") or mark.group().startswith(".."):
        return True
    word = LAST_WORD.search(text[max(0, mark.start() - 20) : mark.start()])
    if word is None:
        # "2." may number an item, but only at the start or behind a heading.
        return not re.search(r"(?:^|: )\(?\d{1,2}$", text[: mark.start()])
    before, following = word.group(1).lower(), text[mark.end() :].lstrip()[:1]
    if before in NEVER_ENDS or (len(before) == 1 and word.group(1).isupper()):
        return False
    # "y.o." and the like are abbreviations too.
    abbreviated = before in ABBREVIATIONS or "." in before
    return not (abbreviated and (following.isdigit() or following.islower()))


def chunks(text: str, limit: int, lengths: Lengths = word_lengths) -> list[str]:
    """Divide a report into chunks of whole sentences that fit the encoder.

    Parameters
    ----------
    text : str
    limit : int
        Maximum length of a chunk.
    lengths : callable
        Function for the length of texts in units of the encoder; by default words.

    Returns
    -------
    list of str
        Chunks in the order of the report. Sentences are combined as long as they fit. A new section
        starts a new chunk if the current one is at least half full. A sentence that is too long is
        divided between words. No text is omitted.
    """
    found: list[str] = []
    open_: list[str] = []
    used = 0
    for section in sections(text):
        if used * 2 >= limit:
            found.append(" ".join(open_))
            open_, used = [], 0
        whole = sentences(section)
        for sentence, length in zip(whole, lengths(whole), strict=True):
            parts = [(sentence, length)] if length <= limit else _cut(sentence, limit, lengths)
            for part, size in parts:
                if open_ and used + size > limit:
                    found.append(" ".join(open_))
                    open_, used = [], 0
                open_.append(part)
                used += size
    if open_:
        found.append(" ".join(open_))
    # Lengths are not additive: a tokenizer may join or divide words differently at a boundary.
    fits = zip(found, lengths(found), strict=True)
    return [p for c, n in fits for p in ([c] if n <= limit else _texts(_cut(c, limit, lengths)))]


def _texts(parts: Sequence[tuple[str, int]]) -> list[str]:
    return [text for text, _ in parts]


def _cut(sentence: str, limit: int, lengths: Lengths) -> list[tuple[str, int]]:
    """Halve a text between words (a single word between letters) until every part fits."""
    (length,) = lengths([sentence])
    if length <= limit or len(sentence) < 2:
        return [(sentence, length)]
    words = sentence.split()
    if len(words) > 1:
        half = len(words) // 2
        left, right = " ".join(words[:half]), " ".join(words[half:])
    else:
        half = len(sentence) // 2
        left, right = sentence[:half], sentence[half:]
    return [*_cut(left, limit, lengths), *_cut(right, limit, lengths)]
