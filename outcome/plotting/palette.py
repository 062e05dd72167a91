"""Colours that colour-blind readers can distinguish, on light and dark background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "ARM_COLOURS",
    "GROUP_DASHES",
    "INK",
    "MUTED",
    "arm_colours",
    "group_colours",
    "group_dashes",
]

GROUP_NAMES = ("low", "intermediate", "high")
INK = "#1f2328"
"""Text and axes; the report changes it if the reader prefers a dark page."""
MUTED = "#5b646e"
"""Grid, reference lines and secondary text; changed in the same way."""

ARM_COLOURS = (
    "#5474b8",
    "#1e8a7e",
    "#c2558b",
    "#a67c00",
    "#8e5bb5",
    "#6b8e23",
    "#a0623a",
    "#6e7781",
)
"""One per arm, in the order of the study; each has a contrast of 3:1 on white and on #14171a."""

_LOW, _LOWER, _MIDDLE, _HIGHER, _HIGH = "#0072b2", "#2b8fd0", "#757b83", "#b97a00", "#d55e00"
_BY_COUNT = {
    1: (_LOW,),
    2: (_LOW, _HIGH),
    3: (_LOW, _MIDDLE, _HIGH),
    4: (_LOW, _LOWER, _HIGHER, _HIGH),
}
GROUP_DASHES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (6, 2)),
    (0, (2, 1.5)),
    (0, (6, 2, 1.5, 2)),
)
"""Line patterns, so that curves can be distinguished in black and white as well."""


def arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """One colour per arm, the same in every figure; after eight arms they repeat.

    Examples
    --------
    >>> arm_colours(["image", "report"])
    {'image': '#5474b8', 'report': '#1e8a7e'}
    """
    return {arm: ARM_COLOURS[i % len(ARM_COLOURS)] for i, arm in enumerate(arms)}


def group_colours(groups: Sequence[str]) -> dict[str, str]:
    """One colour per risk group, from blue (low) to orange-red (high).

    `low`, `intermediate` and `high` keep their colour when one of them is absent.

    Examples
    --------
    >>> group_colours(["low", "high"])
    {'low': '#0072b2', 'high': '#d55e00'}
    >>> group_colours(["high"])
    {'high': '#d55e00'}
    """
    if set(groups) <= set(GROUP_NAMES):
        fixed = dict(zip(GROUP_NAMES, _BY_COUNT[3], strict=True))
        return {group: fixed[group] for group in groups}
    if len(groups) in _BY_COUNT:
        return dict(zip(groups, _BY_COUNT[len(groups)], strict=True))
    return {group: ARM_COLOURS[i % len(ARM_COLOURS)] for i, group in enumerate(groups)}


def group_dashes(i: int) -> Any:
    """Return the line style of the i-th group, for print without colour."""
    dashes = GROUP_DASHES[i % len(GROUP_DASHES)]
    return dashes if dashes[1] else "-"
