"""Replacement of patient ids in free text by numbers without meaning outside the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["Pseudonyms"]


class Pseudonyms:
    """Replaces patient ids in free text, except ids that look like a plain word or number."""

    def __init__(self, ids: pd.Series, splits: pd.DataFrame) -> None:
        everybody = sorted({*ids.astype(str), *splits["patient_id"].dropna().astype(str)})
        self.names = {p: f"[patient {i}]" for i, p in enumerate(everybody, 1) if _telling(p)}
        longest_first = sorted(self.names, key=len, reverse=True)
        any_id = "|".join(re.escape(p) for p in longest_first)
        self.pattern = re.compile(rf"(?<![^\W_])(?:{any_id})(?![^\W_])") if any_id else None
        self.everybody = {p: f"[patient {i}]" for i, p in enumerate(everybody, 1)}

    def inside(self, value: Any) -> Any:
        """Return the value with ids replaced in its text, including keys."""
        if isinstance(value, str):
            value = _EXAMPLES.sub(self._examples, value)
            if self.pattern is None:
                return value
            return self.pattern.sub(lambda found: self.names[found.group()], value)
        if isinstance(value, Mapping):
            return {self.inside(k): self.inside(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.inside(v) for v in value]
        return value

    def _examples(self, found: re.Match[str]) -> str:
        """After `e.g.`, a word or number that equals an id is treated as an id."""
        parts = [self.everybody.get(p, p) for p in found.group(1).split(", ")]
        return f"e.g. {', '.join(parts)}"


_EXAMPLES = re.compile(r"e\.g\. ([^.;()]+)")


def _telling(patient: str) -> bool:
    if patient.isdigit():
        return len(patient) >= 5
    return len(patient) >= 2 and not patient.isalpha()
