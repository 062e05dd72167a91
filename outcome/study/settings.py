"""What a study trains, on which division of the patients, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["Arm", "OnMissing", "RiskGroups", "Section", "Split", "SplitLayout", "Training"]

Input = Literal["image", "report", "clinical"]
Fusion = Literal["ensemble", "early", "gated", "cross", "late", "stacked"]
AGGREGATORS = ("attention", "mean", "transformer", "prototypes", "abmil", "linear")
Positive = Annotated[int, Field(ge=1, le=100_000)]
Rate = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the study file: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Arm(Section):
    """The inputs that one model sees."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """What tables and figures call it."""
    inputs: tuple[Input, ...]
    """Any of `image`, `report` and `clinical`, each once."""
    aggregator: str = "attention"
    """`attention` (gated, `options: {heads: 4}` for several), `mean`, `transformer` (of linear
    cost), `prototypes` (k-means soft counts), `abmil` (gated attention over 512 units, for many
    patients and `training.components: 0`), `linear` (a ridge Cox or logistic model on the mean
    vectors, as reviewers ask for, with a penalty per input), `package.module:Class`, or several
    joined by `+`, whose calibrated scores are averaged. Clinical data alone always have a linear
    model."""
    fusion: Fusion = "ensemble"
    """Of several inputs. `early`: one model sees all of them; `gated`: the same, the weight of an
    input depending on the patient; `cross`: the same as `early`, the attention over patches
    depending on the report; `late`: a model per input, their calibrated scores averaged;
    `stacked`: averaged with weights (not below 0) learned on development patients, without the
    inputs that do not lower the loss there; `ensemble`: as `stacked`, the models being one per
    input and one that sees all inputs. A `linear` arm has one model with a penalty per input
    unless it is `late` or `stacked`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the aggregator, e.g. `{heads: 4}`."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value, "inputs": [part.strip() for part in value.split("+")]}
        return value

    @field_validator("aggregator")
    @classmethod
    def _known(cls, value: str) -> str:
        parts = [part.strip() for part in value.split("+")]
        wrong = [p for p in parts if p not in AGGREGATORS and ":" not in p]
        if wrong or len(set(parts)) < len(parts):
            raise ValueError(
                f"use {', '.join(AGGREGATORS)} or package.module:Class; join several with +, "
                "each once"
            )
        return "+".join(parts)

    @field_validator("inputs")
    @classmethod
    def _once(cls, value: tuple[Input, ...]) -> tuple[Input, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("name each input once, and at least one")
        return tuple(sorted(value))

    @model_validator(mode="after")
    def _something_to_look_across(self) -> Arm:
        others = set(self.aggregator.split("+")) - {"attention", "linear"}
        if self.fusion == "cross" and (others or not {"image", "report"} <= set(self.inputs)):
            raise ValueError("`fusion: cross` needs image, report and `aggregator: attention`")
        return self


SplitLayout = Literal["auto", "outcome", "table", "patho-bench", "panther", "mcat", "clam"]


class Split(Section):
    """How patients are divided into folds; always by patient, never by slide."""

    folds: Annotated[int, Field(ge=2)] = 5
    """Outer folds: each in turn is the test set."""
    repeats: Positive = 1
    """Number of random divisions of the patients."""
    inner_folds: Annotated[int, Field(ge=2)] = 5
    """Folds inside development, for epochs, calibration and cut-offs; fewer if events are few."""
    stratify: bool = True
    """Spread events (or positive labels) evenly over folds."""
    site: str | None = None
    """Column of the hospital that a patient comes from."""
    site_preserved: bool = False
    """Keep all patients of one site in one fold."""
    column: tuple[str, ...] = ()
    """Use the folds in this column of the cohort table; several columns are repeats."""
    files: Path | None = None
    """Use the folds in these files: a folder, or one file."""
    layout: SplitLayout = "auto"
    """Tool that wrote `files`; detected unless declared."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the random division."""

    @property
    def given(self) -> bool:
        """Whether the folds are given, and not drawn."""
        return bool(self.column) or self.files is not None

    @field_validator("column", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Split:
        if self.site_preserved and self.site is None:
            raise ValueError("`site_preserved` needs `site`, the column that names the site")
        if self.column and self.files is not None:
            raise ValueError("give either `column` or `files`, not both")
        if self.given and self.site_preserved:
            raise ValueError("give either `column` or `files` or `site_preserved`, not two of them")
        defaults = Split.model_fields
        drawn = ("folds", "repeats", "stratify")
        if self.given and any(getattr(self, k) != defaults[k].default for k in drawn):
            raise ValueError(
                "`column` and `files` define the folds; omit folds, repeats and stratify"
            )
        return self


class Report(Section):
    """What the report shows."""

    time_unit: Literal["auto", "days", "weeks", "months", "years"] = "auto"
    """Unit of the time axes; `auto` chooses one by the length of follow-up."""
    attention: Annotated[int, Field(ge=0, le=100)] = 4
    """Patients whose attention maps are drawn, half of high and half of low risk; 0 for none."""


class OnMissing(Section):
    """What to do with patients with missing data. Dropped patients are counted."""

    slide: Literal["error", "drop"] = "error"
    """A patient without a slide, or a slide without a feature file."""
    report: Literal["keep", "drop"] = "keep"
    """A patient without a report; with `keep` a learned vector replaces it."""
    endpoint: Literal["drop", "error"] = "drop"
    """A patient without an outcome."""
    invalid_time: Literal["error", "drop"] = "error"
    """A patient whose follow-up time is zero or negative."""
    covariate: Literal["impute", "drop", "error"] = "impute"
    """A missing covariate. `impute` uses development patients: the median of a number, and a
    separate level of a category."""


class Training(Section):
    """Settings of the training. The defaults were chosen by measurement (see the benchmarks)."""

    epochs: Positive = 40
    """Maximal number of epochs; the inner folds choose how many are used."""
    batch_size: Annotated[int, Field(ge=2)] | Literal["all"] = 64
    """Approximate number of patients per step, that is the risk set of the Cox loss, with at least
    three steps per epoch. `all`: one step per epoch on the risk set of all development patients."""
    learning_rate: Annotated[Rate, Field(gt=0, le=10)] = 5e-3
    """Learning rate of AdamW."""
    weight_decay: Annotated[Rate, Field(ge=0, le=1000)] = 0.01
    """Weight decay of AdamW."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of the pooled components during training."""
    components: Annotated[int, Field(ge=0, le=100_000)] = 64
    """Number of principal components of the patch (and chunk) vectors, fitted on development
    patients; 0 for the original vectors."""
    attention_width: Annotated[int, Field(ge=1, le=4096)] = 16
    """Units of each attention branch."""
    hidden_inputs: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of patients whose input is hidden in a step (modality dropout), for arms with several
    inputs in one network."""
    search: Annotated[int, Field(ge=0, le=100)] = 0
    """Number of further settings to try, drawn at random, for each network of an arm in each outer
    fold. The loss of the inner folds decides. Each takes as long as the study without a search."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products inside an aggregator; sums, the softmax, the read-out and the
    loss are always in float32 or better. `auto`: bfloat16 for the original vectors
    (`components: 0`) on devices that support it, and float32 for principal components."""
    patches_per_epoch: Annotated[int | None, Field(ge=1)] = None
    """Maximal number of patches per patient in an epoch of training, drawn anew in each epoch.
    Evaluation always uses all patches. Default: all."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Processor threads of one fit. Results do not depend on the number of jobs."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the networks: initial weights and the order of patients."""


Share = Annotated[float, Field(gt=0, lt=1)]
RiskGroups = Literal["median", "tertiles", "maxstat"] | tuple[Share, ...]
