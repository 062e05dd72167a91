"""Predictions of a trained model for new patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from outcome.bundle.bundle import Bundle
from outcome.bundle.ensemble import Ensemble
from outcome.bundle.given_patients import ScoredPatients
from outcome.bundle.new_patients import NewPatients
from outcome.bundle.out_of_distribution import ClinicalRange, VectorRange
from outcome.crossval.absolute_risk import absolute_risk
from outcome.errors import BundleError, EmbeddingError, Problems
from outcome.progress import Progress, no_progress
from outcome.risk.cutoffs import risk_groups

__all__ = [
    "Scored",
    "arm_table",
    "prediction_table",
    "score_patients",
    "training_patients",
]

Array = NDArray[np.float64]
AT_ONCE = 16
WORTH_A_POOL = 32
MANY_PATIENTS = 200
FEWEST_TO_SHIFT, LARGEST_SHIFT = 20, 0.5


@dataclass(frozen=True)
class Scored:
    """Risks and mean vectors of new patients.

    Parameters
    ----------
    patients : list of str
    risks : array, shape (patients, inner models)
    distances : mapping of input to array, shape (patients,)
        Distance from the training patients; NaN without the input.
    shifts : mapping of input to float
        Distance of the mean of these patients.
    """

    patients: list[str]
    risks: Array
    distances: dict[str, Array]
    shifts: dict[str, float]


def score_patients(
    bundle: Bundle,
    new: ScoredPatients,
    *,
    jobs: int | None = 1,
    progress: Progress = no_progress,
) -> Scored:
    """Score every patient by every inner model.

    Parameters
    ----------
    bundle : Bundle
    new : NewPatients or GivenPatients
    jobs : int, optional
        Number of processes; by default one for fewer than 200 patients, else one per processor.
    progress : callable

    Raises
    ------
    EmbeddingError
        Some files cannot be used; the message lists them.
    """
    patients = new.ids
    if jobs is None:
        jobs = _processes_for(len(patients))
    parts = [patients[i : i + AT_ONCE] for i in range(0, len(patients), AT_ONCE)]
    risks: list[Array] = []
    found: list[dict[str, MeanVectors]] = []
    bad: list[str] = []
    for rows, middles, wrong in _map(bundle, new, parts, jobs, len(patients)):
        risks.append(rows)
        found.append(middles)
        bad += wrong
        progress("predicting", min(len(risks) * AT_ONCE, len(patients)), len(patients))
    if bad:
        problems = Problems("predict")
        what, remedy = new.unusable
        problems.add(what, bad, remedy)
        problems.raise_if_any(EmbeddingError)
    distances, shifts = {}, {}
    for name, seen in _vector_ranges(bundle).items():
        distances[name] = np.concatenate([part[name].distances for part in found])
        n = max(int(np.isfinite(distances[name]).sum()), 1)
        sums = [np.sum([part[name].sums[i] for part in found], axis=0) / n for i in (0, 1)]
        shifts[name] = float(seen.distance(sums[0][None], sums[1][None])[0])
    return Scored(patients, np.concatenate(risks), distances, shifts)


@dataclass(frozen=True)
class MeanVectors:
    """Distances of some patients' mean vectors, and the sums of these vectors.

    Parameters
    ----------
    distances : array, shape (n,)
    sums : tuple of array, shape (k,) and (d,)
        Sums of the projected and of the original vectors.
    """

    distances: Array
    sums: tuple[Array, Array]


def _processes_for(patients: int) -> int:
    if patients < MANY_PATIENTS:
        return 1  # for few patients, starting a pool takes longer than the predictions
    from outcome.processes import available_cpus

    return available_cpus()


def _vector_ranges(bundle: Bundle) -> dict[str, VectorRange]:
    return {name: r for name, r in bundle.ranges.items() if isinstance(r, VectorRange)}


def _map(
    bundle: Bundle, new: ScoredPatients, parts: list[list[str]], jobs: int, n: int
) -> Iterator[tuple[Array, dict[str, MeanVectors], list[str]]]:
    if jobs == 1 or n < WORTH_A_POOL:
        ensemble = Ensemble(bundle)
        yield from (_score(ensemble, new, part) for part in parts)
        return
    # Imported here, because the prediction of one patient does not need them.
    import joblib

    from outcome.processes import in_processes

    ensemble = Ensemble(bundle)
    calls = (joblib.delayed(_score)(ensemble, new, part) for part in parts)
    yield from in_processes(calls, jobs, ordered=True)


def _score(
    ensemble: Ensemble, new: ScoredPatients, patients: Sequence[str]
) -> tuple[Array, dict[str, MeanVectors], list[str]]:
    """Score some patients with one BLAS thread, because a sum depends on the number of threads."""
    bundle = ensemble.bundle
    ranges = _vector_ranges(bundle)
    risks = np.full((len(patients), len(bundle.members[0].centres)), np.nan)
    distances = {name: np.full(len(patients), np.nan) for name in ranges}
    sums = {name: [np.zeros_like(r.centre), np.zeros_like(r.mean)] for name, r in ranges.items()}
    bad: list[str] = []
    with threadpool_limits(limits=1, user_api="blas"):
        for row, patient in enumerate(patients):
            try:
                seen = ensemble.see(**new.given(patient))
            except (EmbeddingError, BundleError) as error:
                bad.append(str(error))
                continue
            risks[row] = ensemble.inner_risks(seen)
            for name, known in ranges.items():
                bag, raw = seen.seen[name], seen.means[name]
                if bag is not None and raw is not None:
                    middle = bag.mean(axis=0, dtype=np.float64)
                    distances[name][row] = known.distance(middle[None], raw[None])[0]
                    sums[name][0] += middle
                    sums[name][1] += raw
    middles = {
        name: MeanVectors(distances[name], (sums[name][0], sums[name][1])) for name in ranges
    }
    return risks, middles, bad


def prediction_table(
    bundle: Bundle, new: NewPatients, scored: Scored, horizons: Sequence[float]
) -> tuple[pd.DataFrame, list[str]]:
    """Make the table of predictions, and the warnings about them.

    Parameters
    ----------
    horizons : sequence of float
        In the unit of the bundle's endpoint; ignored for a binary or landmark endpoint.

    Returns
    -------
    table : DataFrame
        `patient_id, risk, risk_lowest, risk_highest, linear_predictor, risk_group`; per horizon
        `survival_<h>, lowest_survival_<h>, highest_survival_<h>`, or the same with `probability`;
        `distance_percentile, outside, in_training`. Lowest and highest values are over the inner
        models. They are a range, not a confidence interval.
    warnings : list of str
    """
    risk = scored.risks.mean(axis=1)
    strata = new.cohort.strata(scored.patients)
    table = pd.DataFrame({"patient_id": scored.patients, "risk": risk})
    table["risk_lowest"], table["risk_highest"] = scored.risks.min(axis=1), scored.risks.max(axis=1)
    table["linear_predictor"] = bundle.calibration.linear_predictor(risk)
    table["risk_group"] = risk_groups(risk, strata, bundle.cuts)
    inner = [
        absolute_risk(bundle.endpoint, bundle.calibration, column, strata, horizons)
        for column in (risk, *scored.risks.T)
    ]
    for name, values in inner[0].items():
        every = np.stack([one[name] for one in inner[1:]])
        table[name] = values
        table[f"lowest_{name}"], table[f"highest_{name}"] = every.min(axis=0), every.max(axis=0)
    warnings = [*new.warnings, *_add_distances(bundle, new, scored, table)]
    known = training_patients(bundle, new)
    table["in_training"] = [p in known for p in scored.patients]
    if known:
        warnings.append(
            f"{len(known)} of {len(table)} patients were in the training cohort (by patient id "
            f"or slide id), e.g. {', '.join(known[:3])}. Predictions for these patients are "
            "optimistic"
        )
    return table, warnings


def training_patients(bundle: Bundle, new: NewPatients) -> list[str]:
    """Return the patients whose id, or the id of a slide, belongs to the training cohort."""
    ids = {p: [p, *(s for s, _ in new.slides.get(p, ()))] for p in new.ids}
    return [p for p, own in ids.items() if any(bundle.knows(i) for i in own)]


def _add_distances(
    bundle: Bundle, new: NewPatients, scored: Scored, table: pd.DataFrame
) -> list[str]:
    """Add columns with the distance from the training patients; warn if the cohort is outside."""
    found: list[str] = []
    percentile = np.full(len(table), np.nan)
    outside = np.zeros(len(table), dtype=bool)
    for name, seen in bundle.ranges.items():
        if isinstance(seen, ClinicalRange):
            found += seen.warnings(new.cohort.patients)
            continue
        distance = scored.distances[name]
        there = np.isfinite(distance)
        if not there.any():
            continue
        percentile[there] = np.fmax(percentile[there], seen.percentile(distance[there]))
        beyond = there & seen.beyond(np.nan_to_num(distance))
        outside |= beyond
        found += _outside(name, scored.shifts[name], int(there.sum()), int(beyond.sum()))
    table["distance_percentile"], table["outside"] = percentile.round(1), outside
    return found


def _outside(name: str, shift: float, n: int, beyond: int) -> list[str]:
    """Warn if many patients are outside the training range, or if their mean is shifted.

    The distance of the mean of n patients like the training patients is about 1 / sqrt(n) of that
    of one patient.
    """
    tail = 1 - sum(_binomial(n, k, 0.01) for k in range(beyond))
    many = beyond > 0 and tail <= 0.011  # a single patient who is outside also gives a warning
    aside = n >= FEWEST_TO_SHIFT and shift > LARGEST_SHIFT
    if not many and not aside:
        return []
    return [
        f"{name}: {beyond} of {n} patients ({100 * beyond / n:.0f}%) are farther from the "
        f"training cohort than 99% of its own patients. The mean of all {n} patients is "
        f"{shift:.2f} times as far from the centre of the training cohort as a training patient "
        f"(about {n**-0.5:.2f} expected by chance). Predictions may not be valid for them"
    ]


def _binomial(n: int, k: int, p: float) -> float:
    from math import exp, lgamma, log

    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return exp(ways + k * log(p) + (n - k) * log(1 - p))


def arm_table(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return predictions in the columns of `predictions.csv`, without outcomes."""
    kept: list[Any] = [
        c for c in table.columns
        if c in ("patient_id", "risk", "risk_group", "linear_predictor", "probability")
        or str(c).startswith("survival_")
    ]  # fmt: skip
    return table[kept].assign(arm=arm, repeat=0, fold="external")
