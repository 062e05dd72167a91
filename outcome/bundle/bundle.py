"""A trained model: weights, calibration, cut-offs, preprocessing and what they expect.

`outcome.bundle.serialization` writes and reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from outcome.bundle.out_of_distribution import ClinicalRange, VectorRange
from outcome.endpoint import Endpoint
from outcome.risk.recalibration import Calibration
from outcome.study import Arm, Columns, Covariates, Training
from outcome.training.arm_members import Member
from outcome.training.clinical import ClinicalCoding

__all__ = ["Bundle", "BundleMember", "Contract", "fingerprint", "with_facts"]

Array = NDArray[Any]
Arrays = dict[str, Array]


class Part(BaseModel):
    """A field that a later release of the same format adds is not known here, and no error."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Contract(Part):
    """What vectors of one input must be.

    Parameters
    ----------
    dimension : int
    encoder : str
        As the files name it; empty where they do not.
    layout, dtype : str
        Of the training files; others are read too.
    geometry : mapping
        Magnification and patch size, where the files say them.
    """

    dimension: int
    encoder: str = ""
    layout: str = ""
    dtype: str = ""
    geometry: dict[str, float] = {}


@dataclass(frozen=True)
class BundleMember:
    """One member of the arm, with its inner models.

    Parameters
    ----------
    member : Member
    weight : float
        What its centred risk is multiplied with.
    step : float
        Epochs, or the penalty of a linear model.
    centres : tuple of float
        Mean risk of each inner model on the patients that were held out from it.
    models : tuple of dict
        Arrays of each inner model.
    plain : bool
        The network can be applied with numpy; checked against torch when it was fitted.
    """

    member: Member
    weight: float
    step: float
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
        Risk that 90% of training patients with the better outcome did not exceed.
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

    def knows(self, text: str) -> bool:
        """Whether this is the id of a training patient, or of one of their slides."""
        return fingerprint(self.salt, text) in self.known


def fingerprint(salt: str, text: str) -> str:
    """Salted hash of an id: with the id one can test whether it is there, and no more."""
    return hashlib.sha256(f"{salt}|{text}".encode()).hexdigest()[:24]


def with_facts(bundle: Bundle, **facts: Any) -> Bundle:
    """Return the bundle with more said about it."""
    return replace(bundle, facts=bundle.facts | facts)
