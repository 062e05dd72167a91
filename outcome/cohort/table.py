"""The cohort table: read, validated at once, with a count of everybody who is lost."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from outcome.endpoint import Endpoint, canonical_code, is_blank
from outcome.errors import CohortError, Problems
from outcome.study import Study

__all__ = ["Cohort", "FlowStep", "read_cohort", "slide_name"]

SLIDE_SUFFIX = re.compile(r"\.(svs|tiff?|ndpi|mrxs|scn)$", re.IGNORECASE)


def slide_name(slide: str) -> str:
    """Return a slide id without its image suffix and nothing else: ids may contain dots."""
    return SLIDE_SUFFIX.sub("", slide)


@dataclass(frozen=True)
class FlowStep:
    """One line of the cohort flow: how many are left after a step, and why others are not."""

    step: str
    patients: int
    slides: int
    events: int
    reason: str


@dataclass(frozen=True)
class Cohort:
    """Validated patients and slides.

    Parameters
    ----------
    patients : DataFrame
        Indexed by `patient_id`, sorted. Columns `time` and `event`, or `label`; then, where the
        study names them, `strata` and `site`; covariates and fold columns as `column:<name>`, as
        text.
    slides : DataFrame
        Columns `patient_id, slide_id`, sorted.
    endpoint : Endpoint
    flow : tuple of FlowStep
    lost : tuple of (patient, slide, step, reason)
        Everybody and everything that was dropped; `slide` is empty for a whole patient.
    named : frozenset of str
        Every patient and slide that the table names, kept or not.
    """

    patients: pd.DataFrame
    slides: pd.DataFrame
    endpoint: Endpoint
    flow: tuple[FlowStep, ...] = ()
    lost: tuple[tuple[str, str, str, str], ...] = ()
    named: frozenset[str] = frozenset()

    @property
    def outcome(self) -> pd.Series:
        """1 where the event was seen (by the horizon), or the label is positive; else 0."""
        return self.endpoint.positive_outcome(self.patients)

    def keep(self, patients: Collection[str], step: str, reason: str) -> Cohort:
        """Return the cohort of these patients only, the loss written into the flow.

        Nothing is written where nobody is lost.
        """
        if len(patients) == len(self.patients):
            return self
        rows = self.patients.index.isin(list(patients))
        slides = self.slides[self.slides["patient_id"].isin(list(patients))].reset_index(drop=True)
        gone = tuple((p, "", step, reason) for p in self.patients.index[~rows])
        smaller = replace(
            self, patients=self.patients[rows], slides=slides, lost=(*self.lost, *gone)
        )
        return smaller.noted(step, reason)

    def keep_slides(self, slides: Collection[str], step: str, reason: str) -> Cohort:
        """Return the cohort with these slides only; patients stay, with fewer slides or none."""
        rows = self.slides["slide_id"].isin(list(slides))
        if rows.all():
            return self
        gone = tuple(
            (p, s, step, reason) for p, s in self.slides[~rows].itertuples(index=False, name=None)
        )
        kept = self.slides[rows].reset_index(drop=True)
        return replace(self, slides=kept, lost=(*self.lost, *gone)).noted(step, reason)

    def noted(self, step: str, reason: str) -> Cohort:
        """Return the same cohort with a line added to its flow."""
        line = FlowStep(
            step, len(self.patients), len(self.slides), int(self.outcome.sum(skipna=True)), reason
        )
        return replace(self, flow=(*self.flow, line))

    def flow_table(self) -> pd.DataFrame:
        """Return the flow with columns `step, patients, slides, events, reason`."""
        columns = list(FlowStep.__dataclass_fields__)
        return pd.DataFrame([vars(s) for s in self.flow], columns=columns)

    def lost_table(self) -> pd.DataFrame:
        """Return what was dropped, with columns `patient_id, slide_id, step, reason`."""
        columns = ["patient_id", "slide_id", "step", "reason"]
        return pd.DataFrame(list(self.lost), columns=columns)


def read_cohort(
    study: Study, problems: Problems, frame: pd.DataFrame | None = None
) -> Cohort | None:
    """Read and validate the cohort table.

    Parameters
    ----------
    study : Study
        Names the table and its columns.
    problems : Problems
        Receives everything that is wrong with the table.
    frame : DataFrame, optional
        Used instead of the file, with the same columns.

    Returns
    -------
    Cohort or None
        None where the table is too damaged to go on.
    """
    try:
        table = _as_text(frame) if frame is not None else _read_text_table(study.cohort)
    except CohortError as error:
        problems.extend([str(error)])
        return None
    needed = _needed_columns(study)
    if double := sorted(_id_columns(study) & {c for c, w in needed.items() if "columns." not in w}):
        problems.add("an id column cannot have another role too", double, "name another column")
        return None
    if missing := [c for c in needed if c not in table.columns]:
        for column in missing:
            problems.add(
                f"{study.cohort.name} has no column {column!r} ({needed[column]})",
                remedy=f"its columns are {', '.join(map(repr, table.columns[:30]))}",
            )
        return None
    return _build(study, table[list(needed)], problems)


def _needed_columns(study: Study) -> dict[str, str]:
    """Column -> where the study file names it."""
    wanted: list[tuple[str | None, str]] = [(study.columns.patient, "columns.patient")]
    if study.embeddings.patches is not None:
        wanted.append((study.columns.slide, "columns.slide"))
    wanted += [(c, "endpoint") for c in study.endpoint.columns]
    wanted += [(c, "secondary") for e in study.secondary for c in e.columns]
    wanted += [(study.endpoint.strata, "endpoint.strata"), (study.split.site, "split.site")]
    wanted += [(c, "split.column") for c in study.split.column]
    wanted += [(c, "covariates.numeric") for c in study.covariates.numeric]
    wanted += [(c, "covariates.categorical") for c in study.covariates.categorical]
    named: dict[str, str] = {}
    for column, where in wanted:
        if column is not None:
            # An id column that has another role too shows under that role.
            named[column] = where if "columns." not in where else named.get(column, where)
    return named


def _id_columns(study: Study) -> set[str]:
    return {study.columns.patient, study.columns.slide}


def _build(study: Study, table: pd.DataFrame, problems: Problems) -> Cohort | None:
    patient, slide = study.columns.patient, study.columns.slide
    nameless = is_blank(table[patient])
    if nameless.any():
        lines = [f"line {i + 2}" for i in table.index[nameless]]
        problems.add(f"column {patient!r} is empty", lines, "give every row a patient id")
        table = table[~nameless]
    slides = _slides(table, patient, slide, problems)
    patients = _one_row_per_patient(table, patient, slide, problems)
    outcome = study.endpoint.decode(patients, list(patients.index), problems)
    others = (*study.split.column, *study.covariates.numeric, *study.covariates.categorical)
    extra = {f"column:{c}": patients[c] for c in others}
    if study.split.site:
        extra["site"] = patients[study.split.site]
    extra |= _secondary(study, patients, problems)
    _check_covariates(study, patients, problems)
    if study.endpoint.strata:
        extra["strata"] = patients[study.endpoint.strata]
    named = frozenset(patients.index) | frozenset(slides["slide_id"])
    cohort = Cohort(outcome.assign(**extra), slides, study.endpoint, named=named)
    cohort = cohort.noted("in the cohort table", "")
    if slide in table.columns and (blank := table.loc[is_blank(table[slide]), patient].tolist()):
        reason = f"{len(blank)} rows without a slide id"
        gone = tuple((p, "(no slide id)", "rows with a slide id", reason) for p in blank)
        cohort = replace(cohort, lost=gone).noted("rows with a slide id", reason)
    missing = outcome.isna().any(axis=1)
    if missing.any() and study.on_missing.endpoint == "error":
        problems.add(
            "the outcome is missing",
            patients.index[missing].tolist(),
            "fill it in, or set `on_missing: {endpoint: drop}`",
        )
    cohort = cohort.keep(
        patients.index[~missing],
        "with an outcome",
        f"{int(missing.sum())} patients without {' or '.join(study.endpoint.columns)}",
    )
    if study.on_missing.covariate == "drop":
        names = [*study.covariates.numeric, *study.covariates.categorical]
        empty = cohort.patients[[f"column:{c}" for c in names]].apply(is_blank).any(axis=1)
        reason = f"{int(empty.sum())} patients without {' or '.join(names)}"
        cohort = cohort.keep(cohort.patients.index[~empty], "with every covariate", reason)
    return cohort


def _secondary(study: Study, table: pd.DataFrame, problems: Problems) -> dict[str, pd.Series]:
    """Outcomes of further endpoints as `<name>_time` and so on; NaN where they are missing."""
    found: dict[str, pd.Series] = {}
    for endpoint in study.secondary:
        decoded = endpoint.decode(table, list(table.index), problems)
        found |= {f"{endpoint.name}_{column}": decoded[column] for column in decoded}
    return found


def _check_covariates(study: Study, table: pd.DataFrame, problems: Problems) -> None:
    for column in study.covariates.numeric:
        blank = is_blank(table[column])
        value = pd.to_numeric(table[column].where(~blank), errors="coerce")
        if (bad := ~blank & ~np.isfinite(value)).any():
            seen = [f"{p} ({v!r})" for p, v in table.loc[bad, column].items()]
            problems.add(
                f"column {column!r} (covariates.numeric) is not a number",
                seen,
                "correct it, leave it empty, or name the column under `categorical`",
            )
    columns = [*study.covariates.numeric, *study.covariates.categorical]
    for column in columns:
        if is_blank(table[column]).all():
            problems.add(f"column {column!r} is empty", remedy="leave it out of `covariates`")
    if study.on_missing.covariate == "error":
        for column in columns:
            if empty := table.index[is_blank(table[column])].tolist():
                problems.add(f"column {column!r} is missing", empty, "fill it in, or impute it")


def _slides(table: pd.DataFrame, patient: str, slide: str, problems: Problems) -> pd.DataFrame:
    columns = ["patient_id", "slide_id"]
    if slide not in table.columns:
        return pd.DataFrame({c: pd.Series(dtype=str) for c in columns})
    slides = pd.DataFrame({"patient_id": table[patient], "slide_id": table[slide].map(slide_name)})
    slides = slides[~is_blank(table[slide])]
    twice = slides["slide_id"].duplicated(keep="first")
    if twice.any():
        problems.add(
            f"column {slide!r} names a slide more than once",
            slides.loc[twice, "slide_id"].tolist(),
            "keep one row per slide" if slide != patient else "keep one row per patient",
        )
    return slides[~twice].sort_values(columns).reset_index(drop=True)


def _one_row_per_patient(
    table: pd.DataFrame, patient: str, slide: str, problems: Problems
) -> pd.DataFrame:
    """Patient-level columns must agree over a patient's rows."""
    rest = [c for c in table.columns if c not in (patient, slide)]
    grouped = table.assign(**{c: table[c].map(canonical_code) for c in rest}).groupby(patient)
    for column in rest:
        distinct = grouped[column].nunique()
        if (differing := distinct.index[distinct > 1].tolist()) != []:
            problems.add(
                f"column {column!r} differs between rows of one patient",
                differing,
                "a patient has one outcome and one value of each covariate: correct the rows",
            )
    first = table.drop_duplicates(patient, keep="first").set_index(patient)[rest]
    first.index.name = "patient_id"
    return first.sort_index()


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return any table as text, missing values as empty strings."""
    text = frame.reset_index(drop=True).astype(object)
    text = text.where(text.notna(), "")
    text = text.map(lambda v: str(int(v)) if isinstance(v, bool) else str(v).strip())
    return text.set_axis([str(c).strip() for c in frame.columns], axis=1)


def _read_text_table(path: Path) -> pd.DataFrame:
    separator = "\t" if path.suffix.lower() in (".tsv", ".txt") else ","
    try:
        header = _check_lines(path, separator)
        table = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except FileNotFoundError:
        raise CohortError(f"there is no cohort table {path}") from None
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise CohortError(f"{path.name} cannot be read as a table: {_first_line(error)}") from None
    names = [h.strip() for h in header]
    if twice := sorted({h for h in names if names.count(h) > 1}):
        raise CohortError(f"{path.name} has two columns of the same name: {', '.join(twice)}")
    if len(table) == 0:
        raise CohortError(f"{path.name} has no rows")
    if not isinstance(table.index, pd.RangeIndex):
        raise CohortError(f"{path.name}: rows have more fields than the header has columns")
    return _as_text(table)


def _check_lines(path: Path, separator: str) -> list[str]:
    """Return the header; refuse what a table reader would cut off or fill in silently."""
    if b"\0" in (content := path.read_bytes()):
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise CohortError(f"{path.name}, line {line} holds a NUL byte: the file is damaged")
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=separator)
        header = next(reader, [])
        short = [reader.line_num for row in reader if 0 < len(row) < len(header)]
    if short:
        shown = ", ".join(map(str, short[:3]))
        raise CohortError(
            f"{path.name}: {len(short)} lines have fewer fields than the header, e.g. line {shown}."
            " To do: write every row in full"
        )
    return header


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def count_events(cohort: Cohort, patients: Sequence[str]) -> int:
    """Return the events, or for a yes/no outcome the number in the rarer class, among these."""
    return cohort.endpoint.rarer(cohort.patients.loc[list(patients)])
