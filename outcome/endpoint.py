"""What is predicted: the time to an event, an event by a horizon, or a yes/no outcome.

The classes of the endpoints contain all differences between the kinds that need neither torch nor a
fitted model: how outcomes are read from a table, named and counted. Other differences have one
registry by class each: `outcome.models.heads.HEADS` (losses) and
`outcome.crossval.absolute_risk.COLUMNS` (predicted probabilities).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from outcome.errors import Problems
from outcome.outcomes import Outcomes
from outcome.statistics.censoring import censoring_curve, landmark_weights
from outcome.statistics.ties import tie_times
from outcome.tables.codes import canonical_code
from outcome.tables.column_names import (
    event_contradiction,
    follow_up_columns,
    label_contradiction,
)
from outcome.tables.dates import DAYS_PER
from outcome.tables.follow_up import FollowUp, Time
from outcome.tables.ids import is_formula
from outcome.tables.missing import is_blank, is_missing

__all__ = [
    "LONGEST_FOLLOW_UP",
    "Binary",
    "Endpoint",
    "Landmark",
    "TimeToEvent",
    "canonical_code",
    "declared_endpoint",
    "describe",
    "is_blank",
    "is_formula",
    "same_question",
]

Unit = Literal["days", "months", "years"]
LONGEST_FOLLOW_UP = {"days": 50_000.0, "months": 1_600.0, "years": 130.0}
"""A generous human lifetime: longer times must be in another unit than declared."""
YEAR = {"days": 365.0, "months": 12.0, "years": 1.0}
"""A year in each unit, for reports."""
FEWEST_AT_RISK = 10
"""Minimum number of patients still followed at a proposed horizon."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    """Name in the report; by default made from the column."""

    limiting: ClassVar[str]
    """Description of the count `rarer`."""
    main_metric: ClassVar[str]
    """Key of the primary metric of discrimination."""
    scale: ClassVar[str]
    """Scale of a linear predictor, in words."""
    calibration: ClassVar[str]
    """What calibration estimates in addition to the slope, in words."""
    has_threshold: ClassVar[bool] = False
    """Whether predictions are also classified with a threshold of the risk."""
    any_horizon: ClassVar[bool] = False
    """Whether absolute risk can be predicted at any horizon within the follow-up."""

    @property
    def outcome_columns(self) -> tuple[str, ...]:
        """Columns that `decode` returns; the last one is the event or the label."""
        return ()

    def default_horizons(self, patients: pd.DataFrame) -> tuple[float, ...]:
        """Return the default horizons at which a trained model gives absolute risk."""
        return ()

    def longest_follow_up(self, patients: pd.DataFrame) -> float | None:
        """Return the longest follow-up, in `unit`; None without times."""
        return None

    def in_unit_of(self, other: Endpoint, patients: pd.DataFrame) -> pd.DataFrame:
        """Return outcomes of this endpoint with follow-up in the unit of another one."""
        return patients

    def fit_settings(self) -> dict[str, Any]:
        """Return the settings that a fit depends on, in addition to the columns of the outcome."""
        return {}

    @property
    def time_column(self) -> str | None:
        """The column of follow-up times in the patient table; None without times."""
        return None

    @property
    def computed_times(self) -> tuple[FollowUp, ...]:
        """How times are computed from other columns, if they are."""
        return ()

    @property
    def time_inputs(self) -> tuple[str, ...]:
        """Columns of the cohort table that hold follow-up times as numbers."""
        return ()

    @property
    def placeholder(self) -> str:
        """A cell used for the outcome if its column is absent."""
        return ""

    def name_contradiction(self, table: pd.DataFrame) -> str | None:
        """Return why the name of the outcome's column suggests another declaration.

        Parameters
        ----------
        table : DataFrame
            The cohort table, all columns as text.
        """
        return None


class _Timed(_Spec):
    """A time and an indicator for the end of follow-up."""

    limiting: ClassVar[str] = "events"
    favourable: ClassVar[bool] = False

    time: Time
    """Column of follow-up times, in `unit`. Or `{from: diagnosis_date, to: [death_date,
    last_followup_date]}`: from one date to the first of the others that is filled in."""
    event: str | None = None
    """Column that says whether the event was seen (1) or not (0)."""
    censored: str | None = None
    """Instead of `event`: the inverse coding, 1 = censored."""
    event_codes: dict[str, Literal[0, 1, 2]] | None = None
    """Meaning of every code of the column: 1 (event, or censored for `censored`), 0, or 2 (a
    competing event, such as death before relapse). Never guessed."""
    unit: Unit = "days"
    """Unit of `time`, `entry` and of every horizon."""
    entry: Time | None = None
    """Column of the time, in `unit` and from the same origin, at which a patient came under
    observation, where that is later than the origin (delayed entry, left truncation). Patients are
    at risk only after it. Or `{from: diagnosis_date, to: enrolment_date}`."""

    @field_validator("event_codes", mode="before")
    @classmethod
    def _codes_are_text(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        codes = {canonical_code(k): v for k, v in value.items()}
        if unknown := [k for k, v in codes.items() if v not in (0, 1, 2)]:
            raise ValueError(f"code {unknown[0]!r} must mean 0, 1 or 2, not {value!r}"[:300])
        if len(codes) < len(value) or not {0, 1} <= set(codes.values()):
            raise ValueError("give each code once, and at least one code for 0 and one for 1")
        return codes

    @model_validator(mode="after")
    def _one_indicator(self) -> Self:
        if (self.event is None) == (self.censored is None):
            raise ValueError("give one of `event` (1 = event) and `censored` (1 = censored)")
        if self.censored is not None and 2 in (self.event_codes or {}).values():
            raise ValueError("a competing event (2) needs `event`, not `censored`")
        return self

    @property
    def label(self) -> str:
        """Name for people."""
        return self.name or self.indicator

    @property
    def indicator(self) -> str:
        """The column that contains the event."""
        return self.event or self.censored or ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the cohort table must have."""
        times = [t for t in (self.time, self.entry) if t is not None]
        named = [c for t in times for c in ((t,) if isinstance(t, str) else t.columns)]
        return (*dict.fromkeys(named), self.indicator)

    @property
    def outcome_columns(self) -> tuple[str, ...]:
        """Columns that `decode` returns."""
        return ("time", "event") if self.entry is None else ("entry", "time", "event")

    @property
    def time_column(self) -> str | None:
        """The column of follow-up times in the patient table."""
        return str(self.time)

    @property
    def computed_times(self) -> tuple[FollowUp, ...]:
        """How follow-up and entry are computed from dates or from several columns."""
        return tuple(t for t in (self.time, self.entry) if isinstance(t, FollowUp))

    @property
    def time_inputs(self) -> tuple[str, ...]:
        """Columns of the cohort table that hold times as numbers; dates are not."""
        found: list[str] = []
        for t in (self.time, self.entry):
            if isinstance(t, str):
                found.append(t)
            elif t is not None and t.origin is None:
                found += t.to
        return tuple(found)

    @property
    def declared_codes(self) -> tuple[str, tuple[str, ...]]:
        """The column of the event, and its declared codes."""
        return self.indicator, tuple(self.event_codes or ())

    def name_contradiction(self, table: pd.DataFrame) -> str | None:
        """Return why the name of the event column suggests the inverse coding."""
        return event_contradiction(
            self.indicator, censored=self.censored is not None, codes=self.event_codes
        )

    def observed(self, patients: pd.DataFrame) -> Outcomes:
        """Return follow-up and its end, without regard to the horizon.

        Parameters
        ----------
        patients : DataFrame
            Columns `time`, `event` and, if declared, `strata` and `entry`.
        """
        code = patients["event"].to_numpy(dtype=np.int64)
        if "entry" not in patients:
            return Outcomes(code == 1, self.follow_up(patients), code, _strata(patients))
        both = np.concatenate([patients["time"], patients["entry"]])
        time, entry = np.split(tie_times(both, self.default_horizons(patients)), 2)
        return Outcomes(code == 1, time, code, _strata(patients), entry=entry)

    def follow_up(self, patients: pd.DataFrame) -> NDArray[np.float64]:
        """Return follow-up for comparisons, shape (n,), with differences by rounding removed.

        Times of two patients, or of a patient and a horizon, can then be compared. The column
        itself is unchanged.
        """
        return tie_times(patients["time"], self.default_horizons(patients))

    def longest_follow_up(self, patients: pd.DataFrame) -> float | None:
        """Return the longest follow-up, in `unit`."""
        return float(patients["time"].max())

    def in_unit_of(self, other: Endpoint, patients: pd.DataFrame) -> pd.DataFrame:
        """Return outcomes of this endpoint with follow-up in the unit of another one."""
        if other.unit == self.unit:
            return patients
        factor = DAYS_PER[self.unit] / DAYS_PER[other.unit]
        times = [c for c in ("time", "entry") if c in patients]
        return patients.assign(**{c: patients[c] * factor for c in times})

    def _details(self, horizons: Sequence[float]) -> dict[str, Any]:
        entry = {} if self.entry is None else {"entry": str(self.entry)}
        return entry | {
            "time": str(self.time),
            "event": self.indicator,
            "unit": self.unit,
            "horizons": list(horizons),
            "competing": 2 in (self.event_codes or {}).values(),
        }

    def decode(self, table: pd.DataFrame, ids: Sequence[str], problems: Problems) -> pd.DataFrame:
        """Turn text columns into `time` (float) and `event` (0/1), missing outcomes into NaN.

        An outcome is missing if one of its parts is missing and the other parts are valid. With
        delayed entry, the column `entry` comes first.

        Parameters
        ----------
        table : DataFrame
            Text columns, one row per patient.
        ids : sequence of str
            Patients in the order of the rows, with their position, for messages.
        problems : Problems
            Receives invalid values: text, zero or negative times, undeclared codes, entry that is
            not before the end of follow-up.
        """
        column = str(self.time)  # follow-up from dates is already a column of the cohort here
        codes = self.event_codes or {"0": 0, "1": 1}
        time_text, code_text = table[column], table[self.indicator]
        no_time = is_missing(time_text).to_numpy()
        no_code = is_missing(code_text, codes).to_numpy()
        time = pd.to_numeric(time_text.where(~no_time), errors="coerce").to_numpy(dtype=float)
        tell = partial(_tell, table=table, ids=ids, problems=problems)
        text = ~no_time & ~np.isfinite(time)
        named = self.time
        tell(text, named, f"is not a number of {self.unit}", "write follow-up times as numbers")
        low = np.isfinite(time) & (time <= 0)
        tell(
            low,
            named,
            "is zero or negative",
            "correct it, or drop these patients with `on_missing: {invalid_time: drop}`",
        )
        long = np.isfinite(time) & (time > LONGEST_FOLLOW_UP[self.unit])
        tell(
            long,
            named,
            f"is longer than a human life, in {self.unit}",
            "correct `unit` under `endpoint`, or the times",
        )
        value = code_text.map(canonical_code).map(codes).to_numpy(dtype=float)
        undeclared = ~no_code & np.isnan(value)
        tell(
            undeclared,
            self.indicator,
            f"contains a code that is not declared (declared: {', '.join(codes)})",
            "declare every code: `event_codes: {Alive: 0, Dead: 1}` under `endpoint`",
        )
        if self.censored is not None:
            value = 1.0 - value
        bad = no_time | no_code | text | low | long | undeclared
        parts = {"time": time, "event": value}
        if self.entry is not None:
            entry = self._decoded_entry(table, np.where(low | long, np.nan, time), tell)
            bad |= np.isnan(entry)
            parts = {"entry": entry, **parts}
        found = {name: np.where(bad, np.nan, part) for name, part in parts.items()}
        return pd.DataFrame(found, index=table.index)

    def _decoded_entry(
        self,
        table: pd.DataFrame,
        time: NDArray[np.float64],
        tell: Callable[[NDArray[np.bool_], Time, str, str], None],
    ) -> NDArray[np.float64]:
        """Return the start of observation; NaN if it is missing or invalid."""
        assert self.entry is not None
        named, column = self.entry, str(self.entry)
        missing = is_missing(table[column]).to_numpy()
        entry = pd.to_numeric(table[column].where(~missing), errors="coerce").to_numpy(dtype=float)
        text = ~missing & ~np.isfinite(entry)
        tell(text, named, f"is not a number of {self.unit}", "write entry times as numbers")
        low = np.isfinite(entry) & (entry < 0)
        tell(
            low,
            named,
            "is negative",
            "entry times count from the origin of the follow-up and must be 0 or later",
        )
        ended, begun = np.split(tie_times(np.concatenate([time, entry])), 2)
        late = np.isfinite(ended) & np.isfinite(begun) & (begun >= ended)
        tell(
            late,
            named,
            f"is not before the end of follow-up ({str(self.time)!r})",
            "correct it, or remove these patients: they were never under observation",
        )
        return np.where(missing | text | low | late, np.nan, entry)


class TimeToEvent(_Timed):
    """Time to an event, right-censored; a network predicts a log hazard.

    `strata` names a column whose groups have their own baseline hazard and risk sets. With
    competing events (code 2) training is cause-specific: they are treated as censoring.
    """

    main_metric: ClassVar[str] = "harrell_c"
    scale: ClassVar[str] = "log hazard"
    calibration: ClassVar[str] = "Breslow's baseline hazard"
    any_horizon: ClassVar[bool] = True

    kind: Literal["survival"]
    """A time to an event."""
    horizons: tuple[float, ...] = ()
    """Times, in `unit`, at which absolute risk is reported; increasing."""
    strata: str | None = None
    """Column of groups (e.g. cancer type) with their own baseline hazard."""

    @field_validator("horizons")
    @classmethod
    def _increasing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < h < math.inf for h in value) or list(value) != sorted(set(value)):
            raise ValueError("horizons must be positive, increasing and without duplicates")
        return value

    @property
    def question(self) -> str:
        """Description of the endpoint; it is the same in studies that are evaluated together."""
        return f"survival in {self.unit}"

    def positive_outcome(self, patients: pd.DataFrame) -> pd.Series:
        """1 if the event of interest was observed, else 0."""
        return (patients["event"] == 1).astype(float).where(patients["event"].notna())

    def rarer(self, patients: pd.DataFrame) -> int:
        """Count the events, which limit how much can be learned."""
        return int((patients["event"] == 1).sum())

    def outcomes(self, patients: pd.DataFrame, development: pd.DataFrame | None = None) -> Outcomes:
        """Return follow-up and events; the development patients are not used.

        Parameters
        ----------
        patients, development : DataFrame
            See `observed`.
        """
        return self.observed(patients)

    def details(self) -> dict[str, Any]:
        """Return the entries of the run manifest."""
        return self._details(self.horizons)

    def default_horizons(self, patients: pd.DataFrame) -> tuple[float, ...]:
        """Return the horizons, or 1, 3 and 5 years if 10 patients are still followed."""
        if self.horizons:
            return self.horizons
        asked = [n * YEAR[self.unit] for n in (1, 3, 5)]
        time = tie_times(patients["time"], asked)
        entry = patients["entry"].to_numpy() if "entry" in patients else np.zeros(len(time))
        return tuple(h for h in asked if int(((time > h) & (entry <= h)).sum()) >= FEWEST_AT_RISK)


class Landmark(_Timed):
    """The event by a fixed horizon from the origin, yes or no; a network predicts a logit.

    This is not a landmark analysis, which restarts the clock for patients still event-free.
    Patients censored before the horizon have an unknown outcome. The other patients represent them,
    weighted by the inverse probability of not being censored. A competing event (code 2) before the
    horizon is a known "no".
    """

    main_metric: ClassVar[str] = "auroc"
    scale: ClassVar[str] = "logit"
    calibration: ClassVar[str] = "an intercept, logistic"

    kind: Literal["landmark"]
    """An event by a fixed horizon."""
    horizon: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """In `unit`."""
    strata: None = None
    entry: None = None

    @field_validator("entry", mode="before")
    @classmethod
    def _no_entry(cls, value: Any) -> None:
        if value is not None:
            raise ValueError(
                "delayed entry needs `kind: survival`. Patients who had the event before entry "
                "are not in the cohort, so the proportion with the event by a horizon cannot be "
                "estimated from the patients in the cohort"
            )

    @property
    def horizons(self) -> tuple[float, ...]:
        """The horizon."""
        return (self.horizon,)

    @property
    def question(self) -> str:
        """Description of the endpoint; it is the same in studies that are evaluated together."""
        return f"event by {self.horizon:g} {self.unit}"

    def positive_outcome(self, patients: pd.DataFrame) -> pd.Series:
        """1 if the event was observed by the horizon, else 0, whether known or not."""
        found = (patients["event"] == 1) & (self.follow_up(patients) <= self.horizon)
        return found.astype(float).where(patients["event"].notna())

    def rarer(self, patients: pd.DataFrame) -> int:
        """Patients in the rarer of the two groups whose outcome is known."""
        positive = self.positive_outcome(patients) == 1
        known = positive | (self.follow_up(patients) >= self.horizon) | (patients["event"] == 2)
        return int(min(positive.sum(), (known & ~positive).sum()))

    def outcomes(self, patients: pd.DataFrame, development: pd.DataFrame) -> Outcomes:
        """Return events by the horizon, and the weight of each patient.

        Parameters
        ----------
        patients : DataFrame
            See `observed`.
        development : DataFrame
            Patients on whom the probability of not being censored is estimated.
        """
        seen = self.observed(patients)
        # Times of the patients are looked up in the times of the development patients.
        together = pd.concat([patients[["time"]], development[["time"]]])
        own, theirs = np.split(self.follow_up(together), [len(patients)])
        # A competing event is not censoring.
        curve = censoring_curve(theirs, development["event"] > 0)
        by_then, weight = landmark_weights(own, seen.code, self.horizon, curve)
        return Outcomes(by_then, None, seen.code, seen.strata, weight)

    def details(self) -> dict[str, Any]:
        """Return the entries of the run manifest."""
        return self._details(self.horizons)

    def default_horizons(self, patients: pd.DataFrame) -> tuple[float, ...]:
        """Return the horizon."""
        return self.horizons

    def fit_settings(self) -> dict[str, Any]:
        """Return the horizon."""
        return {"horizon": self.horizon}


def _strata(patients: pd.DataFrame) -> np.ndarray:
    if "strata" in patients:
        return patients["strata"].to_numpy(dtype=str)
    return np.full(len(patients), "")


def _tell(
    bad: np.ndarray,
    column: Time,
    what: str,
    remedy: str,
    *,
    table: pd.DataFrame,
    ids: Sequence[str],
    problems: Problems,
) -> None:
    if bad.any():
        values = table[str(column)].to_numpy()
        rows = np.flatnonzero(bad).tolist()
        if isinstance(column, FollowUp) and column.origin is not None:  # computed numbers
            seen = [f"{ids[i]} ({_rounded(float(values[i]))})" for i in rows]
        else:
            seen = [f"{ids[i]} ({values[i]!r})" for i in rows]
        named = column.described if isinstance(column, FollowUp) else f"column {column!r}"
        problems.add(f"{named} {what}", seen, remedy)


def _rounded(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


class Binary(_Spec):
    """A yes/no outcome; a network predicts a logit."""

    limiting: ClassVar[str] = "patients of the rarer class"
    main_metric: ClassVar[str] = "auroc"
    scale: ClassVar[str] = "logit"
    calibration: ClassVar[str] = "an intercept, logistic"
    has_threshold: ClassVar[bool] = True
    horizons: ClassVar[tuple[float, ...]] = ()
    unit: ClassVar[str] = ""
    entry: ClassVar[None] = None

    kind: Literal["binary"]
    """A yes/no outcome."""
    label_column: Annotated[str, Field(alias="label")]
    """Column of labels."""
    positive: tuple[str, ...]
    """Code, or codes, of the positive class; of a relapse, or of a response."""
    negative: tuple[str, ...] = ()
    """Codes of the negative class; may be left out where the column holds one other code."""
    favourable: bool = False
    """True where the positive class is the better outcome (a response)."""

    @field_validator("positive", "negative", mode="before")
    @classmethod
    def _as_codes(cls, value: Any) -> Any:
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(canonical_code(v) for v in values)

    @model_validator(mode="after")
    def _apart(self) -> Binary:
        if "?" in self.positive:
            raise ValueError("replace '?' by the code that is `positive`")
        if both := sorted(set(self.positive) & set(self.negative)):
            raise ValueError(f"codes are both positive and negative: {', '.join(both)}")
        return self

    @property
    def label(self) -> str:
        """Name for people."""
        return self.name or self.label_column

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the cohort table must have."""
        return (self.label_column,)

    @property
    def declared_codes(self) -> tuple[str, tuple[str, ...]]:
        """The column of labels, and its codes that are declared."""
        return self.label_column, (*self.positive, *self.negative)

    @property
    def placeholder(self) -> str:
        """A cell used for the label if its column is absent."""
        return self.positive[0]

    def name_contradiction(self, table: pd.DataFrame) -> str | None:
        """Return why a label looks like the event of a follow-up time in the same table."""
        return label_contradiction(self.label_column, follow_up_columns(table))

    strata: None = None

    @property
    def question(self) -> str:
        """Description of the endpoint; it is the same in studies that are evaluated together."""
        return "favourable label" if self.favourable else "label"

    @property
    def outcome_columns(self) -> tuple[str, ...]:
        """Columns that `decode` returns."""
        return ("label",)

    def positive_outcome(self, patients: pd.DataFrame) -> pd.Series:
        """1 if the label is positive, else 0."""
        return patients["label"]

    def rarer(self, patients: pd.DataFrame) -> int:
        """Count the patients of the rarer class, which limit how much can be learned."""
        positive = int(patients["label"].sum())
        return min(positive, len(patients) - positive)

    def observed(self, patients: pd.DataFrame) -> Outcomes:
        """Return the labels.

        Parameters
        ----------
        patients : DataFrame
            Column `label`: 1 for the positive class.
        """
        positive = patients["label"].to_numpy() == 1
        return Outcomes(positive, strata=_strata(patients), favourable=self.favourable)

    def outcomes(self, patients: pd.DataFrame, development: pd.DataFrame | None = None) -> Outcomes:
        """Return the labels; the development patients are not used."""
        return self.observed(patients)

    def details(self) -> dict[str, Any]:
        """Return the entries of the run manifest."""
        return {
            "label": self.label_column,
            "positive": ", ".join(self.positive),
            "favourable": self.favourable,
        }

    def decode(self, table: pd.DataFrame, ids: Sequence[str], problems: Problems) -> pd.DataFrame:
        """Turn the text column into `label` (1 = positive), missing outcomes into NaN."""
        text = table[self.label_column]
        blank = is_missing(text, {*self.positive, *self.negative})
        codes = text.map(canonical_code)
        others = sorted(set(codes[~blank]) - set(self.positive))
        negative = self.negative or tuple(others)
        if not set(self.positive) & set(codes[~blank]):
            problems.add(
                f"column {self.label_column!r} does not contain the positive code",
                [str(p) for p in self.positive],
                f"it contains {', '.join(others[:5])}; correct `positive` under `endpoint`",
            )
        if not self.negative and len(others) > 1:
            problems.add(
                f"column {self.label_column!r} contains several codes other than the positive one",
                others,
                "declare which are negative: `negative: [...]` under `endpoint`",
            )
        known = dict.fromkeys(negative, 0.0) | dict.fromkeys(self.positive, 1.0)
        undeclared = ~blank & ~codes.isin(list(known))
        if undeclared.any():
            rows = undeclared.to_numpy()
            seen = [f"{ids[i]} ({text.iloc[i]!r})" for i in np.flatnonzero(rows).tolist()]
            problems.add(
                f"column {self.label_column!r} contains a code that is not declared",
                seen,
                "add it to `positive` or `negative` under `endpoint`, or leave the field empty",
            )
        value = codes.map(known).where(~blank).to_numpy(dtype=float)
        return pd.DataFrame({"label": value}, index=table.index)


Endpoint = Annotated[TimeToEvent | Binary | Landmark, Field(discriminator="kind")]


def declared_endpoint(kind: str | None, about: Mapping[str, Any]) -> Endpoint:
    """Return the endpoint of a table of predictions, with the columns of such tables.

    Parameters
    ----------
    kind : {"survival", "landmark", "binary"}
    about : mapping
        Known properties: `name`; for a label `favourable`; for times `unit`, `horizons` and
        `strata`. Other keys are ignored.

    Raises
    ------
    ValueError
        A property is missing or contradictory (pydantic's `ValidationError` is a ValueError).
    """
    name = str(about.get("name") or "")
    if kind == "binary":
        label: dict[str, Any] = {"kind": kind, "label": "label", "positive": "1", "name": name}
        return Binary.model_validate({**label, "favourable": bool(about.get("favourable"))})
    horizons, unit = about.get("horizons") or [], about.get("unit")
    timed = {"kind": kind, "name": name, "time": "time", "event": "event", "unit": unit}
    if kind == "landmark":
        return Landmark.model_validate({**timed, "horizon": next(iter(horizons), None)})
    more = {"horizons": horizons, "strata": about.get("strata")}
    return TimeToEvent.model_validate({**timed, **more})


def same_question(ours: Endpoint, theirs: Endpoint) -> bool:
    """Whether a model of one endpoint can be evaluated on outcomes of the other."""
    return (ours.kind, ours.strata is None, ours.favourable) == (
        theirs.kind,
        theirs.strata is None,
        theirs.favourable,
    )


def describe(endpoint: Endpoint) -> dict[str, Any]:
    """Return the endpoint as stored in the run manifest."""
    about = {"kind": endpoint.kind, "name": endpoint.label, "strata": endpoint.strata}
    return about | endpoint.details()
