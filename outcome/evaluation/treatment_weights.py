"""Inverse probability of treatment weights, for treatments that were not randomised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.covariates import align, design

__all__ = ["BALANCE_COLUMNS", "WEIGHT_COLUMNS", "TreatmentWeights", "treatment_weights"]

Floats = NDArray[np.float64]
BALANCE_COLUMNS = [
    "covariate", "mean_reference", "mean_treated", "difference", "difference_weighted",
]  # fmt: skip
WEIGHT_COLUMNS = ["treatment", "n", "effective_n", "smallest", "median", "largest"]
DRAWN_FOLDS = 5
TRUNCATED = (1.0, 99.0)
"""Percentiles at which weights are truncated."""


@dataclass(frozen=True)
class TreatmentWeights:
    """Weights that balance the covariates between the two treatments.

    Attributes
    ----------
    weight : ndarray, shape (n,)
        Weight of each patient of the panel; NaN without a known treatment.
    balance : DataFrame
        `BALANCE_COLUMNS`: of each covariate, means and standardised mean differences (treated
        minus reference, in standard deviations) before and after weighting. Below 0.1 is commonly
        regarded as balanced.
    summary : DataFrame
        `WEIGHT_COLUMNS`, a row per treatment; `effective_n` is the number of patients without
        weights that would be as precise.
    """

    weight: Floats
    balance: pd.DataFrame
    summary: pd.DataFrame


def treatment_weights(
    panel: Panel,
    arms: list[ArmScores],
    treated: Floats,
    covariates: pd.DataFrame,
    names: tuple[str, str],
) -> TreatmentWeights | None:
    """Fit the probability of treatment out of fold, and weight by its inverse [1]_.

    A logistic model of the covariates (standardised; a weak ridge penalty keeps coefficients
    finite) is fitted on the patients of the other folds. Missing values are replaced by medians of
    the other folds, with an indicator of missingness. Folds are those of the predictions; a single
    test set is divided into five. Weights are stabilised by the proportion of each treatment, and
    truncated at their 1st and 99th percentile [2]_.

    Parameters
    ----------
    panel : Panel
    arms : list of ArmScores
    treated : ndarray, shape (n,)
        Treatment of the patients of the panel; NaN if unknown.
    covariates : DataFrame
        `patient_id` and clinical variables.
    names : (str, str)
        Names of the reference and of the other treatment.

    Returns
    -------
    TreatmentWeights or None
        None if all covariates are constant, or a treatment is too rare to be modelled.

    References
    ----------
    .. [1] Austin & Stuart (2015), Statistics in Medicine 34:3661-3679.
    .. [2] Cole & Hernan (2008), American Journal of Epidemiology 168:656-664.
    """
    x, terms, _ = design(align(covariates, panel))
    known = ~np.isnan(treated)
    rarest = min(int((treated[known] == value).sum()) for value in (0, 1))
    if x.shape[1] == 0 or rarest < 2 * DRAWN_FOLDS:
        return None
    probability = _out_of_fold(x, treated, _folds(panel, arms, treated))
    share = float(treated[known].mean())
    with np.errstate(invalid="ignore"):
        weight = np.where(treated == 1, share / probability, (1 - share) / (1 - probability))
    low, high = np.percentile(weight[known], TRUNCATED)
    weight = np.where(known, np.clip(weight, low, high), np.nan)
    return TreatmentWeights(
        weight, _balance(x, terms, treated, weight), _summary(treated, weight, names)
    )


def _folds(panel: Panel, arms: list[ArmScores], treated: Floats) -> NDArray[np.int64]:
    """Fold of each patient in the first repeat, or a fold drawn within each treatment."""
    from sklearn.model_selection import StratifiedKFold

    fold = np.full(panel.n, -1)
    for arm in reversed(arms):
        for k, part in enumerate(arm.first_folds):
            fold[part.patient] = k
    known = np.flatnonzero(~np.isnan(treated))
    both = all(
        len(np.unique(treated[known][fold[known] != k])) == 2 for k in np.unique(fold[known])
    )
    if len(np.unique(fold[known])) > 1 and both:
        return fold
    drawn = StratifiedKFold(DRAWN_FOLDS, shuffle=True, random_state=0)
    for k, (_, rows) in enumerate(drawn.split(known[:, None], treated[known])):
        fold[known[rows]] = k
    return fold


def _out_of_fold(x: Floats, treated: Floats, fold: NDArray[np.int64]) -> Floats:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = ~np.isnan(treated)
    probability = np.full(len(treated), np.nan)
    for k in np.unique(fold[known]):
        learn, rows = known & (fold != k), known & (fold == k)
        model = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=10.0, max_iter=1000),
        )
        model.fit(x[learn], treated[learn])
        probability[rows] = model.predict_proba(x[rows])[:, 1]
    return probability


def _balance(x: Floats, terms: list[str], treated: Floats, weight: Floats) -> pd.DataFrame:
    rows: list[list[object]] = []
    for j, term in enumerate(terms):
        arms = [(treated == value) & ~np.isnan(x[:, j]) for value in (0, 1)]
        if not all(arm.any() for arm in arms):
            continue
        values = [x[arm, j] for arm in arms]
        spread = float(np.sqrt(np.mean([v.var() for v in values])))
        before = values[1].mean() - values[0].mean()
        means = [np.average(x[arm, j], weights=weight[arm]) for arm in arms]
        apart = [d / spread if spread > 0 else np.nan for d in (before, means[1] - means[0])]
        rows.append([term, values[0].mean(), values[1].mean(), *apart])
    return pd.DataFrame(rows, columns=BALANCE_COLUMNS)


def _summary(treated: Floats, weight: Floats, names: tuple[str, str]) -> pd.DataFrame:
    rows = []
    for value, name in enumerate(names):
        w = weight[treated == value]
        effective = float(w.sum() ** 2 / (w @ w))
        rows.append([name, len(w), effective, w.min(), float(np.median(w)), w.max()])
    return pd.DataFrame(rows, columns=WEIGHT_COLUMNS)
