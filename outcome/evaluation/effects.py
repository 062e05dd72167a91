"""Hazard and odds ratios of scores and covariates."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.covariates import FirstRepeat, align, design, first_repeat
from outcome.evaluation.estimate import wald
from outcome.evaluation.regression import fit_model

__all__ = ["EFFECT_COLUMNS", "effects"]

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
    """Hazard or odds ratios of the score and of the covariates, alone and together.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
        The score is each arm's risk, per standard deviation within its fold.
    covariates : DataFrame, optional
        As for `added_value`.
    made_of_covariates : collection of str
        Arms whose score is a function of the covariates alone: their effects cannot be separated,
        so that they have no multivariable model.

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
    matrix, names, variables = np.empty((panel.n, 0)), list[str](), list[str]()
    if covariates is not None:
        matrix, names, variables = design(align(covariates, panel))
    cells = []
    for arm in arms:
        rows = first_repeat(arm)
        risk = np.full(panel.n, np.nan)
        risk[rows.patient] = rows.scaled
        table = np.column_stack([risk, matrix])
        # no covariate is called by the empty text, so the risk is a variable of its own
        together = arm.name not in made_of_covariates
        found = _effects(rows, table, ["risk", *names], ["", *variables], together=together)
        cells += [[arm.name, *c] for c in found]
    return pd.DataFrame(cells, columns=EFFECT_COLUMNS)


def _effects(
    rows: FirstRepeat,
    table: Floats,
    terms: Sequence[str],
    variables: Sequence[str],
    *,
    together: bool,
) -> list[list[object]]:
    cells: list[list[object]] = []
    for variable in dict.fromkeys(variables):
        # each indicator alone would be against all other patients, not against the first level
        mine = [j for j, v in enumerate(variables) if v == variable]
        names = [terms[j] for j in mine]
        cells += _model_rows(rows, table[:, mine], names, "univariable")
    if together and len(terms) > 1:
        cells += _model_rows(rows, table, terms, "multivariable")
    return cells


def _coefficients(
    rows: FirstRepeat, x: Floats, *, together: bool
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Coefficients, standard errors, tests of proportional hazards; which have no finite value.

    The indicator of a level without event (or without anything else) has no finite coefficient.
    Its patients then tell nothing about the other levels: the fit without them is the limit of
    the joint one.
    """
    endless = np.zeros(x.shape[1], dtype=bool)
    if not together and x.shape[1] > 1:
        had = rows.event.astype(float) @ x
        endless = (had == 0) | (~np.bool_(rows.timed) & (had == x.sum(axis=0)))
    if endless.all():
        endless[:] = False
    others = np.asarray(~x[:, endless].any(axis=1))
    fit = fit_model(rows.take(others), x[others][:, ~endless])
    found = np.full((3, x.shape[1]), np.nan)
    found[:, ~endless] = fit.coef, fit.se, fit.ph_p
    return found[0], found[1], found[2], endless


def _model_rows(
    rows: FirstRepeat, table: Floats, terms: Sequence[str], name: str
) -> list[list[object]]:
    x = table[rows.patient]
    keep = np.asarray(~np.isnan(x).any(axis=1))
    kept = rows.take(keep)
    together = name == "multivariable"
    coef, errors, ph, endless = _coefficients(kept, x[keep], together=together)
    cells: list[list[object]] = []
    for j, term in enumerate(terms):
        b, se = float(coef[j]), float(errors[j])
        low, high = wald(b, se)
        p = float(2 * ndtr(-abs(b / se))) if se > 0 else np.nan
        note = "the model did not converge" if np.isnan(b) else ""
        if endless[j]:
            note = "no finite ratio: all or none at this level have the event"
        cells.append(
            [name, term, float(np.exp(b)), float(np.exp(low)), float(np.exp(high)), p,
             float(ph[j]), len(kept.event), int(kept.event.sum()), note]
        )  # fmt: skip
    return cells
