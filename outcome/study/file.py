"""The study file: reading and validation; unknown keys are errors."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from outcome.endpoint import Binary, Endpoint, Landmark, TimeToEvent, is_formula
from outcome.errors import Problems, StudyError
from outcome.study.inputs import (
    FILE,
    TEXTS,
    Columns,
    Covariates,
    Embeddings,
    ReportTexts,
    Treatment,
)
from outcome.study.settings import Arm, OnMissing, Report, RiskGroups, Section, Split, Training
from outcome.tables.follow_up import COLUMN, PARTS
from outcome.yamlfile import dump_yaml, load_yaml, read_yaml

__all__ = ["Study", "contradictions", "missing_places"]


class Study(Section):
    """A study file, validated.

    Examples
    --------
    >>> study = Study.parse(
    ...     {
    ...         "name": "brca-pfi",
    ...         "cohort": "cohort.csv",
    ...         "endpoint": {"kind": "survival", "time": "pfi_days", "event": "pfi_event"},
    ...         "embeddings": {"patches": "features"},
    ...     },
    ...     folder=Path("/data"),
    ... )
    >>> study.arms[0].inputs, study.training.epochs, str(study.cohort)
    (('image',), 40, '/data/cohort.csv')
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Names the run folder."""
    cohort: Path
    """Table of patients: one row per slide or per patient."""
    columns: Columns = Columns()
    """Names of the id columns."""
    endpoint: Endpoint
    """The outcome to predict; `kind` names its type."""
    secondary: tuple[Endpoint, ...] = ()
    """Further endpoints on which the same risks are evaluated; no model is trained on them."""
    embeddings: Embeddings
    """Files of patch and report embeddings."""
    covariates: Covariates = Covariates()
    """Clinical columns, for arms with `clinical`."""
    treatment: Treatment | None = None
    """Two treatments, whose difference may depend on the score."""
    arms: tuple[Arm, ...] = (Arm(name="image", inputs=("image",)),)
    """The models to compare: inputs joined by `+`, or a section with a name."""
    baseline: str = "image"
    """The arm with which the others are compared; declared before the run."""
    split: Split = Split()
    """How patients are divided into folds."""
    risk_groups: RiskGroups = "median"
    """Cut-offs, from development patients: `median`, `tertiles`, a list of shares (e.g.
    `[0.25, 0.75]`), or `maxstat`, the maximally selected log-rank cut."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Further comparisons: pairs of an arm and a reference arm."""
    on_missing: OnMissing = OnMissing()
    """What to do with patients with missing data."""
    training: Training = Training()
    """Settings of the training."""
    report: Report = Report()
    """What the report shows."""

    @field_validator("name")
    @classmethod
    def _a_folder_name(cls, value: str) -> str:
        if not re.fullmatch(r"[\w][\w .+-]*", value):
            raise ValueError(
                "use only letters, digits, space, dot, plus, minus and underscore, because it "
                "is the name of a folder"
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
    def _consistent(self, info: ValidationInfo) -> Study:
        wrong = [what for _, what in contradictions(self)] if info.context is None else []
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

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
            The file is invalid; the message lists all problems.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise StudyError(f"a study is read from the path of a file, not {type(path).__name__}")
        path = Path(path)
        if path.is_dir():
            raise StudyError(_about_folder(path))
        try:
            data = read_yaml(path)
        except FileNotFoundError:
            raise StudyError(f"there is no study file {path}") from None
        except (OSError, UnicodeError) as error:
            raise StudyError(f"{path} cannot be read: {error}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise StudyError(f"{path} is not valid YAML: {error}") from None
        if not isinstance(data, dict):
            raise StudyError(
                f"{path} is not a study file: it should contain `name:`, `cohort:` ..."
            )
        for override in overrides:
            _override(data, override)
        return cls.parse(data, folder=path.parent, where=str(path))

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, folder: Path, where: str = "study") -> Study:
        """Validate the content of a study file; relative paths start at `folder`."""
        if not isinstance(data, Mapping):
            raise StudyError(f"{where} is {type(data).__name__}, but a mapping of keys is needed")
        try:
            study = cls.model_validate(dict(data))
        except ValidationError as error:
            problems = Problems(where)
            problems.extend(_explain(error))
            problems.extend(cls._other_problems(data, folder, error))
            raise StudyError(problems.message()) from None
        try:
            study.model_dump_json()
        except ValueError:
            raise StudyError(f"{where} contains bytes that are not text") from None
        return _moved(study, lambda path: Path(folder) / path)

    @classmethod
    def _other_problems(
        cls, data: Mapping[str, Any], folder: Path, error: ValidationError
    ) -> list[str]:
        """Return further problems of sections accepted by pydantic."""
        bad = {str(found["loc"][0]) for found in error.errors() if found["loc"]}
        rest = {k: v for k, v in data.items() if k not in bad}
        try:
            study = cls.model_validate({**STAND_INS, **rest}, context={"alone": True})
        except ValidationError:
            return []
        study = _moved(study, lambda path: Path(folder) / path)
        wrong = [what for needs, what in contradictions(study) if bad and not needs & bad]
        absent = [what for needs, what in missing_places(study) if not needs & bad]
        return wrong + absent

    def to_yaml(self, folder: str | Path | None = None) -> str:
        """Return the resolved study, including all defaults.

        Parameters
        ----------
        folder : path, optional
            Folder of the file. Paths are written relative to it, so that the file can be run from
            there. By default they are unchanged.
        """
        study = self
        if folder is not None:
            study = _moved(self, lambda path: Path(os.path.relpath(path, folder)))
        data = study.model_dump(mode="json", by_alias=True)
        return dump_yaml(data)


def _about_folder(folder: Path) -> str:
    """Return an error for a folder given instead of a study file."""
    if (folder / "manifest.json").is_file():
        return (
            f"{folder} is the folder of an earlier run. To do: give the study file of this run, "
            f"or {folder / 'study.yaml'}, which contains its resolved settings"
        )
    inside = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    there = f"{inside[0]}" if inside else "a file that ends in .yaml"
    return f"{folder} is a folder, but a study file is needed. To do: give {there}"


STAND_INS: dict[str, Any] = {
    "name": "x",
    "cohort": ".",
    "endpoint": {"kind": "binary", "label": "x", "positive": 1},
    "embeddings": {},
}
"""Placeholder for invalid required sections, while the others are checked."""


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
        raise StudyError(f"setting {text!r}: write key=value, e.g. training.epochs=10")
    *sections, last = key.strip().split(".")
    target = data
    for section in sections:
        nested = target.setdefault(section, {})
        if not isinstance(nested, dict):
            raise StudyError(f"setting {text!r}: {section!r} is not a section of the study file")
        target = nested
    try:
        target[last] = load_yaml(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise StudyError(f"setting {text!r}: the value is not valid YAML") from None


UNSAID = ("survival", "binary", "landmark", FILE, TEXTS, COLUMN, PARTS)
"""Parts of a location that are not keys of the study file."""


def _explain(error: ValidationError) -> Iterator[str]:
    """One readable line per error of pydantic."""
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
        Section,
        *Section.__subclasses__(),
        TimeToEvent,
        Binary,
        Landmark,
    ]
    keys = (f.alias or name for model in sections for name, f in model.model_fields.items())
    return list(dict.fromkeys(keys))


Finding = tuple[set[str], str]


def contradictions(study: Study) -> Iterator[Finding]:
    """Yield contradictions between sections."""
    yield from _of_arms(study)
    yield from _of_secondary(study)
    if study.risk_groups == "maxstat" and not isinstance(study.endpoint, TimeToEvent):
        yield {"risk_groups", "endpoint"}, "`risk_groups: maxstat` needs a survival endpoint"
    if study.risk_groups == "maxstat" and study.endpoint.entry is not None:
        what = "`risk_groups: maxstat`: its p values are unknown under delayed entry"
        yield {"risk_groups", "endpoint"}, f"{what}; use median, tertiles or shares"
    shares = study.risk_groups if isinstance(study.risk_groups, tuple) else (0.5,)
    if list(shares) != sorted(set(shares)) or not shares:
        yield {"risk_groups"}, "shares of `risk_groups` must be increasing"


def _of_arms(study: Study) -> Iterator[Finding]:
    names = [arm.name for arm in study.arms]
    if len(set(names)) < len(names):
        yield {"arms"}, "two arms have the same name"
    if study.baseline not in names:
        what = f"the baseline {study.baseline!r} is not among the arms {names}"
        yield {"arms", "baseline"}, what
    wanted = {i for arm in study.arms for i in arm.inputs}
    for need, key in (("image", "patches"), ("report", "reports")):
        if need in wanted and getattr(study.embeddings, key) is None:
            what = f"an arm uses {need!r}, but `embeddings.{key}` is not given"
            yield {"arms", "embeddings"}, what
    if "clinical" in wanted and not (study.covariates.numeric or study.covariates.categorical):
        yield {"arms", "covariates"}, "an arm uses 'clinical', but `covariates` names no column"
    for pair in study.contrasts:
        if pair[0] == pair[1] or not set(pair) <= set(names):
            yield (
                {"arms", "contrasts"},
                (f"contrast {list(pair)} is not a pair of arms; arms are {names}"),
            )
    if unsafe := [n for n in names if is_formula(n)]:
        what = (
            f"the name of the name of the arm {unsafe[0]!r} begins like a formula, which a "
            "spreadsheet would run"
        )
        yield {"arms"}, what


def _of_secondary(study: Study) -> Iterator[Finding]:
    about, called = {"secondary"}, [e.name for e in study.secondary]
    if "" in called or len(set(called)) < len(called):
        yield about, "give every secondary endpoint a different `name`"
    if any(not re.fullmatch(r"\w+", name) for name in called if name):
        yield about, "names of secondary endpoints may contain only letters, digits and underscores"
    lacking = [e.name for e in study.secondary if e.unit and e.entry is None]
    if study.endpoint.entry is not None and lacking:
        what = "if the primary endpoint has `entry`, every secondary time needs one"
        where = " (0 for all if its follow-up begins at entry; never for `landmark`)"
        yield about | {"endpoint"}, f"{what}{where}: {', '.join(lacking)}"
    if any(e.strata for e in study.secondary):
        yield about, "`strata` belong to the primary endpoint; remove them from `secondary`"


def missing_places(study: Study) -> Iterator[Finding]:
    """Yield missing files and folders of the study."""
    if not _is_there(study.cohort):
        yield {"cohort"}, f"there is no cohort table {study.cohort}"
    for folder in study.embeddings.patches or ():
        if not _is_there(folder, Path.exists):
            yield {"embeddings"}, f"embeddings.patches: there is no folder {folder}"
    reports = study.embeddings.reports
    file = reports.texts if isinstance(reports, ReportTexts) else reports
    if file is not None and not _is_there(file):
        yield {"embeddings"}, f"embeddings.reports: there is no file {file}"
    if study.split.files is not None and not _is_there(study.split.files):
        yield {"split"}, f"split.files: there is no file or folder {study.split.files}"


def _is_there(path: Path, test: Callable[[Path], bool] = Path.exists) -> bool:
    try:
        return test(path)
    except (OSError, ValueError):  # not a valid file name
        return False
