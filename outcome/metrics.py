"""Single metrics with intervals, from outcomes and scores in arrays.

Each function computes one metric of `outcome.evaluate`. `y` is a Surv array of scikit-survival, a
DataFrame with `time` and `event` (and `entry` if it is delayed) or with `label`, or an array of
labels; a higher risk predicts a worse outcome. `groups=` are the folds of a cross-validation:
scores are compared only within folds, the metric is the mean over folds, and its interval includes
the variation from training.

=============================  ================================================================
here                           in scikit-survival or scikit-learn, for one group
=============================  ================================================================
`harrell_c`                    `sksurv.metrics.concordance_index_censored`
`uno_c`                        `sksurv.metrics.concordance_index_ipcw`
`auc`                          `sksurv.metrics.cumulative_dynamic_auc`
`brier_score`                  `sksurv.metrics.brier_score`, of one time
`integrated_brier_score`       `sksurv.metrics.integrated_brier_score`
`auroc`                        `sklearn.metrics.roc_auc_score`
`average_precision`            `sklearn.metrics.average_precision_score`
`calibration_slope`            none
=============================  ================================================================

Examples
--------
>>> import numpy as np
>>> from sksurv.util import Surv
>>> from outcome import metrics
>>> rng = np.random.default_rng(0)
>>> risk = rng.normal(size=100)
>>> y = Surv.from_arrays(np.ones(100, dtype=bool), np.exp(4 - risk + rng.normal(size=100)))
>>> found = metrics.harrell_c(y, risk, n_resamples=200)
>>> found.lower < found.estimate < found.upper
True
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from outcome.errors import InputError
from outcome.evaluation.evaluation import evaluate
from outcome.evaluation.horizon_columns import horizon_name
from outcome.evaluation.score_table import score_table

__all__ = [
    "MetricValue",
    "auc",
    "auroc",
    "average_precision",
    "brier_score",
    "calibration_slope",
    "harrell_c",
    "integrated_brier_score",
    "uno_c",
]


@dataclass(frozen=True)
class MetricValue:
    """A metric with its 95% interval; `float()` gives the estimate.

    Attributes
    ----------
    name : str
    estimate, lower, upper : float
        NaN if the metric cannot be estimated; `note` gives the reason.
    n, events : int
        Patients, and those with the event or the positive label.
    note : str
    """

    name: str
    estimate: float
    lower: float
    upper: float
    n: int
    events: int
    note: str = ""

    def __float__(self) -> float:
        return self.estimate

    def __repr__(self) -> str:
        if math.isnan(self.estimate):
            return f"{self.name}: not estimable ({self.note})"
        return (
            f"{self.name}: {self.estimate:.3f} (95% interval {self.lower:.3f} to {self.upper:.3f};"
            f" {self.n} patients, {self.events} events)"
        )


def harrell_c(
    y: Any,
    risk: ArrayLike,
    *,
    groups: Any = None,
    strata: Any = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> MetricValue:
    """Harrell's C: proportion of comparable pairs in which the higher risk has the earlier event.

    Parameters
    ----------
    y : Surv array or DataFrame
    risk : array, shape (n,)
    groups : array, shape (n,), optional
        Folds. Pairs are compared only within groups; C is the mean over groups.
    strata : array, shape (n,), optional
        Pairs are compared only within strata and pooled over strata.
    n_resamples, seed : int
        Number of bootstrap resamples, and their seed.

    Returns
    -------
    MetricValue
        Higher is better, 0.5 is chance.

    Examples
    --------
    >>> from sksurv.util import Surv
    >>> y = Surv.from_arrays([True, True, False, True], [1.0, 2.0, 3.0, 4.0])
    >>> float(harrell_c(y, [4, 3, 1, 2], n_resamples=0))
    1.0
    """
    return _measured("harrell_c", y, risk, n_resamples, seed, groups=groups, strata=strata)


def uno_c(
    y: Any,
    risk: ArrayLike,
    *,
    groups: Any = None,
    strata: Any = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> MetricValue:
    """Uno's C: Harrell's C with pairs weighted by the inverse probability of censoring.

    Parameters and result are as for `harrell_c`. Follow-up is truncated at the time when the
    probability of being uncensored falls below 0.1. With groups, censoring is estimated on the
    other groups.

    Examples
    --------
    >>> import numpy as np
    >>> from sksurv.util import Surv
    >>> y = Surv.from_arrays([True] * 30, np.arange(1.0, 31.0))
    >>> float(uno_c(y, -np.arange(30), n_resamples=0))
    1.0
    """
    return _measured("uno_c", y, risk, n_resamples, seed, groups=groups, strata=strata)


def auc(
    y: Any,
    risk: ArrayLike,
    time: float,
    *,
    groups: Any = None,
    strata: Any = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> MetricValue:
    """Cumulative/dynamic AUC at a time: patients with the event by that time against those without.

    Parameters
    ----------
    y : Surv array or DataFrame
    risk : array, shape (n,)
    time : float
        Must be before the last follow-up.
    groups, strata, n_resamples, seed
        As for `harrell_c`.

    Returns
    -------
    MetricValue
        Higher is better, 0.5 is chance.

    Examples
    --------
    >>> import numpy as np
    >>> from sksurv.util import Surv
    >>> y = Surv.from_arrays([True] * 30, np.arange(1.0, 31.0))
    >>> float(auc(y, -np.arange(30), 12.0, n_resamples=0))
    1.0
    """
    name = f"auc_{horizon_name(time)}"
    return _measured(
        name, y, risk, n_resamples, seed, groups=groups, strata=strata, horizons=[time]
    )


def brier_score(
    y: Any,
    probability: ArrayLike,
    time: float | None = None,
    *,
    groups: Any = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> MetricValue:
    """Brier score: the mean squared difference between predicted probability and outcome.

    Parameters
    ----------
    y : Surv array, DataFrame or array of labels
    probability : array, shape (n,)
        Probability of the event by `time`, or of the positive label. (scikit-survival takes the
        probability of survival instead, which is one minus this probability.)
    time : float, optional
        Needed for times and events; patients are weighted by the inverse probability of censoring.
    groups, n_resamples, seed
        As for `harrell_c`.

    Returns
    -------
    MetricValue
        Lower is better.

    Examples
    --------
    >>> float(brier_score(["no", "yes"] * 10, [0.25, 0.75] * 10, n_resamples=0))
    0.0625
    """
    if time is None:
        return _measured(
            "brier", y, probability, n_resamples, seed, groups=groups, probabilities=True
        )
    name = f"brier_{horizon_name(time)}"
    return _measured(name, y, probability, n_resamples, seed, groups=groups, horizon=time)


def integrated_brier_score(
    y: Any,
    probability: ArrayLike,
    times: Sequence[float],
    *,
    groups: Any = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> MetricValue:
    """Brier score, integrated over the times by the trapezoidal rule and divided by their range.

    Only the time from the first to the last of `times` counts, so that the value depends on them.

    Parameters
    ----------
    y : Surv array or DataFrame
    probability : array, shape (n, len(times))
        Probability of the event by each time.
    times : sequence of float
        Two or more times, ascending.
    groups, n_resamples, seed
        As for `harrell_c`.

    Returns
    -------
    MetricValue
        Lower is better.

    Examples
    --------
    >>> import numpy as np
    >>> from sksurv.util import Surv
    >>> y = Surv.from_arrays([True] * 30, np.arange(1.0, 31.0))
    >>> half = np.full((30, 2), 0.5)
    >>> float(integrated_brier_score(y, half, [10.0, 20.0], n_resamples=0))
    0.25
    """
    return _measured("ibs", y, probability, n_resamples, seed, groups=groups, horizon=times)


def calibration_slope(
    y: Any,
    probability: ArrayLike,
    time: float | None = None,
    *,
    groups: Any = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> MetricValue:
    """Calibration slope: the outcome regressed on the linear predictor of the predictions.

    For times to an event it is the coefficient of the log of the predicted cumulative hazard,
    log(-log(1 - probability)), in a Cox model of all follow-up [1]_; for labels that of the logit
    of the probability in a logistic model [2]_. Folds are pooled, without stratification.

    Parameters
    ----------
    y : Surv array, DataFrame or array of labels
    probability : array, shape (n,)
        Probability of the event by `time`, or of the positive label.
    time : float, optional
        Needed for times and events.
    groups, n_resamples, seed
        As for `harrell_c`.

    Returns
    -------
    MetricValue
        1 is ideal; below 1 the predictions are too extreme.

    References
    ----------
    .. [1] van Houwelingen (2000), Statistics in Medicine 19:3401-3415.
    .. [2] Cox (1958), Biometrika 45:562-565.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.repeat([0.25, 0.75], 40)
    >>> y = np.r_[np.arange(40) < 10, np.arange(40) < 30]
    >>> round(float(calibration_slope(y, p, n_resamples=0)), 6)
    1.0
    """
    if time is None:
        return _measured(
            "calibration_slope", y, probability, n_resamples, seed, groups=groups,
            probabilities=True,
        )  # fmt: skip
    return _measured(
        "calibration_slope", y, probability, n_resamples, seed, groups=groups, horizon=time
    )


def auroc(
    y: Any, score: ArrayLike, *, groups: Any = None, n_resamples: int = 1000, seed: int = 0
) -> MetricValue:
    """Area under the ROC curve of labels.

    Parameters
    ----------
    y : array of labels, or DataFrame with `label`
        The last class in sorted order is positive.
    score : array, shape (n,)
        A higher score predicts the positive class.
    groups, n_resamples, seed
        As for `harrell_c`.

    Returns
    -------
    MetricValue
        Higher is better, 0.5 is chance.

    Examples
    --------
    >>> float(auroc([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], n_resamples=0))
    1.0
    """
    return _measured("auroc", y, score, n_resamples, seed, groups=groups)


def average_precision(
    y: Any, score: ArrayLike, *, groups: Any = None, n_resamples: int = 1000, seed: int = 0
) -> MetricValue:
    """Area under the precision-recall curve of labels; parameters as for `auroc`.

    Returns
    -------
    MetricValue
        Higher is better; chance is the proportion of positives.

    Examples
    --------
    >>> float(average_precision([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], n_resamples=0))
    1.0
    """
    return _measured("auprc", y, score, n_resamples, seed, groups=groups)


def _measured(
    name: str,
    y: Any,
    scores: ArrayLike | Mapping[str, ArrayLike],
    n_resamples: int,
    seed: int,
    *,
    groups: Any = None,
    strata: Any = None,
    horizon: float | Sequence[float] | None = None,
    horizons: Sequence[float] = (),
    probabilities: bool = False,
) -> MetricValue:
    table = score_table(
        y, scores, horizon=horizon, probabilities=probabilities, groups=groups, strata=strata
    )
    at = horizons
    if horizon is not None:
        at = [horizon] if isinstance(horizon, (int, float)) else list(horizon)
    found = evaluate(
        table, horizons=at, n_resamples=n_resamples, seed=seed, cross_validated=groups is not None
    ).metrics
    rows = found[found["metric"] == name]
    if rows.empty:
        known = ", ".join(found["metric"])
        raise InputError(
            f"{name} is not a metric for outcomes of this kind; the metrics are {known}"
        )
    row = rows.iloc[0]
    value, low, high = (float(row[c]) for c in ("estimate", "lower", "upper"))
    return MetricValue(name, value, low, high, int(row["n"]), int(row["events"]), str(row["note"]))
