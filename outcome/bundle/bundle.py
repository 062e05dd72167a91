"""A trained model: weights, calibration, cut-offs, preprocessing and requirements for the inputs.

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
        Factor of its centred risk.
    step : float, or mapping of input to float
        Number of epochs, or the penalty of a linear model (one per input, if there are several).
    centres : tuple of float
        Mean risk of each inner model on its held-out patients.
    models : tuple of dict
        Arrays of each inner model.
    plain : bool
        Whether the network can be applied with numpy; checked against torch when it was fitted.
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
        Name of the study.
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
        negative; patients are called positive above it, or below it if the positive label is the
        better outcome.
    horizons : tuple of float
        Default horizons of absolute risk.
    strata : tuple of str
        Strata of the training patients.
    contracts : mapping of input to Contract
    ranges : mapping of input to VectorRange or ClinicalRange
        Ranges of the training patients.
    salt : str
    known : frozenset of str
        Salted hashes of the ids of training patients and of their slides.
    facts : dict
        Counts, versions, cross-validated performance and notes, as information for users.
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
        """Inputs of the arm."""
        return tuple(self.arm.inputs)

    def horizons_for(self, asked: Sequence[float]) -> list[float]:
        """Return horizons at which absolute risk is given; by default those of the bundle.

        Raises
        ------
        BundleError
            Horizons cannot be chosen for the endpoint, are not positive and increasing, or are
            beyond the follow-up of the training cohort.
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
        """Whether this is the id of a training patient, or of a slide of one."""
        return fingerprint(self.salt, text) in self.known


def fingerprint(salt: str, text: str) -> str:
    """Salted hash of an id. It only allows testing whether a given id is included."""
    return hashlib.sha256(f"{salt}|{text}".encode()).hexdigest()[:24]


def with_facts(bundle: Bundle, **facts: Any) -> Bundle:
    """Return the bundle with additional facts."""
    return replace(bundle, facts=bundle.facts | facts)
