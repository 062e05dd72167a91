"""Numbers as text: digits, signs, intervals and p values, in the style of journals."""

from __future__ import annotations

import math
from typing import Any

from outcome.counting import plural

__all__ = [
    "MINUS",
    "NOTHING",
    "as_float",
    "estimate",
    "interval",
    "number",
    "p_number",
    "p_value",
    "plural",
    "signed",
]

MINUS = "−"


NOTHING = "–"


def number(value: Any, digits: int = 2) -> str:
    """Format with fixed digits and a proper minus; a missing number is a dash.

    Examples
    --------
    >>> number(-0.12345), number(float("nan")), number(-0.0001), number(1234567.8, 0)
    ('−0.12', '–', '0.00', '1,234,568')
    """
    x = as_float(value)
    if not math.isfinite(x):
        return NOTHING if math.isnan(x) else f"{MINUS if x < 0 else ''}∞"
    text = f"{abs(x):,.{digits}f}"
    return f"{MINUS}{text}" if x < 0 and float(text.replace(",", "")) else text


def signed(value: Any, digits: int = 2) -> str:
    """Format a difference with its sign.

    Examples
    --------
    >>> signed(0.031), signed(-0.031), signed(0)
    ('+0.03', '−0.03', '0.00')
    """
    text = number(value, digits)
    x = as_float(value)
    zero = text.strip("0.,") == ""
    return f"+{text}" if x > 0 and math.isfinite(x) and not zero else text


def interval(lower: Any, upper: Any, digits: int = 2, *, sign: bool = False) -> str:
    """Format an interval as `0.61 to 0.74`; empty if a bound is missing.

    Examples
    --------
    >>> interval(0.612, 0.738), interval(None, 1), interval(-0.01, 0.04, sign=True)
    ('0.61 to 0.74', '', '−0.01 to +0.04')
    """
    if math.isnan(as_float(lower)) or math.isnan(as_float(upper)):
        return ""
    shape = signed if sign else number
    return f"{shape(lower, digits)} to {shape(upper, digits)}"


def estimate(
    value: Any, lower: Any = None, upper: Any = None, digits: int = 2, *, sign: bool = False
) -> str:
    """Format an estimate with its interval.

    Examples
    --------
    >>> estimate(0.678, 0.612, 0.738), estimate(0.678), estimate(None, 0, 1)
    ('0.68 (0.61 to 0.74)', '0.68', 'not estimable')
    """
    if math.isnan(as_float(value)):
        return "not estimable"
    text = signed(value, digits) if sign else number(value, digits)
    between = interval(lower, upper, digits, sign=sign)
    return f"{text} ({between})" if between else text


def p_value(value: Any, name: str = "p") -> str:
    """Format a p value; empty if there is none. It is never `p = 0`.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.00004), p_value(0.64), p_value(0.0496), p_value(0.004)
    ('p = 0.03', 'p < 0.001', 'p = 0.64', 'p = 0.0496', 'p = 0.004')
    """
    p = as_float(value)
    if math.isnan(p):
        return ""
    if p < 0.001:
        return f"{name} < 0.001"
    if p > 0.99:
        return f"{name} > 0.99"
    if p < 0.01:
        return f"{name} = {p:.3f}"
    text = f"{p:.2f}"
    return f"{name} = {p:.4f}" if text == "0.05" and p < 0.05 else f"{name} = {text}"


def p_number(value: Any) -> str:
    """Format a p value for a column of p values; empty if there is none.

    Examples
    --------
    >>> p_number(0.0312), p_number(0.00004)
    ('0.03', '< 0.001')
    """
    return p_value(value).removeprefix("p ").removeprefix("= ")


def as_float(value: Any) -> float:
    """Return a number; NaN if the value is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
