"""Counts in words, for messages."""

from __future__ import annotations

__all__ = ["plural"]


def plural(count: int, noun: str, several: str = "") -> str:
    """Count something in words.

    Examples
    --------
    >>> plural(1, "patient"), plural(1200, "patient"), plural(2, "study", "studies")
    ('1 patient', '1,200 patients', '2 studies')
    """
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"
