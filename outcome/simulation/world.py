"""Shared parts of a simulated cohort and its external cohorts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from outcome.errors import InputError

__all__ = ["WORLD", "Constants", "PatchWorld", "ReportWorld", "World"]

Array = NDArray[np.float64]
WORLD = "world.npz"
N_TOPICS = 8


class Shape(Protocol):
    """Required settings of a simulation."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def site_shift(self) -> float:
        """Size of the shift of a site, in standard deviations of the noise."""


@dataclass(frozen=True)
class PatchWorld:
    """Generation of patch vectors; see `outcome.simulation.simulate`.

    Parameters
    ----------
    base : ndarray of shape (d,)
        Mean of all vectors.
    prototypes : ndarray of shape (tissues, d)
    within : ndarray of shape (rank, d)
        Directions of variation within a tissue.
    sites : mapping of str to ndarray of shape (d,)
        Shift of each site.
    slide_axes : ndarray of shape (4, d)
        Directions in which slides differ.
    """

    base: Array
    prototypes: Array
    within: Array
    sites: dict[str, Array]
    slide_axes: Array

    @classmethod
    def draw(
        cls, s: Shape, tissues: int, sites: Iterable[str], rng: np.random.Generator
    ) -> PatchWorld:
        """Draw all parts."""
        d, rank = s.dimension, min(16, s.dimension // 4)
        base = rng.normal(0, 0.5, size=d)
        # A prototype is 7 noise standard deviations away, independent of the dimension.
        prototypes = rng.normal(size=(tissues, d)) * 7 / np.sqrt(d)
        within = rng.normal(size=(rank, d)) * 1.5 / np.sqrt(d)
        names = sorted(set(sites))
        shifts = rng.normal(size=(len(names), d)) * s.site_shift
        slide_axes = rng.normal(size=(4, d)) * 2 / np.sqrt(d)
        return cls(base, prototypes, within, dict(zip(names, shifts, strict=True)), slide_axes)


@dataclass(frozen=True)
class ReportWorld:
    """Generation of report vectors.

    Parameters
    ----------
    topics : ndarray of shape (topics, d)
    about : ndarray of shape (d,)
        Mean of the chunk that carries the grade.
    direction : ndarray of shape (d,)
        Direction of the grade.
    """

    topics: Array
    about: Array
    direction: Array

    @classmethod
    def draw(cls, s: Shape, rng: np.random.Generator) -> ReportWorld:
        """Draw all parts."""
        d = s.dimension
        topics = rng.normal(size=(N_TOPICS, d)) * 4 / np.sqrt(d)
        about = rng.normal(size=d) * 4 / np.sqrt(d)
        return cls(topics, about, rng.normal(size=d) / np.sqrt(d))


@dataclass(frozen=True)
class Constants:
    """Constants of the first cohort, such as means, that external cohorts reuse.

    Parameters
    ----------
    values : mapping of str to float
        The constants known so far.
    """

    values: dict[str, float] = field(default_factory=dict)

    def settle(self, name: str, compute: Callable[[], float]) -> float:
        """Return a constant; it is computed if it is not known yet."""
        if name not in self.values:
            self.values[name] = float(compute())
        return self.values[name]

    def standardised(self, name: str, x: Array) -> Array:
        """Return x with mean 0 and standard deviation 1 in the first cohort."""
        mean = self.settle(f"mean of {name}", lambda: x.mean())
        return (x - mean) / self.settle(f"SD of {name}", lambda: x.std() or 1.0)


@dataclass(frozen=True)
class World:
    """Shared parts of a simulated cohort and its external cohorts.

    Parameters
    ----------
    settings : mapping
        Settings of the first cohort; see `outcome.simulation.simulate.Simulation`.
    patches : PatchWorld
    reports : ReportWorld
    constants : Constants
    """

    settings: dict[str, Any]
    patches: PatchWorld
    reports: ReportWorld
    constants: Constants

    def write(self, folder: Path) -> None:
        """Write the world into the folder of the cohort."""
        p, r = self.patches, self.reports
        about = {
            "settings": self.settings, "constants": self.constants.values, "sites": list(p.sites)
        }  # fmt: skip
        np.savez(
            folder / WORLD,
            about=np.array(json.dumps(about)),
            base=p.base, prototypes=p.prototypes, within=p.within,
            sites=np.stack(list(p.sites.values())), slide_axes=p.slide_axes,
            topics=r.topics, report_about=r.about, direction=r.direction,
        )  # fmt: skip

    @classmethod
    def read(cls, folder: Path) -> World:
        """Read the world of a simulated cohort.

        Raises
        ------
        InputError
            The folder contains no world.
        """
        path = folder / WORLD
        if not path.is_file():
            raise InputError(
                f"{folder} contains no {WORLD}: it is not a simulated cohort, or was simulated "
                "by an earlier version. To do: simulate the cohort again and give its folder"
            )
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            sites = dict(zip(about["sites"], file["sites"], strict=True))
            patches = PatchWorld(
                file["base"], file["prototypes"], file["within"], sites, file["slide_axes"]
            )
            reports = ReportWorld(file["topics"], file["report_about"], file["direction"])
        return cls(about["settings"], patches, reports, Constants(about["constants"]))
