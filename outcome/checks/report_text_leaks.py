"""Signs of leakage in report texts: outcome words, later dates, follow-up times."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from outcome.checks.findings import Examples, Finding
from outcome.embeddings.reports.chunking import sentences
from outcome.embeddings.reports.redaction import AMBIGUOUS, STATEMENT, Hit, hits, late_dates

__all__ = ["scan_dates", "scan_follow_up", "scan_language", "scan_words"]

COMMON_SHARE, FEWEST = 0.05, 3
REDACT = (
    "remove these sentences (`redact: true` if the study names the texts, or `redact=`), "
    "and find out where the texts come from"
)
ENGLISH = frozenset(
    [
        "the",
        "of",
        "and",
        "is",
        "in",
        "with",
        "no",
        "a",
        "to",
        "for",
        "was",
        "are",
        "at",
        "by",
        "left",
        "right",
        "not",
        "from",
        "or",
        "as",
        "on",
        "type",
    ]
)
NUMBER = re.compile(r"(?<![\w.,])\d+(?:\.\d+)?(?![\w])")


def scan_words(texts: Mapping[str, str], dates: Mapping[str, date] | None = None) -> list[Finding]:
    """Look for sentences that state the outcome, and for dates after that of the report.

    Parameters
    ----------
    texts : mapping of patient to str
    dates : mapping of patient to date, optional

    Returns
    -------
    list of Finding
        Statements of the outcome are a severe finding in at least 5% of the reports (and at least
        3), else a warning. Ambiguous words, such as *recurrence*, give a note.
    """
    examples = Examples(texts)
    parts = {p: sentences(t) for p, t in texts.items()}
    found = {p: list(hits(s)) for p, s in parts.items()}
    findings = []
    for kind in (STATEMENT, AMBIGUOUS):
        who = {p: [h for h in hs if h.kind == kind] for p, hs in found.items()}
        who = {p: hs for p, hs in who.items() if hs}
        if who:
            findings.append(_words(kind, who, len(texts), examples))
    if dates:
        findings += scan_dates(parts, dates, examples)
    return findings + scan_language(texts)


def _words(kind: str, who: Mapping[str, list[Hit]], n_reports: int, examples: Examples) -> Finding:
    all_hits = [h for hs in who.values() for h in hs]
    counts = Counter(h.word for h in all_hits)
    said = ", ".join(f"{_plain(w)} ({n})" for w, n in counts.most_common(6))
    shown = examples.some(examples.around(h.sentence, h.start, h.stop) for h in all_hits)
    share = f"{len(who)} of {n_reports} reports ({len(all_hits)} sentences)"
    if kind == AMBIGUOUS:
        return Finding("note", f"{share} contain words that may reveal the outcome: {said}", shown)
    many = len(who) >= max(FEWEST, COMMON_SHARE * n_reports)
    return Finding(
        "severe" if many else "warning",
        f"{share} state the outcome of the patient: {said}",
        shown,
        REDACT,
    )


def _plain(word: str) -> str:
    return re.sub(r"\d", "#", word)


def scan_dates(
    parts: Mapping[str, list[str]], dates: Mapping[str, date], examples: Examples
) -> list[Finding]:
    """Look for dates more than a month after that of the report, e.g. in an addendum."""
    late = {p: list(late_dates(parts[p], dates[p])) for p in parts if p in dates}
    late = {p: found for p, found in late.items() if found}
    if not late:
        return []
    shown = examples.some(
        examples.around(parts[p][i], m.start(), m.end())
        + f" ({(when - dates[p]).days // 30} months after the report)"
        for p, found in late.items()
        for i, m, when in found
    )
    many = len(late) >= max(FEWEST, COMMON_SHARE * len(parts))
    what = (
        f"{len(late)} of {len(parts)} reports contain dates more than a month after the date of "
        "the report"
    )
    return [Finding("severe" if many else "warning", what, shown, REDACT)]


def scan_follow_up(texts: Mapping[str, str], patients: pd.DataFrame) -> list[Finding]:
    """Look for numbers equal to the follow-up time of the patient.

    The number expected by chance is estimated with the times of ten other patients.
    """
    columns = [c for c in patients.columns if str(c) == "time" or str(c).endswith("_time")]
    ids = [p for p in patients.index if p in texts]
    numbers = [{float(n) for n in NUMBER.findall(texts[p])} for p in ids]
    findings = []
    for column in columns:
        time = patients.loc[ids, column].to_numpy(dtype=float)
        usable = np.isfinite(time) & (time >= 30)
        own = _matches(numbers, time, usable, 0)
        chance = float(np.mean([_matches(numbers, time, usable, k) for k in range(1, 11)]))
        if own >= FEWEST and own > 5 * chance + 2:
            name = "follow-up time" if column == "time" else column
            findings.append(
                Finding(
                    "severe",
                    f"{own} of {len(ids)} reports contain a number equal to the patient's {name} "
                    f"({chance:.1f} expected by chance)",
                    remedy=REDACT,
                )
            )
    return findings


def _matches(numbers: list[set[float]], time: np.ndarray, usable: np.ndarray, shift: int) -> int:
    """Count the texts that contain the time of the patient `shift` positions further on."""
    moved, known = np.roll(time, shift), np.roll(usable, shift)
    return sum(bool(k) and float(t) in own for own, t, k in zip(numbers, moved, known, strict=True))


def scan_language(texts: Mapping[str, str]) -> list[Finding]:
    """Note texts that do not seem to be English, in which outcome words would not be found."""
    foreign = 0
    for text in texts.values():
        words = re.findall(r"[^\W\d_]+", text.lower())
        if len(words) >= 20 and sum(w in ENGLISH for w in words) < 0.05 * len(words):
            foreign += 1
    if foreign < max(FEWEST, COMMON_SHARE * len(texts)):
        return []
    return [
        Finding(
            "note",
            f"{foreign} of {len(texts)} reports do not seem to be English. The search for "
            "outcome words and `redact` work only for English; the statistical probes work for "
            "any language",
        )
    ]
