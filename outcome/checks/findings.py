"""Findings of a check, with examples in which no patient can be recognised."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["SEVERITIES", "Examples", "Finding", "Severity"]

Severity = Literal["severe", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "note")

CONTEXT = 5
COMMON = 5
WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")


@dataclass(frozen=True)
class Finding:
    """One finding of a check.

    Parameters
    ----------
    severity : str
        `severe`: results with this input would be wrong; `warning`: should be checked; `note`: for
        information.
    what : str
        A sentence, with counts and no ids.
    examples : tuple of str
        At most three, pseudonymised.
    remedy : str
    """

    severity: Severity
    what: str
    examples: tuple[str, ...] = ()
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"

    @property
    def text(self) -> str:
        """The finding with its examples and remedy."""
        text = self.what
        if self.examples:
            text += ", e.g. " + "; ".join(f"“{e}”" for e in self.examples)
        if self.remedy:
            text += f". To do: {self.remedy}"
        return text


class Examples:
    """Makes short, pseudonymised examples of texts.

    Digits become `#`, and words in the texts of fewer than 5 patients become `…`, because names and
    ids are rare.

    Parameters
    ----------
    texts : mapping of patient to str
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        counts: Counter[str] = Counter()
        for text in texts.values():
            counts.update({w.lower() for w in WORD.findall(text)})
        self._common = {w for w, n in counts.items() if n >= COMMON}

    def around(self, sentence: str, start: int, stop: int) -> str:
        """Return the match with a few words before and after it."""
        before = sentence[:start].split()[-CONTEXT:]
        after = sentence[stop:].split()[:CONTEXT]
        matched = re.sub(r"\d", "#", sentence[start:stop])
        parts = [*map(self._mask, before), matched, *map(self._mask, after)]
        text = " ".join(p for p in parts if p)
        return re.sub(r"…(?: …)+", "…", text).replace(" :", ":").replace(" ,", ",")

    def _mask(self, word: str) -> str:
        bare = re.sub(r"\d", "#", word)
        return WORD.sub(lambda m: m.group() if m.group().lower() in self._common else "…", bare)

    def some(self, found: Iterable[str]) -> tuple[str, ...]:
        """Return at most three different examples."""
        return tuple(list(dict.fromkeys(found))[:3])
