"""Hazard and odds ratios of scores and covariates."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.covariates import FirstRepeat, align, design, first_repeat
from outcome.evaluation.estimate import wald
from outcome.evaluation.regression import fit_model

__all__ = ["EFFECT_COLUMNS", "EffectModel", "effect_models", "effects", "ratio_cells"]

Floats = NDArray[np.float64]
EFFECT_COLUMNS = [
    "arm", "model", "term", "ratio", "lower", "upper", "p_value", "ph_p", "n", "events", "note",
]  # fmt: skip


def effects(
    panel: Panel,
    arms: Sequence[ArmScores],
    covariates: pd.DataFrame | None = None,
    *,
    made_of_covariates: Collection[str] = (),
) -> pd.DataFrame:
    """Hazard or odds ratios of the score and covariates, univariable and multivariable.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
        The score is each arm's risk, per standard deviation within its fold.
    covariates : DataFrame, optional
        As for `added_value`.
    made_of_covariates : collection of str
        Arms whose score is a function of the covariates alone. They have no multivariable model,
        because the effects cannot be separated.

    Returns
    -------
    DataFrame
        `EFFECT_COLUMNS`: `model` is `univariable` (the indicators of a variable together) or
        `multivariable`; `ratio` is a hazard
        ratio, for binary outcomes an odds ratio; `ph_p` tests proportional hazards.

    Raises
    ------
    PredictionsError
        The covariates cannot be used.
    """
    cells = []
    for model in effect_models(panel, arms, covariates, made_of_covariates=made_of_covariates):
        cells += [[model.arm, model.name, *c] for c in _model_rows(model)]
    return pd.DataFrame(cells, columns=EFFECT_COLUMNS)


@dataclass(frozen=True)
class EffectModel:
    """One regression of the outcome on the score, a covariate, or all of them.

    Attributes
    ----------
    arm : str
    name : str
        `univariable` or `multivariable`.
    terms : list of str
    rows : FirstRepeat
        Patients with complete values.
    x : ndarray, shape (n, p)
        Values of the terms.
    endless : ndarray of bool, shape (p,)
        Indicators of a level in which no patient or every patient has the event, whose coefficient
        is not finite. Its patients contribute nothing to the other levels; the fit without them is
        the limit of the joint fit.
    """

    arm: str
    name: str
    terms: list[str]
    rows: FirstRepeat
    x: Floats
    endless: NDArray[np.bool_]

    @property
    def fitted(self) -> tuple[NDArray[np.bool_], Floats]:
        """Patients used in the fit, and their values of the terms with a coefficient."""
        others = np.asarray(~self.x[:, self.endless].any(axis=1))
        return others, self.x[others][:, ~self.endless]

    def note(self, j: int, coefficient: float) -> str:
        """Return the reason why the j-th term has no ratio; empty if it has one."""
        if self.endless[j]:
            return "no finite ratio: all patients at this level have the event, or none"
        return "the model did not converge" if np.isnan(coefficient) else ""


def effect_models(
    panel: Panel,
    arms: Sequence[ArmScores],
    covariates: pd.DataFrame | None = None,
    *,
    made_of_covariates: Collection[str] = (),
) -> Iterator[EffectModel]:
    """Yield the models behind `effects`, parameters as there."""
    matrix, names, variables = np.empty((panel.n, 0)), list[str](), list[str]()
    if covariates is not None:
        matrix, names, variables = design(align(covariates, panel))
    # no covariate has an empty name, so it can denote the risk
    terms, variables = ["risk", *names], ["", *variables]
    for arm in arms:
        rows = first_repeat(arm)
        risk = np.full(panel.n, np.nan)
        risk[rows.patient] = rows.scaled
        table = np.column_stack([risk, matrix])[rows.patient]
        for variable in dict.fromkeys(variables):
            # a single indicator would be compared with all other patients, not with the first level
            mine = [j for j, v in enumerate(variables) if v == variable]
            found = [terms[j] for j in mine]
            yield _complete(arm.name, "univariable", found, rows, table[:, mine])
        if arm.name not in made_of_covariates and len(terms) > 1:
            yield _complete(arm.name, "multivariable", terms, rows, table)


def _complete(
    arm: str, name: str, terms: list[str], rows: FirstRepeat, table: Floats
) -> EffectModel:
    """Remove patients with a missing value."""
    keep = np.asarray(~np.isnan(table).any(axis=1))
    kept, x = rows.take(keep), table[keep]
    endless = np.zeros(len(terms), dtype=bool)
    if name == "univariable" and len(terms) > 1:
        had = kept.event.astype(float) @ x
        endless = np.asarray((had == 0) | (~np.bool_(rows.timed) & (had == x.sum(axis=0))))
    if endless.all():
        endless[:] = False
    return EffectModel(arm, name, terms, kept, x, endless)


def _model_rows(model: EffectModel) -> list[list[object]]:
    keep, x = model.fitted
    fit = fit_model(model.rows.take(keep), x)
    found = np.full((3, len(model.terms)), np.nan)
    found[:, ~model.endless] = fit.coef, fit.se, fit.ph_p
    n, events = len(model.rows.event), int(model.rows.event.sum())
    return [
        [term, *ratio_cells(b, se), ph, n, events, model.note(j, b)]
        for j, (term, b, se, ph) in enumerate(zip(model.terms, *found.tolist(), strict=True))
    ]


def ratio_cells(coefficient: float, se: float) -> list[float]:
    """Ratio, the limits of its 95% Wald interval, and its two-sided p."""
    low, high = wald(coefficient, se)
    p = float(2 * ndtr(-abs(coefficient / se))) if se > 0 else np.nan
    return [float(np.exp(coefficient)), float(np.exp(low)), float(np.exp(high)), p]
