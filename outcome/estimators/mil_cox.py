"""A Cox model of bags of patch vectors, reports and covariates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.dataset.slide_dataset import SlideDataset
from outcome.errors import InputError
from outcome.estimators.base import MILEstimator
from outcome.statistics.concordance import concordance

if TYPE_CHECKING:
    from outcome.bundle.bundle import Bundle
    from outcome.risk.recalibration import SurvivalCalibration

__all__ = ["MILCox"]

Array = NDArray[np.float64]


class MILCox(MILEstimator):
    """Cox proportional hazards on bags of patch vectors, with attention and calibrated survival.

    The training is that of an arm of a study. Vectors are projected onto principal components. For
    each inner fold, one network is trained on the other inner folds. All networks stop at the epoch
    with the lowest loss on the held-out patients. Predictions are the mean over the networks.
    Calibration and cut-offs are learned from out-of-fold risks. For an unbiased estimate of
    performance use `outcome.cross_validate`.

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
    strata : str, optional
        Column of the dataset's covariates whose groups have their own baseline hazard and risk
        sets, e.g. the cancer type.
    unit : {"days", "months", "years"}
        Unit of the follow-up times. Follow-up longer than a human life is an error.
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
    unique_times_ : ndarray of float
        Times of events in training, ascending.
    n_inner_models_ : int
    n_features_in_ : int
        Length of a patch vector.
    bundle_ : Bundle
        The trained model; `outcome.predict`, `outcome.validate` and `outcome.attention` take it.

    See Also
    --------
    outcome.cross_validate : several models compared on the same folds.
    sksurv.linear_model.CoxPHSurvivalAnalysis : the same for one vector per patient.

    Notes
    -----
    Ties are handled by Efron's method. A competing event (code 2) is treated as censoring.
    Outcomes with a column `entry` have delayed entry (left truncation). Patients are at risk only
    after entry, in training, calibration and `score`. Without ids (a list of arrays) patients are
    identified by their row.

    Examples
    --------
    >>> import numpy as np
    >>> from outcome import MILCox
    >>> from sksurv.util import Surv
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.normal(size=40)
    >>> bags = [r + rng.normal(size=(20, 8)) for r in risk]
    >>> y = Surv.from_arrays(np.ones(40, dtype=bool), np.exp(4 - risk + rng.normal(size=40)))
    >>> model = MILCox(epochs=3, components=4, inner_folds=2).fit(bags, y)
    >>> model.predict(bags[:2]).shape, round(model.score(bags, y), 1) >= 0.7
    ((2,), True)
    >>> curve = model.predict_survival_function(bags[:1])[0]
    >>> bool(1 > curve(30.0) > curve(90.0) > 0)
    True
    >>> float(model.attention(bags[0]).sum().round(6))
    1.0
    """

    _predict_risk_score = True
    """Needed by the scorers of scikit-survival."""

    def __init__(
        self,
        inputs: str | Sequence[str] = "image",
        *,
        aggregator: str | type = "attention",
        fusion: str = "ensemble",
        options: Mapping[str, Any] | None = None,
        strata: str | None = None,
        unit: str = "days",
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
        self.strata = strata
        self.unit = unit
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
            "kind": "survival",
            "time": "time",
            "event": "event",
            "event_codes": {"0": 0, "1": 1, "2": 2},
            "unit": self.unit,
            "strata": self.strata,
        }

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on all patients.

        Parameters
        ----------
        X : SlideDataset, mapping of patient to array, or sequence of arrays of shape (n, d)
        y : Surv array or DataFrame, optional
            By default the outcomes of the dataset. See `outcome.SlideDataset`.

        Returns
        -------
        MILCox
            Itself.

        Raises
        ------
        InputError
            The data or parameters are invalid; the message lists all problems.
        """
        return self._fit(X, lambda data: survival_outcomes(data, y))

    def with_bundle(self, bundle: Bundle) -> Self:
        """Use a trained model of a survival endpoint."""
        if bundle.endpoint.kind != "survival":
            raise InputError(
                f"the model was trained for a {bundle.endpoint.kind} endpoint, not for survival"
            )
        super().with_bundle(bundle)
        times = [own[0] for own in self._calibration.baselines.values()]
        self.unique_times_ = np.unique(np.concatenate(times)) if times else np.empty(0)
        return self

    def predict(self, X: Any) -> Array:
        """Return the risk of each patient: the log hazard, centred; higher is worse.

        Parameters
        ----------
        X : SlideDataset, or sequence of bags

        Returns
        -------
        ndarray, shape (n,)
        """
        return self._scored(X)[0]

    def predict_survival_function(self, X: Any, return_array: bool = False) -> NDArray[Any]:
        """Return the calibrated probability of no event over time.

        Parameters
        ----------
        X : SlideDataset, or sequence of bags
        return_array : bool
            Return an array instead, of shape (n, number of training event times).

        Returns
        -------
        ndarray of sksurv.functions.StepFunction, shape (n,)
            Each is called with a time, or times, between 0 and the longest follow-up of training.
        """
        risk, new = self._scored(X)
        return self._curves(self._calibration.survival_functions(risk, new.strata), return_array)

    def predict_cumulative_hazard_function(
        self, X: Any, return_array: bool = False
    ) -> NDArray[Any]:
        """Return the calibrated cumulative hazard; parameters as `predict_survival_function`."""
        risk, new = self._scored(X)
        return self._curves(
            self._calibration.cumulative_hazard_functions(risk, new.strata), return_array
        )

    def score(self, X: Any, y: Any = None) -> float:
        """Return Harrell's C of the predicted risk, within strata; higher is better.

        With delayed entry, a pair counts only if the patient with the longer time had entered
        before the earlier event.

        Parameters
        ----------
        X : SlideDataset, or sequence of bags
        y : Surv array or DataFrame, optional
            By default the outcomes of the dataset.
        """
        data = SlideDataset.of(X)
        known = survival_outcomes(data, y)
        risk, new = self._scored(data)
        found = concordance(
            known["time"], known["event"] == 1, risk, group=new.strata, entry=known.get("entry")
        )
        return float(found.c)

    @property
    def _calibration(self) -> SurvivalCalibration:
        found: Any = self.bundle_.calibration
        fitted: SurvivalCalibration = found
        return fitted

    def _curves(self, functions: Sequence[Any], return_array: bool) -> NDArray[Any]:
        if not return_array:
            found = np.empty(len(functions), dtype=object)
            found[:] = functions
            return found
        when = self.unique_times_
        rows = np.full((len(functions), len(when)), np.nan)
        for row, function in zip(rows, functions, strict=True):
            inside = when <= function.x[-1]
            row[inside] = function(when[inside])
        return rows


def survival_outcomes(data: SlideDataset, y: Any) -> pd.DataFrame:
    """Return times and events of a dataset's patients, in its order.

    Raises
    ------
    InputError
        There are none, or they are labels.
    """
    known = data.outcomes_from(y)
    if "time" not in known:
        raise InputError(
            "`y` contains labels, but MILCox needs times and events. To do: give a Surv array "
            "(sksurv.util.Surv.from_arrays(event, time)), or use MILClassifier"
        )
    return known
