"""Items of a checklist, and shared conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from outcome.run_folder.folder import Run

__all__ = ["Checklist", "Item", "has_sites", "has_table", "weights_kept", "where_trained"]

Where = str | Callable[[Run], str]


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Parameters
    ----------
    number : str
        Number in the checklist.
    asks : str
        Topic of the item, paraphrased.
    where : str or callable
        Id of the chapter that answers it; empty if a run cannot answer it.
    answer : callable, optional
        Returns a short answer from the run; by default the title of the chapter.
    """

    number: str
    asks: str
    where: Where = ""
    answer: Callable[[Run], str] | None = field(default=None, compare=False)

    def anchor(self, run: Run) -> str:
        """Id of the chapter that answers the item for this run; empty if there is none."""
        return self.where(run) if callable(self.where) else self.where


@dataclass(frozen=True)
class Checklist:
    """A checklist with its source.

    Parameters
    ----------
    name, source : str
    about : str
        Purpose of the checklist.
    items : sequence of Item
    """

    name: str
    source: str
    about: str
    items: Sequence[Item]


def where_trained(run: Run) -> str:
    """Return the chapter of methods, if the run trained models."""
    return "methods" if run.part("training") else ""


def has_table(file: str, anchor: str) -> Callable[[Run], str]:
    """Return the chapter, if the run folder contains the table."""
    return lambda run: anchor if len(run.table(file)) else ""


def has_sites(run: Run) -> str:
    """Return the chapter of subgroups, if sites are known and compared."""
    return "subgroups" if "site" in run.acquisition and len(run.table("subgroups.csv")) else ""


def weights_kept(run: Run) -> str:
    """Return the chapter of reproducibility, if the folder contains the trained networks."""
    return "reproducibility" if (run.path / "fits").is_dir() else ""
