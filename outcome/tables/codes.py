"""Codes of outcomes and names of ordered groups: one spelling, one order."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

__all__ = ["canonical_code", "order_levels"]

TRUTH = {"true": "1", "false": "0"}
RANKS = {
    "lowest": 0, "very low": 0,
    "low": 1, "lower": 1, "good": 1, "favorable": 1, "favourable": 1,
    "intermediate": 2, "medium": 2, "middle": 2, "mid": 2, "moderate": 2, "int": 2, "med": 2,
    "high": 3, "higher": 3, "poor": 3, "unfavorable": 3, "unfavourable": 3,
    "highest": 4, "very high": 4,
}  # fmt: skip
"""Names of risk groups, from the lowest risk to the highest."""


def canonical_code(value: object) -> str:
    """Return one spelling per code.

    `1`, `1.0` and `" 1 "` are the same code. So are `True`, `true` and 1, because programs write
    either. `Dead` and `dead` are different codes.

    Examples
    --------
    >>> canonical_code(" 1.0"), canonical_code("TRUE"), canonical_code("Dead")
    ('1', '1', 'Dead')
    """
    if value is None:
        return "null"  # the value that YAML reads for null
    text = str(value).strip()
    if text.lower() in TRUTH:
        return TRUTH[text.lower()]
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return str(int(number)) if number.is_integer() else repr(number)


def order_levels(names: Sequence[str], mean_risk: Mapping[str, float] | None = None) -> list[str]:
    """Order risk groups from the lowest risk to the highest.

    The order follows names such as low, medium and high, in upper or lower case, also with a number
    or the word "risk" (`intermediate 2`, `High-risk`). Otherwise it follows the mean risk of the
    groups; without risks, the order of first appearance is kept.

    Examples
    --------
    >>> order_levels(["High", "Low", "Medium"])
    ['Low', 'Medium', 'High']
    >>> order_levels(["B", "A"], {"A": 0.3, "B": -0.1})
    ['B', 'A']
    """
    unique = list(dict.fromkeys(names))
    ranks = {name: _rank(name) for name in unique}
    known = {name: rank for name, rank in ranks.items() if rank is not None}
    if len(known) == len(unique) == len(set(known.values())):
        return sorted(unique, key=lambda name: known[name])
    if mean_risk is not None:
        return sorted(unique, key=lambda name: (mean_risk[name], name))
    return unique


def _rank(name: str) -> tuple[int, int] | None:
    words = re.sub(r"[\s_-]+", " ", name.strip().casefold())
    words = re.sub(r"^risk | risk$| risk group$| group$", "", words)
    plain, number = words, 0
    if match := re.fullmatch(r"(.*\D) ?(\d{1,3})", words):
        plain, number = match[1].strip(), int(match[2])
    return (RANKS[plain], number) if plain in RANKS else None
