"""Outer folds, and inner folds of the development patients, always by patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from outcome.cohort.drafting.guess_columns import are_roles
from outcome.cohort.sites import site_folds
from outcome.cohort.split_files import read_split_files
from outcome.cohort.table import Cohort, count_events
from outcome.errors import CohortError, LeakageError, Problems
from outcome.study import Split
from outcome.tables.codes import canonical_code
from outcome.tables.ids import check_names
from outcome.tables.missing import is_blank

__all__ = ["Fold", "InnerFold", "make_folds", "splits_table", "whole_fold"]

MIN_EVENTS_NETWORK = 10
MIN_EVENTS_LINEAR = 4
EVENTS_PER_INNER_FOLD = 8


@dataclass(frozen=True)
class InnerFold:
    """A division of development patients: training on `train`, monitoring on `tune`."""

    name: int
    train: tuple[str, ...]
    tune: tuple[str, ...]


@dataclass(frozen=True)
class Fold:
    """One outer fold; `test` is read once, after all choices are made on `development`."""

    repeat: int
    name: str
    development: tuple[str, ...]
    test: tuple[str, ...]
    inner: tuple[InnerFold, ...]

    def __post_init__(self) -> None:
        pairs = [(self.development, self.test), *((i.train, i.tune) for i in self.inner)]
        pairs += [(i.train + i.tune, self.test) for i in self.inner]
        for one, other in pairs:
            if shared := sorted(set(one) & set(other)):
                raise LeakageError(
                    f"fold {self.name}: {len(shared)} patients in two roles, e.g. {shared[:3]}"
                )

    @property
    def key(self) -> tuple[int, str]:
        """Repeat and name."""
        return self.repeat, self.name


@dataclass(frozen=True)
class _Outer:
    """One outer fold before development is divided."""

    repeat: int
    name: str
    development: tuple[str, ...]
    test: tuple[str, ...]


def make_folds(
    cohort: Cohort,
    split: Split,
    problems: Problems,
    notes: list[str] | None = None,
    *,
    networks: bool = True,
) -> list[Fold]:
    """Divide the patients; the same cohort and seed give the same folds for any row order.

    Parameters
    ----------
    cohort : Cohort
    split : Split
    problems : Problems
        Receives problems: too few events, empty fold columns, too few sites.
    notes : list of str, optional
        Receives notes on the folds read, and on uneven folds of sites.
    networks : bool
        Whether networks are trained; linear models need fewer events.

    Notes
    -----
    With inner folds per outer fold as requested, but at most one per 8 development events (for a
    label: patients of the rarer class), and at least 2.
    """
    folds: list[Fold] = []
    if problems and not len(cohort.patients):  # a consequence: no outcome could be read
        return folds
    for outer in _outer(cohort, split, problems, [] if notes is None else notes):
        repeat, name, development = outer.repeat, outer.name, list(outer.development)
        events = count_events(cohort, development)
        if events < (needed := MIN_EVENTS_NETWORK if networks else MIN_EVENTS_LINEAR):
            what = cohort.endpoint.limiting
            use = ", or `aggregator: linear` in every arm" if networks else ""
            problems.add(
                f"fold {name} (repeat {repeat}) leaves {events} {what} for development; training"
                f" a {'network' if networks else 'linear model'} needs {needed}",
                remedy=f"use fewer folds, or a larger cohort{use}",
            )
            continue
        inner = _inner(cohort, split, development, _seed(split.seed, repeat, len(folds)))
        folds.append(Fold(repeat, name, outer.development, outer.test, inner))
    return folds


def whole_fold(
    cohort: Cohort, split: Split, problems: Problems, *, networks: bool = True
) -> Fold | None:
    """Return a fold with all patients in development and none in test, for a final model.

    The number of inner folds is as in `make_folds`. With too few events, None is returned and a
    problem added.
    """
    if problems and not len(cohort.patients):  # a consequence: no outcome could be read
        return None
    everybody = list(cohort.patients.index)
    events = count_events(cohort, everybody)
    if events < (needed := MIN_EVENTS_NETWORK if networks else MIN_EVENTS_LINEAR):
        what = cohort.endpoint.limiting
        problems.add(
            f"there are {events} {what}; a final model needs {needed}",
            remedy="use a larger cohort",
        )
        return None
    inner = _inner(cohort, split, everybody, _seed(split.seed))
    return Fold(0, "all", tuple(everybody), (), inner)


def _inner(
    cohort: Cohort, split: Split, development: Sequence[str], seed: int
) -> tuple[InnerFold, ...]:
    events = count_events(cohort, development)
    n_inner = max(2, min(split.inner_folds, events // EVENTS_PER_INNER_FOLD))
    parts = _divide(cohort.outcome.loc[list(development)], n_inner, seed, split.stratify)
    return tuple(
        InnerFold(k, tuple(p for p in development if p not in part), tuple(sorted(part)))
        for k, part in enumerate(map(frozenset, parts))
    )


def splits_table(folds: Sequence[Fold], cohort: Cohort) -> pd.DataFrame:
    """Return the roles of patients: one row per patient and outer fold."""
    rows = []
    # Patients without a fold were removed from the cohort and are unused here.
    left = [p for p, _, step, _ in cohort.lost if step == "in a fold"]
    everybody = sorted([*cohort.patients.index, *left])
    for fold in folds:
        inner = {p: i.name for i in fold.inner for p in i.tune}
        test = frozenset(fold.test)
        for patient in everybody:
            role = "test" if patient in test else "development" if patient in inner else "unused"
            rows.append((patient, fold.repeat, fold.name, role, inner.get(patient, "")))
    return pd.DataFrame(rows, columns=["patient_id", "repeat", "outer_fold", "role", "inner_fold"])


def _outer(cohort: Cohort, split: Split, problems: Problems, notes: list[str]) -> Iterator[_Outer]:
    if split.files is not None:
        yield from _from_files(cohort, split, problems, notes)
    elif split.column:
        yield from _from_columns(cohort, split, problems)
    else:
        yield from _drawn(cohort, split, problems, notes)


def _from_files(
    cohort: Cohort, split: Split, problems: Problems, notes: list[str]
) -> Iterator[_Outer]:
    slides = dict(zip(cohort.slides["slide_id"], cohort.slides["patient_id"], strict=True))
    everybody = cohort.patients.index
    try:
        given, found = read_split_files(
            Path(str(split.files)), split.layout, frozenset(everybody), slides
        )
    except (CohortError, LeakageError) as error:
        problems.take(error)
        return
    notes += found
    for fold in given:
        development = tuple(p for p in everybody if p in fold.development)
        test = tuple(p for p in everybody if p in fold.test)
        yield _Outer(fold.repeat, fold.name, development, test)


def _from_columns(cohort: Cohort, split: Split, problems: Problems) -> Iterator[_Outer]:
    for repeat, column in enumerate(split.column):
        values = cohort.patients[f"column:{column}"].map(canonical_code)
        if are_roles(values[~_is_unused(values)]):
            problems.add(
                f"column {column!r} divides patients into training and test; its values are not "
                "folds",
                remedy="give the division as a file (`split: {files: ...}`), or draw folds",
            )
            continue
        check_names(values, column, problems)
        used = values[~_is_unused(values)]
        names = sorted(set(used), key=_natural)
        if len(names) < 2:
            problems.add(
                f"column {column!r} contains {len(names)} folds, but at least 2 are needed"
            )
            continue
        for name in names:
            development = tuple(used.index[used != name])
            yield _Outer(repeat, name, development, tuple(used.index[used == name]))


def _drawn(cohort: Cohort, split: Split, problems: Problems, notes: list[str]) -> Iterator[_Outer]:
    if (rare := count_events(cohort, list(cohort.patients.index))) < split.folds:
        what = cohort.endpoint.limiting
        problems.add(
            f"there are {rare} {what} for {split.folds} folds",
            remedy="use fewer folds (`split: {folds: ...}`), or a larger cohort",
        )
        return
    sites = cohort.patients["site"] if split.site_preserved else None
    if sites is not None:
        if sites.isna().any():  # reported where the table is read
            return
        if sites.nunique() < split.folds:
            problems.add(
                f"there are {sites.nunique()} sites for {split.folds} site-preserved folds",
                remedy="use fewer folds, or `site_preserved: false`",
            )
            return
    everybody = cohort.patients.index
    before: set[frozenset[frozenset[str]]] = set()
    for repeat in range(split.repeats):
        seed = _seed(split.seed, repeat)
        if sites is None:
            parts = _divide(cohort.outcome, split.folds, seed, split.stratify)
        else:
            parts, found = site_folds(cohort.outcome, sites, split.folds, seed)
            notes += found if repeat == 0 else ()
            division = frozenset(map(frozenset, parts))
            if division in before:
                notes.append(
                    f"repeat {repeat} divides the sites in the same way as an earlier repeat"
                )
            before.add(division)
        for k, part in enumerate(map(frozenset, parts)):
            development = tuple(p for p in everybody if p not in part)
            yield _Outer(repeat, str(k), development, tuple(sorted(part)))


def _divide(outcome: pd.Series, n: int, seed: int, stratify: bool) -> list[list[str]]:
    """Divide the patients of `outcome` (sorted by id) into n parts."""
    # Imported here: it takes a second, and predictions need no folds.
    from sklearn.model_selection import KFold, StratifiedKFold

    y = outcome.to_numpy(dtype=int)
    rarest = np.bincount(y, minlength=2).min()
    # With fewer than one per part, stratification is not possible.
    kind = StratifiedKFold if stratify and rarest >= n else KFold
    splitter = kind(n, shuffle=True, random_state=seed)
    return [outcome.index[test].tolist() for _, test in splitter.split(np.zeros(len(y)), y)]


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _is_unused(values: pd.Series) -> pd.Series:
    return is_blank(values) | (values.astype(str) == "-1")


def _natural(text: str) -> tuple[int, float, str]:
    """Numbers in numeric order, then words."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
