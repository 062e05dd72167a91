"""Labels of metrics, their value by chance, and their explanation."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["Metric", "horizon_text", "metric"]


@dataclass(frozen=True)
class Metric:
    """Presentation of one metric.

    Parameters
    ----------
    key : str
        Name in `metrics.csv`.
    label : str
        Name on the page.
    family : str
        `discrimination` (ranking of patients) or `probability` (calibration of probabilities).
    chance : float
        Value of an uninformative score; NaN if there is no fixed value.
    meaning : str
        One sentence of explanation.
    higher_is_better : bool
        False for errors such as the Brier score.
    digits : int
        Decimal places.
    """

    key: str
    label: str
    family: str = "discrimination"
    chance: float = math.nan
    meaning: str = ""
    higher_is_better: bool = True
    digits: int = 2
    over_folds: str = ""
    """A further sentence, for scores of several folds."""

    def explained(self, *, cross_validated: bool) -> str:
        """Return the explanation, for scores of one or of several folds."""
        further = self.over_folds if cross_validated else ""
        return " ".join(filter(None, [self.meaning, further]))

    @property
    def fine(self) -> int:
        """Decimal places of a difference: one more, so that rounding does not hide the sign."""
        return self.digits + 1


_C = (
    "Among all pairs of patients for whom it is known who had the event first: the "
    "proportion in which that patient had the higher risk score. 0.5 is guessing, 1 is "
    "perfect."
)
_FIXED = {
    m.key: m
    for m in (
        Metric(
            "harrell_c",
            "C-index",
            chance=0.5,
            meaning=_C,
            over_folds="Mean over the test folds.",
        ),
        Metric(
            "harrell_c_pairs",
            "C-index, pairs pooled",
            chance=0.5,
            over_folds="The C-index if every pair has the same weight, instead of every fold.",
        ),
        Metric(
            "uno_c",
            "Uno’s C",
            chance=0.5,
            meaning="A C-index that allows for early censoring.",
        ),
        Metric("mean_auc", "mean AUC over time", chance=0.5),
        Metric(
            "auroc",
            "AUROC",
            chance=0.5,
            meaning="Among all pairs of one patient with and one without the outcome: the "
            "proportion that the score ranks correctly. 0.5 is guessing, 1 is perfect.",
        ),
        Metric(
            "auprc",
            "AUPRC",
            meaning="Mean precision over all thresholds; guessing gives the proportion of "
            "positive patients.",
        ),
        Metric("accuracy", "accuracy"),
        Metric("balanced_accuracy", "balanced accuracy", chance=0.5),
        Metric("auroc_pairs", "AUROC, pairs pooled", chance=0.5),
        Metric(
            "sensitivity_at_90_specificity",
            "sensitivity at 90% specificity",
            meaning="At the threshold that reached it on development patients. The value "
            "reached on test patients is in the remarks.",
        ),
        Metric("specificity_at_90_sensitivity", "specificity at 90% sensitivity"),
        Metric(
            "ibs",
            "integrated Brier score",
            "probability",
            meaning="Mean squared error of the predicted probabilities over time; lower is better.",
            higher_is_better=False,
            digits=3,
        ),
        Metric(
            "brier",
            "Brier score",
            "probability",
            meaning="Mean squared error of the predicted probabilities; lower is better.",
            higher_is_better=False,
            digits=3,
        ),
        Metric(
            "calibration_slope",
            "calibration slope",
            "probability",
            meaning="1 is ideal; below 1 the predictions are too extreme.",
        ),
        Metric(
            "calibration_intercept",
            "calibration intercept",
            "probability",
            meaning="0 is ideal; above 0 the predicted probabilities are too low.",
        ),
        Metric("dcal_p", "D-calibration p", "probability"),
    )
}
_AT_HORIZON = {
    "auc": ("AUC at {at}", "discrimination", 0.5, True, 2),
    "brier": ("Brier score at {at}", "probability", math.nan, False, 3),
    "calibration_ratio": ("observed / predicted at {at}", "probability", math.nan, True, 2),
    "ici": ("calibration error (ICI) at {at}", "probability", math.nan, False, 3),
    "auroc": ("AUROC at {at}", "discrimination", 0.5, True, 2),
}


def metric(key: str, unit: str) -> Metric:
    """Describe a metric; an unknown metric keeps its name, in readable form.

    Parameters
    ----------
    key : str
        Name in the column `metric` of `Evaluation.metrics`.
    unit : str
        Unit of horizons; empty if it is unknown.

    Examples
    --------
    >>> metric("harrell_c", "days").label, metric("auc_365", "days").label
    ('C-index', 'AUC at 365 days (1 year)')
    """
    if key in _FIXED:
        return _FIXED[key]
    if found := re.fullmatch(r"(.+?)_(\d+(?:\.\d+)?)", key):
        name, horizon = found.groups()
        if name in _AT_HORIZON:
            label, family, chance, higher, digits = _AT_HORIZON[name]
            at = horizon_text(float(horizon), unit)
            return Metric(key, label.format(at=at), family, chance, "", higher, digits)
    return Metric(key, key.replace("_", " "))


def horizon_text(horizon: float, unit: str) -> str:
    """Write a time with its unit; days that are whole years are also given in years.

    Examples
    --------
    >>> horizon_text(365, "days"), horizon_text(1, "years"), horizon_text(7.5, "months")
    ('365 days (1 year)', '1 year', '7.5 months')
    """
    text = f"{horizon:g} {unit.removesuffix('s') if horizon == 1 else unit}".strip()
    years = round(horizon / 365.25, 2)
    if unit == "days" and years >= 1 and years == int(years):
        return f"{text} ({years:g} year{'s' if years > 1 else ''})"
    return text
