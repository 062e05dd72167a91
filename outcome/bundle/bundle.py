"""A trained model: weights, calibration, cut-offs, preprocessing and what they expect.

`outcome.bundle.serialization` writes and reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from outcome.bundle.contracts import Contract
from outcome.bundle.out_of_distribution import ClinicalRange, VectorRange
from outcome.endpoint import Endpoint
from outcome.errors import BundleError
from outcome.risk.recalibration import Calibration
from outcome.study import Arm, Columns, Covariates, Training
from outcome.training.arm_members import Member
from outcome.training.clinical import ClinicalCoding

__all__ = ["Bundle", "BundleMember", "fingerprint", "with_facts"]

Array = NDArray[Any]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class BundleMember:
    """One member of the arm, with its inner models.

    Parameters
    ----------
    member : Member
    weight : float
        What its centred risk is multiplied with.
    step : float, or mapping of input to float
        Epochs, or the penalty of a linear model; of several inputs, one each.
    centres : tuple of float
        Mean risk of each inner model on the patients that were held out from it.
    models : tuple of dict
        Arrays of each inner model.
    plain : bool
        The network can be applied with numpy; checked against torch when it was fitted.
    """

    member: Member
    weight: float
    step: float | dict[str, float]
    centres: tuple[float, ...]
    models: tuple[Arrays, ...]
    plain: bool


@dataclass(frozen=True)
class Bundle:
    """A trained model: one arm, fitted on all patients of a study.

    Parameters
    ----------
    name : str
        Of the study.
    arm : Arm
    endpoint : Endpoint
    columns : Columns
    covariates : Covariates
    training : Training
    members : tuple of BundleMember
    projections : mapping of input to (mean, matrix)
    clinical : ClinicalCoding or None
    calibration : Calibration
    cuts : mapping of stratum to cut-offs of the risk
    threshold : float
        Risk at which 90% of the training patients without the positive label are called
        negative; patients are called positive above it, or below it where the positive label is
        the better outcome.
    horizons : tuple of float
        Where absolute risk is given by default.
    strata : tuple of str
        Seen in training.
    contracts : mapping of input to Contract
    ranges : mapping of input to VectorRange or ClinicalRange
        What training patients looked like.
    salt : str
    known : frozenset of str
        Salted hashes of the ids of training patients and of their slides.
    facts : dict
        Counts, versions, cross-validated performance, notes: for people.
    """

    name: str
    arm: Arm
    endpoint: Endpoint
    columns: Columns
    covariates: Covariates
    training: Training
    members: tuple[BundleMember, ...]
    projections: Mapping[str, tuple[Array, Array]]
    clinical: ClinicalCoding | None
    calibration: Calibration
    cuts: Mapping[str, tuple[float, ...]]
    threshold: float
    horizons: tuple[float, ...]
    strata: tuple[str, ...]
    contracts: Mapping[str, Contract]
    ranges: Mapping[str, VectorRange | ClinicalRange]
    salt: str
    known: frozenset[str]
    facts: dict[str, Any]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the arm sees."""
        return tuple(self.arm.inputs)

    def horizons_for(self, asked: Sequence[float]) -> list[float]:
        """Return horizons at which absolute risk is given; those of the bundle where none is asked.

        Raises
        ------
        BundleError
            The endpoint has no free horizons; or they are not positive and increasing, or lie
            beyond the follow-up of training.
        """
        if not asked:
            return list(self.horizons)
        if not self.endpoint.any_horizon:
            raise BundleError(
                "horizons can be chosen for a survival endpoint, but this model predicts "
                f"{self.endpoint.label!r} ({self.endpoint.kind}). To do: omit the horizons"
            )
        if list(asked) != sorted(set(asked)) or asked[0] <= 0:
            raise BundleError(f"horizons {list(asked)}: give positive, increasing numbers")
        longest = self.facts.get("longest_follow_up", float("inf"))
        if asked[-1] > longest:
            raise BundleError(
                f"horizon {asked[-1]:g} is beyond the longest follow-up of the training cohort "
                f"({longest:g} {self.endpoint.unit}), so the model cannot predict it"
            )
        return [float(h) for h in asked]

    def knows(self, text: str) -> bool:
        """Whether this is the id of a training patient, or of one of their slides."""
        return fingerprint(self.salt, text) in self.known


def fingerprint(salt: str, text: str) -> str:
    """Salted hash of an id: with the id one can test whether it is there, and no more."""
    return hashlib.sha256(f"{salt}|{text}".encode()).hexdigest()[:24]


def with_facts(bundle: Bundle, **facts: Any) -> Bundle:
    """Return the bundle with further facts."""
    return replace(bundle, facts=bundle.facts | facts)
