"""Subdistribution hazard ratios with competing events, with the cause-specific ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.evaluation.arrays import ArmScores, Panel
from outcome.evaluation.effects import EffectModel, effect_models, ratio_cells
from outcome.evaluation.risk_groups import group_hazards, group_patients
from outcome.statistics.fine_gray import fit_fine_gray

__all__ = ["SUBDISTRIBUTION_COLUMNS", "subdistribution_ratios"]

SUBDISTRIBUTION_COLUMNS = [
    "arm", "model", "term", "ratio", "lower", "upper", "p_value", "cause_specific",
    "cause_specific_lower", "cause_specific_upper", "cause_specific_p", "n", "events", "competing",
    "note",
]  # fmt: skip


def subdistribution_ratios(
    panel: Panel,
    arms: Sequence[ArmScores],
    effects: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    *,
    made_of_covariates: Collection[str] = (),
) -> pd.DataFrame:
    """Fine and Gray's ratios of risk groups, score and covariates.

    A cause-specific ratio compares the rates of the event among patients who are still free of any
    event. A subdistribution ratio shows how the cumulative incidence differs. The competing event
    contributes to it: a factor that only accelerates the competing event has a subdistribution
    ratio below 1.

    Parameters
    ----------
    panel : Panel
    arms : sequence of ArmScores
        Times, with competing events.
    effects : DataFrame
        Cause-specific ratios of the same models, from `outcome.evaluation.effects.effects` with the
        same arms and covariates.
    covariates, made_of_covariates
        As there.

    Returns
    -------
    DataFrame
        `SUBDISTRIBUTION_COLUMNS`. `model` is `risk groups` (each against the lowest),
        `univariable` or `multivariable`. Baselines and censoring weights are those of the fold
        and stratum. `ratio` has robust intervals that include the estimation of the censoring
        weights; `cause_specific` is that of the Cox model. Both take the scores as given. Patients
        of the first repeat.

    References
    ----------
    .. [1] Fine & Gray (1999), Journal of the American Statistical Association 94:496-509.
    .. [2] Latouche, Allignol, Beyersmann, Labopin & Fine (2013), Journal of Clinical Epidemiology
       66:648-653: both ratios should be reported.
    """
    codes = {arm.name: _codes(arm) for arm in arms}
    models = effect_models(panel, arms, covariates, made_of_covariates=made_of_covariates)
    known = {
        (str(row["arm"]), str(row["model"]), str(row["term"])): [
            float(row[name]) for name in ("ratio", "lower", "upper", "p_value")
        ]
        for row in effects.to_dict("records")
    }
    groups = chain.from_iterable(_of_groups(arm) for arm in arms)
    terms = chain.from_iterable(_of_model(m, codes[m.arm], known) for m in models)
    return pd.DataFrame([*groups, *terms], columns=SUBDISTRIBUTION_COLUMNS)


def _codes(arm: ArmScores) -> dict[int, int]:
    """Kind of event by patient: 0 censored, 1 the event, 2 a competing one."""
    return {
        int(patient): 1 if event else 2 * int(ended)
        for f in arm.first_folds
        for patient, event, ended in zip(f.patient, f.event, f.ended, strict=True)
    }


def _of_groups(arm: ArmScores) -> list[list[object]]:
    patients = group_patients(arm)
    cox = group_hazards(patients)
    if cox is None:
        return []
    names = patients.names[1:]
    dummies = np.column_stack([patients.group == name for name in names]).astype(float)
    fit = fit_fine_gray(patients.time, patients.code, dummies, strata=patients.block)
    rows: list[list[object]] = []
    for k, name in enumerate(names):
        pair = np.isin(patients.group, [patients.names[0], name])
        note = "" if fit.converged else "no ratio: a group has no events, or too few"
        cells = [*ratio_cells(fit.coef[k], fit.se[k]), *ratio_cells(cox.coef[k], cox.se[k])]
        rows.append([arm.name, "risk groups", name, *cells, *_counts(patients.code[pair]), note])
    return rows


def _of_model(
    model: EffectModel, codes: dict[int, int], effects: dict[tuple[str, str, str], list[float]]
) -> list[list[object]]:
    code = np.array([codes[int(p)] for p in model.rows.patient], dtype=np.int64)
    keep, x = model.fitted
    fit = fit_fine_gray(model.rows.time[keep], code[keep], x, strata=model.rows.block[keep])
    found = np.full((2, len(model.terms)), np.nan)
    found[:, ~model.endless] = fit.coef, fit.se
    rows: list[list[object]] = []
    for j, (term, b, se) in enumerate(zip(model.terms, *found.tolist(), strict=True)):
        specific = effects[model.arm, model.name, term]
        cells = [*ratio_cells(b, se), *specific, *_counts(code), model.note(j, b)]
        rows.append([model.arm, model.name, term, *cells])
    return rows


def _counts(code: NDArray[np.int64]) -> list[int]:
    """Patients, events and competing events."""
    return [len(code), int((code == 1).sum()), int((code == 2).sum())]
