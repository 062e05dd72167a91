"""Paired comparison of arms on the same patients, folds and resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from outcome.evaluation.arrays import ArmScores
from outcome.evaluation.estimate import Estimate, PairedDifference, difference
from outcome.evaluation.metric_set import MetricSet
from outcome.statistics.multiple_testing import holm

__all__ = ["COMPARISON_COLUMNS", "compare_arms"]

COMPARISON_COLUMNS = [
    "arm", "baseline", "metric", "difference", "lower", "upper", "p_value", "p_adjusted",
    "se", "df", "variance", "lower_fixed", "upper_fixed", "se_fixed", "p_value_fixed",
    "n_patients_common", "note",
]  # fmt: skip

OTHER_FOLDS = (
    "not estimable: the arms were scored in different folds, within which alone their risks can be "
    "compared. To do: score both arms in the same folds"
)
WITHIN_FOLDS = "{0} has no folds: it is compared as a fixed score, within the folds of {1}"


def compare_arms(
    arms: Sequence[ArmScores],
    pairs: Sequence[tuple[str, str]],
    metrics: MetricSet,
    measured: Mapping[str, Mapping[str, Estimate]],
) -> pd.DataFrame:
    """Compare arms in pairs, metric by metric.

    An arm without folds is one fixed score. It is compared with a cross-validated arm within the
    folds of that arm, in every repeat, and adds no variance from training; the difference has
    twice the variance of fixed models, which is conservative.

    Only patients scored by both arms are used; if an arm lacks some, both are evaluated again on
    the common patients. The difference is arm minus baseline; its interval and p come from
    `outcome.evaluation.estimate.difference`. Holm's correction is over pairs, for the primary
    metric; everything else is descriptive. Columns `*_fixed` treat the fitted models as fixed: the
    interval of the paired resamples, and a z test.

    Parameters
    ----------
    arms : sequence of ArmScores
    pairs : sequence of (str, str)
        Names of an arm and of its baseline.
    metrics : MetricSet
        Metrics to compute.
    measured : mapping
        Metrics of each arm on its own patients, for reuse.

    Returns
    -------
    DataFrame
        `COMPARISON_COLUMNS`.
    """
    by_name = {arm.name: arm for arm in arms}
    rows = []
    for name, baseline in dict.fromkeys(pairs):
        rows += _against(by_name[name], by_name[baseline], metrics, measured)
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    primary = table["metric"] == metrics.primary
    table.loc[primary, "p_adjusted"] = holm(table.loc[primary, "p_value"].to_numpy(dtype=float))
    return table


def _against(
    arm: ArmScores,
    reference: ArmScores,
    metrics: MetricSet,
    measured: Mapping[str, Mapping[str, Estimate]],
) -> list[dict[str, object]]:
    note, first, second = "", measured[arm.name], measured[reference.name]
    if arm.fixed != reference.fixed:
        note = _note_on_fixed(arm, reference) or _note_on_fixed(reference, arm)
        arm, reference = arm.divided_as(reference), reference.divided_as(arm)
        first, second = metrics.measure(arm), metrics.measure(reference)
    common = arm.rows() & reference.rows()
    n_common = len({patient for _, patient in common})
    if not common:
        return [_row(arm.name, reference.name, metrics.primary, None, 0, "no patient in common")]
    if not _same_folds(arm, reference, common):
        return [_row(arm.name, reference.name, metrics.primary, None, n_common, OTHER_FOLDS)]
    mine, theirs = arm.rows(), reference.rows()
    lacking = sorted({*arm.lacks(reference), *reference.lacks(arm)})
    if mine != theirs or lacking:
        both = arm.hide(reference), reference.hide(arm)
        first, second = (metrics.measure(one.restrict(common)) for one in both)
    if mine != theirs:
        lost = len(arm.patients), len(reference.patients)
        on = f"on {n_common} common patients; the arms scored {lost[0]} and {lost[1]}"
        note = "; ".join(filter(None, [note, on]))
    if lacking:
        known = f"{', '.join(lacking)}: computed in patients with a value in both arms"
        note = "; ".join(filter(None, [note, known]))
    rows = []
    for metric in first:
        if metric not in second or not metrics.is_compared(metric):
            continue
        d = difference(first[metric], second[metric])
        notes = [note, d.change.remarks, "" if metric == metrics.primary else "descriptive"]
        text = "; ".join(filter(None, notes))
        rows.append(_row(arm.name, reference.name, metric, d, n_common, text))
    return rows


def _same_folds(arm: ArmScores, reference: ArmScores, common: set[tuple[str, int]]) -> bool:
    """Whether both divide the common patients in the same way, whatever the names of the folds."""
    mine, theirs = arm.fold_of(), reference.fold_of()
    pairs = {(mine[row], theirs[row]) for row in common}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _note_on_fixed(arm: ArmScores, other: ArmScores) -> str:
    """Say how an arm with one score for all patients is compared; nothing for other arms."""
    divided = arm.fixed and len(arm.divided_as(other).folds) > 1
    return WITHIN_FOLDS.format(arm.name, other.name) if divided else ""


def _row(
    arm: str, baseline: str, metric: str, found: PairedDifference | None, n_common: int, note: str
) -> dict[str, object]:
    measured: dict[str, object] = {}
    if found is not None:
        change = found.change
        (lower, upper), (lower_fixed, upper_fixed) = change.interval(), change.fixed_interval()
        measured = {
            "difference": change.value, "lower": lower, "upper": upper, "p_value": found.p,
            "se": change.se, "df": change.df, "variance": change.source,
            "lower_fixed": lower_fixed, "upper_fixed": upper_fixed, "se_fixed": change.fixed_se,
            "p_value_fixed": found.p_fixed,
        }  # fmt: skip
    about = {"arm": arm, "baseline": baseline, "metric": metric, "variance": ""}
    empty = dict.fromkeys(COMPARISON_COLUMNS, np.nan)
    return {**empty, **about, **measured, "n_patients_common": n_common, "note": note}
