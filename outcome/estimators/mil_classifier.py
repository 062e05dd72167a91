"""A classifier of bags of patch vectors, reports and covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from outcome.dataset.slide_dataset import SlideDataset
from outcome.errors import InputError
from outcome.estimators.base import MILEstimator
from outcome.tables.outcome_frame import label_codes

if TYPE_CHECKING:
    from outcome.bundle.bundle import Bundle

__all__ = ["MILClassifier"]

Array = NDArray[np.float64]


class MILClassifier(ClassifierMixin, MILEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Yes/no classification of bags of patch vectors, with attention and calibrated probabilities.

    The training is that of an arm of a study; see `MILCox`. For an unbiased estimate of performance
    use `outcome.cross_validate`.

    Parameters
    ----------
    inputs : str or sequence of str
        Any of `image`, `report` and `clinical`, e.g. `"image+report"`.
    aggregator : str or class
        `attention` (gated), `mean`, `transformer`, `prototypes`, `abmil`, `linear` (a ridge model
        of the mean vectors), several joined by `+`, or your own class (also as
        `package.module:Class`); check it with `outcome.testing.check_aggregator`.
    fusion : {"ensemble", "early", "gated", "cross", "late", "stacked"}
        How several inputs are joined; see `outcome.study.Arm`. `early`: one network uses all
        inputs. `ensemble`: one network per input and one with all inputs, weighted by the loss on
        development patients.
    options : mapping, optional
        Arguments of the aggregator, e.g. `{"heads": 4}`.
    positive : optional
        The positive class; by default the last one in sorted order.
    favourable : bool
        The positive class is the better outcome (a response). A higher risk then means a lower
        probability of this class.
    epochs : int
        Maximum number of epochs. The number used is chosen by the loss on inner folds.
    batch_size : int or "all"
        Approximate number of patients per step.
    learning_rate, weight_decay : float
        Learning rate and weight decay of AdamW.
    dropout : float
        Dropout of the pooled components during training.
    components : int
        Number of principal components of the vectors; 0 for the original vectors.
    attention_width : int
        Units of each attention branch.
    hidden_inputs : float
        Proportion of patients whose input is hidden in a training step, if there are several
        inputs.
    search : int
        Number of further settings to try, drawn at random. The loss on inner folds decides.
    patches_per_epoch : int, optional
        Maximum number of patches per patient in an epoch, drawn anew in each epoch. Default: all.
    precision : {"auto", "float32", "bfloat16"}
        Precision of matrix products inside an aggregator.
    threads : int
        Processor threads of one fit.
    inner_folds : int
        Number of inner folds, and of networks; each is trained without one inner fold. Predictions
        are their mean. With few events the number is reduced.
    risk_groups : {"median", "tertiles", "maxstat"} or sequence of float
        Cut-offs of `predict_risk_group`, from out-of-fold risks; quantiles such as `[0.25, 0.75]`.
    random_state : int, RandomState or None
        Seed of inner folds, initial weights and the order of patients.
    n_jobs : int, optional
        Number of processes for training; by default one, -1 for one per processor. Results do not
        depend on it.
    device : str
        `auto`, `cpu`, `cuda:N` or `mps`.

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
        Sorted.
    n_inner_models_ : int
    n_features_in_ : int
        Length of a patch vector.
    bundle_ : Bundle
        The trained model; `outcome.predict`, `outcome.validate` and `outcome.attention` take it.

    See Also
    --------
    outcome.cross_validate : several models compared on the same folds.
    outcome.MILCox : times to an event.

    Examples
    --------
    >>> import numpy as np
    >>> from outcome import MILClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.array(["relapse", "none"] * 20)
    >>> bags = [(label == "relapse") + rng.normal(size=(20, 8)) for label in y]
    >>> model = MILClassifier(epochs=3, components=4, inner_folds=2).fit(bags, y)
    >>> model.classes_, model.predict_proba(bags[:3]).shape
    (array(['none', 'relapse'], dtype='<U7'), (3, 2))
    >>> model.score(bags, y) > 0.8
    True
    """

    def __init__(
        self,
        inputs: str | Sequence[str] = "image",
        *,
        aggregator: str | type = "attention",
        fusion: str = "ensemble",
        options: Mapping[str, Any] | None = None,
        positive: Any = None,
        favourable: bool = False,
        epochs: int = 40,
        batch_size: int | str = 64,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.01,
        dropout: float = 0.0,
        components: int = 64,
        attention_width: int = 16,
        hidden_inputs: float = 0.0,
        search: int = 0,
        patches_per_epoch: int | None = None,
        precision: str = "auto",
        threads: int = 1,
        inner_folds: int = 5,
        risk_groups: str | Sequence[float] = "median",
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        device: str = "auto",
    ) -> None:
        self.inputs = inputs
        self.aggregator = aggregator
        self.fusion = fusion
        self.options = options
        self.positive = positive
        self.favourable = favourable
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.components = components
        self.attention_width = attention_width
        self.hidden_inputs = hidden_inputs
        self.search = search
        self.patches_per_epoch = patches_per_epoch
        self.precision = precision
        self.threads = threads
        self.inner_folds = inner_folds
        self.risk_groups = risk_groups
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device

    def endpoint_settings(self) -> dict[str, Any]:
        """Return the section `endpoint` of a study."""
        return {
            "kind": "binary",
            "label": "label",
            "positive": "1",
            "negative": "0",
            "favourable": self.favourable,
        }

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on all patients.

        Parameters
        ----------
        X : SlideDataset, mapping of patient to array, or sequence of arrays of shape (n, d)
        y : array of labels, shape (n,), optional
            By default the outcomes of the dataset.

        Returns
        -------
        MILClassifier
            Itself.

        Raises
        ------
        InputError
            The data or parameters are invalid; the message lists all problems.
        """
        classes: list[Any] = []

        def outcomes(data: SlideDataset) -> pd.DataFrame:
            known = label_outcomes(data, y)
            found, codes = label_codes(known["label"], self.positive)
            classes.extend(found)
            return known.assign(label=codes)

        self._fit(X, outcomes)
        return self.with_classes(classes)

    def with_bundle(self, bundle: Bundle) -> Self:
        """Use a trained model of a yes/no endpoint; its classes are 0 and 1."""
        if bundle.endpoint.kind != "binary":
            raise InputError(
                f"the model was trained for a {bundle.endpoint.kind} endpoint, not for labels"
            )
        super().with_bundle(bundle)
        return self.with_classes([0, 1])

    def with_classes(self, classes: Sequence[Any]) -> Self:
        """Set the classes, with the positive class last."""
        self.classes_ = np.unique(np.asarray(classes))
        self._positive_column = int(np.flatnonzero(self.classes_ == classes[1])[0])
        return self

    def predict_risk(self, X: Any) -> Array:
        """Return the risk of each patient: the logit of the worse class, centred; higher is worse.

        Parameters
        ----------
        X : SlideDataset, or sequence of bags

        Returns
        -------
        ndarray, shape (n,)
        """
        return self._scored(X)[0]

    def predict_proba(self, X: Any) -> Array:
        """Return calibrated probabilities, shape (n, 2), with columns in the order of `classes_`.

        Parameters
        ----------
        X : SlideDataset, or sequence of bags
        """
        from outcome.crossval.absolute_risk import absolute_risk

        risk, new = self._scored(X)
        bundle = self.bundle_
        found = absolute_risk(bundle.endpoint, bundle.calibration, risk, new.strata, ())
        positive = found["probability"]
        columns = [1 - positive, positive]
        return np.stack(columns if self._positive_column else columns[::-1], axis=1)

    def decision_function(self, X: Any) -> Array:
        """Return the calibrated logit of `classes_[1]`, shape (n,)."""
        from scipy.special import logit

        return np.asarray(logit(self.predict_proba(X)[:, 1]))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the more probable class of each patient, shape (n,).

        Parameters
        ----------
        X : SlideDataset, or sequence of bags
        """
        best = self.predict_proba(X).argmax(axis=1)
        picked: NDArray[Any] = self.classes_[best]
        return picked

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy of `predict`; higher is better.

        Parameters
        ----------
        X : SlideDataset, or sequence of bags
        y : array of labels, optional
            By default the outcomes of the dataset.
        sample_weight : array, shape (n,), optional
        """
        data = SlideDataset.of(X)
        labels = label_outcomes(data, y)["label"].to_numpy()
        return float(super().score(data, labels, sample_weight))


def label_outcomes(data: SlideDataset, y: Any) -> pd.DataFrame:
    """Return the labels of a dataset's patients, in its order.

    Raises
    ------
    InputError
        There are none, or they are times.
    """
    known = data.outcomes_from(y)
    if "label" not in known:
        raise InputError(
            "`y` contains times and events, but MILClassifier needs labels. To do: use MILCox"
        )
    return known
