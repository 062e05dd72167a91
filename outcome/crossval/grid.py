"""The grid of fits: the data of a worker process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from outcome.cohort import Fold
from outcome.dataset.study_data import StudyData
from outcome.errors import Problems, StudyError
from outcome.models.aggregators import try_aggregator
from outcome.models.heads import Head, head_of
from outcome.study import Study
from outcome.training.arm_members import Member, members
from outcome.training.checkpoints import FitFolder, fit_key
from outcome.training.fold_data import FoldData, fold_data
from outcome.training.hyperparameters import candidates
from outcome.training.projection import SCRATCH
from outcome.training.trainer import build

__all__ = ["Grid", "check_networks", "network_errors"]


@dataclass(frozen=True)
class Grid:
    """All data of a worker process. It is small, because vectors stay in the packed store.

    Parameters
    ----------
    study : Study
    study_data : StudyData
    fits : Path
        Folder of finished fits.
    device : str
    save_vectors : bool
        Whether pooled vectors of test patients and slides are kept.
    """

    study: Study
    study_data: StudyData
    fits: Path
    device: str
    save_vectors: bool = False

    @property
    def head(self) -> Head:
        """Output head for the endpoint."""
        return head_of(self.study.endpoint)

    @property
    def members(self) -> list[Member]:
        """All models of all arms, without duplicates."""
        return _members(self.study)

    def variants(self, member: Member) -> list[Member]:
        """Return the member with each setting of a search, starting with that of the study."""
        if member.linear:
            return [member]
        return [replace(member, changes=c) for c in candidates(self.study.training)]

    @property
    def inputs(self) -> list[str]:
        """All inputs of networks."""
        return sorted({i for m in self.members if not m.linear for i in m.inputs})

    @property
    def scratch(self) -> Path:
        """Projected vectors, kept during a run."""
        return self.fits / SCRATCH

    @property
    def tasks(self) -> list[tuple[Fold, Member, int]]:
        """All networks to be trained: outer fold, member, number of the inner fold."""
        return [
            (fold, variant, i)
            for fold in self.study_data.folds
            for member in self.members
            if not member.linear
            for variant in self.variants(member)
            for i in range(len(fold.inner))
        ]

    def data(self, fold: Fold, inputs: Sequence[str] | None = None) -> FoldData:
        """Return the vectors of the fold, for all inputs of networks."""
        wanted = self.inputs if inputs is None else inputs
        return fold_data(self.study_data, fold, wanted, self.study, self.scratch)

    def folder(self, fold: Fold, member: Member, inner_index: int) -> FitFolder:
        """Return the path of a fit."""
        task = (fold, repr(member), inner_index)
        if task not in self._folders:
            inner = fold.inner[inner_index]
            key = fit_key(self.study_data, self.study, member, fold, inner, self.device)
            self._folders[task] = FitFolder(self.fits / key)
        return self._folders[task]

    @cached_property
    def _folders(self) -> dict[tuple[Any, ...], FitFolder]:
        """Folders so far: a name hashes all patients of a fit, and is needed several times."""
        return {}


def network_errors(study: Study) -> list[StudyError]:
    """Make every network once, before anything is read or written, and return the failures.

    User-defined aggregators are imported, and called once on two small bags.
    """
    found: dict[str, StudyError] = {}
    for member in _members(study):
        try:
            if not member.linear:
                made = build(dict.fromkeys(member.inputs, 4), study.training, member)
                if ":" in member.aggregator:
                    for name in {*member.inputs} - {"clinical"}:
                        try_aggregator(member.aggregator, made.pools[name], 4)
        except StudyError as error:
            found[str(error)] = error
    return list(found.values())


def check_networks(study: Study) -> None:
    """Make every network once and report all failures, before data in memory are packed.

    Raises
    ------
    StudyError
        A network cannot be made; the message lists all problems.
    """
    problems = Problems("models")
    for error in network_errors(study):
        problems.take(error)
    problems.raise_if_any(StudyError)


def _members(study: Study) -> list[Member]:
    return list(dict.fromkeys(m for arm in study.arms for m in members(arm)))
