"""Display of an evaluation in a notebook."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

import pandas as pd

__all__ = ["evaluation_html", "evaluation_text"]

DIGITS = 3
METRICS = ["arm", "metric", "estimate", "lower", "upper", "n", "events"]
COMPARISONS = [
    "arm", "baseline", "metric", "difference", "lower", "upper", "p_value", "p_adjusted",
]  # fmt: skip
GROUPS = [
    "arm", "group", "n", "events", "median_survival", "lower", "upper", "hazard_ratio",
    "hr_lower", "hr_upper", "logrank_p",
]  # fmt: skip


def evaluation_text(metrics: pd.DataFrame, tables: Collection[str]) -> str:
    """Return the first metric of each arm, and the names of the tables."""
    lines = [
        f"{row.arm}: {row.metric} {row.estimate:.{DIGITS}f}"
        f" ({row.lower:.{DIGITS}f} to {row.upper:.{DIGITS}f})"
        for row in metrics.drop_duplicates("arm").itertuples()
    ]
    return "\n".join(["Evaluation", *(f"  {line}" for line in lines), f"  {', '.join(tables)}"])


def evaluation_html(
    metrics: pd.DataFrame,
    comparisons: pd.DataFrame,
    risk_groups: pd.DataFrame,
    warnings: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Return the main tables as HTML, with warnings above and notes below."""
    parts = [f"<p><strong>{escape(text)}</strong></p>" for text in warnings]
    shown = (("Metrics", metrics, METRICS), ("Comparisons", comparisons, COMPARISONS),
             ("Risk groups", risk_groups, GROUPS))  # fmt: skip
    for title, table, wanted in shown:
        columns = [c for c in (*wanted, "endpoint") if c in table]
        if len(table):
            text = table[columns].to_html(
                index=False, na_rep="", float_format=_number, escape=True, border=0
            )
            parts.append(f"<details open><summary>{title}</summary>{text}</details>")
    if notes:
        items = "".join(f"<li>{escape(text)}</li>" for text in notes)
        parts.append(f"<details><summary>Notes</summary><ul>{items}</ul></details>")
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:.{DIGITS}f}" if abs(value) < 1000 else f"{value:.0f}"
