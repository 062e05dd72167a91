"""The study file: what to run. Read with `Study.read`, validated, unknown keys refused."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from outcome.endpoint import Binary, Endpoint, Landmark, TimeToEvent, is_formula
from outcome.errors import Problems, StudyError
from outcome.yamlfile import dump_yaml, load_yaml, read_yaml

__all__ = [
    "Arm",
    "ArrayNames",
    "Columns",
    "Covariates",
    "Embeddings",
    "Layout",
    "OnMissing",
    "ReportColumns",
    "ReportTexts",
    "Split",
    "Study",
    "Training",
]

Input = Literal["image", "report", "clinical"]
Fusion = Literal["late", "stacked", "early", "gated", "cross"]
AGGREGATORS = ("attention", "mean", "transformer", "prototypes", "abmil", "linear")
Positive = Annotated[int, Field(ge=1, le=100_000)]
Rate = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Section):
    """Names of the id columns in the cohort table."""

    patient: str = "patient_id"
    """Column of patient ids; ids are text."""
    slide: str | None = None
    """By default `slide_id`; where the table has no such column, files are named by patient."""


class ArrayNames(_Section):
    """What the arrays inside feature files are called, where no known tool wrote them."""

    features: str
    """Array of vectors, (n, d)."""
    coords: str | None = None
    """Array of positions, (n, 2)."""


Layout = (
    Literal["auto", "trident", "clam", "panther", "stamp", "slideflow", "tensor", "numpy"]
    | ArrayNames
)


class ReportColumns(_Section):
    """Columns of a table of report texts."""

    patient: str | None = None
    """By default that of the cohort table."""
    text: str = "text"
    """Column of the text."""
    date: str | None = None
    """Of the report (2014-03-31): the checks then tell of later dates in its text."""


class ReportTexts(_Section):
    """Report texts, turned into vectors on first use."""

    texts: Path
    """A csv or tsv table, one text a row; or a folder of files `<patient id>.txt`."""
    encoder: str = "tfidf-svd"
    """`tfidf-svd` (learned from each fold's development patients), `musk`,
    `sentence-transformers:<name or path>` or `package.module:Class`."""
    columns: ReportColumns = ReportColumns()
    """Names of the columns of that table."""
    redact: bool = False
    """Remove sentences that tell the outcome, and count them."""
    chunk_length: Annotated[int, Field(ge=8)] | None = None
    """Greatest length of a chunk, in tokens of the encoder (`tfidf-svd`: words); by default what
    the encoder takes: 98 for MUSK and `tfidf-svd`."""
    components: Annotated[int, Field(ge=2, le=2000)] = 64
    """Of `tfidf-svd`: length of a vector."""
    weights: str | None = None
    """Of `musk`: a file of weights; by default those of the hub."""
    tokenizer: Path | None = None
    """Of `musk`: its sentencepiece file; by default that of the installed package."""

    @field_validator("encoder")
    @classmethod
    def _known(cls, value: str) -> str:
        name, colon, rest = value.partition(":")
        if value not in ("tfidf-svd", "musk") and not (name and colon and rest):
            raise ValueError(
                "use tfidf-svd, musk, sentence-transformers:<name or path> or package.module:Class"
            )
        return value

    @property
    def learned(self) -> bool:
        """Whether the vectors depend on who is in the development set."""
        return self.encoder == "tfidf-svd"

    def moved(self, move: Callable[[Path], Path]) -> ReportTexts:
        """Return the same with every path in it replaced."""
        name, _, place = self.encoder.partition(":")
        encoder, weights = self.encoder, self.weights
        if name == "sentence-transformers" and (Path(place).is_dir() or move(Path(place)).is_dir()):
            encoder = f"{name}:{move(Path(place))}"
        if weights and ":" not in weights:  # a name at the hub has a colon
            weights = str(move(Path(weights)))
        return self.model_copy(
            update={
                "texts": move(self.texts),
                "encoder": encoder,
                "weights": weights,
                "tokenizer": move(self.tokenizer) if self.tokenizer else None,
            }
        )


FILE, TEXTS = "(a file)", "(texts)"


def _kind_of_reports(value: Any) -> str:
    return TEXTS if isinstance(value, (Mapping, ReportTexts)) else FILE


Reports = Annotated[
    Annotated[Path, Tag(FILE)] | Annotated[ReportTexts, Tag(TEXTS)],
    Discriminator(_kind_of_reports),
]


class Embeddings(_Section):
    """Where the vectors are."""

    patches: tuple[Path, ...] | None = None
    """Folder of patch embeddings, one file per slide; or a list of folders, e.g. of two
    resolutions, whose patches are put together by slide."""
    layout: Layout = "auto"
    """Which tool wrote the patches: detected, unless it is declared."""
    reports: Reports | None = None
    """HDF5 file of report embeddings, one dataset per patient: (d,) or (chunks, d). Or a table of
    texts: `{texts: reports.csv, encoder: tfidf-svd}`."""

    @field_validator("patches", mode="before")
    @classmethod
    def _as_folders(cls, value: Any) -> Any:
        return (value,) if isinstance(value, (str, Path)) else value or None


class Covariates(_Section):
    """Clinical columns of the cohort table."""

    numeric: tuple[str, ...] = ()
    """Columns of numbers; standardised."""
    categorical: tuple[str, ...] = ()
    """Columns of codes; each code becomes a 0/1 column."""


class Arm(_Section):
    """The inputs that one model sees."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """What tables and figures call it."""
    inputs: tuple[Input, ...]
    """Any of `image`, `report` and `clinical`, each once."""
    aggregator: str = "attention"
    """`attention` (gated, `options: {heads: 4}` for several), `mean`, `transformer` (of linear
    cost), `prototypes` (k-means soft counts), `abmil` (gated attention over 512 units, for many
    patients and `training.components: 0`), `linear` (a ridge Cox or logistic model on the mean
    vectors, as reviewers ask for), `package.module:Class`, or several joined by `+`, whose
    calibrated scores are averaged. Clinical data alone always have a linear model."""
    fusion: Fusion = "early"
    """Of several inputs. `early`: one model sees all of them; `gated`: the same, the weight of an
    input depending on the patient; `cross`: the same as `early`, the attention over patches
    depending on the report; `late`: a model per input, their calibrated scores averaged;
    `stacked`: averaged with weights (not below 0) learned on development patients."""
    options: dict[str, Any] = {}
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
                f"use {', '.join(AGGREGATORS)} or package.module:Class; several, each once, with +"
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


SplitLayout = Literal["auto", "outcome", "patho-bench", "panther", "mcat", "clam"]


class Split(_Section):
    """How patients are divided; always by patient, never by slide."""

    folds: Annotated[int, Field(ge=2)] = 5
    """Outer folds: each in turn is the test set."""
    repeats: Positive = 1
    """How often patients are divided anew."""
    inner_folds: Annotated[int, Field(ge=2)] = 5
    """Folds inside development, for epochs, calibration, cut-offs; fewer where events are few."""
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
    """Who wrote `files`: detected, unless it is declared."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the division."""

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
                "`column` and `files` give the folds: leave out folds, repeats and stratify"
            )
        return self


class OnMissing(_Section):
    """What happens to a patient who lacks something. Whatever is dropped is counted."""

    slide: Literal["error", "drop"] = "error"
    """A patient without a slide, or a slide without a feature file."""
    report: Literal["keep", "drop"] = "keep"
    """A patient without a report; `keep` lets a learned vector stand in."""
    endpoint: Literal["drop", "error"] = "drop"
    """A patient without an outcome."""
    covariate: Literal["impute", "drop", "error"] = "impute"
    """Imputed from development patients: the median of a number, a level of its own of a
    category."""


class Training(_Section):
    """Every knob of the training, with defaults chosen by measurement (see the benchmarks)."""

    epochs: Positive = 40
    """Most passes over the development patients; how many are used is chosen by the inner folds."""
    batch_size: Annotated[int, Field(ge=2)] | Literal["all"] = 64
    """Patients per step, about: the risk set of the Cox loss. At least three steps per epoch; or
    `all`: one step per epoch, at the risk set of the whole development set."""
    learning_rate: Annotated[Rate, Field(gt=0, le=10)] = 5e-3
    """Of AdamW."""
    weight_decay: Annotated[Rate, Field(ge=0, le=1000)] = 0.01
    """Of AdamW."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of pooled components, in training."""
    components: Annotated[int, Field(ge=0, le=100_000)] = 64
    """Principal components of the patch (and chunk) vectors that the network sees, fitted on
    development patients; 0 for the vectors as they are."""
    attention_width: Annotated[int, Field(ge=1, le=4096)] = 16
    """Units of each attention branch."""
    hidden_inputs: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of patients whose input is hidden in a step (modality dropout), for arms with several
    inputs in one network."""
    search: Annotated[int, Field(ge=0, le=100)] = 0
    """Settings that are tried besides these, drawn at random, for each network of an arm in each
    outer fold; the inner folds' loss decides. Each takes as long as the study without a search."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the products inside an aggregator; sums, the softmax, the read-out and the loss are always
    in float32 or better. `auto`: bfloat16 for vectors as they are (`components: 0`) where the
    device computes in it, and float32 for principal components, which are too narrow to gain."""
    patches_per_epoch: Annotated[int | None, Field(ge=1)] = None
    """Most patches of a patient that an epoch of training sees, drawn anew each time; evaluation
    always sees all. Default: all."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Processor threads of one fit; independent of the number of jobs, so results do not change."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the networks: initial weights and the order of patients."""


Share = Annotated[float, Field(gt=0, lt=1)]
RiskGroups = Literal["median", "tertiles", "maxstat"] | tuple[Share, ...]


class Study(_Section):
    """A study file, validated.

    Examples
    --------
    >>> study = Study.read("study.yaml")  # doctest: +SKIP
    >>> study.arms[0].inputs  # doctest: +SKIP
    ('image',)
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Names the run folder."""
    cohort: Path
    """Table of patients: one row per slide or per patient."""
    columns: Columns = Columns()
    """Names of the id columns."""
    endpoint: Endpoint
    """What is predicted; `kind` says which sort."""
    secondary: tuple[Endpoint, ...] = ()
    """Further endpoints on which the same risk is judged; nothing is trained on them."""
    embeddings: Embeddings
    """Where the vectors are."""
    covariates: Covariates = Covariates()
    """Clinical columns, for arms with `clinical`."""
    arms: tuple[Arm, ...] = (Arm(name="image", inputs=("image",)),)
    """What is compared: inputs joined by `+`, or a section with a name."""
    baseline: str = "image"
    """The arm that the others are compared with; declared before the run."""
    split: Split = Split()
    """How patients are divided."""
    risk_groups: RiskGroups = "median"
    """Cut-offs, from development patients: `median`, `tertiles`, a list of shares (e.g.
    `[0.25, 0.75]`), or `maxstat`, the maximally selected log-rank cut."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Further comparisons, an arm and what it is compared with."""
    on_missing: OnMissing = OnMissing()
    """What happens to a patient who lacks something."""
    training: Training = Training()
    """Knobs of the training."""

    @field_validator("name")
    @classmethod
    def _a_folder_name(cls, value: str) -> str:
        if not re.fullmatch(r"[\w][\w .+-]*", value):
            raise ValueError(
                "use letters, digits, space, dot, plus, minus and underscore: it names a folder"
            )
        return value

    @property
    def networks(self) -> bool:
        """Whether any arm trains a network."""
        return any(a.inputs != ("clinical",) and a.aggregator != "linear" for a in self.arms)

    @model_validator(mode="before")
    @classmethod
    def _default_baseline(cls, data: Any) -> Any:
        arms = data.get("arms") if isinstance(data, Mapping) else None
        if isinstance(arms, (list, tuple)) and arms and not data.get("baseline"):
            names = [a.get("name") if isinstance(a, Mapping) else a for a in arms]
            return {**data, "baseline": "image" if "image" in names else names[0]}
        return data

    @model_validator(mode="after")
    def _arms_have_inputs(self) -> Study:
        names = [arm.name for arm in self.arms]
        wrong: list[str] = []
        if len(set(names)) < len(names):
            wrong.append("two arms have the same name")
        if self.baseline not in names:
            wrong.append(f"the baseline {self.baseline!r} is not among the arms {names}")
        wanted = {i for arm in self.arms for i in arm.inputs}
        for need, key in (("image", "patches"), ("report", "reports")):
            if need in wanted and getattr(self.embeddings, key) is None:
                wrong.append(f"an arm uses {need!r}, but `embeddings.{key}` is not given")
        if "clinical" in wanted and not (self.covariates.numeric or self.covariates.categorical):
            wrong.append("an arm uses 'clinical', but `covariates` names no column")
        wrong += self._wrong_comparisons(names)
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong_comparisons(self, names: Sequence[str]) -> Iterator[str]:
        for pair in self.contrasts:
            if pair[0] == pair[1] or not set(pair) <= set(names):
                yield f"contrast {list(pair)} is not of two arms of {list(names)}"
        called = [e.name for e in self.secondary]
        if "" in called or len(set(called)) < len(called):
            yield "give every secondary endpoint a `name` of its own"
        if any(not re.fullmatch(r"\w+", name) for name in called if name):
            yield "names of secondary endpoints are letters, digits and underscores"
        if any(e.strata for e in self.secondary):
            yield "`strata` belong to the primary endpoint: leave them out of `secondary`"
        if unsafe := [n for n in names if is_formula(n)]:
            yield f"the arm {unsafe[0]!r} begins like a formula, which a spreadsheet would run"
        if self.risk_groups == "maxstat" and isinstance(self.endpoint, Binary):
            yield "`risk_groups: maxstat` needs follow-up times"
        shares = self.risk_groups if isinstance(self.risk_groups, tuple) else (0.5,)
        if list(shares) != sorted(set(shares)) or not shares:
            yield "shares of `risk_groups` must be increasing"

    @classmethod
    def read(cls, path: str | Path, overrides: Sequence[str] = ()) -> Study:
        """Read a study file; relative paths are taken from its folder.

        Parameters
        ----------
        path : path
            A YAML file.
        overrides : sequence of str
            `key=value` with dots for sections, e.g. `training.epochs=10`; values are YAML.

        Raises
        ------
        StudyError
            Everything that is wrong with the file, at once.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise StudyError(f"a study is read from the path of a file, not {type(path).__name__}")
        path = Path(path)
        try:
            data = read_yaml(path)
        except FileNotFoundError:
            raise StudyError(f"there is no study file {path}") from None
        except (OSError, UnicodeError) as error:
            raise StudyError(f"{path} cannot be read: {error}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise StudyError(f"{path} is not valid YAML: {error}") from None
        if not isinstance(data, dict):
            raise StudyError(f"{path} is not a study file: it should hold `name:`, `cohort:` ...")
        for override in overrides:
            _override(data, override)
        return cls.parse(data, folder=path.parent, where=str(path))

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, folder: Path, where: str = "study") -> Study:
        """Validate what a study file holds; `folder` is where its relative paths start."""
        if not isinstance(data, Mapping):
            raise StudyError(f"{where} is {type(data).__name__}, and a mapping of keys is needed")
        try:
            study = cls.model_validate(dict(data))
        except ValidationError as error:
            problems = Problems(where)
            problems.extend(_explain(error))
            raise StudyError(problems.message()) from None
        try:
            study.model_dump_json()
        except ValueError:
            raise StudyError(f"{where} holds characters that are no text") from None
        return _moved(study, lambda path: Path(folder) / path)

    def to_yaml(self, folder: str | Path | None = None) -> str:
        """Return the resolved study, every default written out.

        Parameters
        ----------
        folder : path, optional
            Where the file will stand: paths are written relative to it, so that it can be run
            from there. By default they are written as they are.
        """
        study = self
        if folder is not None:
            study = _moved(self, lambda path: Path(os.path.relpath(path, folder)))
        data = study.model_dump(mode="json", by_alias=True)
        return dump_yaml(data)


def _moved(study: Study, move: Callable[[Path], Path]) -> Study:
    """Return the study with every path in it replaced."""

    def value(found: Any) -> Any:
        if isinstance(found, Path):
            return move(found)
        if isinstance(found, ReportTexts):
            return found.moved(move)
        if isinstance(found, tuple) and any(isinstance(v, Path) for v in found):
            return tuple(value(v) for v in found)
        return found

    def section(found: BaseModel) -> dict[str, Any]:
        return {k: value(v) for k, v in found if value(v) != v}

    return study.model_copy(
        update={
            **section(study),
            "embeddings": study.embeddings.model_copy(update=section(study.embeddings)),
            "split": study.split.model_copy(update=section(study.split)),
        }
    )


def _override(data: dict[str, Any], text: str) -> None:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise StudyError(f"--set {text!r}: write key=value, e.g. --set training.epochs=10")
    *sections, last = key.strip().split(".")
    target = data
    for section in sections:
        nested = target.setdefault(section, {})
        if not isinstance(nested, dict):
            raise StudyError(f"--set {text!r}: {section!r} is not a section of the study file")
        target = nested
    try:
        target[last] = load_yaml(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise StudyError(f"--set {text!r}: the value is not valid YAML") from None


UNSAID = ("survival", "binary", "landmark", FILE, TEXTS)
"""Parts of a place that are no keys of the study file."""


def _explain(error: ValidationError) -> Iterator[str]:
    """One readable line per finding of pydantic."""
    for found in error.errors():
        place = [str(p) for p in found["loc"] if p not in UNSAID]
        where = ".".join(place) or "study"
        if found["type"] == "extra_forbidden":
            near = difflib.get_close_matches(place[-1], _known_keys(), n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            yield f"unknown key {where!r}{hint}"
        elif found["type"] == "missing":
            yield f"{where!r} is missing"
        elif found["type"] == "union_tag_not_found":
            yield f"{where!r} needs `kind:` survival, binary or landmark"
        else:
            message = found["msg"].removeprefix("Value error, ")
            value = found.get("input")
            shown = f", not {value!r}" if isinstance(value, (str, int, float)) else ""
            yield f"{where!r}: {message}{shown}" if place else message


def _known_keys() -> list[str]:
    sections: list[type[BaseModel]] = [
        _Section,
        *_Section.__subclasses__(),
        TimeToEvent,
        Binary,
        Landmark,
    ]
    keys = (f.alias or name for model in sections for name, f in model.model_fields.items())
    return list(dict.fromkeys(keys))
