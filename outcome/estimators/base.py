"""Base class of the estimators: parameters as sections of a study, training, and scoring."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from outcome.dataset.memory_study import cohort_table, memory_study
from outcome.dataset.slide_dataset import SlideDataset
from outcome.dataset.study_data import PatientSample, prepare
from outcome.embeddings.patches.packed_store import half
from outcome.embeddings.patches.readers.content import Raw, as_patches
from outcome.errors import InputError, Problems, StudyError
from outcome.processes import processes_of

if TYPE_CHECKING:
    from outcome.bundle.bundle import Bundle
    from outcome.bundle.ensemble import Ensemble
    from outcome.bundle.given_patients import GivenPatients
    from outcome.bundle.patient_vectors import PatientVectors
    from outcome.explain.contributions import Contributions

__all__ = ["TRAINING", "MILEstimator", "python_names"]

Array = NDArray[np.float64]

TRAINING = (
    "epochs", "batch_size", "learning_rate", "weight_decay", "dropout", "components",
    "attention_width", "hidden_inputs", "search", "patches_per_epoch", "precision", "threads",
)  # fmt: skip
"""Parameters that are keys of the section `training` of a study file."""


class MILEstimator(BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn is untyped
    """A multiple-instance model of one arm, trained with the protocol of a study."""

    inputs: str | Sequence[str]
    aggregator: str | type
    fusion: str
    options: Mapping[str, Any] | None
    inner_folds: int
    risk_groups: Any
    random_state: Any
    n_jobs: int | None
    device: str

    bundle_: Bundle

    def arm_settings(self, name: str | None = None) -> dict[str, Any]:
        """Return this estimator as an arm of a study.

        Parameters
        ----------
        name : str, optional
            Name of the arm; by default its inputs, joined by `+`.
        """
        given = self.inputs
        inputs = [p.strip() for p in given.split("+")] if isinstance(given, str) else list(given)
        return {
            "name": name or "+".join(inputs),
            "inputs": inputs,
            "aggregator": _class_name(self.aggregator),
            "fusion": self.fusion,
            "options": dict(self.options or {}),
        }

    def training_settings(self) -> dict[str, Any]:
        """Return the section `training` of a study."""
        seed = self.random_state
        if not isinstance(seed, (int, np.integer)):
            seed = check_random_state(seed).randint(2**31)
        return {**{name: getattr(self, name) for name in TRAINING}, "seed": int(seed)}

    @abstractmethod
    def endpoint_settings(self) -> dict[str, Any]:
        """Return the section `endpoint` of a study."""

    def _fit(self, X: Any, outcomes: Callable[[SlideDataset], pd.DataFrame]) -> Self:
        """Train on all patients.

        Parameters
        ----------
        X : SlideDataset, or data accepted by `SlideDataset.of`
        outcomes : callable
            Dataset -> table of outcomes, in its order.
        """
        from outcome.bundle.fit import fit_bundle
        from outcome.crossval.grid import check_networks
        from outcome.devices import choose_device

        data = SlideDataset.of(X)
        y = outcomes(data)
        if missing := y.index[y.isna().any(axis=1)].tolist():
            problems = Problems(type(self).__name__)
            problems.add("`y` is missing for patients", missing, "exclude these patients")
            problems.raise_if_any(InputError)
        training, late = self.training_settings(), {"entry": "entry"} if "entry" in y else {}
        arm = self.arm_settings()
        where = type(self).__name__
        with python_names():
            study = memory_study(
                data,
                {
                    "endpoint": {**self.endpoint_settings(), **late},
                    "arms": [arm],
                    "baseline": arm["name"],
                    "split": {"inner_folds": self.inner_folds, "seed": training["seed"]},
                    "risk_groups": self.risk_groups,
                    "training": training,
                },
                where,
            )
            check_networks(study)
        vectors = data.vectors()
        frame = cohort_table(data, y)
        study_data = prepare(study, vectors.store.folder, frame=frame, vectors=vectors, whole=True)
        with TemporaryDirectory(prefix="slide-outcome-") as scratch:
            bundle = fit_bundle(
                study,
                study_data,
                study.arms[0],
                study_data.folds[0],
                fits=Path(scratch) / "fits",
                device=choose_device(self.device),
                jobs=processes_of(self.n_jobs),
            )
        self.with_bundle(bundle)
        slides = study_data.slides.values()
        self._one_vector_each = all(sum(s.n for s in own) == 1 for own in slides)
        return self

    def with_bundle(self, bundle: Bundle) -> Self:
        """Use a trained model, as made by `outcome.fit` and `cross_validate`.

        Parameters
        ----------
        bundle : Bundle
            A model of the same kind of endpoint.
        """
        self.bundle_ = bundle
        self._one_vector_each = False
        self.n_inner_models_ = len(bundle.members[0].centres)
        if "image" in bundle.contracts:
            self.n_features_in_ = bundle.contracts["image"].dimension
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _scored(self, X: Any) -> tuple[Array, GivenPatients]:
        """Return risks, in the order of the patients, and the patients."""
        from outcome.bundle.given_patients import given_patients
        from outcome.bundle.predict import score_patients

        check_is_fitted(self, "bundle_")
        if isinstance(X, np.ndarray) and X.ndim == 2 and not self._one_vector_each:
            raise InputError(
                f"`X` is one array of shape {X.shape}, but the model was trained on bags. To do: "
                "give a list of bags; for one patient, [X]"
            )
        new = given_patients(self.bundle_, SlideDataset.of(X), type(self).__name__)
        # One process only: more processes would copy the arrays.
        found = score_patients(self.bundle_, new, jobs=1)
        return np.asarray(found.risks.mean(axis=1)), new

    def predict_risk_group(self, X: Any) -> NDArray[np.str_]:
        """Return the risk group of each patient, with the cut-offs fixed in training.

        Parameters
        ----------
        X : SlideDataset, or sequence of bags

        Returns
        -------
        ndarray of str, shape (n,)
            `low` or `high`; with more cut-offs also `intermediate`.
        """
        from outcome.risk.cutoffs import risk_groups

        risk, new = self._scored(X)
        return np.asarray(risk_groups(risk, new.strata, self.bundle_.cuts))

    def attention(self, bag: Any) -> Array:
        """Return the attention weight of each patch of a patient.

        Parameters
        ----------
        bag : array, shape (n, d), or PatientSample

        Returns
        -------
        ndarray, shape (n,)
            Non-negative weights that sum to 1, averaged over heads and inner models.

        Raises
        ------
        InputError
            The aggregator has no weights; see `contributions`.
        """
        found = self._explained(bag).attention
        if np.isnan(found).any():
            raise InputError(
                f"aggregator {self.aggregator!r} with fusion {self.fusion!r} has no attention"
                " weights. To do: use `contributions`, which every model has"
            )
        return np.asarray(found)

    def contributions(self, bag: Any) -> Array:
        """Return the contribution of each patch to the calibrated log hazard or logit.

        Parameters
        ----------
        bag : array, shape (n, d), or PatientSample

        Returns
        -------
        ndarray, shape (n,)
            Positive values raise the risk, negative values lower it, relative to a patch equal to
            the mean of the training patients. They add up to the image's part of the linear
            predictor.
        """
        return np.asarray(self._explained(bag).value)

    def _explained(self, bag: Any) -> Contributions:
        from threadpoolctl import threadpool_limits

        from outcome.bundle.ensemble import Ensemble
        from outcome.explain.contributions import patch_contributions

        check_is_fitted(self, "bundle_")
        if "image" not in self.bundle_.inputs:
            raise InputError("the model does not use patches, so there is nothing to explain")
        ensemble = Ensemble(self.bundle_)
        with threadpool_limits(limits=1, user_api="blas"):
            return patch_contributions(ensemble, self._patient(ensemble, bag))

    def _patient(self, ensemble: Ensemble, bag: Any) -> PatientVectors:
        from outcome.bundle.given_patients import given_patients

        bundle = self.bundle_
        sample = bag if isinstance(bag, PatientSample) else PatientSample(np.asarray(bag), None)
        if sample.patches is None:
            raise InputError("`bag` has no patches")
        sample = replace(sample, patient=sample.patient or "`bag`")
        data = SlideDataset.of([sample])
        if set(bundle.inputs) <= set(data.inputs):
            new = given_patients(bundle, data, type(self).__name__)
            return ensemble.see(**new.given(sample.patient))
        raw = Raw(np.asarray(sample.patches))
        features = half(as_patches(raw, sample.patient).features)
        bundle.contracts["image"].check(sample.patient, features.shape[1], "")
        return ensemble.see(image=features, report=sample.report)


def _class_name(aggregator: str | type) -> str:
    """Return the name of an aggregator in a study; the aggregator may be given as a class."""
    if isinstance(aggregator, type):
        return f"{aggregator.__module__}:{aggregator.__qualname__}"
    return aggregator


@contextmanager
def python_names() -> Iterator[None]:
    """Convert keys of a study file to argument names of Python."""
    try:
        yield
    except StudyError as error:
        text = re.sub(r"\b(training|split|endpoint|arms\.\d+)\.(?=\w)", "", str(error))
        raise InputError(text) from None
