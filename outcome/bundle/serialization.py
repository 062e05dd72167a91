"""A bundle on disk: a folder with `bundle.json`, `weights.safetensors` and `MODEL_CARD.md`.

It can be read without the training data and without torch. It contains no code, and nothing is
unpickled. Later releases read older formats; a format newer than this release is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from outcome.bundle.bundle import Bundle, BundleMember
from outcome.bundle.contracts import Contract, Part
from outcome.bundle.out_of_distribution import ClinicalRange, VectorRange
from outcome.endpoint import Endpoint
from outcome.errors import BundleError
from outcome.risk.recalibration import Calibration, LogisticCalibration, SurvivalCalibration
from outcome.study import Arm, Columns, Covariates, Training
from outcome.training.arm_members import Member
from outcome.training.clinical import ClinicalCoding

__all__ = ["FORMAT", "as_bundle", "bundle_digest", "check_place", "read_bundle", "write_bundle"]

FORMAT = 1
DOCUMENT, WEIGHTS, CARD = "bundle.json", "weights.safetensors", "MODEL_CARD.md"

Array = NDArray[Any]
Arrays = dict[str, Array]


def bundle_digest(bundle: Bundle) -> str:
    """Return a hash of all parts that predictions depend on."""
    document, weights = _parts(bundle)
    document.pop("facts")
    text = json.dumps(document, sort_keys=True) + hashlib.sha256(save(weights)).hexdigest()
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_bundle(bundle: Bundle, folder: Path, card: str) -> None:
    """Write the bundle to a folder atomically; an older bundle in it is replaced.

    Raises
    ------
    BundleError
        The folder contains other files.
    """
    check_place(folder)
    document, weights = _parts(bundle)
    packed = save({k: np.ascontiguousarray(v) for k, v in weights.items()})
    document["weights"] = {WEIGHTS: hashlib.sha256(packed).hexdigest()}
    document["digest"] = _digest(document)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    files = {WEIGHTS: packed, CARD: card.encode(), DOCUMENT: text.encode()}
    for name, content in files.items():
        (folder / f".{name}.part").write_bytes(content)
    # The document is written last, because its hash would not agree with old weights.
    for name in files:
        (folder / f".{name}.part").replace(folder / name)


class _Member(Part):
    inputs: tuple[str, ...]
    aggregator: str
    fusion: str
    options: dict[str, Any]
    changes: dict[str, Any] = Field(default_factory=dict)
    weight: float
    step: float | dict[str, float]
    centres: tuple[float, ...]
    plain: bool

    @classmethod
    def of(cls, m: BundleMember) -> _Member:
        """Describe a member; its arrays are stored separately."""
        return cls(
            inputs=m.member.inputs,
            aggregator=m.member.aggregator,
            fusion=m.member.fusion,
            options=dict(m.member.options),
            changes=dict(m.member.changes),
            weight=m.weight,
            step=m.step,
            centres=m.centres,
            plain=m.plain,
        )

    def member(self) -> Member:
        """Return the description of the arm."""
        options = tuple(sorted(self.options.items()))
        changes = tuple(self.changes.items())
        return Member(self.inputs, self.aggregator, self.fusion, options, changes)


class _Coding(Part):
    numeric: dict[str, tuple[float, float, float, bool]]
    categorical: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, coding: ClinicalCoding | None) -> _Coding | None:
        """Describe how clinical columns are coded."""
        if coding is None:
            return None
        return cls(numeric=dict(coding.numeric), categorical=dict(coding.categorical))


class _Calibration(Part):
    kind: Literal["survival", "logistic"]
    slope: float
    intercept: float = 0.0
    longest: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def of(cls, calibration: Calibration) -> _Calibration:
        """Describe the calibration; baseline hazards are stored with the arrays."""
        if isinstance(calibration, LogisticCalibration):
            return cls(kind="logistic", slope=calibration.slope, intercept=calibration.intercept)
        return cls(kind="survival", slope=calibration.slope, longest=dict(calibration.longest))

    def calibration(self, arrays: Mapping[str, Array]) -> Calibration:
        """Combine a description with its arrays."""
        if self.kind == "logistic":
            return LogisticCalibration(self.intercept, self.slope)
        baselines = {s: arrays[f"baseline/{s}"] for s in self.longest}
        return SurvivalCalibration(self.slope, baselines, self.longest)


class _Document(Part):
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


def _parts(bundle: Bundle) -> tuple[dict[str, Any], Arrays]:
    arrays: Arrays = {}
    for name, (mean, matrix) in bundle.projections.items():
        arrays |= {f"projection/{name}/mean": mean, f"projection/{name}/matrix": matrix}
    for i, m in enumerate(bundle.members):
        for k, model in enumerate(m.models):
            arrays |= {f"member/{i}/{k}/{name}": value for name, value in model.items()}
    if isinstance(bundle.calibration, SurvivalCalibration):
        for stratum, baseline in bundle.calibration.baselines.items():
            arrays[f"baseline/{stratum}"] = baseline
    for name, seen in bundle.ranges.items():
        if isinstance(seen, VectorRange):
            arrays |= {f"range/{name}/{k}": v for k, v in seen.arrays().items()}
    clinical = bundle.ranges.get("clinical")
    document = _Document(
        format=FORMAT,
        name=bundle.name,
        arm=bundle.arm,
        endpoint=bundle.endpoint,
        columns=bundle.columns,
        covariates=bundle.covariates,
        training=bundle.training,
        members=tuple(_Member.of(m) for m in bundle.members),
        clinical=_Coding.of(bundle.clinical),
        clinical_range=clinical if isinstance(clinical, ClinicalRange) else None,
        calibration=_Calibration.of(bundle.calibration),
        cuts=dict(bundle.cuts),
        threshold=bundle.threshold if np.isfinite(bundle.threshold) else None,
        horizons=bundle.horizons,
        strata=bundle.strata,
        contracts=dict(bundle.contracts),
        salt=bundle.salt,
        known=tuple(sorted(bundle.known)),
        facts=bundle.facts,
    )
    return document.model_dump(mode="json", by_alias=True), arrays


def read_bundle(folder: str | Path, *, allow_import: bool = False) -> Bundle:
    """Read a bundle that `outcome fit` wrote.

    Parameters
    ----------
    folder : path
    allow_import : bool
        Import an aggregator named `package.module:Class`. This runs external code.

    Raises
    ------
    BundleError
        The folder is not a bundle, was changed or truncated, has a newer version, or needs an
        external aggregator that was not allowed.
    """
    folder = Path(folder)
    data = _read_document(folder)
    packed = _read(folder / WEIGHTS)
    wrong = data.get("weights", {}).get(WEIGHTS) != hashlib.sha256(packed).hexdigest()
    if wrong or data.get("digest") != _digest(data):
        changed = WEIGHTS if wrong else DOCUMENT
        raise BundleError(
            f"{folder / changed} was changed or truncated after it was written. To do: copy the "
            "whole folder again from its source"
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
            f"{folder} needs external code: {', '.join(outside)}. To do: if you trust it, "
            "install its package and allow the import"
        )
    return bundle


def as_bundle(bundle: str | Path | Bundle, *, allow_import: bool = False) -> Bundle:
    """Return a bundle unchanged, that of an estimator, or one read from its folder."""
    bundle = getattr(bundle, "bundle_", bundle)
    return bundle if isinstance(bundle, Bundle) else read_bundle(bundle, allow_import=allow_import)


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


def _read_document(folder: Path) -> dict[str, Any]:
    text = _read(folder / DOCUMENT)
    try:
        data = json.loads(text)
        version = int(data["format"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        raise BundleError(
            f"{folder / DOCUMENT} is damaged or does not belong to a bundle. To do: copy the "
            "whole folder again"
        ) from None
    if version > FORMAT:
        raise BundleError(
            f"{folder} has bundle format {version}, but this version of slide-outcome reads "
            f"formats up to {FORMAT}. To do: update slide-outcome"
        )
    found: dict[str, Any] = data
    return found


def _read(path: Path) -> bytes:
    if not path.parent.is_dir():
        raise BundleError(f"there is no bundle {path.parent}")
    if not path.is_file():
        raise BundleError(
            f"{path.parent} is not a bundle, or is incomplete: it has no {path.name}. To do: "
            "give the folder that `outcome fit` wrote"
        )
    return path.read_bytes()


def _digest(document: Mapping[str, Any]) -> str:
    kept = {k: v for k, v in document.items() if k != "digest"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def check_place(folder: Path) -> None:
    """Refuse a folder with files that do not belong to a bundle."""
    if folder.is_file():
        raise BundleError(f"{folder} is a file; give another folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DOCUMENT).is_file():
        raise BundleError(f"{folder} contains other files; give another folder")
