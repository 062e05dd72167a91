"""Notes and warnings about the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from outcome.evaluation.arrays import ArmScores, FoldScores, Panel
from outcome.evaluation.censoring_weights import CensoringWeights
from outcome.evaluation.delayed_entry import UNDEFINED
from outcome.evaluation.estimate import Estimate
from outcome.evaluation.metric_descriptions import metric as described
from outcome.evaluation.small_samples import untested_below, verdict_withheld

__all__ = [
    "COVERAGE",
    "GROUPS_AS_GIVEN",
    "GROUPS_OF_FIRST_REPEAT",
    "arm_notices",
    "describe_landmark",
    "describe_weights",
    "interval_notices",
    "name_folds",
    "reversed_notices",
    "small_sample_notices",
]


def describe_weights(weights: CensoringWeights, unit: str) -> str:
    """Describe the source of censoring weights and the truncation of Uno's C."""
    tau = "none could be chosen" if weights.tau is None else f"{weights.tau:g} {unit}"
    return f"Uno's C: tau = {tau}; censoring weights from {weights.source}"


def describe_landmark(arm: ArmScores, weights: CensoringWeights, horizon: float, unit: str) -> str:
    """Describe the number of unknown outcomes at the horizon, and the weighting of the others."""
    unknown = capped = n = 0
    for fold in arm.first_folds:
        case, control = weights.status_weights(fold, horizon)
        n += len(fold.patient)
        unknown += int(((case + control) == 0).sum())
        capped += int(((case + control) >= weights.cap).sum())
    return (
        f"Event by {horizon:g} {unit}: {unknown} of {n} patients were censored earlier and have "
        "an unknown outcome; the other patients are weighted by the inverse probability of "
        f"censoring (curves from {weights.source}; {capped} weights capped at {weights.cap:g})"
    )


COVERAGE = {
    "inner models": (
        "95% intervals and p values of cross-validated metrics refer to the mean performance of "
        "the fitted models on new patients. Every patient tests one model and trains the others, "
        "so the error of the estimate depends on the training too; the variance includes this, "
        "as estimated from the inner models. In 18 simulated settings of 100 to 500 patients "
        "with 25 events or more, such intervals of the C-index covered this performance in 94% "
        "to 98%, and the test of two equal arms rejected in 2% to 7%"
    ),
    "twice the fixed-model variance": (
        "there are no scores of inner models, so 95% intervals and p values of cross-validated "
        "metrics use twice the variance of fixed models, with a factor for small samples. In 18 "
        "simulated settings of 100 to 500 patients with 25 events or more, such intervals of the "
        "C-index covered the mean performance of the fitted models on new patients in 95% to "
        "99%, and the test of two equal arms rejected in 0% to 5%"
    ),
    "fixed models": (
        "95% intervals and p values refer to these models on patients like those of the test set"
    ),
}
"""Coverage of intervals and its validation, by the source of the variance."""

GROUPS_AS_GIVEN = (
    "hazard ratios, pairwise log-rank tests and logrank_p_fixed of out-of-fold risk groups take "
    "the groups as given: their intervals are too narrow and their p values too small "
    "(exploratory)"
)
GROUPS_OF_FIRST_REPEAT = (
    "risk groups are those of the first repeat, so that each patient counts once"
)


def interval_notices(arms: Sequence[ArmScores], primary: Sequence[Estimate]) -> list[str]:
    """Describe what the intervals of the arms cover, and which results are exploratory.

    Parameters
    ----------
    arms : sequence of ArmScores
    primary : sequence of Estimate
        The primary metric of each arm.
    """
    sources = {m.source for m in primary}
    found = [words for source, words in COVERAGE.items() if source in sources]
    if any(len(arm.folds) > 1 for arm in arms) and arms[0].timed:
        of_test = (
            "includes the variation from training"
            if "inner models" in sources
            else "uses twice the variance with the groups as given"
        )
        found.append(f"{GROUPS_AS_GIVEN}; logrank_p {of_test}")
    return found


def reversed_notices(
    arms: Sequence[ArmScores], metric: str, primary: Sequence[Estimate]
) -> list[str]:
    """Warn of scores with which a higher risk goes with a better outcome.

    Parameters
    ----------
    arms : sequence of ArmScores
    metric : str
        Name of the primary metric, of which 0.5 is guessing.
    primary : sequence of Estimate
        The primary metric of each arm.
    """
    found = []
    for arm, m in zip(arms, primary, strict=True):
        lower, upper = m.interval()
        if upper < 0.5:
            found.append(
                f"arm {arm.name}: {described(metric, '').label} {m.value:.3f} ({lower:.3f} to "
                f"{upper:.3f}) is below 0.5: patients with a higher risk had better outcomes. To "
                "do: if higher scores mean a better outcome by definition, give risk = -score; "
                "otherwise report the value as it is, and do not reverse the score because of it"
            )
    return found


def small_sample_notices(arms: Sequence[ArmScores], *, landmark: float | None) -> list[str]:
    """Name arms that are too small for a verdict, or for validated intervals."""
    found: dict[str, list[str]] = {}
    for arm in arms:
        if why := verdict_withheld(arm, landmark=landmark):
            found.setdefault(f"no verdict, {why}", []).append(arm.name)
        if why := untested_below(arm, landmark=landmark):
            found.setdefault(why, []).append(arm.name)
    return [f"arm{'s' if len(n) > 1 else ''} {', '.join(n)}: {why}" for why, n in found.items()]


def arm_notices(
    arms: Sequence[ArmScores], panel: Panel, measured: Mapping[str, Mapping[str, Estimate]]
) -> list[str]:
    """Constant risks, folds without events or pairs, missing patients, unknown metrics."""
    found = []
    for arm in arms:
        for what, chosen in (
            ("risk is constant, so C is 0.5 by ties and there is one risk group", _constant(arm)),
            ("no event, skipped in means", [f for f in arm.folds if not f.event.any()]),
        ):
            if chosen:
                found.append(f"arm {arm.name}, {name_folds(arm, chosen)}: {what}")
        missing = np.setdiff1d(np.arange(panel.n), arm.patients)
        if len(missing):
            names = ", ".join(panel.ids[missing[:3]])
            found.append(f"arm {arm.name}: {len(missing)} patients are not scored, e.g. {names}")
    found += _unknown_metrics(arms, measured)
    if any((f.ended & ~f.event).any() for arm in arms for f in arm.folds if len(f.time)):
        found.append(
            "concordance, log-rank tests and hazard ratios are cause-specific: they treat "
            "competing events (code 2) as censoring"
        )
    if any(len(arm.repeats) > 1 for arm in arms):
        found.append(GROUPS_OF_FIRST_REPEAT)
    return found


def _unknown_metrics(
    arms: Sequence[ArmScores], measured: Mapping[str, Mapping[str, Estimate]]
) -> list[str]:
    """Name the metrics that could not be estimated; arms with the same reason together."""
    found = list[str]()
    unknown: dict[tuple[str, str], list[str]] = {}
    for arm in arms:
        reasons: dict[str, list[str]] = {}
        for metric, m in measured[arm.name].items():
            # Most cohorts are too small for D-calibration, as stated in the table of metrics.
            # Metrics not defined under delayed entry are in a note.
            if np.isnan(m.value) and metric != "dcal_p" and m.note not in UNDEFINED:
                reasons.setdefault(m.note, []).append(metric)
        for note, metrics in reasons.items():
            unknown.setdefault((", ".join(metrics), note), []).append(arm.name)
    for (metrics_of, note), names_of in unknown.items():
        s = "s" if len(names_of) > 1 else ""
        found.append(f"arm{s} {', '.join(names_of)}: no {metrics_of}: {note}")
    return found


def _constant(arm: ArmScores) -> list[FoldScores]:
    return [f for f in arm.folds if len(f.risk) > 1 and np.ptp(f.risk) == 0]


def name_folds(arm: ArmScores, folds: Sequence[FoldScores]) -> str:
    """Name some folds of an arm, at most ten, with the number of its folds."""
    several = len(arm.repeats) > 1
    names = [f"{f.repeat}/{f.fold}" if several else f.fold for f in folds]
    kind = "repeat/fold" if several else "fold"
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return f"{kind}{'s' if len(names) > 1 else ''} {shown} of {len(arm.folds)}"
