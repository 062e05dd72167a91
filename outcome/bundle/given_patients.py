"""New patients for a trained model, with data in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from outcome.bundle.bundle import Bundle
from outcome.bundle.new_patients import check_strata
from outcome.cohort import Cohort, read_cohort
from outcome.dataset.memory_study import cohort_table
from outcome.dataset.slide_dataset import SlideDataset
from outcome.embeddings.patches.packed_store import half
from outcome.embeddings.patches.readers.content import Raw, as_patches
from outcome.embeddings.reports.vectors import report_vectors
from outcome.errors import BundleError, CohortError, EmbeddingError, Problems
from outcome.study import Covariates, Embeddings, Study

__all__ = ["GivenPatients", "ScoredPatients", "given_patients"]

Array = NDArray[Any]


class ScoredPatients(Protocol):
    """Interface of new patients for scoring."""

    @property
    def unusable(self) -> tuple[str, str]:
        """Description of vectors that cannot be used, and what to do."""
        ...

    @property
    def ids(self) -> list[str]:
        """Ids of the patients, in the order of the scores."""
        ...

    def given(self, patient: str) -> dict[str, Array | None]:
        """Return the available inputs of a patient: `image`, `report`, `clinical`."""
        ...


@dataclass(frozen=True)
class GivenPatients:
    """Patients of a dataset, prepared for a trained model.

    Parameters
    ----------
    bundle : Bundle
    data : SlideDataset
    cohort : Cohort
        Without outcomes.
    clinical : mapping of patient to array
        Coded rows.
    """

    bundle: Bundle
    data: SlideDataset
    cohort: Cohort
    clinical: Mapping[str, NDArray[np.float64]]

    @property
    def unusable(self) -> tuple[str, str]:
        """Description of vectors that cannot be used, and what to do."""
        return "vectors that cannot be used", "correct these arrays, or exclude the patients"

    @property
    def ids(self) -> list[str]:
        """Ids of the patients, in the order of the dataset."""
        return [str(p) for p in self.data.patients]

    @property
    def strata(self) -> list[str]:
        """Stratum of each patient; empty if the model has none."""
        return self.cohort.strata(self.ids)

    def given(self, patient: str) -> dict[str, Array | None]:
        """Return the available inputs of a patient: `image`, `report`, `clinical`.

        Raises
        ------
        EmbeddingError, BundleError
            Vectors cannot be used, or their length differs from training.
        """
        found: dict[str, Array | None] = {}
        if "image" in self.bundle.inputs:
            found["image"] = self._image(patient)
        if "report" in self.bundle.inputs:
            report = self.data.report(patient)
            found["report"] = None if report is None else report_vectors(report)
            self._check("report", patient, found["report"])
        if self.bundle.clinical is not None:
            found["clinical"] = self.clinical[patient]
        return found

    def _image(self, patient: str) -> Array:
        parts = [
            half(as_patches(Raw(part), patient).features) for part in self.data.slide_bags(patient)
        ]
        parts = [p for p in parts if len(p)]
        if not parts:
            raise EmbeddingError(f"{patient} has no patch")
        bag = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._check("image", patient, bag)
        return bag

    def _check(self, name: str, patient: str, bag: Array | None) -> None:
        if bag is not None:
            self.bundle.contracts[name].check(patient, bag.shape[1], "")


def given_patients(bundle: Bundle, data: SlideDataset, where: str) -> GivenPatients:
    """Check a dataset against the requirements of a trained model.

    Parameters
    ----------
    bundle : Bundle
    data : SlideDataset
    where : str
        Name of the calling function, for messages.

    Raises
    ------
    CohortError
        Covariates are missing or cannot be used; the message lists all problems.
    BundleError
        The dataset lacks an input, or has a stratum that the model does not know.
    """
    vectors = [i for i in bundle.inputs if i != "clinical"]
    words = {"image": "`bags`", "report": "`reports`"}
    if lacking := [words[i] for i in vectors if i not in data.inputs]:
        raise BundleError(
            f"{where}: the model needs {' and '.join(lacking)}, which the data do not contain"
        )
    study = Study.model_construct(
        name=where,
        cohort=Path("the data"),
        columns=bundle.columns,
        endpoint=bundle.endpoint,
        embeddings=Embeddings(),
        covariates=bundle.covariates if bundle.clinical is not None else Covariates(),
        arms=(bundle.arm,),
        baseline=bundle.arm.name,
    )
    problems = Problems(where)
    cohort = read_cohort(study, problems, cohort_table(data), with_outcomes=False)
    problems.raise_if_any(CohortError)
    assert cohort is not None
    check_strata(bundle, cohort)
    if "image" in bundle.inputs:
        _check_widths(data, bundle.contracts["image"].dimension, where)
    clinical: dict[str, NDArray[np.float64]] = {}
    if bundle.clinical is not None:
        rows = bundle.clinical(cohort.patients)
        clinical = dict(zip(cohort.patients.index, rows, strict=True))
    return GivenPatients(bundle, data, cohort, clinical)


def _check_widths(data: SlideDataset, expected: int, where: str) -> None:
    """Check the length of all patch vectors before any patient is scored."""
    bags = [bag for patient in data.patients for bag in data.slide_bags(str(patient))]
    widths = Counter(int(np.shape(bag)[-1]) for bag in bags if np.size(bag))
    problems = Problems(where)
    for width, n in widths.items():
        if width != expected:
            problems.add(
                f"{n} bag{'s have' if n > 1 else ' has'} {width} numbers per patch; the model was"
                f" trained on {expected}",
                remedy="give vectors of the encoder of the training cohort",
            )
    problems.raise_if_any(BundleError)
