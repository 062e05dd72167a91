"""A trained model on disk: weights, calibration, cut-offs, preprocessing and what they expect.

A bundle is a folder: `bundle.json`, `weights.safetensors` and `MODEL_CARD.md`. It can be read
without the training data and without torch. Nothing in it is code, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from outcome.endpoint import Endpoint
from outcome.errors import BundleError
from outcome.study import Arm, Columns, Covariates, Training
from outcome.training.calibration import Calibration, LogisticCalibration, SurvivalCalibration
from outcome.training.clinical import ClinicalCoding
from outcome.training.familiarity import ClinicalRange, VectorRange
from outcome.training.members import Member

__all__ = [
    "FORMAT",
    "Bundle",
    "BundleMember",
    "Contract",
    "check_place",
    "fingerprint",
    "read_bundle",
    "with_facts",
]

FORMAT = 1
DOCUMENT, WEIGHTS, CARD = "bundle.json", "weights.safetensors", "MODEL_CARD.md"

Array = NDArray[Any]
Arrays = dict[str, Array]


class _Part(BaseModel):
    """A field that a later release of the same format adds is not known here, and no error."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Contract(_Part):
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

    @property
    def digest(self) -> str:
        """Hash of everything that predictions depend on."""
        document, weights = self._parts()
        document.pop("facts")
        text = json.dumps(document, sort_keys=True) + hashlib.sha256(save(weights)).hexdigest()
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def knows(self, text: str) -> bool:
        """Whether this is the id of a training patient, or of one of their slides."""
        return fingerprint(self.salt, text) in self.known

    def write(self, folder: Path, card: str) -> None:
        """Leave the bundle in a folder, whole or not at all; an older bundle there is replaced.

        Raises
        ------
        BundleError
            The folder holds something else.
        """
        check_place(folder)
        document, weights = self._parts()
        packed = save({k: np.ascontiguousarray(v) for k, v in weights.items()})
        document["weights"] = {WEIGHTS: hashlib.sha256(packed).hexdigest()}
        document["digest"] = _digest(document)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=1, ensure_ascii=False)
        files = {WEIGHTS: packed, CARD: card.encode(), DOCUMENT: text.encode()}
        for name, content in files.items():
            (folder / f".{name}.part").write_bytes(content)
        # The document goes last: with old weights beside it, its hash would not agree.
        for name in files:
            (folder / f".{name}.part").replace(folder / name)

    def _parts(self) -> tuple[dict[str, Any], Arrays]:
        arrays: Arrays = {}
        for name, (mean, matrix) in self.projections.items():
            arrays |= {f"projection/{name}/mean": mean, f"projection/{name}/matrix": matrix}
        for i, m in enumerate(self.members):
            for k, model in enumerate(m.models):
                arrays |= {f"member/{i}/{k}/{name}": value for name, value in model.items()}
        if isinstance(self.calibration, SurvivalCalibration):
            for stratum, baseline in self.calibration.baselines.items():
                arrays[f"baseline/{stratum}"] = baseline
        for name, seen in self.ranges.items():
            if isinstance(seen, VectorRange):
                arrays |= {f"range/{name}/{k}": v for k, v in seen.arrays().items()}
        clinical = self.ranges.get("clinical")
        document = _Document(
            format=FORMAT,
            name=self.name,
            arm=self.arm,
            endpoint=self.endpoint,
            columns=self.columns,
            covariates=self.covariates,
            training=self.training,
            members=tuple(_Member.of(m) for m in self.members),
            clinical=_Coding.of(self.clinical),
            clinical_range=clinical if isinstance(clinical, ClinicalRange) else None,
            calibration=_Calibration.of(self.calibration),
            cuts=dict(self.cuts),
            threshold=self.threshold if np.isfinite(self.threshold) else None,
            horizons=self.horizons,
            strata=self.strata,
            contracts=dict(self.contracts),
            salt=self.salt,
            known=tuple(sorted(self.known)),
            facts=self.facts,
        )
        return document.model_dump(mode="json", by_alias=True), arrays


class _Member(_Part):
    inputs: tuple[str, ...]
    aggregator: str
    fusion: str
    options: dict[str, Any]
    weight: float
    step: float
    centres: tuple[float, ...]
    plain: bool

    @classmethod
    def of(cls, m: BundleMember) -> _Member:
        """Describe a member; its arrays lie elsewhere."""
        return cls(
            inputs=m.member.inputs,
            aggregator=m.member.aggregator,
            fusion=m.member.fusion,
            options=dict(m.member.options),
            weight=m.weight,
            step=m.step,
            centres=m.centres,
            plain=m.plain,
        )

    def member(self) -> Member:
        """Return what the arm is made of."""
        options = tuple(sorted(self.options.items()))
        return Member(self.inputs, self.aggregator, self.fusion, options)


class _Coding(_Part):
    numeric: dict[str, tuple[float, float, float, bool]]
    categorical: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, coding: ClinicalCoding | None) -> _Coding | None:
        """Describe how clinical columns are coded."""
        if coding is None:
            return None
        return cls(numeric=dict(coding.numeric), categorical=dict(coding.categorical))


class _Calibration(_Part):
    kind: Literal["survival", "logistic"]
    slope: float
    intercept: float = 0.0
    longest: dict[str, float] = {}

    @classmethod
    def of(cls, calibration: Calibration) -> _Calibration:
        """Describe it; baseline hazards lie with the arrays."""
        if isinstance(calibration, LogisticCalibration):
            return cls(kind="logistic", slope=calibration.slope, intercept=calibration.intercept)
        return cls(kind="survival", slope=calibration.slope, longest=dict(calibration.longest))

    def calibration(self, arrays: Mapping[str, Array]) -> Calibration:
        """Join it with its arrays."""
        if self.kind == "logistic":
            return LogisticCalibration(self.intercept, self.slope)
        baselines = {s: arrays[f"baseline/{s}"] for s in self.longest}
        return SurvivalCalibration(self.slope, baselines, self.longest)


class _Document(_Part):
    format: int
    name: str
    arm: Arm
    endpoint: Endpoint
    columns: Columns
    covariates: Covariates
    training: Training
    members: tuple[_Member, ...]
    clinical: _Coding | None
    clinical_range: ClinicalRange | None
    calibration: _Calibration
    cuts: dict[str, tuple[float, ...]]
    threshold: float | None
    horizons: tuple[float, ...]
    strata: tuple[str, ...]
    contracts: dict[str, Contract]
    salt: str
    known: tuple[str, ...]
    facts: dict[str, Any]


def fingerprint(salt: str, text: str) -> str:
    """Salted hash of an id: with the id one can test whether it is there, and no more."""
    return hashlib.sha256(f"{salt}|{text}".encode()).hexdigest()[:24]


def read_bundle(folder: str | Path, *, allow_import: bool = False) -> Bundle:
    """Read a bundle that `outcome fit` wrote.

    Parameters
    ----------
    folder : path
    allow_import : bool
        Import an aggregator named `package.module:Class`: that runs code from outside.

    Raises
    ------
    BundleError
        It is no bundle, was changed or cut short, is of a newer version, or needs an aggregator
        from outside that was not allowed.
    """
    folder = Path(folder)
    data = _read_document(folder)
    packed = _read(folder / WEIGHTS)
    wrong = data.get("weights", {}).get(WEIGHTS) != hashlib.sha256(packed).hexdigest()
    if wrong or data.get("digest") != _digest(data):
        changed = WEIGHTS if wrong else DOCUMENT
        raise BundleError(
            f"{folder / changed} is not what was written: it was changed, or cut short. To do:"
            " copy the whole folder again from where it was made"
        )
    try:
        document, arrays = _Document.model_validate(data), load(packed)
        bundle = _join(document, arrays)
    except (ValidationError, SafetensorError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise BundleError(f"{folder} cannot be used: {reason}") from None
    outside = sorted({m.member.aggregator for m in bundle.members if ":" in m.member.aggregator})
    if outside and not allow_import:
        raise BundleError(
            f"{folder} needs code from outside: {', '.join(outside)}. To do: if you trust it,"
            " install its package and allow it with --allow-import"
        )
    return bundle


def _join(document: _Document, arrays: Arrays) -> Bundle:
    groups: dict[str, Arrays] = {}
    for key, value in arrays.items():
        where, _, name = key.rpartition("/")
        groups.setdefault(where, {})[name] = value
    coding, clinical = document.clinical, document.clinical_range
    ranges: dict[str, VectorRange | ClinicalRange] = {
        where.partition("/")[2]: VectorRange(**found)
        for where, found in groups.items()
        if where.startswith("range/")
    }
    return Bundle(
        name=document.name,
        arm=document.arm,
        endpoint=document.endpoint,
        columns=document.columns,
        covariates=document.covariates,
        training=document.training,
        members=tuple(
            BundleMember(
                m.member(),
                m.weight,
                m.step,
                m.centres,
                tuple(groups[f"member/{i}/{k}"] for k in range(len(m.centres))),
                m.plain,
            )
            for i, m in enumerate(document.members)
        ),
        projections={
            where.partition("/")[2]: (found["mean"], found["matrix"])
            for where, found in groups.items()
            if where.startswith("projection/")
        },
        clinical=ClinicalCoding(coding.numeric, coding.categorical) if coding else None,
        calibration=document.calibration.calibration(arrays),
        cuts=document.cuts,
        threshold=float("nan") if document.threshold is None else document.threshold,
        horizons=document.horizons,
        strata=document.strata,
        contracts=document.contracts,
        ranges=ranges | ({"clinical": clinical} if clinical else {}),
        salt=document.salt,
        known=frozenset(document.known),
        facts=document.facts,
    )


def with_facts(bundle: Bundle, **facts: Any) -> Bundle:
    """Return the bundle with more said about it."""
    return replace(bundle, facts=bundle.facts | facts)


def _read_document(folder: Path) -> dict[str, Any]:
    text = _read(folder / DOCUMENT)
    try:
        data = json.loads(text)
        version = int(data["format"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        raise BundleError(
            f"{folder / DOCUMENT} is damaged or not of a bundle. To do: copy the whole folder again"
        ) from None
    if version > FORMAT:
        raise BundleError(
            f"{folder} has bundle format {version}, and this version of slide-outcome reads up to"
            f" {FORMAT}. To do: update slide-outcome"
        )
    found: dict[str, Any] = data
    return found


def _read(path: Path) -> bytes:
    if not path.parent.is_dir():
        raise BundleError(f"there is no bundle {path.parent}")
    if not path.is_file():
        raise BundleError(
            f"{path.parent} is not a bundle, or not a whole one: it has no {path.name}. To do:"
            " give the folder that `outcome fit` wrote"
        )
    return path.read_bytes()


def _digest(document: Mapping[str, Any]) -> str:
    kept = {k: v for k, v in document.items() if k != "digest"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def check_place(folder: Path) -> None:
    """Refuse to write among files that are not a bundle."""
    if folder.is_file():
        raise BundleError(f"{folder} is a file: name another folder with --out")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DOCUMENT).is_file():
        raise BundleError(f"{folder} holds other files: name another folder with --out")
