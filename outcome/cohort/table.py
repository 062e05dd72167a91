"""The cohort table: reading and validation, with counts of dropped patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from outcome.cohort.column_warnings import check_units, column_warnings
from outcome.cohort.date_warnings import date_warnings
from outcome.cohort.required_columns import (
    declared_codes,
    id_columns,
    needed_columns,
    number_columns,
    same_spelling,
    with_follow_up,
    with_slide_column,
    without_columns,
)
from outcome.counting import plural
from outcome.endpoint import Endpoint
from outcome.errors import CohortError, Problems
from outcome.outcomes import Outcomes
from outcome.study import Study
from outcome.tables.codes import canonical_code
from outcome.tables.ids import check_lookalikes, check_names, join_ids, slide_name
from outcome.tables.missing import (
    NULLS,
    describe_missing,
    is_blank,
    missing_words,
    without_missing,
)
from outcome.tables.numbers import NumberFormat, plain_numbers
from outcome.tables.read_table import TextTable, as_text, read_table
from outcome.tables.treatment import TREATMENT, check_treatment

__all__ = ["Cohort", "FlowStep", "read_cohort", "slide_name"]


@dataclass(frozen=True)
class FlowStep:
    """One line of the cohort flow: the numbers after a step, and the reason for exclusions."""

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
        Indexed by `patient_id`, sorted. Columns `time` and `event`, or `label`, if outcomes were
        read, preceded by `entry` if it is delayed; `strata`, `site` and `treatment`, if given in
        the study; covariates and fold columns as `column:<name>`, as text.
    slides : DataFrame
        Columns `patient_id, slide_id`, sorted.
    endpoint : Endpoint
    flow : tuple of FlowStep
    lost : tuple of (patient, slide, step, reason)
        All dropped patients and slides; `slide` is empty for a whole patient.
    named : frozenset of str
        All patients and slides of the table, kept or not.
    notes : tuple of str
        Notes on how the table was read, if it is not obvious.
    with_outcomes : bool
        Whether outcomes were read. Otherwise the patients are to be predicted and have no events.
    warnings : tuple of str
        Warnings about columns whose names contradict the study file.
    """

    patients: pd.DataFrame
    slides: pd.DataFrame
    endpoint: Endpoint
    flow: tuple[FlowStep, ...] = ()
    lost: tuple[tuple[str, str, str, str], ...] = ()
    named: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    with_outcomes: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def outcome(self) -> pd.Series:
        """1 if the event was observed (by the horizon), or the label is positive; else 0."""
        return self.endpoint.positive_outcome(self.patients)

    def outcomes(self, patients: Sequence[str], development: Sequence[str]) -> Outcomes:
        """Return the outcomes of some patients as arrays.

        Parameters
        ----------
        patients : sequence of str
        development : sequence of str
            Patients on whom censoring is estimated, if the endpoint needs censoring weights.
        """
        return self.endpoint.outcomes(
            self.patients.loc[list(patients)], self.patients.loc[list(development)]
        )

    def outcome_table(self, patients: Sequence[str]) -> pd.DataFrame:
        """Return the outcomes of some patients for results: events and labels as 0, 1."""
        names = list(self.endpoint.outcome_columns)
        rows = self.patients.loc[list(patients), names]
        return rows.astype({names[-1]: int})  # after the time, if there is one

    def strata(self, patients: Sequence[str]) -> list[str]:
        """Return the stratum of some patients; `""` if the study has no strata."""
        if "strata" not in self.patients:
            return [""] * len(patients)
        return [str(s) for s in self.patients.loc[list(patients), "strata"]]

    def keep(self, patients: Collection[str], step: str, reason: str) -> Cohort:
        """Return the cohort with only these patients; the exclusions are added to the flow.

        Reason; empty if no patient is excluded.
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
        """Return the cohort with only these slides; patients stay, with fewer slides or none."""
        rows = self.slides["slide_id"].isin(list(slides))
        if rows.all():
            return self
        gone = tuple(
            (p, s, step, reason) for p, s in self.slides[~rows].itertuples(index=False, name=None)
        )
        kept = self.slides[rows].reset_index(drop=True)
        return replace(self, slides=kept, lost=(*self.lost, *gone)).noted(step, reason)

    def with_slide_names(self, files: Collection[str]) -> Cohort:
        """Return the cohort with slides spelled as their files (`1000` for `1000.0`)."""
        called = join_ids(self.slides["slide_id"], files)
        names = [called.get(s, s) for s in self.slides["slide_id"]]
        changed = self.slides.assign(slide_id=names)
        return replace(self, slides=changed, named=self.named | frozenset(names))

    def noted(self, step: str, reason: str) -> Cohort:
        """Return the same cohort with a line added to its flow."""
        events = int(self.outcome.sum(skipna=True)) if self.with_outcomes else 0
        line = FlowStep(step, len(self.patients), len(self.slides), events, reason)
        return replace(self, flow=(*self.flow, line))

    def flow_table(self) -> pd.DataFrame:
        """Return the flow with columns `step, patients, slides, events, reason`."""
        columns = list(FlowStep.__dataclass_fields__)
        return pd.DataFrame([vars(s) for s in self.flow], columns=columns)

    def lost_table(self) -> pd.DataFrame:
        """Return dropped patients and slides: `patient_id, slide_id, step, reason`."""
        columns = ["patient_id", "slide_id", "step", "reason"]
        return pd.DataFrame(list(self.lost), columns=columns)


def read_cohort(
    study: Study,
    problems: Problems,
    frame: pd.DataFrame | None = None,
    *,
    with_outcomes: bool = True,
) -> Cohort | None:
    """Read and validate the cohort table.

    Parameters
    ----------
    study : Study
        Study with the table and its columns.
    problems : Problems
        Receives problems of the table.
    frame : DataFrame, optional
        Table used instead of the file, with the same columns.
    with_outcomes : bool
        Whether to read the outcomes. For predictions they are not read, their columns are not
        needed, and clinical columns may be empty.

    Returns
    -------
    Cohort or None
        None if the table is too damaged to continue.
    """
    notes: list[str] = []
    try:
        if frame is not None:
            read = as_text(frame)
        else:
            read = read_table(study.cohort, what="cohort table")
    except CohortError as error:
        problems.extend([str(error)])
        return None
    notes += read.notes
    study = with_slide_column(study, read.frame, notes)
    warnings = []
    if with_outcomes:
        check_units(study, problems)
        warnings = column_warnings(study, read.frame)
    needed = needed_columns(study, with_outcomes=with_outcomes)
    table = same_spelling(read.frame, needed)
    if double := sorted(id_columns(study) & {c for c, w in needed.items() if "columns." not in w}):
        problems.add("an id column cannot have a second role", double, "give another column")
    for column in (missing := [c for c in needed if c not in table.columns]):
        problems.add(
            f"{study.cohort.name} has no column {column!r} ({needed[column]})",
            remedy=f"its columns are {', '.join(map(repr, table.columns[:30]))}",
        )
    if double or study.columns.patient in missing:
        return None
    if missing:  # the other columns are still checked
        study, table = without_columns(study, table, missing)
        needed = {c: w for c, w in needed.items() if c in table.columns}
    table = _cleaned(study, table[list(needed)], read, notes, problems)
    cohort = _build(
        study, table, lambda row: read.places[row], problems, notes, warnings, with_outcomes
    )
    return None if missing else replace(cohort, notes=tuple(notes), warnings=tuple(warnings))


def _cleaned(
    study: Study, table: pd.DataFrame, read: TextTable, notes: list[str], problems: Problems
) -> pd.DataFrame:
    """Replace missing cells by empty text, and write numbers with decimal points."""
    declared, ids = declared_codes(study), id_columns(study)
    patients = table.drop_duplicates(study.columns.patient)
    found = {
        c: missing_words(patients[c], declared.get(c, ())) for c in table.columns if c not in ids
    }
    notes += describe_missing(found)
    changed = {c: without_missing(table[c], declared.get(c, ())) for c in found}
    form: NumberFormat = read.numbers
    for column in number_columns(study):
        if column in changed:
            changed[column] = plain_numbers(
                changed[column],
                form,
                place=lambda i: f"{table.at[i, study.columns.patient]} in {read.places[i]}",
                problems=problems,
                notes=notes,
            )
    return table.assign(**changed)


def _build(
    study: Study,
    table: pd.DataFrame,
    place: Callable[[int], str],
    problems: Problems,
    notes: list[str],
    warnings: list[str],
    with_outcomes: bool,
) -> Cohort:
    patient = study.columns.patient
    slide = study.columns.slide or patient
    nameless = is_blank(table[patient])
    if nameless.any():
        rows = [place(i) for i in table.index[nameless]]
        problems.add(f"column {patient!r} is empty", rows, "give every row a patient id")
        table = table[~nameless]
    check_names(table[patient], patient, problems)
    check_lookalikes(table[patient], patient, problems)
    if slide in table.columns and slide != patient:
        nulls = table[slide].str.casefold().isin(NULLS)
        notes += describe_missing({slide: Counter(table.loc[nulls, slide])})
        table = table.assign(**{slide: table[slide].where(~nulls, "")})
    slides = _slides(table, patient, slide, place, problems)
    patients = _one_row_per_patient(table, patient, slide, place, problems)
    first = table[patient].drop_duplicates()
    places = {p: f"{p} in {place(i)}" for i, p in zip(first.index, first, strict=True)}
    outcome, invalid = pd.DataFrame(index=patients.index), pd.Series(False, index=patients.index)
    if with_outcomes:
        patients = with_follow_up(study, patients, [places[p] for p in patients.index], problems)
        patients, invalid = _without_invalid_times(study, patients, notes)
        outcome = study.endpoint.decode(patients, [places[p] for p in patients.index], problems)
        warnings += date_warnings(study, patients)
    others = (*study.split.column, *study.covariates.numeric, *study.covariates.categorical)
    extra = {f"column:{c}": patients[c] for c in others}
    if study.split.site:
        extra["site"] = _site(study, patients, places, problems)
    extra |= _secondary(study, patients, places, problems)
    if study.treatment is not None and with_outcomes:
        extra[TREATMENT] = _treatment(study, patients, problems)
    _check_covariates(study, patients, places, problems, may_be_empty=not with_outcomes)
    if study.endpoint.strata:
        extra["strata"] = patients[study.endpoint.strata]
        check_names(extra["strata"], study.endpoint.strata, problems)
    named = frozenset(patients.index) | frozenset(slides["slide_id"])
    cohort = Cohort(
        outcome.assign(**extra), slides, study.endpoint, named=named, with_outcomes=with_outcomes
    )
    cohort = cohort.noted("in the cohort table", "")
    if slide in table.columns and (blank := table.loc[is_blank(table[slide]), patient].tolist()):
        reason = f"{plural(len(blank), 'row')} without a slide id"
        gone = tuple((p, "(no slide id)", "rows with a slide id", reason) for p in blank)
        cohort = replace(cohort, lost=gone).noted("rows with a slide id", reason)
    notes += _entry_note(study, outcome)
    missing = outcome.isna().any(axis=1) & ~invalid
    if missing.any() and study.on_missing.endpoint == "error":
        problems.add(
            "the outcome is missing",
            [places[p] for p in patients.index[missing]],
            "fill it in, or set `on_missing: {endpoint: drop}`",
        )
    cohort = cohort.keep(
        patients.index[~missing],
        "with an outcome",
        f"{plural(int(missing.sum()), 'patient')} without {' or '.join(study.endpoint.columns)}",
    )
    cohort = cohort.keep(
        patients.index[~missing & ~invalid],
        "with a time above zero",
        f"{plural(int(invalid.sum()), 'patient')} whose follow-up time is zero or negative",
    )
    if study.on_missing.covariate == "drop":
        names = [*study.covariates.numeric, *study.covariates.categorical]
        empty = cohort.patients[[f"column:{c}" for c in names]].apply(is_blank).any(axis=1)
        reason = f"{plural(int(empty.sum()), 'patient')} without {' or '.join(names)}"
        cohort = cohort.keep(cohort.patients.index[~empty], "with every covariate", reason)
    return cohort


def _entry_note(study: Study, outcome: pd.DataFrame) -> list[str]:
    """Report the number of patients with delayed entry, if the study has an entry time."""
    if "entry" not in outcome:
        return []
    late, known = int((outcome["entry"] > 0).sum()), int(outcome["entry"].notna().sum())
    return [
        f"delayed entry (column {str(study.endpoint.entry)!r}): {late} of {known} patients came "
        "under observation after the time origin and are at risk only from their entry"
    ]


def _without_invalid_times(
    study: Study, patients: pd.DataFrame, notes: list[str]
) -> tuple[pd.DataFrame, pd.Series]:
    """Remove follow-up times of zero or less, if the study file sets that they are dropped.

    Returns the table, and the patients with an invalid primary endpoint.
    """
    invalid = pd.Series(False, index=patients.index)
    if study.on_missing.invalid_time != "drop":
        return patients, invalid
    for endpoint in (study.endpoint, *study.secondary):
        column = endpoint.time_column
        if column is None:
            continue
        low = pd.to_numeric(patients[column], errors="coerce") <= 0
        if low.any() and endpoint is not study.endpoint:
            who = f"{plural(int(low.sum()), 'patient')} whose time is zero or negative"
            notes.append(f"endpoint {endpoint.label!r} is not evaluated in {who}")
        patients = patients.assign(**{column: patients[column].where(~low, "")})
        invalid |= low if endpoint is study.endpoint else False
    return patients, invalid


def _secondary(
    study: Study, table: pd.DataFrame, places: Mapping[str, str], problems: Problems
) -> dict[str, pd.Series]:
    """Outcomes of further endpoints as `<name>_time` and so on; NaN if missing."""
    found: dict[str, pd.Series] = {}
    for endpoint in study.secondary:
        decoded = endpoint.decode(table, [places[p] for p in table.index], problems)
        found |= {f"{endpoint.name}_{column}": decoded[column] for column in decoded}
    return found


def _site(
    study: Study, table: pd.DataFrame, places: Mapping[str, str], problems: Problems
) -> pd.Series:
    """Hospital of each patient; NaN if missing, which does not count as a hospital."""
    site = table[str(study.split.site)]
    blank = is_blank(site)
    if study.split.site_preserved and blank.any():
        problems.add(
            f"column {study.split.site!r} (split.site) is empty",
            [places[p] for p in table.index[blank]],
            "fill it in (a patient with unknown site may be from any site), or remove these rows",
        )
    return site.where(~blank)


def _treatment(study: Study, table: pd.DataFrame, problems: Problems) -> pd.Series:
    """Treatment of each patient; empty if unknown."""
    assert study.treatment is not None
    column, reference = study.treatment.column, study.treatment.reference
    check_treatment(table[column], column, reference, problems, where="treatment.column")
    return table[column]


def _check_covariates(
    study: Study,
    table: pd.DataFrame,
    places: Mapping[str, str],
    problems: Problems,
    *,
    may_be_empty: bool,
) -> None:
    for column in study.covariates.numeric:
        blank = is_blank(table[column])
        value = pd.to_numeric(table[column].where(~blank), errors="coerce")
        if (bad := ~blank & ~np.isfinite(value)).any():
            seen = [f"{places[p]} ({v!r})" for p, v in table.loc[bad, column].items()]
            problems.add(
                f"column {column!r} (covariates.numeric) is not a number",
                seen,
                "correct it, leave it empty, or name the column under `categorical`",
            )
    columns = [*study.covariates.numeric, *study.covariates.categorical]
    for column in columns:
        # A trained model has stored values for imputation.
        if is_blank(table[column]).all() and not may_be_empty:
            problems.add(f"column {column!r} is empty", remedy="remove it from `covariates`")
    if study.on_missing.covariate == "error":
        for column in columns:
            if empty := [places[p] for p in table.index[is_blank(table[column])]]:
                problems.add(f"column {column!r} is missing", empty, "fill it in, or impute it")


def _slides(
    table: pd.DataFrame,
    patient: str,
    slide: str,
    place: Callable[[int], str],
    problems: Problems,
) -> pd.DataFrame:
    columns = ["patient_id", "slide_id"]
    if slide not in table.columns:
        return pd.DataFrame({c: pd.Series(dtype=str) for c in columns})
    slides = pd.DataFrame({"patient_id": table[patient], "slide_id": table[slide].map(slide_name)})
    slides = slides[~is_blank(table[slide])]
    if slide == patient:  # one file per patient, whatever the number of rows
        slides = slides.drop_duplicates()
    else:
        check_names(slides["slide_id"], slide, problems, paths=True)
    twice = slides["slide_id"].duplicated(keep="first")
    if twice.any():
        problems.add(
            f"column {slide!r} contains a slide more than once",
            [f"{slides.at[i, 'slide_id']} in {place(i)}" for i in slides.index[twice]],
            "keep one row per slide" if slide != patient else "keep one row per patient",
        )
    return slides[~twice].sort_values(columns).reset_index(drop=True)


def _one_row_per_patient(
    table: pd.DataFrame,
    patient: str,
    slide: str,
    place: Callable[[int], str],
    problems: Problems,
) -> pd.DataFrame:
    """Patient-level columns must be equal in all rows of a patient."""
    rest = [c for c in table.columns if c not in (patient, slide)]
    grouped = table.assign(**{c: table[c].map(canonical_code) for c in rest}).groupby(patient)
    for column in rest:
        distinct = grouped[column].nunique()
        if (differing := distinct.index[distinct > 1].tolist()) != []:
            problems.add(
                f"column {column!r} differs between rows of one patient",
                # At most three are shown.
                [_both(table, patient, column, p, place) for p in differing[:3]] + differing[3:],
                "each patient must have one outcome and one value of each covariate; correct "
                "the rows",
            )
    first = table.drop_duplicates(patient, keep="first").set_index(patient)[rest]
    first.index.name = "patient_id"
    return first.sort_index()


def _both(
    table: pd.DataFrame, patient: str, column: str, who: str, place: Callable[[int], str]
) -> str:
    """Return a patient and two rows that differ."""
    values = table.loc[table[patient] == who, column].map(canonical_code)
    other = values.index[values != values.iloc[0]][0]
    return f"{who} in {place(values.index[0])} and {place(other)}"


def count_events(cohort: Cohort, patients: Sequence[str]) -> int:
    """Return the number of events, or for a yes/no outcome of patients in the rarer class."""
    return cohort.endpoint.rarer(cohort.patients.loc[list(patients)])
