"""The models of an arm: one model, or several with averaged scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outcome.study import Arm, Training

__all__ = ["Member", "members"]


@dataclass(frozen=True)
class Member:
    """One model of an arm.

    Parameters
    ----------
    inputs : tuple of str
    aggregator : str
        `linear` for a ridge model of mean vectors.
    fusion : str
        Of several inputs inside a network: `early`, `gated` or `cross`.
    options : tuple of (str, value)
        Arguments of the aggregator.
    changes : tuple of (str, value)
        Training settings that differ from those of the study, in a search.
    """

    inputs: tuple[str, ...]
    aggregator: str
    fusion: str = "early"
    options: tuple[tuple[str, Any], ...] = ()
    changes: tuple[tuple[str, Any], ...] = ()

    def settings(self, training: Training) -> Training:
        """Return the settings of the study as this model uses them."""
        return training.model_copy(update=dict(self.changes))

    @property
    def linear(self) -> bool:
        """Whether it is a linear model, which is not saved."""
        return self.aggregator == "linear"

    @property
    def name(self) -> str:
        """For people."""
        return f"{'+'.join(self.inputs)} {self.aggregator}"


def members(arm: Arm) -> tuple[Member, ...]:
    """Return the models of an arm. Clinical data alone always have a linear model.

    Two arms that share a member share its fits.
    """
    alone: list[tuple[str, ...]] = [(i,) for i in arm.inputs]
    groups: list[tuple[str, ...]] = [arm.inputs]
    if arm.fusion in ("late", "stacked"):
        groups = alone
    # A linear model of all inputs has a penalty per input and can drop inputs itself.
    elif arm.fusion == "ensemble" and len(alone) > 1 and arm.aggregator != "linear":
        groups = [*alone, arm.inputs]
    several = len(alone) > 1 and arm.fusion in ("gated", "cross")
    inside = arm.fusion if several else "early"
    options = tuple(sorted(arm.options.items()))
    found: list[Member] = []
    for inputs in groups:
        names = ["linear"] if inputs == ("clinical",) else arm.aggregator.split("+")
        found += [
            Member(inputs, name) if name == "linear"
            else Member(inputs, name, inside, options)
            for name in names
        ]  # fmt: skip
    return tuple(found)
