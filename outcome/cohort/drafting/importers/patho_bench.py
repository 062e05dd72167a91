"""Patho-Bench: `k=all.tsv`: `case_id, slide_id`, a task or `<task>_event, _days`, `fold_0` ..."""

from __future__ import annotations

import re
from typing import Any

from outcome.cohort.drafting.endpoint_section import binary_section
from outcome.cohort.drafting.importers.source import Imported, Source, read_folds, require_columns
from outcome.errors import CohortError
from outcome.tables.read_table import read_table

__all__ = ["import_patho_bench"]


def import_patho_bench(source: Source) -> Imported:
    """Read the files; see the module."""
    path = source.path
    if path.is_dir():
        tables = sorted(path.glob("*.tsv"))
        tables = [p for p in tables if p.name == "k=all.tsv"] or tables
        if len(tables) != 1:
            names = ", ".join(p.name for p in tables[:3]) or "none"
            raise CohortError(
                f"{path} should contain one table of a task, k=all.tsv (found: {names})"
            )
        path = tables[0]
    table = read_table(path).frame
    require_columns(table, ["case_id", "slide_id"], path.name)
    tasks = [c.removesuffix("_event") for c in map(str, table) if c.endswith("_event")]
    tasks = [t for t in tasks if f"{t}_days" in table]
    folds, notes = read_folds(source.splits or path, "patho-bench", table, "case_id", "slide_id")
    if tasks and (not source.endpoint or source.endpoint in tasks):
        task = source.endpoint or tasks[0]
        endpoint: dict[str, Any] = {"kind": "survival", "time": f"{task}_days"}
        endpoint |= {"event": f"{task}_event", "unit": "days"}
    else:
        rest = [c for c in map(str, table) if c not in ("case_id", "slide_id")]
        rest = [c for c in rest if not re.match(r"fold_?\d+$", c)]
        label = source.endpoint or (rest[0] if len(rest) == 1 else "")
        if label not in table:
            raise CohortError(f"give one of the tasks with `endpoint=`: {', '.join(rest[:10])}")
        endpoint = binary_section(table, label, source.positive)
    outcome = [c for c in endpoint.values() if isinstance(c, str) and c in table]
    kept = ["case_id", "slide_id", *outcome]
    return Imported(table[kept], "case_id", "slide_id", endpoint, folds, notes=notes)
