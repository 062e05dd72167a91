"""Differences in evaluation between a time to an event, an event by a horizon, and a label.

The kind is chosen once, by `described_outcome` or `table_outcome`; everything that depends on it
(metrics, tables, words of the report) is an attribute or method of the class of that kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.errors import PredictionsError
from outcome.evaluation.arrays import ArmScores, FoldScores, Panel
from outcome.evaluation.censoring_weights import censoring_weights, fixed_horizon_weights
from outcome.evaluation.delayed_entry import describe_delayed_entry
from outcome.evaluation.metric_set import (
    InnerByArm,
    MetricSet,
    binary_metrics,
    landmark_metrics,
    survival_metrics,
)
from outcome.evaluation.notes import describe_landmark, describe_weights
from outcome.predictions import Predictions
from outcome.statistics.ties import tie_times

__all__ = [
    "BinaryOutcome",
    "EvaluatedOutcome",
    "LandmarkOutcome",
    "SurvivalOutcome",
    "described_outcome",
    "table_outcome",
]

Bools = NDArray[np.bool_]
_YES = frozenset({"yes", "y", "true", "t", "positive", "pos"})


@dataclass(frozen=True)
class EvaluatedOutcome(ABC):
    """The outcome on which predictions are evaluated.

    Attributes
    ----------
    name : str
        Name of the endpoint.
    unit : str
        Unit of the times; empty for a label.
    horizons : tuple of float
        Times at which AUC(t), Brier score and calibration are computed; ascending, in `unit`.
    favourable : bool
        The positive label is the better outcome, so low risk predicts it.
    positive : str
        Code of the positive label.
    strata : str
        Name of the column of strata; empty without.
    competing : bool
        Whether some patients had a competing event.
    late : bool
        Whether observation begins after the origin (delayed entry, left truncation).
    """

    name: str = "the outcome"
    unit: str = ""
    horizons: tuple[float, ...] = ()
    favourable: bool = False
    positive: str = "positive"
    strata: str = ""
    competing: bool = False
    late: bool = False

    kind: ClassVar[str]
    primary: ClassVar[str]
    """The metric whose p values are corrected over arms."""
    word: ClassVar[str] = "event"
    """What is counted in patients."""
    counted: ClassVar[str] = "Events"
    """Heading of a column that counts them."""
    ratio: ClassVar[str] = "hazard ratio"
    regression: ClassVar[str] = "Cox"
    regression_models: ClassVar[str] = "Cox models (ties after Efron) with a baseline hazard"
    limiting: ClassVar[str] = "events"
    """Description of the patients whose number limits the estimates."""
    times: ClassVar[bool] = True
    """Whether outcomes are times to an event."""
    ranks_times: ClassVar[bool] = False
    """Whether metrics rank the times of events."""

    @property
    def landmark(self) -> float | None:
        """The time by which the event counts, if the outcome is yes or no by then."""
        return None

    @property
    def positive_name(self) -> str:
        """Word for a patient with the outcome."""
        return "event"

    @property
    @abstractmethod
    def status_words(self) -> tuple[str, str, str, str]:
        """Words for patients: with the outcome, without, unknown, with a competing event."""

    @property
    @abstractmethod
    def described(self) -> str:
        """The kind of outcome in words."""

    @abstractmethod
    def status(self, patients: pd.DataFrame) -> pd.Series:
        """Return one of `status_words` for each row of outcomes."""

    def limiting_count(self, positive: int, known: int) -> int:
        """Return the number of patients that limits the estimates."""
        return positive

    def cases(self, fold: FoldScores) -> Bools:
        """Patients counted as having the outcome."""
        return fold.event

    def label_known(self, fold: FoldScores) -> Bools:
        """Patients with a known outcome."""
        return np.ones(len(fold.patient), dtype=bool)

    def probability(self, fold: FoldScores) -> NDArray[np.float64]:
        """Predicted probability of the outcome; NaN if the table has none."""
        return fold.probability

    @abstractmethod
    def metric_set(
        self,
        panel: Panel,
        arms: Sequence[ArmScores],
        *,
        cross_validated: bool,
        inner: InnerByArm | None = None,
    ) -> tuple[MetricSet, list[str]]:
        """Return the metrics of this kind of outcome, and notes on how they are computed.

        Parameters
        ----------
        inner : mapping, optional
            Scores by inner models, for the variance of cross-validated metrics.
        """

    def discrimination(
        self, panel: Panel, arms: Sequence[ArmScores], *, cross_validated: bool
    ) -> tuple[MetricSet, list[str]]:
        """Return the metrics without horizons and inner models, for a primary metric alone."""
        return self.metric_set(panel, arms, cross_validated=cross_validated)


@dataclass(frozen=True)
class SurvivalOutcome(EvaluatedOutcome):
    """A time to an event, right-censored."""

    kind: ClassVar[str] = "survival"
    primary: ClassVar[str] = "harrell_c"
    ranks_times: ClassVar[bool] = True

    @property
    def status_words(self) -> tuple[str, str, str, str]:
        """Words for patients: with the outcome, without, unknown, with a competing event."""
        return "event", "censored", "unknown", "competing event"

    @property
    def described(self) -> str:
        """The kind of outcome in words."""
        unit = f", in {self.unit}" if self.unit else ""
        late = ", left-truncated by delayed entry" if self.late else ""
        return f"a time to event, right-censored{late}{unit}"

    def status(self, patients: pd.DataFrame) -> pd.Series:
        """Return one of `status_words` for each row of outcomes."""
        yes, no, _, competing = self.status_words
        return patients["event"].astype(float).map({0: no, 1: yes, 2: competing})

    def metric_set(
        self,
        panel: Panel,
        arms: Sequence[ArmScores],
        *,
        cross_validated: bool,
        inner: InnerByArm | None = None,
    ) -> tuple[MetricSet, list[str]]:
        """Return the metrics of this kind of outcome, and notes on how they are computed."""
        return self._metrics(panel, arms, self.horizons, cross_validated, inner)

    def discrimination(
        self, panel: Panel, arms: Sequence[ArmScores], *, cross_validated: bool
    ) -> tuple[MetricSet, list[str]]:
        """Return the metrics without those at horizons, for a primary metric alone."""
        return self._metrics(panel, arms, (), cross_validated)

    def _metrics(
        self,
        panel: Panel,
        arms: Sequence[ArmScores],
        horizons: Sequence[float],
        cross_validated: bool,
        inner: InnerByArm | None = None,
    ) -> tuple[MetricSet, list[str]]:
        if self.late:
            note = describe_delayed_entry(arms, self.unit)
            return survival_metrics(panel, None, horizons, inner), [note]
        weights = censoring_weights(arms, horizons, cross_validated=cross_validated)
        metrics = survival_metrics(panel, weights, horizons, inner)
        return metrics, [describe_weights(weights, self.unit)]


@dataclass(frozen=True)
class LandmarkOutcome(EvaluatedOutcome):
    """The event by a fixed horizon, yes or no; patients censored before are unknown."""

    kind: ClassVar[str] = "landmark"
    primary: ClassVar[str] = "auroc"
    limiting: ClassVar[str] = "patients of the rarer class"

    @property
    def landmark(self) -> float | None:
        """The time by which the event counts."""
        return self.horizons[0] if self.horizons else None

    @property
    def by(self) -> str:
        """The horizon in words."""
        return f"{self.landmark:g} {self.unit}"

    @property
    def status_words(self) -> tuple[str, str, str, str]:
        """Words for patients: with the outcome, without, unknown, with a competing event."""
        return f"event by {self.by}", f"no event by {self.by}", f"censored before {self.by}", ""

    @property
    def described(self) -> str:
        """The kind of outcome in words."""
        unit = f", in {self.unit}" if self.unit else ""
        return f"whether the event occurred by {self.by} from the origin, yes or no{unit}"

    def status(self, patients: pd.DataFrame) -> pd.Series:
        """Return one of `status_words` for each row of outcomes."""
        yes, no, unknown, _ = self.status_words
        time = pd.Series(tie_times(patients["time"], self.horizons), index=patients.index)
        code = patients["event"].astype(float)
        status = pd.Series(no, index=patients.index)
        status[(time < self.horizons[0]) & (code == 0)] = unknown
        status[(time <= self.horizons[0]) & (code == 1)] = yes
        return status

    def limiting_count(self, positive: int, known: int) -> int:
        """Return the number of patients in the rarer of the two groups with a known outcome."""
        return min(positive, known - positive)

    def cases(self, fold: FoldScores) -> Bools:
        """Patients with the event by the horizon."""
        return np.asarray(fold.event & (fold.time <= self.horizons[0]))

    def label_known(self, fold: FoldScores) -> Bools:
        """Patients who were not censored before the horizon."""
        return np.asarray(fold.ended | (fold.time >= self.horizons[0]))

    def probability(self, fold: FoldScores) -> NDArray[np.float64]:
        """Predicted probability of the event by the horizon; NaN if the table has none."""
        missing = np.full(len(fold.patient), np.nan)
        return np.asarray(1 - fold.survival.get(self.horizons[0], missing))

    def metric_set(
        self,
        panel: Panel,
        arms: Sequence[ArmScores],
        *,
        cross_validated: bool,
        inner: InnerByArm | None = None,
    ) -> tuple[MetricSet, list[str]]:
        """Return the metrics of this kind of outcome, and notes on how they are computed."""
        horizon = self.horizons[0]
        weights = fixed_horizon_weights(arms, horizon, cross_validated=cross_validated)
        note = describe_landmark(arms[0], weights, horizon, self.unit)
        return landmark_metrics(panel, weights, horizon, inner), [note]


@dataclass(frozen=True)
class BinaryOutcome(EvaluatedOutcome):
    """A label, yes or no."""

    kind: ClassVar[str] = "binary"
    primary: ClassVar[str] = "auroc"
    word: ClassVar[str] = "positive patient"
    counted: ClassVar[str] = "Positive"
    ratio: ClassVar[str] = "odds ratio"
    regression: ClassVar[str] = "logistic"
    regression_models: ClassVar[str] = "logistic models with an intercept"
    limiting: ClassVar[str] = "patients of the rarer class"
    times: ClassVar[bool] = False

    @property
    def positive_name(self) -> str:
        """Word for a positive patient; for a bare code or a yes, with the name of its column."""
        is_word = any(c.isalpha() for c in self.positive)
        meaningful = is_word and self.positive.lower() not in _YES
        return self.positive if meaningful else f"{self.name} = {self.positive}"

    @property
    def status_words(self) -> tuple[str, str, str, str]:
        """Words for patients: with the outcome, without, unknown, with a competing event."""
        return self.positive_name, "all others", "unknown", ""

    @property
    def described(self) -> str:
        """The kind of outcome in words."""
        return f"a yes/no outcome with the positive class “{self.positive}”"

    def status(self, patients: pd.DataFrame) -> pd.Series:
        """Return one of `status_words` for each row of outcomes."""
        yes, no, _, _ = self.status_words
        return patients["label"].astype(float).eq(1).map({True: yes, False: no})

    def limiting_count(self, positive: int, known: int) -> int:
        """Return the number of patients of the rarer class."""
        return min(positive, known - positive)

    def metric_set(
        self,
        panel: Panel,
        arms: Sequence[ArmScores],
        *,
        cross_validated: bool,
        inner: InnerByArm | None = None,
    ) -> tuple[MetricSet, list[str]]:
        """Return the metrics of this kind of outcome, and notes on how they are computed."""
        return binary_metrics(panel, favourable=self.favourable, inner=inner), []


_KINDS: dict[str, type[EvaluatedOutcome]] = {
    k.kind: k for k in (SurvivalOutcome, LandmarkOutcome, BinaryOutcome)
}


def described_outcome(spec: Mapping[str, Any], predictions: Predictions) -> EvaluatedOutcome:
    """Make the outcome that a manifest describes.

    Parameters
    ----------
    spec : mapping
        `kind` (by default from the columns of the predictions), `name`, `unit`, `horizons`,
        `favourable`, `positive`, `strata`; all optional.
    predictions : Predictions
        For competing events and delayed entry.

    Raises
    ------
    PredictionsError
        An event by a horizon, yes or no, with delayed entry.
    """
    kind, horizons = str(spec.get("kind") or predictions.kind), spec.get("horizons") or ()
    chosen = _KINDS.get(kind, SurvivalOutcome)
    if chosen is LandmarkOutcome and not horizons:
        chosen = SurvivalOutcome
    event = predictions.table.get("event")
    late = predictions.kind == "survival" and "entry" in predictions.table
    if late and chosen is LandmarkOutcome:
        raise PredictionsError(
            "the event by a horizon, yes or no, cannot be evaluated with a column entry, "
            "because patients who had the event before entry are not observed. To do: evaluate "
            "the time to the event"
        )
    return chosen(
        name=str(spec.get("name") or spec.get("label") or spec.get("event") or "the outcome"),
        unit=str(spec.get("unit") or ""),
        horizons=tuple(float(h) for h in horizons),
        favourable=bool(spec.get("favourable")),
        positive=str(spec.get("positive") or "positive"),
        strata=str(spec.get("strata") or ""),
        competing=event is not None and bool((event.astype(float) == 2).any()),
        late=late,
    )


def table_outcome(
    predictions: Predictions,
    *,
    unit: str = "days",
    horizons: Sequence[float] = (),
    landmark: float | None = None,
    favourable: bool = False,
) -> EvaluatedOutcome:
    """Make the outcome of a table of predictions from its columns and the request."""
    kind = "landmark" if landmark is not None and predictions.kind != "binary" else None
    spec = {"kind": kind, "unit": unit, "horizons": horizons, "favourable": favourable}
    if landmark is not None:
        spec["horizons"] = [landmark]
    return described_outcome(spec, predictions)
